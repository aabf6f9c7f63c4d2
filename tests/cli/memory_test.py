#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Memory of a program as the host sees it: the limit, whichever way it is approached; what is freed comes back."""
import json
import os
import re
import subprocess
import tempfile

from mayfly import GUESTS, MAYFLY, SLOWER, end, expect, run, status_line
from claims import EMULATED, check, claim, main, matches

GUEST = os.path.join(GUESTS, "guest-memory")
LIMIT = 64


@claim(emulated=True)
def memory_is_refused_at_the_limit():
    for how in ("mmap", "brk", "mremap", "protect", "shared", "populate", "advice", "lock"):
        for kib in (64, 1024, 5000):
            if EMULATED and kib != 1024:
                continue
            done = expect(run("limit", how, str(kib), guest=GUEST, options=["--memory", f"{LIMIT}M"]), 0, f"{how} {kib}")
            got = re.match(rb"(\w+) after (\d+) MiB\n", done.out)
            check(got and got[1] == b"ENOMEM", f"{how} by {kib} KiB", done)
            check(LIMIT // 2 <= int(got[2]) <= LIMIT, f"{how} by {kib} KiB", done)


@claim(emulated=True)
def a_call_that_needs_more_than_there_is_fails():
    done = expect(run("limit", "call", "5000", guest=GUEST, options=["--memory", f"{LIMIT}M"]), 0, "read")
    matches(r"^(EFAULT|ENOMEM|0) after \d+ MiB$", done.out.strip())


@claim(emulated=True)
def touching_more_than_there_is_ends_the_program():
    done = expect(run("touch", guest=GUEST, options=["--memory", f"{LIMIT}M"]), 128 + 9, "touch")
    matches(r"died: out of memory", done.err)


def resident_mib(pid):
    return int(status_line(pid, "VmRSS").split()[0]) // 1024


@claim
def what_is_given_back_comes_back_to_the_host():
    for how in ("munmap", "dontneed", "free", "brk", "mremap"):
        process = subprocess.Popen([MAYFLY, "run", "--memory", "300M", "--", GUEST, "give", how],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            check(process.stdout.readline() == b"up\n", how)
            up = resident_mib(process.pid)
            process.stdin.write(b"\n")
            process.stdin.flush()
            check(process.stdout.readline() == b"down\n", how)
            down = resident_mib(process.pid)
            check(up >= 192, f"{how}: {up} MiB when all is touched")
            check(up - down >= 180, f"{how}: {up} MiB, then {down} MiB")
            process.stdin.write(b"\n")
            process.stdin.close()
            check(process.wait(10 * SLOWER) == 0, how)
        finally:
            end(process)


@claim
def what_is_given_back_and_used_again_costs_one_exit():
    for kib in (32, 256, 1024):
        with tempfile.NamedTemporaryFile() as counted:
            subprocess.run([MAYFLY, "stat", "--json", "--output", counted.name, "--",
                            MAYFLY, "run", "--", GUEST, "again", str(kib)], check=True, timeout=30 * SLOWER)
            exits = json.load(counted)["engine"]["user_exits"]
        check(100 <= exits < 200, f"{kib} KiB: {exits} exits")


main()
