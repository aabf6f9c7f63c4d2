#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""User exits of a request with one GET, the request VM's and the storage VM's apart, for each way of waiting: the exact
counts that the benchmark reports. Times are not looked at."""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "house"))
from claims import EMULATED, check, claim, main, same

BENCH = os.path.join(os.environ["MAYFLY_BUILD"], "bench", "bench-store")


def counts(case, quick):
    with tempfile.NamedTemporaryFile() as file:
        command = [BENCH, *(["--quick"] if quick else []), "--only", case, "--json", file.name]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)
        same(done.returncode, 0, case, done.stdout, done.stderr)
        for line in file.read().decode().splitlines():
            if json.loads(line).get("case") == case:
                return json.loads(line)["counts"]
    return check(False, f"{case} reported nothing", done.stdout)


@claim(emulated=True)
def a_get_by_hand_off_is_two_exits_and_one():
    got = counts("store/get/hand-off", True)
    # Of some hundred: when the store's own thread runs the program just then, which is rare and not never, the request parks.
    same([round(got[name], 1) for name in ("request_vm_exits", "storage_vm_exits", "parks")], [2, 1, 0], "exits", str(got))


@claim(emulated=True)
def a_get_in_place_is_no_exit_and_nothing_in_the_ring():
    """Five hundred of one request: what is left is the request's own exit."""
    got = counts("store/inside/place", False)
    same((got["in_place"], got["ring_bytes"], got["storage_vm_exits"]), (1, 0, 0), "of each GET", str(got))
    same(round(500 * got["request_vm_exits"], 6), 1, "exits of a request", str(got))


def seconds_computed():
    """(by all of the machine, by what this test has waited for), so far: proc_stat(5), times(2). The bench is one process."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = (int(word) for word in file.readline().split()[1:9])
    of_all = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    times = os.times()
    return of_all, times.children_user + times.children_system


def beside_others(case):
    """The case's counts, and whether others computed on the same processors for a twentieth of that time."""
    began, before = time.monotonic(), seconds_computed()
    got = counts(case, False)
    after = seconds_computed()
    others = (after[0] - before[0]) - (after[1] - before[1])
    return got, others > (time.monotonic() - began) / 20


@claim
def a_get_while_the_storage_vm_polls_is_one_exit():
    if os.cpu_count() < 2:
        print("  (one CPU: nobody can poll)")
        return
    until = time.monotonic() + 20
    while True:
        got, busy = beside_others("store/get/poll")
        print(f"      {got}{' beside others' if busy else ''}")
        # A poller that loses its CPU for a while is waited for: rare, and not never.
        if 1 <= got["request_vm_exits"] < 1.5 and got["storage_vm_exits"] < 0.5:
            return
        # On a busy machine it gives way, and the request parks: two exits and one.
        check(busy and got["request_vm_exits"] <= 2.5 and got["storage_vm_exits"] < 1.5, "exits", str(got))
        if time.monotonic() > until:
            print("      (the processors are busy all the time: it gave way)")
            return


@claim(emulated=True)
def a_put_is_part_of_one_commit():
    got = counts("store/put/hand-off", True)
    same(got["commits"], 1, "commits", str(got))


main()
