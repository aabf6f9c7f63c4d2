# SPDX-License-Identifier: MIT
"""Files under a scratch folder (the first argument): everyday calls and their errors."""
import fcntl
import json
import mmap
import os
import sqlite3
import sys
import tempfile

os.chdir(sys.argv[1])
os.makedirs("a/b/c")
for n in range(50):
    with open(f"a/b/{n:02}", "w") as file:
        file.write("x" * n)
print(sorted(os.listdir("a/b"))[:5], sum(entry.stat().st_size for entry in os.scandir("a/b") if entry.is_file()))
os.symlink("b/07", "a/link")
os.link("a/b/08", "a/hard")
print(os.readlink("a/link"), os.stat("a/hard").st_nlink, os.path.samefile("a/hard", "a/b/08"))
os.rename("a/b/09", "a/nine")
for call in (lambda: open("missing"), lambda: os.rmdir("a"), lambda: os.mkdir("a"), lambda: open("a/b/07/x"),
             lambda: open("/etc/shadow"), lambda: os.unlink("a")):
    try:
        call()
    except OSError as error:
        print(type(error).__name__)
with open("map", "wb+") as file:
    file.truncate(3 * mmap.PAGESIZE)
    with mmap.mmap(file.fileno(), 0) as shared:
        shared[4090:4100] = b"0123456789"
        shared.flush()
        file.seek(4090)
        print(file.read(10), shared.find(b"789"))
        os.pwrite(file.fileno(), b"seen", 8192)
        print(bytes(shared[8192:8196]))
with open("lock", "w") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("locked")
db = sqlite3.connect("db")
print(db.execute("pragma journal_mode=wal").fetchone())
db.execute("create table t(n integer primary key, v text)")
with db:
    db.executemany("insert into t values(?,?)", ((n, str(n) * 3) for n in range(1000)))
print(db.execute("select count(*), sum(n), max(v) from t").fetchone(), db.execute("pragma integrity_check").fetchone())
db.close()
with tempfile.TemporaryDirectory(dir=".") as folder:
    with open(os.path.join(folder, "j"), "w") as file:
        json.dump({"k": [1, 2.5, None]}, file)
    print(json.load(open(os.path.join(folder, "j"))))
read, write = os.pipe()
os.write(write, b"through a pipe")
print(os.read(read, 100))
print(os.path.exists("/proc/self/status"), os.getcwd() == os.path.realpath(sys.argv[1]))
