#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly top: it names the tenant that is slow, and why; on a terminal, and without one."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import sys
import tempfile
import termios
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from tenants import GUEST, MAYFLY, SLOWER, Daemon, Load, tenant, wait_until  # noqa: E402
from serving import Server  # noqa: E402
from mayfly import FAILED, command, expect  # noqa: E402
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "store"))
from storing import GUEST as STORE_GUEST, PROGRAM as STORE_PROGRAM, call  # noqa: E402
from claims import check, claim, fail, main, matches, same  # noqa: E402

COLUMNS = ["TENANT", "REQ/S", "P50", "P99", "WAIT", "VMS", "EX/R", "PF/R", "STORE/S", "CPU", "WHY"]
NAP = 105  # of the storage program: it sleeps
LEAVE = b"\033[?25h\033[?1049l"


def top(path, *options, interval="500ms", silent=0):
    """Rows by name, in their order: a dictionary by column each. Asked until so many are silent: on a busy machine one may be, at once."""
    def take():
        done = expect(command([MAYFLY, "top", "--control", f"unix:{path}", "--batch", "--interval", interval, *options]), 0, "top")
        return done.out.count(b"does not answer") == silent and done
    done = wait_until(take, "tenants to answer", 60)
    lines = done.out.decode().splitlines()
    same(lines[0].split(), COLUMNS, "the head")
    return {fields[0]: dict(zip(COLUMNS, fields)) for fields in (line.split(None, len(COLUMNS) - 1) for line in lines[1:])}


def nanoseconds(text):
    number, unit = re.fullmatch(r"([0-9.]+)(ns|us|ms|s)", text).groups()
    return float(number) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]


class Hindered:
    """A process that has the processor a fifth of the time."""

    def __init__(self, pid):
        self.pid, self.ending = pid, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ending.is_set():
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(0.04)
            os.kill(self.pid, signal.SIGCONT)
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()


def named_slow(daemon, name, why):
    """It is the first by its median, by a clear factor, and for that reason."""
    rows = top(daemon.control, "--sort", "p50", interval="1s")
    if any(row["P50"] == "-" for row in rows.values()):
        return False
    medians = {tenant: nanoseconds(row["P50"]) for tenant, row in rows.items()}
    others = max(median for tenant, median in medians.items() if tenant != name)
    return list(rows)[0] == name and medians[name] > 4 * others and re.match(why, rows[name]["WHY"]) is not None


@claim
def of_three_tenants_under_load_the_slow_one_is_named_and_why():
    """Slowed by its own program, by what that waits for, and by too few VMs."""
    with Daemon(tenant("one", host=["one"]), tenant("two", host=["two"], vms=4, deadline="60s"), tenant("few", host=["few"], vms=1, queue=16, deadline="60s"),
                tenant("three", host=["three"])) as daemon:
        with Load(daemon, "one", clients=1), Load(daemon, "three", clients=1):
            for host, target, clients, why in (("two", "/sleep?300", 2, r"calls \d+%$"), ("two", "/busy?200", 1, r"program \d+%$|processor"),
                                               ("few", "/sleep?100", 4, r"queue \d+%<calls$")):
                with Load(daemon, host, target, clients=clients) as load:
                    other = "few" if host == "two" else "two"
                    with Load(daemon, other, clients=1):
                        wait_until(lambda: named_slow(daemon, host, why), f"{host} to be named for {why}", 60)
                same(load.failures, [], "failures")


class Calls(Load):
    """Requests that call the store, which takes its time."""

    def ask(self, client, number):
        answer = client.ask("/do", call(NAP, struct.pack("<I", 100)).bytes, headers={"Host": self.host})
        return None if answer.status == 200 else f"{answer.status} {answer.body[:80]}", answer


@claim
def a_tenant_with_a_slow_store_is_told_so():
    with Daemon(tenant("one", host=["one"]), tenant("two", STORE_GUEST, host=["two"], vms=4, deadline="60s", store="store", store_program=STORE_PROGRAM),
                tenant("three", host=["three"])) as daemon:
        with Load(daemon, "one", clients=1), Load(daemon, "three", clients=1), Calls(daemon, "two") as load:
            wait_until(lambda: named_slow(daemon, "two", r"store \d+%$"), "two to be named for its store", 60)
        same(load.failures, [], "failures")


@claim
def a_tenant_that_waits_for_a_processor_is_told_apart_from_one_that_computes():
    with Daemon(tenant("one", host=["one"]), tenant("two", host=["two"], vms=4, deadline="60s")) as daemon:
        pid = daemon.list()["two"]["pid"]
        with Load(daemon, "one", clients=1), Load(daemon, "two", "/busy?20", clients=3), Hindered(pid):
            wait_until(lambda: re.match(r"processor \d+%$", top(daemon.control, interval="1s")["two"]["WHY"]), "two to wait for a processor", 60)


@claim
def one_engine_is_shown_by_its_program_and_whatever_that_is_called_harms_no_terminal():
    with tempfile.TemporaryDirectory(prefix="mayfly-top-") as folder:
        strange = f"{folder}/a\033]0;b\a\n%s{{}}\"\\"
        shutil.copy(GUEST, strange)
        with Server("--control", f"unix:{folder}/control", guest=strange, vms=2) as server:
            for _ in range(5):
                server.ask("/count")
            done = expect(command([MAYFLY, "top", "-b", "-n", "2", "--interval", "50ms", "--control", f"unix:{folder}/control"]), 0, "top")
            lines = done.out.split(b"\n")
            same(len(lines), 5, "two tables of a line each")
            check(all(32 <= byte < 127 or byte == 10 for byte in done.out), "a byte that is no text", done.out)


@claim
def an_engine_that_is_stuck_or_dead_holds_nobody_up():
    with Daemon(tenant("one", host=["one"]), tenant("two", host=["two"])) as daemon:
        pid = daemon.list()["two"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            rows = top(daemon.control, interval="50ms", silent=1)
            same(rows["one"]["VMS"], "0/2", "one is told")
            done = command([MAYFLY, "top", "-b", "--interval", "50ms", "--control", f"unix:{daemon.control}"])
            matches(r"two +serving: does not answer", done.out)
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: top(daemon.control, interval="50ms")["two"]["VMS"] == "0/2", "two to answer again")


@claim
def what_is_no_question_is_refused_with_a_sentence():
    for args, why in (([], "whom to ask"), (["--control", "unix:/nowhere"], "/nowhere"), (["--control", "x"], "unix:PATH"),
                      (["--control", "unix:/nowhere", "more"], "more is too much"), (["--sort", "beauty", "--control", "unix:/x"], "beauty"),
                      (["--interval", "0s", "--control", "unix:/x"], "interval")):
        done = expect(command([MAYFLY, "top", *args]), FAILED, str(args))
        matches(why, done.err)
        same(done.out, b"", "nothing else")


class Terminal:
    """mayfly top on one; lines as they stand on it, by what was written since the last look at the top left corner."""

    def __init__(self, path, height=24, width=80, interval="100ms"):
        self.master, self.slave = pty.openpty()
        self.size(height, width)
        self.before = termios.tcgetattr(self.slave)
        self.out = b""
        self.pid = os.fork()
        if not self.pid:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            os.environ["TERM"] = "xterm"
            os.execv(MAYFLY, [MAYFLY, "top", "--control", f"unix:{path}", "--interval", interval])

    def size(self, height, width):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0.05)[0]:
            try:
                self.out += os.read(self.master, 65536)
            except OSError:
                return

    def lines(self):
        """Of the last screen that was drawn in whole."""
        self.read()
        frames = self.out.split(b"\033[H")
        if len(frames) < 3:
            return []
        text = re.sub(rb"\033\[[0-9;?]*[A-Za-z]", b"", frames[-2]).decode()
        check("\033" not in text, "an escape that is none", text)
        return text.split("\r\n")

    def wait(self, condition, what):
        wait_until(lambda: condition(self.lines()), what, 30)

    def end(self):
        """Its status; the screen and the terminal are as they were."""
        until = time.monotonic() + 30 * SLOWER
        done = 0
        while not done and time.monotonic() < until:
            self.read()
            done, status = os.waitpid(self.pid, os.WNOHANG)
        if not done:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            fail("it goes on")
        self.read()
        check(self.out.rstrip().endswith(LEAVE), "the screen was not given back", self.out[-100:])
        same(termios.tcgetattr(self.slave), self.before, "the terminal's modes")
        os.close(self.master)
        os.close(self.slave)
        return status


@claim
def on_a_terminal_it_fits_is_sorted_by_keys_and_leaves_all_as_it_was():
    with Daemon(tenant("one", host=["one"]), tenant("two", host=["two"])) as daemon, Load(daemon, "one", clients=1):
        terminal = Terminal(daemon.control)
        terminal.wait(lambda lines: any(line.startswith("one ") for line in lines), "the tenants to be shown")
        same(terminal.lines()[2].split(), COLUMNS, "all columns fit into 80")
        check(len(terminal.lines()) <= 24 and max(map(len, terminal.lines())) <= 80, "it is larger than 80x24", *terminal.lines())
        os.write(terminal.master, b"n")
        terminal.wait(lambda lines: [line.split()[0] for line in lines[3:5]] == ["one", "two"], "the busiest to be first")
        os.write(terminal.master, b"R")
        terminal.wait(lambda lines: [line.split()[0] for line in lines[3:5]] == ["two", "one"], "the order to be turned")
        os.write(terminal.master, b"?")
        terminal.wait(lambda lines: any("what most of the requests' time went to" in line for line in lines), "the help")
        os.write(terminal.master, b"?\033[A\033[B\033[C\033[D\033[Z\0\xffz")
        terminal.wait(lambda lines: any(line.startswith("one ") for line in lines), "the table again")
        terminal.size(7, 40)
        terminal.wait(lambda lines: lines and max(map(len, lines)) <= 40 and len(lines) <= 7, "the smaller screen")
        terminal.size(1, 1)
        terminal.wait(lambda lines: lines and max(map(len, lines)) <= 1, "the smallest one")
        terminal.size(50, 200)
        terminal.wait(lambda lines: any(line.startswith("one ") and len(line) > 60 for line in lines), "a large one")
        os.write(terminal.master, b"q")
        same(terminal.end(), 0, "its status")


@claim
def every_end_gives_the_terminal_back():
    with Daemon(tenant("one", host=["one"])) as daemon:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            terminal = Terminal(daemon.control)
            terminal.wait(lambda lines: any(line.startswith("one ") for line in lines), "the tenant to be shown")
            os.kill(terminal.pid, number)
            same(terminal.end(), 0, f"its status after {number.name}")
        terminal = Terminal(daemon.control)
        terminal.wait(lambda lines: any(line.startswith("one ") for line in lines), "the tenant to be shown")
        os.write(terminal.master, b"\032")  # ^Z
        wait_until(lambda: open(f"/proc/{terminal.pid}/stat").read().rpartition(")")[2].split()[0] == "T", "it to stand still")
        terminal.read()
        check(terminal.out.endswith(LEAVE), "a screen that is not given back when it stops", terminal.out[-50:])
        same(termios.tcgetattr(terminal.slave), terminal.before, "the terminal's modes while it stands still")
        os.kill(terminal.pid, signal.SIGCONT)
        os.write(terminal.master, b"q")
        same(terminal.end(), 0, "its status")


if __name__ == "__main__":
    main()
