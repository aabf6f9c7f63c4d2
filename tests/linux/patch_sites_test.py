#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The places that would be patched in real libraries, against a disassembler's view of them: each begins at an
instruction, nothing that the disassembler sees jumps between its bytes, and a detour is nothing but filling."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "house"))
from claims import check, claim, main, same

SITES = os.path.join(os.environ["MAYFLY_BUILD"], "tests", "linux", "patch-sites")
LONG, SHORT = 1, 2


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def code_of(file):
    """Offset, address and size of the executable segment."""
    for line in output("readelf", "-lW", file).splitlines():
        fields = line.split()
        if fields[:1] == ["LOAD"] and "R E" in line:
            return int(fields[1], 16), int(fields[2], 16), int(fields[4], 16)
    return check(False, "no code", file)


def disassembled(file):
    """Instructions by address, and every address that one of them jumps to."""
    instructions, targets = {}, set()
    for line in output("objdump", "-d", "--no-show-raw-insn", file).splitlines():
        found = re.match(r"\s*([0-9a-f]+):\t(.*)", line)
        if not found:
            continue
        instructions[int(found[1], 16)] = found[2]
        to = re.match(r"(?:j\w+|call|loop\w*|bnd jmp)\s+([0-9a-f]+)\b", found[2])
        if to:
            targets.add(int(to[1], 16))
    return instructions, targets


def sites_of(file):
    offset, address, size = code_of(file)
    lines = output(SITES, file, str(offset), str(size)).split("\n")[:-1]
    return [(kind, at + address, detour and detour + address)
            for kind, at, detour in (map(int, line.split()) for line in lines)]


def agrees(file, at_least):
    instructions, targets = disassembled(file)
    addresses = sorted(instructions)
    sites = sites_of(file)
    for kind, at, detour in sites:
        size = 5 if kind == LONG else 2
        check(at in instructions, "no instruction begins there", file, hex(at))
        same(instructions.get(at + size), "syscall", "what follows", file, hex(at), instructions[at])
        check(not targets & set(range(at + 1, at + size)), "something jumps into it", file, hex(at))
        if kind == SHORT:
            check(not targets & set(range(detour, detour + 5)), "something jumps to the detour", hex(detour))
            before = max(i for i in range(len(addresses)) if addresses[i] <= detour)
            while re.search("nop|^xchg +%ax,%ax|^data16|^cs", instructions[addresses[before]]):
                before -= 1
            same(instructions[addresses[before]], "ret", "what stands before the detour", file, hex(detour))
    check(len(sites) >= at_least, "places in " + file, str(len(sites)))
    print(f"  {file}: {len(sites)} places")
    return sites, instructions


@claim
def the_c_library():
    sites, _ = agrees("/lib/x86_64-linux-gnu/libc.so.6", 400)
    symbols = {}
    for line in output("nm", "-D", "--defined-only", "/lib/x86_64-linux-gnu/libc.so.6").splitlines():
        fields = line.split()
        if len(fields) == 3:
            symbols[fields[2].split("@")[0]] = int(fields[0], 16)
    for name in "read write recv send accept accept4 epoll_wait epoll_ctl close poll writev setsockopt syscall".split():
        check(any(symbols[name] <= at < symbols[name] + 140 for _, at, _ in sites), name + " is not patched")


@claim
def the_loader():
    agrees("/lib64/ld-linux-x86-64.so.2", 25)


@claim
def musl():
    agrees("/usr/lib/x86_64-linux-musl/libc.so", 200)


main()
