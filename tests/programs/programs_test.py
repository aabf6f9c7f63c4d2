#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Programs as Debian ships them, run natively and in a VM: the same output and the same exit status. What is not
installed fails: the package list of the tests has it."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "house"))
sys.dont_write_bytecode = True
from claims import LONG, check, claim, fail, main, matches, same  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MAYFLY = os.path.abspath(os.path.join(os.environ.get("MAYFLY_BUILD", os.path.join(HERE, "../../build")), "mayfly"))
CASES = os.path.join(HERE, "cases")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "RUST_BACKTRACE": "0"}
SECONDS = 600 if LONG else 100  # that one program may take
SCRATCH = tempfile.mkdtemp(prefix="mayfly-programs-")


def in_vm(*options):
    """The command in front of a program's."""
    return [MAYFLY, "run", "--allow-all", "--deadline", f"{SECONDS}s", *options, "--"]


def run(command, stdin="", timeout=SECONDS + 10, cwd=None):
    """(status, stdout, stderr) of a command that ends by itself."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=ENVIRONMENT, cwd=cwd, start_new_session=True) as process:
        try:
            out, err = process.communicate(stdin.encode(), timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            fail(f"{' '.join(command[-4:])}: nothing after {timeout} s", out[-1000:], err[-1000:])
    return process.returncode, out.decode(errors="backslashreplace"), err.decode(errors="backslashreplace")


def folder():
    """A fresh folder, named alike natively and in the VM: its name may be printed."""
    path = os.path.join(SCRATCH, "work")
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    return path


def alike(command, *options, stdin="", any_order=False, masks=(), cwd=None):
    """Run it both ways. masks: what may differ. any_order: of lines."""
    results = []
    for how in ([], in_vm(*options, *(["--cwd", cwd] if cwd else []))):
        folder()
        status, out, err = run([*how, *command], stdin, cwd=cwd)
        for pattern in masks:
            out = re.sub(pattern, "?", out)
        results.append((status, sorted(out.splitlines()) if any_order else out.splitlines(), err))
    (status, out, _), (vm_status, vm_out, vm_err) = results
    name = " ".join(os.path.basename(word) for word in command[:3])
    differing = [pair for pair in zip(out, vm_out) if pair[0] != pair[1]][:3]
    same((vm_status, vm_out), (status, out), name, f"differing lines (native, VM): {differing}", vm_err[-1500:])
    check(out or status, f"{name} printed nothing at all")


def case(name):
    return os.path.join(CASES, name)


@claim
def python_computes_threads_and_waits():
    alike(["/usr/bin/python3", case("threads.py")])
    alike(["/usr/bin/python3", "-c", "import zlib, json, decimal; print(zlib.crc32(b'x' * 10**6), "
           "json.dumps({'a': [1, 2]}), decimal.Decimal(2).sqrt()); raise SystemExit(7)"])


@claim
def python_takes_signals():
    alike(["/usr/bin/python3", case("signals.py")])


@claim
def groups_can_be_given_up():
    alike(["/usr/bin/python3", "-c", "import os\ntry:\n  os.setgroups([])\n  print(os.getgroups())\n"
           "except PermissionError as error:\n  print(error)"])


@claim
def python_serves_and_asks_itself():
    alike(["/usr/bin/python3", case("asyncio_echo.py")])


@claim
def python_works_with_files():
    alike(["/usr/bin/python3", case("files.py"), os.path.join(SCRATCH, "work")])


@claim
def node_compiles_collects_and_computes():
    alike(["/usr/bin/node", case("jit.js")], "--memory", "1G", any_order=True)


@claim
def node_has_workers():
    alike(["/usr/bin/node", case("workers.js")], "--memory", "1G")


@claim
def node_serves_http():
    alike(["/usr/bin/node", case("http.js")], "--memory", "1G")


@claim
def scripting_languages_run():
    for program, script in (("lua5.4", "everyday.lua"), ("luajit", "everyday.lua"), ("perl", "everyday.pl"),
                            ("ruby", "everyday.rb"), ("php", "everyday.php")):
        alike([f"/usr/bin/{program}", case(script)])


@claim
def sqlite_keeps_a_log():
    count = 100_000 if LONG else 5_000
    alike(["/usr/bin/sqlite3", os.path.join(SCRATCH, "work", "db")], stdin=f"""
pragma journal_mode=wal;
create table t(n integer primary key, v text);
with recursive r(n) as (select 1 union all select n + 1 from r where n < {count // 2})
  insert into t select n, 'value ' || n from r;
begin;
with recursive r(n) as (select {count // 2 + 1} union all select n + 1 from r where n < {count})
  insert into t select n, 'value ' || n from r;
commit;
create index i on t(v);
select count(*), sum(n), max(v) from t;
pragma wal_checkpoint(truncate);
pragma integrity_check;
""")


@claim
def a_go_program_runs():
    target = os.path.join(SCRATCH, "server-go")
    done = subprocess.run(["/usr/bin/go", "build", "-o", target, case("server.go")], cwd=SCRATCH, timeout=170,
                          env={**ENVIRONMENT, "HOME": SCRATCH, "GO111MODULE": "off"}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    same(done.returncode, 0, "building it", done.stdout)
    alike([target], "--memory", "512M")


@claim
def a_rust_program_runs():
    target = os.path.join(SCRATCH, "epoll-rs")
    done = subprocess.run(["/usr/bin/rustc", "--edition", "2021", "-O", "-o", target, case("epoll.rs")], cwd=SCRATCH,
                          timeout=170, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    same(done.returncode, 0, "building it", done.stdout)
    alike([target])


@claim
def busybox_is_many_programs():
    for applet, stdin in ((["sha256sum"], "mayfly"), (["sort", "-n"], "3\n10\n2\n"), (["awk", "{n += $1} END {print n}"],
                          "1\n2\n3\n"), (["sed", "s/a/b/g"], "banana\n"), (["gzip", "-c"], "x" * 10000),
                          (["seq", "1", "5"], ""), (["expr", "6", "*", "7"], ""), (["uname", "-m"], ""),
                          (["ls", "-1", CASES], ""), (["cat", "/nonexistent"], "")):
        alike(["/bin/busybox", *applet], stdin=stdin)


# $V before a program: natively nothing.
SHELL = {
    "files as streams": r"""
seq 1 20000 > in
($V head -n 3; $V sed -n '1p;2q'; cat | cksum) < in
$V dd bs=100 skip=3 count=2 status=none < in
$V dd bs=10 seek=4 conv=notrunc,fsync status=none < in > out
$V dd of=/dev/stdout bs=7 seek=3 status=none < in > direct
$V tail -c 20 < in
$V stat -L -c '%s %F' - /dev/stdin < in
$V cat /dev/stdin /dev/fd/0 < in | cksum
echo end > long
$V cat in >> long
$V cat long >> long; echo $?
$V sort -rn < in > sorted
($V echo one; echo two; $V echo three) > shared
$V dd if=in of=partial bs=4096 count=5 oflag=direct status=none
$V dd if=in of=odd bs=8192 oflag=direct status=none
cksum *
""",
    "nothing as a stream": r"""
$V dd skip=5 count=1 status=none < /dev/null; echo $?
$V stat -L -c '%F %t %T' - < /dev/null
$V cat /dev/stdin < /dev/null
$V dd if=/proc/self/cmdline bs=1 count=2 status=none > /dev/null; echo $?
""",
}


@claim
def tools_do_in_a_shell_what_they_do_natively():
    for name, script in SHELL.items():
        results = []
        for how in ("", " ".join(in_vm())):
            done = subprocess.run(["/bin/sh", "-c", script], cwd=folder(), env={**ENVIRONMENT, "V": how}, timeout=SECONDS,
                                  stdin=subprocess.DEVNULL, capture_output=True)
            results.append((done.returncode, done.stdout.decode(errors="replace").splitlines(), done.stderr))
        (status, out, err), (vm_status, vm_out, vm_err) = results
        same((vm_status, vm_out), (status, out), name, err[-1500:], vm_err[-1500:])
        check(out, f"{name} printed nothing at all")


@claim
def openssl_computes():
    alike(["/usr/bin/openssl", "dgst", "-sha512"], stdin="mayfly")
    alike(["/usr/bin/openssl", "enc", "-aes-256-ctr", "-K", "00" * 32, "-iv", "00" * 16, "-a"], stdin="x" * 5000)
    status, out, err = run([*in_vm(), "/usr/bin/openssl", "speed", "-seconds", "1", "-bytes", "1024", "sha256"])
    same(status, 0, "openssl speed", err)
    matches(r"sha256 +[0-9.]+k", out, "openssl speed")


def redis_server():
    """Debian has the server in two names of one program; the one in redis-tools brings no service."""
    if os.path.exists("/usr/bin/redis-server"):
        return "/usr/bin/redis-server"
    link = os.path.join(SCRATCH, "redis-server")
    os.symlink("/usr/bin/redis-check-rdb", link)
    return link


def wait_for(path, process):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
                return
        except OSError:
            time.sleep(0.05)
    process.kill()
    fail("redis-server does not listen", process.communicate()[0][-1500:])


@claim
def redis_serves_a_benchmark():
    path = os.path.join(folder(), "redis.sock")
    count = "100000" if LONG else "5000"
    server = subprocess.Popen([*in_vm("--cwd", SCRATCH), redis_server(), "--port", "0", "--unixsocket", path,
                               "--save", "", "--dir", SCRATCH], env=ENVIRONMENT, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    try:
        wait_for(path, server)
        status, out, err = run(["/usr/bin/redis-benchmark", "-s", path, "-n", count, "-c", "20", "-q", "-t",
                                "set,get,incr,lpush,lrange_100"])
        same(status, 0, "redis-benchmark", out, err)
        check("Error" not in out + err, "redis-benchmark saw an error", out, err)
    finally:
        server.terminate()
        try:
            out = server.communicate(timeout=60)[0]
        except subprocess.TimeoutExpired:
            server.kill()
            fail("redis-server did not end when it was told to", server.communicate()[0][-1500:])
    same(server.returncode, 0, "redis-server", out[-1500:])


try:
    main()
finally:
    shutil.rmtree(SCRATCH, ignore_errors=True)
