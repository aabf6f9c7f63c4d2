#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly stat at an engine with a store: what its static probes tell is what happened, and nothing stays attached."""
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "store"))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "supervisor"))

from storing import EMULATED, MAYFLY, SLOWER, SOON, StoreServer, add, get, put  # noqa: E402
from tenants import Daemon, tenant  # noqa: E402
from mayfly import FAILED, command, expect, open_files  # noqa: E402
from claims import check, claim, main, matches, same  # noqa: E402

WRITES = 5 if EMULATED else 50
PROBES = [f"{what}__{end}" for what in ("request", "fork", "reset", "call", "commit", "storage") for end in ("begin", "done")]


class Stat:
    """mayfly stat of a process or tenant, watching already."""

    def __init__(self, *whom):
        self.folder = tempfile.TemporaryDirectory(prefix="mayfly-stat-")
        self.path = f"{self.folder.name}/report"
        self.process = subprocess.Popen([MAYFLY, "stat", "--json", "--output", self.path, *whom])
        until = time.monotonic() + SOON
        while not any("mayfly-stats" in name for name in open_files(self.process.pid)):
            check(time.monotonic() < until, "mayfly stat watches")
            time.sleep(0.02)

    def report(self):
        self.process.send_signal(signal.SIGINT)
        same(self.process.wait(SOON), 0, "its end by ^C")
        with open(self.path) as file:
            return json.load(file)


def count_of(report, kind, **where):
    return sum(row["count"] for row in report["series"] if row["kind"] == kind and where.items() <= row.items())


def semaphores_of(pid):
    """{probe: how many are attached to it}, out of the process's memory."""
    notes = subprocess.run(["readelf", "-n", MAYFLY], capture_output=True, text=True).stdout
    at = dict(re.findall(r"Provider: mayfly\n +Name: (\w+)\n +Location: \S+, Base: \S+, Semaphore: (0x\w+)", notes))
    same(sorted(at), sorted(PROBES), "the engine's probes")
    with open(f"/proc/{pid}/maps") as file:
        base = next(int(line.split("-")[0], 16) for line in file if os.path.realpath(MAYFLY) in line)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        return {name: int.from_bytes(os.pread(memory.fileno(), 2, base + int(address, 16)), "little") for name, address in at.items()}


def wait_until_free(pid, what):
    until = time.monotonic() + SOON
    while any(semaphores_of(pid).values()):
        check(time.monotonic() < until, f"the probes are free again {what}", semaphores_of(pid))
        time.sleep(0.1)


def settle(control):
    """Until nothing moves: what comes behind the answers is over."""
    def resets():
        told = json.loads(subprocess.run([MAYFLY, "ctl", "--control", control, "--json", "status"], capture_output=True).stdout)
        return told["resets"]["total"], told["costs"]["user_exits"]
    until = time.monotonic() + 60 * SLOWER
    before = None
    while before != resets():
        check(time.monotonic() < until, "it comes to rest")
        before = resets()
        time.sleep(0.3 * SLOWER)


@claim(emulated=True)
def calls_commits_and_roles_of_an_engine_with_a_store_are_told():
    with tempfile.TemporaryDirectory(prefix="mayfly-stat-") as folder, \
         StoreServer("--workers", "1", "--store-wait", "hand-off", "--control", f"unix:{folder}/c", vms=2) as server:
        server.one(add(b"t", b"k", 1))
        settle(f"unix:{folder}/c")
        stat = Stat("--pid", str(server.process.pid))
        for _ in range(WRITES):
            same(server.codes(add(b"t", b"k", 1)), [0], "a write that is waited for")
        same(server.one(get(b"t", b"k")), struct.pack("<q", WRITES + 1), "a read")
        settle(f"unix:{folder}/c")
        report = stat.report()
        notes = [note for note in report["notes"] if "as on software KVM" not in note]
        same(notes, [], "what could not be measured", report)
        same(set(report["lost"].values()), {0}, "lost", report)
        same(count_of(report, "request", **{"class": "ok"}), WRITES + 1, "requests", report)
        same(count_of(report, "commit"), WRITES, "commits", report)
        check(count_of(report, "call", **{"class": "hand_off"}) >= WRITES, "calls, handed off", report)
        check(count_of(report, "run", role="storage") >= WRITES, "runs of the storage VM", report)
        check(count_of(report, "run", role="request") >= WRITES, "runs of request VMs", report)
        same(count_of(report, "run"), report["engine"]["user_exits"], "all runs", report)
        same(count_of(report, "reset"), report["engine"]["resets"], "resets", report)


@claim
def nothing_stays_attached_however_it_ends():
    with StoreServer("--workers", "1", vms=2) as server:
        wait_until_free(server.process.pid, "at first")
        for end in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            stat = Stat("--pid", str(server.process.pid))
            check(all(semaphores_of(server.process.pid).values()), "it is attached to all probes", semaphores_of(server.process.pid))
            stat.process.send_signal(end)
            same(stat.process.wait(SOON), -end if end == signal.SIGKILL else 0, f"its end by signal {end}")
            wait_until_free(server.process.pid, f"behind signal {end}")
        same(server.codes(put(b"t", b"k", b"v")), [0], "it serves on")


@claim
def an_engine_that_dies_meanwhile_is_told():
    with StoreServer("--workers", "1", vms=2) as server:
        stat = Stat("--pid", str(server.process.pid))
        for i in range(3):
            same(server.codes(put(b"t", b"k", b"v")), [0], "a write")
        same(server.stop(), 0, "the engine's end")
        same(stat.process.wait(SOON), 0, "its end")
        with open(stat.path) as file:
            report = json.load(file)
        check(any("ended after" in note for note in report["notes"]), "it is told", report)
        same(count_of(report, "request", **{"class": "ok"}), 3, "what was measured until then", report)
        same(count_of(report, "commit"), 3, "commits until then", report)


@claim
def a_tenant_is_measured_by_its_name_and_its_death_is_told():
    with Daemon(tenant("one", host=["one"]), tenant("two", host=["two"])) as daemon:
        control = ("--control", f"unix:{daemon.control}")
        stat = Stat("--tenant", "two", *control)
        for host, times in (("one", 3), ("two", 4)):
            for _ in range(times):
                same(daemon.ask(host, "/count").status, 200, f"a request of {host}")
        pid = daemon.list()["two"]["pid"]
        os.kill(pid, signal.SIGKILL)
        same(stat.process.wait(SOON), 0, "its end")
        with open(stat.path) as file:
            report = json.load(file)
        same(report["pid"], pid, "whom it measured", report)
        same(count_of(report, "request"), 4, "requests of this tenant alone", report)
        check(any("ended after" in note for note in report["notes"]), "the death is told", report)
        for args, why in ((["--tenant", "three", *control], "no tenant three"), (["--tenant", "two"], "--tenant needs --control"),
                          (["--tenant", "two", *control, "--", "true"], "one of them"), ([*control, "--pid", "1"], "--control is for"),
                          (["--tenant", "two", "--control", "unix:/nowhere"], "/nowhere")):
            matches(why, expect(command([MAYFLY, "stat", *args]), FAILED, f"stat {args}").err)


main()
