#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Programs of threads: each case of the guest `threads` prints and returns the same natively and in a VM."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli"))
from mayfly import DEADLINE, FAILED, MAYFLY, SOON, command  # noqa: E402
from claims import EMULATED, check, claim, main, same  # noqa: E402

GUEST = os.environ["MAYFLY_THREADS_GUEST"]
CALLING = os.environ["MAYFLY_CALLING_GUEST"]
FEW = ("tls", "ids", "mutex", "timed", "robust", "spinning", "sockets", "exit", "names")


def in_vm(name, *options, seconds=30):
    return command([MAYFLY, "run", *options, "--", GUEST, name], seconds=seconds)


def cases():
    listed = command([GUEST, "list"]).out.decode().split()
    check(len(listed) >= 18, f"only {len(listed)} cases")
    return [name for name in listed if not EMULATED or name in FEW]


@claim(emulated=True)
def every_case_does_the_same_as_natively():
    for name in cases():
        native = command([GUEST, name])
        guest = in_vm(name, *(["--allow-net"] if name == "sockets" else []))
        same(guest.out, native.out, f"{name}: what it prints", guest, native)
        same(guest.status, native.status, f"{name}: its status", guest)
        same(native.status, 17 if name == "exit" else 0, f"{name} natively", native)


@claim(emulated=True)
def no_more_threads_than_allowed_can_be_made():
    for limit in (2,) if EMULATED else (1, 2, 17, 1024):
        made = in_vm("until-refused", "--pids", str(limit))
        same(made.out.decode(), f"{limit - 1} threads, then EAGAIN\n" * 2, f"--pids {limit}", made)
    usual = in_vm("until-refused")
    same(usual.out.decode(), "1023 threads, then EAGAIN\n" * 2, "without --pids", usual)


@claim
def a_limit_that_cannot_be_is_told():
    for limit in ("0", "1025", "-1", "many", ""):
        told = in_vm("ids", "--pids", limit)
        same(told.status, FAILED, limit, told)
        check(b"--pids" in told.err, f"--pids {limit}", told)


@claim(emulated=True)
def a_thread_that_calls_the_engine_all_the_time_lets_others_run():
    done = command([MAYFLY, "run", "--deadline", f"{SOON}s", "--", CALLING], seconds=2 * SOON)
    same(done.out, b"the other ran\n", "what it prints", done)
    same(done.status, 0, "its status", done)


@claim(emulated=True)
def threads_that_spin_or_wait_for_ever_end_at_the_deadline():
    for name in ("spin-for-ever", "wait-for-ever"):
        began = time.monotonic()
        done = in_vm(name, "--deadline", "300ms")
        same(done.status, DEADLINE, name, done)
        took = time.monotonic() - began
        check(took < SOON, f"{name}: ended after {took:.1f} s")


main()
