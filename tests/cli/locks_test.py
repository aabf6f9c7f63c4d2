#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Locks on files between programs: one outside and one in a VM, and two VMs. They are the host's, so each meets the other."""
import contextlib
import fcntl
import os
import struct
import subprocess

from mayfly import MAYFLY, SLOWER, folder
from claims import claim, main, same

PYTHON = "/usr/bin/python3"
# Reads words from standard input and answers each with a line. Locks of three kinds, with and without waiting.
PROGRAM = r"""
import errno, fcntl, os, struct, sys
OFD_SETLK, OFD_SETLKW = 37, 38
def range_(kind, start, length):
    return struct.pack("hhqqi4x", kind, 0, start, length, 0)
files = {}
def one(words):
    name, how = words[0], words[1]
    file = files.get(name) or files.setdefault(name, os.open(name, os.O_RDWR))
    if how == "flock":
        fcntl.flock(file, {"sh": fcntl.LOCK_SH | fcntl.LOCK_NB, "ex": fcntl.LOCK_EX | fcntl.LOCK_NB, "un": fcntl.LOCK_UN,
                           "wait": fcntl.LOCK_EX}[words[2]])
    elif how == "close":
        os.close(files.pop(name))
    else:
        kind = {"sh": fcntl.F_RDLCK, "ex": fcntl.F_WRLCK, "wait": fcntl.F_WRLCK, "un": fcntl.F_UNLCK}[words[2]]
        waits = words[2] == "wait"
        call = (OFD_SETLKW if waits else OFD_SETLK) if how == "ofd" else (fcntl.F_SETLKW if waits else fcntl.F_SETLK)
        fcntl.fcntl(file, call, range_(kind, int(words[3]), int(words[4])))
for line in sys.stdin:
    try:
        one(line.split())
        print("ok", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
"""


class Locker:
    """A process that is told to lock; it is outside, or in a VM."""

    def __init__(self, root, inside):
        command = [PYTHON, "-c", PROGRAM]
        if inside:
            options = [f"--allow-read=/usr,/lib,/lib64,/etc,{root}", f"--allow-write={root}", "--cwd", root]
            command = [MAYFLY, "run", *options, "--", *command]
        self.process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        return self.process.stdout.readline().strip()

    def ask(self, line):
        self.tell(line)
        return self.hear()

    def end(self, kill=False):
        if kill:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait(60 * SLOWER)
        self.process.stdout.close()


@contextlib.contextmanager
def two(inside):
    with folder() as root:
        with open(f"{root}/f", "w") as file:
            file.write("0123456789")
        lockers = [Locker(root, which) for which in inside]
        try:
            yield lockers
        finally:
            for locker in lockers:
                if locker.process.poll() is None:
                    locker.end(kill=True)


def exclude_each_other(a, b):
    for how, part in (("flock", ""), ("posix", " 0 5"), ("ofd", " 0 5")):
        same(a.ask(f"f {how} ex{part}"), "ok", f"{how}: the first")
        same(b.ask(f"f {how} ex{part}"), "EAGAIN", f"{how}: the second, at once")
        same(b.ask(f"f {how} sh{part}"), "EAGAIN", f"{how}: the second, shared")
        same(a.ask(f"f {how} un{part}"), "ok", f"{how}: let go")
        same([a.ask(f"f {how} sh{part}"), b.ask(f"f {how} sh{part}")], ["ok", "ok"], f"{how}: both share")
        same(a.ask(f"f {how} ex{part}"), "EAGAIN", f"{how}: no upgrade beside another")
        same([a.ask(f"f {how} un{part}"), b.ask(f"f {how} un{part}")], ["ok", "ok"], f"{how}: both let go")
    same([a.ask("f posix ex 0 5"), b.ask("f posix ex 5 5")], ["ok", "ok"], "parts of a file")
    same(b.ask("f posix ex 4 2"), "EAGAIN", "a part that overlaps")
    same(b.ask("f ofd ex 0 1"), "EAGAIN", "locks of the process and of a description meet")
    a.ask("f posix un 0 0"), b.ask("f posix un 0 0")


def waits_and_gets_it(a, b):
    for how, part in (("flock", ""), ("posix", " 0 0"), ("ofd", " 0 0")):
        same(a.ask(f"f {how} ex{part}"), "ok", f"{how}: the first")
        b.tell(f"f {how} wait{part}")
        same(a.ask(f"f {how} un{part}"), "ok", f"{how}: let go")
        same(b.hear(), "ok", f"{how}: the one that waited")
        same(a.ask(f"f {how} ex{part}"), "EAGAIN", f"{how}: it has it")
        same(b.ask(f"f {how} un{part}"), "ok", f"{how}: its end")


def ends_with_its_holder(a, b):
    for how, part in (("flock", ""), ("posix", " 0 0"), ("ofd", " 0 0")):
        same(a.ask(f"f {how} ex{part}"), "ok", f"{how}: taken")
        same(b.ask(f"f {how} ex{part}"), "EAGAIN", f"{how}: held")
        same(a.ask("f close"), "ok", "closed")
        same(b.ask(f"f {how} wait{part}"), "ok", f"{how}: free after the close")
        same(b.ask(f"f {how} un{part}"), "ok", "let go")
    same(a.ask("f posix ex 0 0"), "ok", "taken")
    a.end(kill=True)
    same(b.ask("f posix wait 0 0"), "ok", "free after the holder was killed")


@claim
def a_vm_and_a_program_outside_exclude_each_other():
    for inside in ((True, False), (False, True)):
        with two(inside) as (a, b):
            exclude_each_other(a, b)


@claim
def two_vms_exclude_each_other():
    with two((True, True)) as (a, b):
        exclude_each_other(a, b)


@claim
def who_waits_gets_the_lock_of_another_program():
    for inside in ((True, False), (False, True), (True, True)):
        with two(inside) as (a, b):
            waits_and_gets_it(a, b)


@claim
def a_lock_ends_with_its_holder():
    for inside in ((True, False), (False, True), (True, True)):
        with two(inside) as (a, b):
            ends_with_its_holder(a, b)


@claim
def nothing_is_locked_by_what_may_not_write():
    """A program that may read a file has shared locks of it, and no exclusive one that would stop a writer outside."""
    with folder() as root:
        with open(f"{root}/f", "w") as file:
            file.write("x")
        code = "import fcntl, os\nf = os.open('f', os.O_RDONLY)\n" \
               "for lock in (fcntl.LOCK_SH, fcntl.LOCK_EX):\n" \
               "    try:\n        fcntl.lockf(f, lock | fcntl.LOCK_NB); print('ok')\n" \
               "    except OSError as error: print(error.errno)\n"
        native = subprocess.run([PYTHON, "-c", code], cwd=root, capture_output=True, timeout=60 * SLOWER)
        done = subprocess.run([MAYFLY, "run", f"--allow-read=/usr,/lib,/lib64,/etc,{root}", "--cwd", root, "--", PYTHON, "-c",
                               code], capture_output=True, timeout=60 * SLOWER)
        same((done.returncode, done.stdout), (native.returncode, native.stdout), "of a file that is read")


main()
