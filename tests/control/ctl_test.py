#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly ctl and the control socket of a serving engine: what it tells, what it obeys, what it survives."""
import ctypes
import json
import os
import random
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pool"))
sys.dont_write_bytecode = True
from serving import GUEST, MAYFLY, PLAIN, SLOWER, SOON, Server, wait_until  # noqa: E402
from mayfly import FAILED, STATIC, accepts, command, end, expect, for_everybody, status_line  # noqa: E402
from claims import EMULATED, LONG, check, claim, main, matches, same  # noqa: E402

HELLO = b"\0SP\0\0\x30\0\0"  # of nng's REQ
ANSWER = b"\0SP\0\0\x31\0\0"  # of its REP
SANITIZED = b"__asan_init" in open(MAYFLY, "rb").read()
STATUS_CALLS = 10000 if LONG else 20 if EMULATED else 100


class Engine(Server):
    def __init__(self, *options, **more):
        self.own = tempfile.TemporaryDirectory(prefix="mayfly-ctl-")
        self.control = f"{self.own.name}/control"
        super().__init__("--control", f"unix:{self.control}", *options, **more)

    def __exit__(self, kind, *why):
        log = self.log()
        super().__exit__(kind, *why)
        self.own.cleanup()
        if kind is None:
            unreported(log)

    def ctl(self, *args, **more):
        return ctl(self.control, *args, **more)

    def status(self):
        return json.loads(expect(self.ctl("status", "--json"), 0, "ctl status").out)

    def counts(self, *wanted):
        """The values of group.name in one status."""
        told = self.status()
        return [told[group][name] for group, name in (want.split(".") for want in wanted)]

    def wait_counts(self, values, *wanted):
        wait_until(lambda: self.counts(*wanted) == values, f"{wanted} to be {values}", 10)


def ctl(path, *args, **more):
    done = command([MAYFLY, "ctl", "--control", f"unix:{path}", *args], **more)
    unreported(done.err)
    return done


def unreported(log):
    check(b"Sanitizer" not in log and b"runtime error" not in log, "a sanitizer reported", log)


def frame(body, number=0x80000001):
    return b"\1" + struct.pack(">QI", len(body) + 4, number) + body


def dial(path, hello=HELLO):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)  # waits where the engine's queue of connections is full
    sock.settimeout(20 * SLOWER)
    if hello:
        sock.sendall(hello)
        same(take(sock, 8), ANSWER, "the engine's hello")
    return sock


def take(sock, count):
    got = b""
    while len(got) < count:
        more = sock.recv(count - len(got))
        if not more:
            break
        got += more
    return got


def ask(sock, body):
    sock.sendall(frame(body))
    mark, length, number = struct.unpack(">BQI", take(sock, 13))
    same((mark, number), (1, 0x80000001), "the reply's head")
    return json.loads(take(sock, length - 4))


@claim(emulated=True)
def status_agrees_with_what_was_sent():
    with Engine("--audit", "--workers", "2", vms=4) as engine:
        for target, status in [("/count", 200)] * 5 + [("/crash?0", 502)] * 2 + [("/none", 502)]:
            same(engine.ask(target).status, status, target)
        bad = socket.socket(socket.AF_UNIX)
        bad.connect(engine.path)
        bad.sendall(b"nonsense\r\n\r\n")
        check(bad.recv(4096).startswith(b"HTTP/1.1 400"), "a bad request")
        bad.close()
        engine.wait_counts([8, 8], "resets.total", "resets.audits")
        told = engine.status()
        same(told["version"], 1, "version")
        same(told["ok"], True, "ok")
        here = told["engine"]
        same(here["pid"], engine.process.pid, "pid")
        same((here["state"], here["program"], here["listen"]), ("serving", GUEST, f"unix:{engine.path}"), "engine")
        check(here["kvm"] in ("software", "hardware"), "KVM family", here)
        check(0 < here["uptime_ms"] < 600000, "uptime", here)
        same(told["workers"], {"total": 2, "answering": 2}, "workers")
        vms = told["vms"]
        same((vms["total"], vms["forked"], vms["busy"], vms["idle"]), (4, 4, 0, 4), "VMs")
        same(told["queue"], {"length": 0, "limit": 16}, "queue")
        same(told["requests"], {"total": 8, "ok": 5, "crash": 3 - told["requests"]["response"], "memory": 0,
                                "response": told["requests"]["response"], "deadline": 0, "too_large": 0, "conflict": 0,
                                "store": 0, "committed": 0, "reruns": 0, "rejected": 0},
             "requests")
        same(told["resets"]["audit_failures"], 0, "unclean resets")
        check(told["costs"]["user_exits"] >= 8, "user exits", told["costs"])
        front = told["front"]
        same((front["refused"], front["running"], front["dropped"], front["unsent_bytes"]), (1, 0, 0, 0), "front door")
        same(front["accepted"], 9, "connections")


@claim
def status_shows_what_runs_and_waits():
    with Engine("--workers", "1", vms=2) as engine:
        socks = [engine.send_only("/sleep") for _ in range(3)]
        engine.wait_counts([2, 0, 1, 3], "vms.busy", "vms.idle", "queue.length", "front.running")
        for sock in socks:
            sock.close()
        engine.wait_counts([0, 0, 3], "vms.busy", "front.running", "front.cancelled")


@claim(emulated=True)
def status_is_printed_for_people_and_as_json():
    with Engine(vms=1) as engine:
        done = expect(engine.ctl("status"), 0, "status")
        lines = done.out.decode().splitlines()
        groups = [line.split()[0] for line in lines if not line.startswith(" ")]
        same(groups, ["engine", "workers", "vms", "queue", "requests", "resets", "costs", "spent", "processor", "front", "store"], "groups")
        check(all(len(line) > 29 and line[28] == " " and line[29] != " " for line in lines), "columns", done.out)
        matches(rf"engine +version +\d.*process +{engine.process.pid}\n.*state +serving\n", done.out)
        done = expect(engine.ctl("--json", "status"), 0, "status --json")
        same(done.out.count(b"\n"), 1, "lines of JSON")
        same(len([1 for group in json.loads(done.out).values() if isinstance(group, dict) for _ in group]), len(lines),
             "fields")


@claim(emulated=True)
def drain_finishes_what_runs_and_ends_with_0():
    with Engine(guest=PLAIN, args=("epoll", "80"), vms=2) as engine:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20 * SLOWER)
        sock.connect(engine.path)
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 150000)
        engine.wait_counts([1], "vms.busy")
        done = expect(engine.ctl("drain"), 0, "drain")
        same(done.out, b"It drains.\n", "what ctl says")
        same(engine.status()["engine"]["state"], "draining", "state")
        sock.sendall(b"x" * 50000)
        got = b""
        while more := sock.recv(65536):
            got += more
        check(got.startswith(b"HTTP/1.1 200") and got.endswith(b"x" * 200000), "the running request", got)
        same(engine.wait(), 0, "exit status")
        check(not os.path.exists(engine.control), "the control socket is left")
        check(not os.path.exists(engine.path), "the socket is left")
        matches("told to drain: finishing what runs", engine.log())


@claim
def a_second_drain_changes_nothing_and_stop_cuts_short():
    with Engine("--drain", "60s", "--deadline", "60s", vms=2) as engine:
        sock = engine.send_only("/sleep")
        engine.wait_counts([1], "vms.busy")
        for _ in range(3):
            expect(engine.ctl("drain"), 0, "drain")
        time.sleep(0.3)
        check(engine.process.poll() is None, "it did not wait")
        began = time.monotonic()
        expect(engine.ctl("stop"), 0, "stop")
        same(engine.wait(), 0, "exit status")
        check(time.monotonic() - began < SOON, "it did not hurry")
        check(not sock.recv(65536).startswith(b"HTTP/1.1 200"), "the request was finished")


@claim(emulated=True)
def stop_alone_cuts_short():
    for target in ("/sleep", "/busy"):
        with Engine("--drain", "60s", "--deadline", "60s", vms=2) as engine:
            sock = engine.send_only(target)
            engine.wait_counts([1], "vms.busy")
            began = time.monotonic()
            expect(engine.ctl("stop"), 0, "stop")
            same(engine.wait(), 0, f"{target}: exit status")
            check(time.monotonic() - began < SOON, f"{target}: it did not hurry")
            sock.close()


@claim
def every_drain_is_answered_before_the_engine_ends():
    for _ in range(100 if LONG else 10):
        with Engine(vms=1) as engine:
            expect(engine.ctl("drain"), 0, "drain")
            same(engine.wait(), 0, "exit status")


@claim
def signals_end_it_as_ever():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Engine("--deadline", "1s", vms=1) as engine:
            same(engine.ask("/busy").status, 504, "a deadline")
            same(engine.ask("/count").status, 200, "a request")
            same(engine.stop(number), 0, "exit status")
            check(not os.path.exists(engine.control), "the control socket is left")


@claim
def a_program_that_boots_can_be_asked():
    with tempfile.TemporaryDirectory(prefix="mayfly-ctl-") as folder:
        process = subprocess.Popen([MAYFLY, "serve", "--listen", f"unix:{folder}/s", "--control", f"unix:{folder}/c",
                                    "--boot-deadline", "3s", "--vms", "1", "--", STATIC, "busy"], stderr=subprocess.PIPE)
        try:
            wait_until(lambda: accepts(f"{folder}/c"), "the control socket")
            told = json.loads(expect(ctl(folder + "/c", "status", "--json"), 0, "status").out)
            same((told["engine"]["state"], told["vms"]["forked"]), ("starting", 0), "while it boots")
            expect(ctl(folder + "/c", "drain"), 0, "drain")
            same(process.wait(20 * SLOWER), FAILED, "exit status")
            matches("did not become ready in time", process.stderr.read())
            same(os.listdir(folder), [], "files that are left")
        finally:
            end(process)
            process.stderr.close()


@claim(emulated=True)
def it_is_confined_in_all_its_threads_while_it_is_asked():
    for options in ([], ["--allow-read=/etc/hostname"]):
        with Engine(*options, vms=2) as engine:
            for _ in range(3):
                engine.status()
            names = []
            for task in os.listdir(f"/proc/{engine.process.pid}/task"):
                task = f"{engine.process.pid}/task/{task}"
                name = status_line(task, "Name")
                if not name or name.startswith("kvm-"):
                    continue  # it has ended, or is the kernel's own
                names.append(name)
                rules = status_line(task, "NoNewPrivs"), status_line(task, "Seccomp")
                check(rules == ("1", "2") or None in rules, f"{name}: {rules}")  # None: it has ended
                if name == "control":
                    blocked = int(status_line(task, "SigBlk"), 16)
                    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGRTMIN + 3):
                        check(blocked >> (number - 1) & 1, f"signal {number} is let in by the control thread")
            same(names.count("control"), 1, "control threads", *names)


@claim
def the_socket_is_its_owners_alone():
    with Engine(vms=1, before=lambda: os.umask(0)) as engine:
        same(stat.S_IMODE(os.stat(engine.control).st_mode), 0o600, "its mode")
        if os.getuid() == 0:
            os.chmod(engine.own.name, 0o755)
            done = command(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                            for_everybody(MAYFLY), "ctl", "--control",
                            f"unix:{engine.control}", "stop"])
            expect(done, FAILED, "another user")
            matches("user who started the engine", done.err)
        same(engine.status()["engine"]["state"], "serving", "state")


def refused_serve(control, pattern, what):
    """serve --control CONTROL is refused with one sentence, and leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="mayfly-ctl-") as folder:
        done = command([MAYFLY, "serve", "--listen", f"unix:{folder}/s", "--health", f"unix:{folder}/h", "--control", control,
                        "--vms", "1", "--", GUEST], seconds=10)
        expect(done, FAILED, what)
        matches(r"^mayfly serve: [^\n]+\n$", done.err, f"{what}: one sentence")
        matches(pattern, done.err, what)
        same(os.listdir(folder), [], f"{what}: files that are left")


@claim
def a_path_that_cannot_be_had_is_told():
    with tempfile.TemporaryDirectory(prefix="mayfly-ctl-") as folder:
        with open(f"{folder}/file", "w") as file:
            file.write("kept")
        refused_serve(f"unix:{folder}/file", "not a socket", "a file")
        with open(f"{folder}/file") as file:
            same(file.read(), "kept", "the file")
        refused_serve(f"unix:{folder}/none/c", "No such file or directory", "a folder that is missing")
        refused_serve(f"unix:{folder}/file/c", "Not a directory", "a folder that is a file")
        refused_serve(f"unix:{folder}", "not a socket", "a folder")
    refused_serve("unix:", "needs a path", "no path")
    refused_serve("unix:/" + "x" * 120, "121 bytes", "a long path")
    refused_serve("127.0.0.1:80", "unix:PATH", "TCP")
    refused_serve("/tmp/c", "unix:PATH", "no unix:")


@claim
def a_socket_in_use_is_left_alone_and_a_stale_one_replaced():
    with Engine(vms=1) as engine:
        refused_serve(f"unix:{engine.control}", "Another server listens on", "in use")
        refused_serve(f"unix:{engine.path}", "Another server listens on", "another one's front door")
        engine.status()
        engine.process.kill()
        engine.process.wait()
        engine.process.returncode = 0
        check(os.path.exists(engine.control), "a killed engine leaves its socket")
        matches("no engine listens", expect(engine.ctl("status"), FAILED, "a stale socket").err)
        other = subprocess.Popen([MAYFLY, "serve", "--listen", f"unix:{engine.own.name}/s", "--control",
                                  f"unix:{engine.control}", "--vms", "1", "--quiet", "--", GUEST])
        try:
            wait_until(lambda: engine.ctl("status").status == 0, "the next engine", 10)
            expect(engine.ctl("drain"), 0, "drain")
            same(other.wait(20 * SLOWER), 0, "exit status")
        finally:
            end(other)
        check(not os.path.exists(engine.control), "the socket is left")


@claim
def odd_names_and_relative_paths_work():
    with tempfile.TemporaryDirectory(prefix="mayfly-ctl-") as folder:
        for name in ("a b%41?c#d", "\u00e4", "x" * 107):
            process = subprocess.Popen([MAYFLY, "serve", "--listen", "unix:s", "--control", f"unix:{name}", "--vms", "1",
                                        "--quiet", "--", GUEST], cwd=folder)
            try:
                asked = [MAYFLY, "ctl", "--control", f"unix:{name}"]
                wait_until(lambda: subprocess.run([*asked, "status"], cwd=folder, capture_output=True).returncode == 0,
                           f"an answer at {name}", 10)
                same(subprocess.run([*asked, "drain"], cwd=folder, capture_output=True).returncode, 0, f"drain at {name}")
                same(process.wait(20 * SLOWER), 0, f"exit status at {name}")
            finally:
                end(process)
            same(os.listdir(folder), [], f"files that are left of {name}")


def told(args, pattern, what):
    done = expect(command([MAYFLY, "ctl", *args]), FAILED, what)
    matches(r"^mayfly ctl: [^\n]+\n$", done.err, f"{what}: one sentence")
    matches(pattern, done.err, what)
    same(done.out, b"", f"{what}: stdout")


@claim
def a_bad_ctl_line_is_told():
    at = ["--control", "unix:/tmp/x"]
    told([], "--control unix:PATH", "nothing")
    told(["status"], "--control unix:PATH", "no engine")
    told(at, "no command given", "no command")
    told([*at, "fly"], "no command fly; there are status, drain and stop", "unknown")
    told([*at, "drain", "stop", "x"], "more than one", "two commands")
    told([*at, "--timeout", "5", "status"], "--timeout 5", "a bare number")
    told([*at, "--timeout", "99999m", "status"], "longer than a day", "years")
    told(["--control", "/tmp/x", "status"], "unix:PATH", "no unix:")
    told(["--control", "unix:", "status"], "needs a path", "no path")
    told(["--control", "unix:" + "x" * 108, "status"], "108 bytes", "a long path")
    told([*at, "--force", "stop"], "unknown option --force", "an unknown option")
    for args in (["--help"], ["-h"], ["status", "--help"]):
        matches("usage: mayfly ctl", expect(command([MAYFLY, "ctl", *args]), 0, str(args)).out)


@claim
def ctl_without_an_engine_says_what_to_do():
    with tempfile.TemporaryDirectory(prefix="mayfly-ctl-") as folder:
        at = ["--control", f"unix:{folder}/c"]
        for what in ("status", "drain", "stop"):
            told([*at, what], "no engine listens.*--control", what)
        open(f"{folder}/c", "w").close()
        told([*at, "status"], "not a socket", "a file")


class Impostor:
    """Listens where an engine should and does with each connection what a function says."""

    def __init__(self, treat):
        self.folder = tempfile.TemporaryDirectory(prefix="mayfly-ctl-")
        self.path = f"{self.folder.name}/c"
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(64)
        self.kept = []
        if treat:
            threading.Thread(target=self.serve, args=(treat,), daemon=True).start()

    def serve(self, treat):
        while True:
            try:
                sock = self.sock.accept()[0]
                self.kept.append(sock)
                treat(sock)
            except OSError:
                if self.sock.fileno() < 0:
                    return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in [*self.kept, self.sock]:
            sock.close()
        self.folder.cleanup()


def replying(text):
    def treat(sock):
        sock.sendall(ANSWER)
        if take(sock, 8) == HELLO:
            number = struct.unpack(">BQI", take(sock, 13))[2]
            sock.sendall(frame(text, number))
    return treat


@claim
def ctl_waits_no_longer_than_its_timeout():
    def greets(sock):
        sock.sendall(ANSWER)

    def babbles(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    def promises(sock):
        sock.sendall(ANSWER + b"\1" + struct.pack(">Q", 1000) + b"\x80")

    def boasts(sock):
        sock.sendall(ANSWER + b"\1" + struct.pack(">Q", 1 << 62))

    for treat in (None, greets, babbles, promises, boasts, socket.socket.close):
        with Impostor(treat) as impostor:
            began = time.monotonic()
            told(["--control", f"unix:{impostor.path}", "--timeout", "800ms", "status"], "no answer|cannot ask", str(treat))
            check(time.monotonic() - began < SOON, f"{treat}: it waited {time.monotonic() - began:.1f} s")


@claim
def ctl_tells_a_refusal_from_nonsense():
    with Impostor(replying(b'{"version":1,"ok":false,"error":"not \\u001b[31m now"}')) as impostor:
        for options in ([], ["--json"]):
            done = expect(ctl(impostor.path, *options, "drain"), 1, "a refusal")
            same(done.err, b"mayfly ctl: not ?[31m now\n", "its sentence")
            same(b"ok" in done.out, bool(options), "stdout")
    for text in (b"", b"{}", b"hello", b'{"version":2,"ok":true}', b'{"version":1,"ok":true,"engine":{"pid":1}}', b"[" * 9000):
        with Impostor(replying(text)) as impostor:
            told(["--control", f"unix:{impostor.path}", "status"], "no engine of version 1", str(text[:40]))


@claim(emulated=True)
def the_format_is_what_its_document_says():
    with Engine(vms=1) as engine:
        sock = dial(engine.control)
        same(ask(sock, b'{"version":1,"command":"status"}')["engine"]["state"], "serving", "status")
        same(ask(sock, b' { "command" : "status", "version" : 1 } ')["ok"], True, "other spacing and order")
        for text, pattern in ((b'{"version":2,"command":"status"}', "version 2 is not spoken"), (b"", "not JSON"),
                              (b'{"version":1,"command":"fly"}', "status, drain and stop"), (b"[]", "not a JSON object"),
                              (b'{"version":1,"command":"stop","now":true}', "members"), (b"\xff" * 9, "not JSON"),
                              (b'{"version":1,"command":"stop"}\0', "not JSON"), (b"[" * 60000, "not JSON")):
            reply = ask(sock, text)
            same((reply["version"], reply["ok"], sorted(reply)), (1, False, ["error", "ok", "version"]), str(text[:40]))
            matches(pattern, reply["error"], str(text[:40]))
        # through a device: a hop before the number comes back as it was
        sock.sendall(b"\1" + struct.pack(">QII", 8 + 2, 7, 0x80000009) + b"{}")
        same(struct.unpack(">BQII", take(sock, 17))[2:], (7, 0x80000009), "the route")
        same(ask(dial(engine.control), b'{"version":1,"command":"drain"}'), {"version": 1, "ok": True}, "drain")
        same(engine.wait(), 0, "exit status")


@claim
def hostile_bytes_end_a_connection_and_nothing_else():
    dice = random.Random(5)
    good = HELLO + frame(b'{"version":1,"command":"status"}')
    with Engine(vms=2) as engine:
        for number in range(2000 if LONG else 300):
            sock = dial(engine.control, None)
            try:
                if number % 3 == 0:
                    sock.sendall(dice.randbytes(dice.randrange(1, 400)))
                elif number % 3 == 1:
                    spoilt = bytearray(good)
                    spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
                    sock.sendall(spoilt)
                else:
                    sock.sendall(good[:dice.randrange(len(good))])
                    sock.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            sock.close()
        same(engine.status()["engine"]["state"], "serving", "state")
        same(engine.ask("/count").status, 200, "a request")


@claim
def a_thousand_connections_that_are_left_lock_nobody_out():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with Engine(vms=2) as engine:
        before = engine.footprint()
        socks = [dial(engine.control, HELLO if number % 2 else None) for number in range(1000)]
        same(engine.status()["engine"]["state"], "serving", "state")
        same(engine.ask("/count").status, 200, "a request")
        check(engine.footprint()[1] < before[1] + 80, "descriptors", engine.footprint(), before)
        for sock in socks:
            sock.close()
        engine.wait_counts([0], "front.running")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@claim
def a_stuck_worker_holds_nobody_up():
    libc = ctypes.CDLL(None, use_errno=True)
    seize, interrupt, detach = 0x4206, 0x4207, 17
    with Engine("--workers", "2", vms=2) as engine:
        same(engine.ask("/count").status, 200, "a request")
        engine.wait_counts([2], "workers.answering")  # both run by now, and have their names
        task = next(int(task) for task in os.listdir(f"/proc/{engine.process.pid}/task")
                    if status_line(f"{engine.process.pid}/task/{task}", "Name") == "worker 1")
        check(libc.ptrace(seize, task, 0, 0) == 0 and libc.ptrace(interrupt, task, 0, 0) == 0, "ptrace", ctypes.get_errno())
        try:
            wait_until(lambda: status_line(f"{engine.process.pid}/task/{task}", "State").startswith("t"), "the stop")
            began = time.monotonic()
            told = engine.status()
            check(time.monotonic() - began < SOON, "status waited for it")
            same(told["workers"], {"total": 2, "answering": 1}, "workers")
            same((told["vms"]["forked"], told["requests"]["total"]), (2, 1), "the last known numbers")
        finally:
            os.waitpid(task, 0x40000000)  # __WALL: detaching wants its stop to be seen
            libc.ptrace(detach, task, 0, 0)
        engine.wait_counts([2], "workers.answering")
        expect(engine.ctl("drain"), 0, "drain")
        same(engine.wait(), 0, "exit status")


@claim
def status_under_load_disturbs_no_request():
    with Engine("--queue", "200", vms=4) as engine:
        wrong = []

        def client():
            with_keep = engine.client()
            for _ in range(60):
                answer = with_keep.ask("/count")
                if answer.status != 200 or answer.body != b"1":
                    wrong.append(str(answer))
            with_keep.close()

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            told = engine.status()
            requests = told["requests"]
            check(requests["ok"] <= requests["total"], "more answers than requests", requests)
        for thread in threads:
            thread.join()
        check(not wrong, "wrong answers", *wrong[:5])
        same(engine.counts("requests.total", "requests.ok"), [240, 240], "requests")


@claim(emulated=True)
def status_calls_leave_nothing_behind():
    with Engine(vms=2) as engine:
        sock = dial(engine.control)
        question = b'{"version":1,"command":"status"}'
        for _ in range(STATUS_CALLS // 5):
            ask(sock, question)
            dial(engine.control).close()
        engine.status()
        before = engine.footprint()
        for number in range(STATUS_CALLS):
            ask(sock, question)
            if number % 2:
                ask(dial(engine.control), question)
        for _ in range(max(STATUS_CALLS // 100, 2)):
            engine.status()
        sock.close()
        after = engine.calm(before)
        if not SANITIZED:  # it keeps what was freed
            check(after[0] < before[0] + 512, "memory grew", before, after)


main()
