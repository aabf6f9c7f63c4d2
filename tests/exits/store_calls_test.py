#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""User exits of a request with one GET, the request VM's and the storage VM's apart, for each way of waiting: the exact
counts that the benchmark reports. Times are not looked at."""
import json
import os
import subprocess
import sys
import tempfile

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
    same((got["request_vm_exits"], got["storage_vm_exits"], got["parks"]), (2, 1, 0), "exits", str(got))


@claim
def a_get_while_the_storage_vm_polls_is_one_exit():
    if os.cpu_count() < 2:
        print("  (one CPU: nobody can poll)")
        return
    got = counts("store/get/poll", False)
    # A poller that loses its CPU for a while is waited for: rare, and not never.
    check(1 <= got["request_vm_exits"] < 1.5, "exits of the request VM", str(got))
    check(got["storage_vm_exits"] < 0.5, "exits of the storage VM", str(got))


@claim(emulated=True)
def a_put_is_part_of_one_commit():
    got = counts("store/put/hand-off", True)
    same(got["commits"], 1, "commits", str(got))


main()
