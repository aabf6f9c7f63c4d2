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


def processors_are_busy():
    """Whether two who compute for a while do not get two processors for it."""
    code = "import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    spinners = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)]
    return sum(float(spinner.communicate()[0]) for spinner in spinners) < 0.8


@claim
def a_get_while_the_storage_vm_polls_is_one_exit():
    if os.cpu_count() < 2:
        print("  (one CPU: nobody can poll)")
        return
    until = time.monotonic() + 20
    while True:
        got = counts("store/get/poll", False)
        print(f"      {got}")
        # A poller that loses its CPU for a while is waited for: rare, and not never.
        if 1 <= got["request_vm_exits"] < 1.5 and got["storage_vm_exits"] < 0.5:
            return
        # On a busy machine it gives way, and the request parks: two exits and one.
        check(processors_are_busy() and got["request_vm_exits"] <= 2.5 and got["storage_vm_exits"] < 1.5, "exits", str(got))
        if time.monotonic() > until:
            print("      (the processors are busy all the time: it gave way)")
            return


@claim(emulated=True)
def a_put_is_part_of_one_commit():
    got = counts("store/put/hand-off", True)
    same(got["commits"], 1, "commits", str(got))


main()
