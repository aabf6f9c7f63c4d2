# SPDX-License-Identifier: MIT
"""Reads lines `name amount` from standard input, keeps them in an SQLite database in memory, prints sums as JSON."""
import json
import sqlite3
import sys
import threading

db = sqlite3.connect(":memory:", check_same_thread=False)
db.execute("create table entry(name text, amount real)")
lock = threading.Lock()


def add(lines):
    for line in lines:
        name, amount = line.split()
        with lock:
            db.execute("insert into entry values(?, ?)", (name, float(amount)))


lines = sys.stdin.read().splitlines()
threads = [threading.Thread(target=add, args=(lines[n::4],)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
rows = db.execute("select name, count(*), round(sum(amount), 2) from entry group by name order by name")
print(json.dumps({name: {"entries": count, "sum": total} for name, count, total in rows}, indent=2))
