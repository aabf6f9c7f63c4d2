#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every case of this folder, run natively and in a VM by an ordinary user: each line that it prints is the same, it ends
the same way, and it makes in the VM the system calls that it says it shows."""
import difflib
import functools
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "cli"))
sys.dont_write_bytecode = True
from mayfly import BUILD, MAYFLY, NOBODY, Run, as_nice_as_usual, as_nobody, command, for_everybody  # noqa: E402
from claims import EMULATED, check, claim, fail, main  # noqa: E402

PROGRAM = os.environ.get("MAYFLY_CASES", os.path.join(BUILD, "tests/linux/differential/cases"))
# Answered inside the guest: the engine, whose trace is read, sees nothing of them.
INSIDE = {"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "sched_yield", "clock_gettime",
          "gettimeofday", "time", "getcpu", "clock_getres"}
# What depends on registers, tables and exits: files of cases that the emulated machine runs, too.
IN_EMULATION = {"basics", "faults", "frames", "futexes", "interrupts", "memory", "signals", "system", "threads"}
ROOT = os.geteuid() == 0
AS_ROOT = set()  # groups whose cases begin as root
KERNEL = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])


def too_new(names):
    """Does one of the names ask for a kernel (linux_6_6) that this one is older than, or for a CPU that is not emulated?"""
    if EMULATED and "linux_on_real_cpu" in names:
        return True
    return any(tuple(map(int, found.groups())) > KERNEL
               for name in names if (found := re.fullmatch(r"linux_(\d+)_(\d+)", name)))


def cases():
    """group -> (options, [(name, calls)])"""
    groups = {}
    for line in subprocess.run([PROGRAM, "--list"], check=True, capture_output=True, text=True).stdout.splitlines():
        group, name, options, calls = line.split("\t")
        calls = re.findall(r"\w+", calls)
        members = groups.setdefault(group, (options.split(), []))[1]
        if not too_new(calls):
            members.append((name, [call for call in calls if not call.startswith("linux_")]))
        if "linux_as_root" in calls:
            AS_ROOT.add(group)
    return {group: found for group, found in groups.items() if ROOT or group not in AS_ROOT}


def sections(text):
    """What each case printed: name -> (lines, whether it came to its end)."""
    found, name = {}, None
    for line in text.decode(errors="backslashreplace").splitlines():
        if line.startswith("== "):
            name = line[3:]
            found[name] = ([], False)
        elif name and line == f"-- {name}":
            found[name] = (found[name][0], True)
            name = None
        elif name:
            found[name][0].append(line)
    return found


def traced(text):
    """The calls that each case made: name -> set."""
    made, name = {}, None
    for line in text.decode(errors="replace").splitlines():
        if match := re.search(r'\bwrite\(1, "== ([\w/]+)', line):
            name = match[1]
        if match := re.search(r"\b(\w+)\(", line):
            made.setdefault(name, set()).add(match[1])
    return made


def run_native(args):
    """Runs a command whose streams its user may open by name."""
    ours, its = os.pipe()
    if ROOT:
        os.fchown(its, 65534, -1)
    process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=its, stderr=subprocess.DEVNULL)
    os.close(its)
    timer = threading.Timer(70, process.kill)
    timer.start()
    with open(ours, "rb") as file:
        out = file.read()
    status = process.wait()
    timer.cancel()
    return Run(status if status >= 0 else 128 - status, out, b"")


def run_all(names, start):
    """Runs cases in as few processes as they allow: one that ends its process is the last of that one."""
    results, made, left = {}, {}, list(names)
    while left:
        done = start(left)
        found = sections(done.out)
        for name, calls in traced(done.err).items():
            made.setdefault(name, set()).update(calls)
        ended = [name for name in left if name in found]
        if not ended:
            fail(f"no case was run: {left[0]}", done)
        for name in ended:
            lines, whole = found[name]
            results[name] = lines + ([] if whole else [f"(ended with {done.status % 256})"])
        left = [name for name in left if name not in found]
    return results, made


@functools.lru_cache(maxsize=None)
def outcome(group):
    """(native, VM, calls made in the VM) of a group's cases."""
    options, members = GROUPS[group]
    step_down = ROOT and group not in AS_ROOT
    names = [f"{group}/{name}" for name, _ in members]
    with tempfile.TemporaryDirectory(prefix="mayfly-differential-") as root:
        os.chmod(root, 0o755)
        for folder in ("n", "v"):
            os.mkdir(f"{root}/{folder}")
            if step_down:
                os.chown(f"{root}/{folder}", 65534, 65534)
        here = f"{root}/v"
        vm = [MAYFLY, "run", "--trace-syscalls", f"--allow-read={here}", f"--allow-write={here}", "--cwd", here,
              "--deadline", "60s", *options, "--", PROGRAM]

        def in_vm(left):
            args = as_nobody(root, [*vm, *left]) if step_down else [*vm, *left]
            return command(args, stdin=subprocess.DEVNULL, seconds=70)

        def natively(left):
            user = NOBODY.split() if step_down else []
            args = ["setsid", "-w", "env", "-i", "-C", f"{root}/n", *user, for_everybody(PROGRAM), *left]
            return run_native(args)

        native, _ = run_all(names, natively)
        inside, made = run_all(names, in_vm)
    return native, inside, made


def compare(group, name, calls):
    native, inside, made = outcome(group)
    name = f"{group}/{name}"
    if native[name] != inside[name]:
        lines = difflib.unified_diff(native[name], inside[name], "native", "VM", n=1, lineterm="")
        fail(f"{name} differs", *lines)
    check(native[name], f"{name} printed nothing")
    missing = set(calls) - made.get(name, set()) - INSIDE
    check(not missing, f"{name} says it shows {', '.join(sorted(missing))} and does not call it")


as_nice_as_usual()
GROUPS = cases()
for group_, (_, members_) in sorted(GROUPS.items()):
    for name_, calls_ in members_:
        function = functools.partial(compare, group_, name_, calls_)
        function.__name__ = f"{group_}/{name_}"
        claim(function, emulated=group_ in IN_EMULATION)
main()
