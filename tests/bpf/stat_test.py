#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly stat as its user meets it: of a command, of a process, with the right to use BPF and without, and what it says
when there is nothing to measure."""
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cli"))

from mayfly import FAILED, MAYFLY, SLOWER, SOON, STATIC, as_nobody, command, end, expect, folder, open_files
from claims import EMULATED, check, claim, main, matches, same

SERVED = os.environ.get("MAYFLY_SERVED", os.path.join(os.path.dirname(os.path.dirname(STATIC)), "pool/pool-guest"))
REQUESTS = 20 if EMULATED else 200


def stat(*args, status=0, **more):
    """mayfly stat --json --output FILE args: how it ended, and its report."""
    with folder() as root:
        done = command([MAYFLY, "stat", "--json", "--output", f"{root}/report", *args], **more)
        expect(done, status, f"stat {' '.join(args)}")
        with open(f"{root}/report") as file:
            return done, json.load(file)


def run_of(*args):
    return [MAYFLY, "run", "--", STATIC, *args]


def notes_of(report):
    """What could not be measured, but for what software KVM does not tell: that is said by the probe."""
    return [note for note in report["notes"] if "as on software KVM" not in note]


def count_of(report, kind, **where):
    return sum(row["count"] for row in report["series"] if row["kind"] == kind and where.items() <= row.items())


def measured_all(report, what):
    """Everything was measured, nothing lost, and the probes count what the engine counts."""
    same(notes_of(report), [], f"{what}: what could not be measured", report)
    same(report["lost"], dict.fromkeys(("records", "spans", "threads", "processes", "missed_runs"), 0), what)
    for kind in ("run", "outside", "before_guest", "in_guest", "after_guest"):
        same(count_of(report, kind), report["user_exits"]["count"], f"{what}: {kind}", report)
    engine = report["engine"]
    same(report["user_exits"]["count"], engine["user_exits"], f"{what}: user exits", report)
    for reason, row in report["user_exits"]["reasons"].items():
        same(row["count"], engine["reasons"][reason], f"{what}: exits by {reason}", report)
    same(report["resets"]["count"], engine["resets"], f"{what}: resets", report)
    same(report["resets"]["pages_copied"], engine["pages_copied"], f"{what}: pages", report)


def wait_until_it_watches(process):
    """Its probes are attached before it looks at an engine's counters."""
    until = time.monotonic() + SOON
    while not any("mayfly-stats" in name for name in open_files(process.pid)):
        check(time.monotonic() < until, "mayfly stat does not watch")
        time.sleep(0.02)


class Server:
    def __init__(self, root):
        self.socket, self.control, self.asked = f"{root}/s", f"unix:{root}/c", 0
        self.process = subprocess.Popen([MAYFLY, "serve", "--listen", f"unix:{self.socket}", "--health", f"unix:{root}/h", "--control",
                                         self.control, "--vms", "4", "--quiet", "--", SERVED], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60 * SLOWER
        while subprocess.run(["curl", "-fsS", "--unix-socket", f"{root}/h", "http://x/readyz"],
                             capture_output=True).returncode:
            check(time.monotonic() < until, "the server is not ready")
            time.sleep(0.05)

    def ask(self, times):
        url = "http://x/count?[1-%d]" % times
        done = command(["curl", "-sS", "--max-time", "60", "--unix-socket", self.socket, url], seconds=60)
        same(done.out, b"1" * times, "the answers")
        self.asked += times

    def counts(self):
        told = json.loads(expect(command([MAYFLY, "ctl", "--control", self.control, "--json", "status"]), 0, "status").out)
        return told["resets"]["total"], told["costs"]["user_exits"]

    def settle(self):
        """Until each answer's reset, which comes behind it, is over, and nothing moves."""
        until = time.monotonic() + 60 * SLOWER
        while True:
            before = self.counts()
            time.sleep(0.3 * SLOWER)  # what its VMs learned is given to all
            if self.counts() == before and before[0] >= self.asked:
                return
            check(time.monotonic() < until, f"it does not come to rest: {before} resets and user exits of {self.asked} requests")


@claim(emulated=True)
def a_command_is_measured_and_its_status_passes_through():
    for number in (0, 17):
        done, report = stat("--", *run_of("exit", str(number)), status=number)
        measured_all(report, "run")
        check(report["user_exits"]["count"] > 1, "there are user exits", report)
        row = report["user_exits"]["reasons"]["io"]
        check(0 < row["p50_us"] <= row["p99_us"] <= row["p999_us"] <= row["max_us"], "percentiles rise", row)
        check(report["outside_guest"]["reasons"]["io"]["p50_us"] < row["max_us"], "a part is less than all", report)
        same(report["pid"] > 0 and report["name"], MAYFLY, "the name")


@claim(emulated=True)
def processes_that_the_command_makes_are_measured_too():
    script = '"$0" run -- "$1" exit 3; "$0" run -- "$1" exit 4 & wait; exit 5'
    done, report = stat("--", "/bin/sh", "-c", script, MAYFLY, STATIC, status=5)
    same(report["engine"]["processes"], 2, "engines", report)
    measured_all(report, "two runs")


@claim
def a_process_of_another_pid_namespace_is_found():
    with folder() as root:
        done = command(["unshare", "-pf", "--mount-proc", MAYFLY, "stat", "--json", "--output", f"{root}/report", "--",
                        "/bin/sh", "-c", '"$0" run -- "$1" exit 3; exit 5', MAYFLY, STATIC])
        expect(done, 5, "stat in a PID namespace")
        with open(f"{root}/report") as file:
            report = json.load(file)
        check(report["pid"] < 10, "the namespace's own numbers", report)
        measured_all(report, "in a PID namespace")


@claim(emulated=True)
def a_server_is_measured_by_its_process():
    with folder() as root:
        server = Server(root)
        try:
            server.ask(10)
            server.settle()
            stat_process = subprocess.Popen([MAYFLY, "stat", "--json", "--pid", str(server.process.pid), "--output",
                                             f"{root}/report"])
            wait_until_it_watches(stat_process)
            server.ask(REQUESTS)
            server.settle()
            stat_process.send_signal(signal.SIGINT)
            same(stat_process.wait(30 * SLOWER), 0, "its end by ^C")
            with open(f"{root}/report") as file:
                report = json.load(file)
            measured_all(report, "serve")
            same(report["engine"]["requests"]["ok"], REQUESTS, "requests", report)
            same(count_of(report, "request", **{"class": "ok"}), REQUESTS, "requests by the probes", report)
            same(count_of(report, "request"), REQUESTS, "requests by the probes, however they ended", report)
            check(REQUESTS <= report["resets"]["count"] <= REQUESTS + 10, "a reset for each request", report)
            check(report["user_exits"]["count"] >= REQUESTS, "an exit for each request", report)
        finally:
            end(server.process)


@claim
def any_program_that_uses_kvm_is_measured():
    """Firmware alone, in QEMU: it finds nothing to start, and asks for a reset, which ends QEMU or begins again."""
    qemu = ["qemu-system-x86_64", "-accel", "kvm", "-m", "32", "-display", "none", "-nodefaults", "-serial", "none", "-monitor",
            "none", "-boot", "reboot-timeout=0"]
    done, report = stat("--", *qemu, "-no-reboot")
    check(report["user_exits"]["reasons"]["io"]["count"] > 100, "its exits by reason", report)
    same(report["engine"], None, "it is no engine")
    same(report["lost"]["missed_runs"], 0, "nothing is missed", report)
    same(count_of(report, "run"), report["user_exits"]["count"], "the series", report)
    process = subprocess.Popen(qemu, stderr=subprocess.DEVNULL)
    try:
        count = 0
        until = time.monotonic() + SOON
        while not count:
            check(time.monotonic() < until, "it makes exits")
            answer = command([MAYFLY, "stat", "--json", "--duration", "300ms", "--pid", str(process.pid)])
            if answer.status == FAILED and b"has no virtual machine" in answer.err:
                continue  # it has not begun yet
            count = json.loads(expect(answer, 0, "stat --pid of QEMU").err)["user_exits"]["count"]
    finally:
        end(process)


@claim
def an_interval_tells_what_came_since_the_last():
    """Reports of intervals and the last one, of all, agree."""
    with folder() as root:
        server = Server(root)
        process = subprocess.Popen([MAYFLY, "stat", "--json", "--interval", "200ms", "--pid", str(server.process.pid), "--output",
                                    f"{root}/report"])
        try:
            wait_until_it_watches(process)
            server.ask(20)
            server.settle()
            time.sleep(0.5)  # an interval begins in which nothing comes
            process.send_signal(signal.SIGINT)
            same(process.wait(SOON), 0, "its end")
            with open(f"{root}/report") as file:
                *parts, last = [json.loads(line) for line in file]
            check(len(parts) >= 2 and all(part["interval"] for part in parts) and not last["interval"], "reports", parts)
            same(sum(part["resets"]["count"] for part in parts), last["resets"]["count"], "resets", parts)
            same(sum(count_of(part, "request") for part in parts), 20, "requests", parts)
            same(sum(part["engine"]["requests"]["ok"] for part in parts), 20, "requests by the engine", parts)
            check(last["resets"]["count"] >= 20, "all of them", last)
        finally:
            end(server.process)


@claim
def rows_are_by_reason_role_or_tenant_and_histograms_are_drawn():
    for by, row in (("reason", "io"), ("role", "request"), ("tenant", r"\d+ [^ \n]*")):
        done = expect(command([MAYFLY, "stat", "--by", by, "--histogram", "--", *run_of("exit", "0")]), 0, f"stat --by {by}")
        matches(r"before the guest .*\n  %s +\d+ +[\d.]+" % row, done.err)
        matches(r"before the guest: %s\n +nsecs : count +distribution\n( +\d+ -> \d+ +: \d+ +\|\**\ *\|\n)+" % row, done.err)
        matches(r"\*{40}\|", done.err)
    done = expect(command([MAYFLY, "stat", "--by", "colour", "--", "true"]), FAILED, "stat --by colour")
    matches("reason, role and tenant", done.err)


@claim(emulated=True)
def another_instance_measures_the_same_and_leaves_nothing_attached():
    """One of two at the same process; behind them the engine's probes are as if there never was one."""
    with folder() as root:
        done, report = stat("--", MAYFLY, "stat", "--json", "--output", f"{root}/inner", "--", *run_of("exit", "7"), status=7)
        with open(f"{root}/inner") as file:
            inner = json.load(file)
        measured_all(inner, "the inner one")
        same(count_of(report, "run"), count_of(inner, "run"), "both", report)
        same(report["lost"]["missed_runs"], 0, "nothing is missed", report)


@claim
def the_time_is_limited_by_duration():
    with folder() as root:
        server = Server(root)
        try:
            done, report = stat("--pid", str(server.process.pid), "--duration", "300ms")
            check(0.29 < report["seconds"] < SOON, "the time", report)
        finally:
            end(server.process)


@claim
def a_process_that_ends_meanwhile_is_reported():
    with folder() as root:
        server = Server(root)
        stat_process = subprocess.Popen([MAYFLY, "stat", "--pid", str(server.process.pid)], stderr=subprocess.PIPE)
        wait_until_it_watches(stat_process)
        server.ask(3)
        server.settle()
        end(server.process)
        out = stat_process.communicate(timeout=30)[1]
        same(stat_process.returncode, 0, "its status", out)
        matches(r"Process \d+ ended after", out)
        matches(r"reset +[1-9]", out)


@claim(emulated=True)
def the_table_is_for_people():
    done = expect(command([MAYFLY, "stat", "--", *run_of("exit", "0")]), 0, "stat")
    matches(r"KVM_RUN returned +count +p50 us +p99 us +p99.9 us +max us\n  io +\d+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+\n", done.err)
    matches(r"outside the guest", done.err)
    matches(r"Events lost: 0\n", done.err)
    matches(r"Counted by the engine itself", done.err)
    same(done.out, b"", "standard output is the command's")


@claim
def what_never_fired_is_not_told_as_zero():
    """A command without KVM: no row, no percentile, and a sentence about the counters."""
    done, report = stat("--", "/bin/true")
    same(report["user_exits"], {"count": 0, "reasons": {}}, "no exits")
    same(report["engine"], None, "no counters")
    same(report["resets"], None, "no resets of a program that is no engine")
    check(any("own counters are not shown" in note for note in report["notes"]), "a sentence about it", report)


@claim(emulated=True)
def a_probe_that_attached_and_never_fired_is_named():
    """The number of KVM_RUN, asked of something that is no vCPU: it returns, and KVM knows nothing of it."""
    call = "import ctypes; c = ctypes.CDLL(None)\nfor i in range(7): c.ioctl(0, 0xae80, 0)"
    done, report = stat("--", sys.executable, "-c", call)
    same(report["user_exits"]["reasons"]["unknown"]["count"], 7, "returns", report)
    same(report["outside_guest"], None, "the part outside the guest", report)
    for tracepoint in ("kvm_userspace_exit", "kvm_fpu"):
        check(any(f"not measured here: tracepoint {tracepoint} never fired, although KVM_RUN returned 7 times" in note
                  for note in report["notes"]), tracepoint, report)


@claim
def without_type_information_all_but_children_is_measured():
    with folder() as root:
        hide = 'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"'
        done = command(["unshare", "-m", "/bin/sh", "-c", hide, MAYFLY, "stat", "--json", "--output", f"{root}/report",
                        "--", *run_of("exit", "17")])
        expect(done, 17, "stat without type information")
        with open(f"{root}/report") as file:
            report = json.load(file)
        same(len(notes_of(report)), 2, "notes", report)
        matches("Waits for a CPU are not measured here: .*type information", notes_of(report)[0])
        matches("are not followed: .*type information", notes_of(report)[1])
        measured_all({**report, "notes": []}, "run")


@claim
def without_rights_the_engines_counters_are_shown_and_it_is_said():
    with folder() as root:
        os.chmod(root, 0o755)
        done = command(as_nobody(root, [MAYFLY, "stat", "--json", "--", *run_of("exit", "17")]))
        expect(done, 17, "stat as nobody")
        report = json.loads(done.err)
        for part in ("user_exits", "outside_guest", "resets", "lost"):
            same(report[part], None, part)
        check(report["engine"]["user_exits"] > 1, "the engine's count", report)
        same(report["engine"]["reasons"]["io"], report["engine"]["user_exits"], "by reason", report)
        check(any("CAP_BPF" in note for note in report["notes"]), "says what is missing", report)
        done = command(as_nobody(root, [MAYFLY, "stat", "--", *run_of("exit", "17")]))
        matches(r"user exits, io +\d+", done.err)
        matches(r"Times are not measured here: .*CAP_BPF", done.err)


@claim
def without_rights_and_counters_it_refuses():
    with folder() as root:
        os.chmod(root, 0o755)
        server = Server(root)
        try:
            done = command(as_nobody(root, [MAYFLY, "stat", "--pid", str(server.process.pid)]))
            expect(done, FAILED, "stat of another user's process")
            matches("nothing of process .* can be measured: .*CAP_BPF.*another user", done.err)
        finally:
            end(server.process)


@claim
def signals_reach_the_command_and_the_report_comes():
    process = subprocess.Popen([MAYFLY, "stat", "--", "/bin/sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    same(process.stdout.readline(), b"up\n", "the command")
    process.terminate()
    error = process.stderr.readline()
    same(process.wait(SOON), 9, "its status", error)
    matches("mayfly stat: /bin/sh", error)
    process.stdout.close()
    process.stderr.close()


@claim
def an_interrupt_from_the_keyboard_ends_both():
    with folder() as root:
        process = subprocess.Popen([MAYFLY, "stat", "--output", f"{root}/report", "--", MAYFLY, "run", "--", STATIC, "nap"],
                                   start_new_session=True, stderr=subprocess.DEVNULL)
        wait_until_it_watches(process)
        os.killpg(process.pid, signal.SIGINT)
        same(process.wait(SOON), 128 + signal.SIGINT, "its status")
        with open(f"{root}/report") as file:
            matches("KVM_RUN returned", file.read())


@claim
def what_the_terminal_sent_to_both_is_not_sent_twice():
    master, slave = pty.openpty()
    count = ("import signal, sys, time\nn = []\nsignal.signal(signal.SIGINT, lambda *_: n.append(1))\n"
             "print('up', flush=True)\nuntil = time.monotonic() + 1.5\n"
             "while time.monotonic() < until: time.sleep(0.1)\nsys.exit(len(n))")
    process = subprocess.Popen([MAYFLY, "stat", "--output", "/dev/null", "--", sys.executable, "-c", count], stdin=slave,
                               stdout=subprocess.PIPE, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    same(process.stdout.readline(), b"up\n", "the command")
    os.write(master, b"\x03")
    same(process.wait(SOON), 1, "interrupts that the command got")
    process.stdout.close()
    os.close(master)
    os.close(slave)


@claim
def a_command_that_dies_is_128_and_the_signal():
    stat("--", "/bin/sh", "-c", "kill -9 $$", status=128 + 9)


@claim
def a_command_that_cannot_be_run_is_said():
    done = expect(command([MAYFLY, "stat", "--", "/nowhere/prog"]), 127, "not found")
    matches("cannot run /nowhere/prog: No such file", done.err)
    done = expect(command([MAYFLY, "stat", "--", "/etc/passwd"]), 126, "not executable")
    matches("cannot run /etc/passwd: Permission denied", done.err)


@claim
def what_cannot_be_measured_is_refused_with_a_sentence():
    rows = [
        ([], "nothing to measure"),
        (["--pid", "1", "--", "true"], "one of them is too many"),
        (["--pid", "x"], "--pid x is not a number"),
        (["--pid", "0"], "--pid 0 is not a number"),
        (["--pid"], "--pid needs a value"),
        (["--duration", "5s", "--", "true"], "--duration is for --pid"),
        (["--pid", "1", "--duration", "5"], "--duration 5 is not a time"),
        (["--wrong"], "unknown option --wrong"),
        (["--pid", "2147483647"], "there is no process 2147483647"),
        (["--pid", str(os.getpid())], "has no virtual machine of KVM's"),
        (["--output", "/nowhere/file", "--", "true"], "cannot write /nowhere/file"),
    ]
    for args, sentence in rows:
        done = expect(command([MAYFLY, "stat", *args]), FAILED, f"stat {args}")
        check(sentence.encode() in done.err, f"stat {args} says: {sentence}", done.err)
        same(len(done.err.splitlines()), 1, f"lines of stat {args}", done.err)


main()
