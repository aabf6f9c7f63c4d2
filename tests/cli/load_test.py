#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Loading: dynamic programs of both C libraries, position-independent or not, scripts, PATH, and what a program is given
at its start. Each is run natively and in a VM; output and status must be the same."""
import os
import resource
import shutil
import signal
import subprocess

from mayfly import FAILED, GUESTS, MAYFLY, SLOWER, command, end, expect, folder, run
from claims import check, claim, main, matches, same

AUXV = [path for path in (os.path.join(GUESTS, "auxv-" + name) for name in (
    "static", "static-pie", "dynamic", "dynamic-pie", "musl-static", "musl-dynamic")) if os.path.exists(path)]
DYNAMIC = [path for path in (os.path.join(GUESTS, "guest-" + name) for name in (
    "dynamic", "dynamic-fixed", "musl-dynamic")) if os.path.exists(path)]
CONSTANTS = [os.path.join(GUESTS, "constants-" + name) for name in ("static", "dynamic", "pie")]
ENV = {"HOME": "/", "LANG": "C", "EMPTY": ""}


def options_of(env):
    return [word for name, value in env.items() for word in ("--env", f"{name}={value}")]


def both(args, what, env=ENV, options=(), stdin=b"", cwd="/"):
    """The same natively and in a VM; returns the VM's."""
    native = command(args, stdin=stdin, env=env, before=lambda: os.chdir(cwd))
    inside = command([MAYFLY, "run", "--cwd", cwd, "--allow-read", *options_of(env), *options, "--", *args], stdin=stdin)
    same(inside.status, native.status, f"{what}: status", inside)
    same(inside.out, native.out, f"{what}: stdout", inside)
    same(inside.err, native.err, f"{what}: stderr", inside)
    return inside


def script(path, content):
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o755)) as file:
        file.write(content)
    return path


@claim(emulated=True)
def dynamic_programs_run_as_they_do_natively():
    check(len(DYNAMIC) >= 2, f"too few guests were built: {DYNAMIC}")
    for guest in DYNAMIC:
        both([guest, "exit", "7"], guest)
        both([guest, "args", "one", "", "two words"], guest)
        both([guest, "env"], guest)


@claim(emulated=True)
def the_start_of_a_program_is_as_linux_gives_it():
    check(len(AUXV) >= 4, f"too few guests were built: {AUXV}")
    for guest in AUXV:
        both([guest, "one", "", "three"], guest)
        both([guest], guest, env={})


@claim(emulated=True)
def scripts_start_their_interpreter():
    guest = next(path for path in AUXV if path.endswith("dynamic-pie"))
    with folder() as root:
        for number, line in enumerate((f"#!{guest}", f"#! {guest} ", f"#!\t{guest} -x", f"#!{guest}  two  words \t",
                                       f"#!{guest}\0 hidden", f"#!{guest} a\0b\tc", f"#!{guest} " + "a" * 300)):
            for end in ("\n", "\nexit 1\n", ""):
                path = script(f"{root}/script{number}", (line + end).encode())
                both([path, "one", "two"], repr(line + end))
        blanks = script(f"{root}/blanks", f"#!{guest}".encode() + b" " * 300)
        both([blanks], "a line that is cut among its blanks")
        outer = script(f"{root}/outer", f"#!{path} of-outer\n".encode())
        both([outer, "one"], "a script whose interpreter is a script")
        both([AUXV[0], "-"], "no script")


@claim
def scripts_nest_as_deep_as_with_linux():
    guest = DYNAMIC[0]
    with folder() as root:
        inner = script(f"{root}/1", f"#!{guest} args\n".encode())
        for depth in range(2, 6):
            inner = script(f"{root}/{depth}", f"#!{inner}\n".encode())
            both([inner], f"{depth} deep")
        inner = script(f"{root}/6", f"#!{inner}\n".encode())
        done = expect(run(guest=inner, options=["--allow-read"]), FAILED, "6 deep")
        matches("more than 5 scripts", done.err, "6 deep")
        script(f"{root}/self", f"#!{root}/self\n".encode())
        matches("more than 5 scripts", run(guest=f"{root}/self").err, "a script that is its own interpreter")


@claim(emulated=True)
def a_name_without_a_slash_is_looked_for_in_path():
    with folder() as root:
        os.mkdir(f"{root}/bin")
        os.mkdir(f"{root}/first")
        shutil.copy(DYNAMIC[0], f"{root}/bin/tool")
        script(f"{root}/first/notes", b"hello")
        os.chmod(f"{root}/first/notes", 0o644)
        shutil.copy(DYNAMIC[0], f"{root}/bin/notes")
        os.mkdir(f"{root}/first/tool")
        for path in (f"{root}/first:{root}/bin", f"/nowhere:{root}/bin:{root}/first", f"{root}/bin"):
            for tool in ("tool", "notes"):
                done = command([MAYFLY, "run", "--allow-read", "--", tool, "args"], env={"PATH": path})
                expect(done, 0, path)
                same(done.out, f"{tool}\0args\0".encode(), f"argv[0] is what was typed, with PATH={path}")
        done = command([MAYFLY, "run", "--", "tool"], env={"PATH": f"{root}/first"})
        matches(r"there is no program tool in PATH", expect(done, FAILED, "not in PATH").err)


@claim
def a_relative_name_works_from_where_it_was_typed():
    with folder() as root:
        shutil.copy(DYNAMIC[0], f"{root}/tool")
        script(f"{root}/script", b"#!./tool args\n")
        for name in ("./tool", "../" + os.path.basename(root) + "/tool"):
            done = command([MAYFLY, "run", "--allow-read", "--", name, "args"],
                           before=lambda: os.chdir(root))
            same(expect(done, 0, name).out, f"{name}\0args\0".encode(), name)
        done = command([MAYFLY, "run", "--allow-read", "--", "./script", "one"], before=lambda: os.chdir(root))
        same(expect(done, 0, "script").out, f"./tool\0args\0{root}/script\0one\0".encode(),
             "the script's name is absolute: the program may be in another folder")
        done = command([MAYFLY, "run", "--allow-read", "--", "tool", "args"], before=lambda: os.chdir(root),
                       env={"PATH": ":/nowhere"})
        expect(done, 0, "an empty part of PATH is the working directory")


@claim
def arguments_may_be_as_long_as_linux_takes_them():
    guest = AUXV[0]
    for args in (["a" * 131071], ["b" * 1000] * 1900, [""] * 100000, ["c"] * 200000):
        both([guest, *args], f"{len(args)} arguments of {len(args[0])} bytes")


def large_stack():
    resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))


@claim
def arguments_that_are_too_long_are_told():
    """Mayfly itself can be given more when its own stack may be larger."""
    for args in (["b" * 1000] * 2100, ["c"] * 240000):
        done = expect(run("args", *args, guest=DYNAMIC[0], before=large_stack), FAILED, f"{len(args)} arguments")
        matches(r"arguments and environment of \S+ are longer than Linux takes: 2048 KiB in all, 128 KiB each", done.err)


@claim(emulated=True)
def large_constant_segments_are_the_file_itself_and_take_no_memory():
    for guest in CONSTANTS:
        for mode in ("", "change"):
            done = both([guest, mode], f"{guest} {mode}", options=["--memory", "6M"])
            same(done.out, b"all is as it was\n", guest, done)


@claim
def a_program_that_could_write_to_its_own_file_is_copied():
    with folder() as root:
        path = shutil.copy(CONSTANTS[0], root)
        allowed = ["--allow-read", f"--allow-write={root}"]
        same(expect(run(guest=path, options=allowed), 0, "copied").out, b"all is as it was\n", "copied")
        done = expect(run(guest=path, options=[*allowed, "--memory", "6M"]), FAILED, "too large to be copied")
        matches(r"needs more memory than the limit of", done.err)


@claim
def a_program_whose_file_is_cut_short_dies_of_it_alone():
    for size in (0, 100000, 9 << 20):
        with folder() as root:
            path = shutil.copy(CONSTANTS[0], root)
            process = subprocess.Popen([MAYFLY, "run", "--", path, "late"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            try:
                same(process.stdout.readline(), b"up\n", "up")
                os.truncate(path, size)
                out, err = process.communicate(b"\n", 20 * SLOWER)
            finally:
                end(process)
            check(process.returncode in (128 + signal.SIGBUS, 128 + signal.SIGSEGV, 128 + signal.SIGILL),
                  f"cut to {size}: status {process.returncode}", out, err)


if __name__ == "__main__":
    main()
