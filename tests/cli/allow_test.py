#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Permissions as the command line gives them: the environment, volumes, what a program needs to start, and what
--explain says of refused accesses. Files named by --allow-read and --allow-write: files_test.py."""
import os
import re
import shutil

from mayfly import FAILED, GUESTS, MAYFLY, STATIC, command, expect, folder, run
from claims import check, claim, main, matches, same

DYNAMIC = os.path.join(GUESTS, "guest-dynamic")
REFUSED = b"open: EACCES\n"


def show(path, *options, guest=STATIC):
    return expect(run("show", path, guest=guest, options=options), 0, f"show {path} {options}").out


def tree(root):
    for path, text in (("in/file", "IN"), ("in/sub/file", "SUB"), ("host/file", "HOST"), ("secret", "SECRET")):
        os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
        with open(f"{root}/{path}", "w") as file:
            file.write(text)
    os.symlink("../secret", f"{root}/in/out")
    os.symlink(f"{root}/secret", f"{root}/in/absolute")
    os.symlink("/", f"{root}/in/root")


# ---- the environment ----

def environment(*options, env=None):
    """What the program gets of `env`, sorted."""
    done = expect(command([MAYFLY, "run", *options, "--", STATIC, "env"], env=env), 0, options)
    return sorted(done.out.decode().split("\0")[:-1])


@claim(emulated=True)
def nothing_of_the_environment_is_passed_unless_it_is_said():
    host = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "LC_TIME": "C", "TOKEN": "secret", "EMPTY": ""}
    same(environment(env=host), [], "by default")
    same(environment("--allow-env", env=host), sorted(f"{n}={v}" for n, v in host.items()), "all of it")
    same(environment("--allow-env=TOKEN,EMPTY", env=host), ["EMPTY=", "TOKEN=secret"], "two names")
    same(environment("--allow-env=LC_*", env=host), ["LC_ALL=C", "LC_TIME=C"], "names that begin so")
    same(environment("--allow-env=TOK", "--allow-env=OKEN", "--allow-env=NONE", env=host), [], "parts of a name")
    same(environment("--allow-env=TOKEN", "--env", "TOKEN=mine", env=host), ["TOKEN=mine"], "--env comes after")
    same(environment("--env", "A=1", "--env", "A=2", "--env", "B=A=3", env=host), ["A=2", "B=A=3"], "the last one counts")
    same(environment("--allow-all", "--env", "A=1", env={"B": "2"}), ["A=1", "B=2"], "--allow-all")


@claim
def odd_lists_of_names_are_told():
    for option in ("--allow-env=A=1", "--allow-env=", "--allow-env=A,,B", "--allow-read=", "--allow-net=", "--allow-connect=a,,b",
                   "--allow-listen=nonsense:x", "--allow-net=1.2.3.4/40", "--volume=a", "--volume=/a:b", "--volume=:/b",
                   "--volume=/a:/b:w", "--volume=/tmp:/b:rw:", "--volume=/nowhere/at/all:/b", "--volume=/tmp:"):
        done = expect(run("exit", "0", options=[option]), FAILED, option)
        matches(r"^mayfly run: .+\n$", done.err, option)


# ---- volumes ----

@claim(emulated=True)
def a_volume_is_seen_under_its_own_name_alone():
    with folder() as root:
        tree(root)
        volume = f"--volume={root}/in:/data"
        same(show("/data/file", volume), b"IN", "a file of it")
        same(show("/data/sub/../file", volume), b"IN", "through a folder")
        for path in (f"{root}/in/file", "/data/out", "/data/absolute", f"/data/root{root}/secret", "/data/../etc/passwd",
                     "/data/root/etc/passwd", "/etc/passwd", f"/data/../{root}/secret"):
            same(show(path, volume), REFUSED, path)
        shutil.copy(STATIC, f"{root}/in/tool")
        at_root = f"--volume={root}/in:/:r"
        same(show("/data/file", at_root, guest="/tool"), b"open: ENOENT\n", "at the root")
        same(show("/file", at_root, guest="/tool"), b"IN", "at the root")
        same(show(f"/root{root}/secret", at_root, guest="/tool"), b"open: ENOENT\n", "a link to / in one at the root")
        same(show(f"{root}/host/file", f"--volume={root}/in:{root}/host", "--allow-read"), b"IN", "instead of the host's")


@claim(emulated=True)
def a_volume_is_written_only_with_rw():
    with folder() as root:
        tree(root)
        for how, wanted in (("", b"EACCES"), (":r", b"EACCES"), (":rw", b"")):
            done = run("make", "/data/new", "text", options=[f"--volume={root}/in:/data{how}"])
            check(wanted in done.out, f"{how}: {done}")
            same(os.path.exists(f"{root}/in/new"), how == ":rw", f"the file with '{how}'")


@claim
def proc_tells_the_names_that_the_program_has():
    code = ("import mmap, os\nf = os.open('/data/sub/file', os.O_RDONLY)\nprint(os.readlink(f'/proc/self/fd/{f}'))\n"
            "m = mmap.mmap(f, 0, prot=mmap.PROT_READ)\n"
            "print([line.split()[5] for line in open('/proc/self/maps') if line.rstrip().endswith('/sub/file')])")
    with folder() as root:
        tree(root)
        done = run("-c", code, guest="/usr/bin/python3", options=[f"--volume={root}/in:/data", "--allow-read=/usr"])
        same(expect(done, 0, "python").out, b"/data/sub/file\n['/data/sub/file']\n", "names of a file in a volume")


@claim
def a_volume_at_the_root_is_where_program_and_libraries_come_from():
    """The host's are hidden: a program that is not in the volume is not found, one that is brings its libraries."""
    with folder() as root:
        linker = "lib64/ld-linux-x86-64.so.2"
        libc = "lib/x86_64-linux-gnu/libc.so.6"
        for path in ("bin", "lib64", "lib/x86_64-linux-gnu"):
            os.makedirs(f"{root}/{path}")
        shutil.copy(DYNAMIC, f"{root}/bin/tool")
        volume = f"--volume={root}:/"
        matches("there is no /lib64/ld-linux", expect(run(guest="/bin/tool", options=[volume]), FAILED, "no linker").err)
        shutil.copy(f"/{linker}", f"{root}/{linker}")
        check(run("exit", "7", guest="/bin/tool", options=[volume]).status == 127, "without its C library")
        shutil.copy(f"/{libc}", f"{root}/{libc}")
        expect(run("exit", "7", guest="/bin/tool", options=[volume]), 7, "a program of the volume")
        with open(f"{root}/bin/script", "w", opener=lambda name, flags: os.open(name, flags, 0o755)) as file:
            file.write("#!/bin/tool args\n")
        same(expect(run(guest="/bin/script", options=[volume]), 0, "script").out, b"/bin/tool\0args\0/bin/script\0", "script")
        matches("there is no file", expect(run(guest=DYNAMIC, options=[volume]), FAILED, "a program of the host").err)


# ---- what a program needs to start ----

@claim(emulated=True)
def a_dynamic_program_starts_without_permissions_and_reads_nothing_else():
    expect(run("exit", "7", guest=DYNAMIC), 7, "no permission")
    for path in ("/etc/passwd", "/usr/lib/os-release", "/etc/ld.so.conf", "/usr/lib", "/lib/x86_64-linux-gnu", "/etc", "/",
                 "/bin/cat", "/proc/self/maps/../../1/environ", "/usr/lib/x86_64-linux-gnu/../../../etc/passwd",
                 "/lib/x86_64-linux-gnu/libc.so.6/../../../../etc/passwd", "/etc/shadow", os.path.dirname(DYNAMIC), __file__):
        same(show(path, guest=DYNAMIC)[:5], b"open:", path)
    check(show(DYNAMIC, guest=DYNAMIC).startswith(b"\x7fELF"), "its own file")
    same(show(DYNAMIC), REFUSED, "a static program reads no other's")


@claim(emulated=True)
def a_script_is_read_by_its_interpreter_and_nothing_beside_it():
    with folder() as root:
        for name in ("script", "other"):
            with open(f"{root}/{name}", "w", opener=lambda name, flags: os.open(name, flags, 0o755)) as file:
                file.write(f"#!{STATIC} show\nthe rest\n")
        same(expect(run(guest=f"{root}/script"), 0, "script").out, f"#!{STATIC} show\nthe rest\n".encode(), "the script")
        with open(f"{root}/script", "w") as file:
            file.write(f"#!{DYNAMIC} show\n")
        same(expect(run(guest=f"{root}/script"), 0, "script").out, f"#!{DYNAMIC} show\n".encode(), "with a dynamic one")
        with open(f"{root}/caller", "w", opener=lambda name, flags: os.open(name, flags, 0o755)) as file:
            file.write(f"#!/bin/cat {root}/other\n")
        done = expect(run(guest=f"{root}/caller"), 1, "another script")
        same(done.out, f"#!/bin/cat {root}/other\n".encode(), "the script alone")


@claim
def the_working_directory_is_the_callers_if_it_may_be_known():
    with folder() as root:
        os.makedirs(f"{root}/a/b")

        def cwd(*options):
            done = command([MAYFLY, "run", *options, "--", STATIC, "cwd"], before=lambda: os.chdir(f"{root}/a"))
            return expect(done, 0, options).out.decode().strip()

        same(cwd(), "/", "without permissions")
        same(cwd("--allow-read=/usr"), "/", "with others")
        for option in ("--allow-read", f"--allow-read={root}/a", "--allow-read=b", f"--allow-write={root}", "--allow-all"):
            same(cwd(option), f"{root}/a", option)
        same(cwd("--allow-read", "--cwd", "/usr"), "/usr", "--cwd")
        same(cwd(f"--volume={root}/a/b:/data"), "/", "a volume elsewhere")


# ---- --explain ----

@claim(emulated=True)
def refused_accesses_are_explained_with_the_option_that_allows_them():
    with folder() as root:
        tree(root)
        done = run("show", f"{root}/secret", options=["--explain"])
        line = f'\nmayfly: refused: open "{root}/secret" for reading: not in --allow-read; add --allow-read={root}/secret\n'
        check(line in "\n" + done.err.decode(), "reading", done)
        option = re.search(rf"add (\S+{root}\S+)", done.err.decode())[1]
        same(show(f"{root}/secret", option), b"SECRET", "what was advised helps")
        done = run("make", f"{root}/new", "text", options=["--explain", f"--allow-read={root}"])
        matches(rf'open "{root}/new" for writing: not in --allow-write; add --allow-write={root}/new\n', done.err, "writing")
        done = run("show", f"{root}/in/out", options=["--explain", f"--allow-read={root}/in"])
        matches(r"the name is allowed, but not what it leads to", done.err, "a link out")
        for name, what in (("file", "what is allowed"), ("none", "what is not there")):
            done = run("show", f"{root}/in/{name}", options=["--explain", f"--allow-read={root}/in"])
            check(root.encode() not in done.err, what, done)
        same(run("show", f"{root}/secret").err, b"", "without --explain")


@claim
def explanations_are_harmless_and_told_once():
    done = run("show", "/tmp/\x1b[31m\n\x07red", options=["--explain"])
    check(b'mayfly: refused: open "/tmp/?[31m??red" for reading: not in --allow-read; add --allow-read=/tmp/?[31m??red\n'
          in done.err, "escapes of the guest", done)
    with folder() as root:
        path = f"{root}/script"
        with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o755)) as file:
            file.write("#!/bin/cat /etc/passwd\n")
        done = command([MAYFLY, "run", "--explain", "--", "/bin/cat", *["/etc/passwd"] * 50])
        same(done.err.count(b"mayfly: refused: open \"/etc/passwd\""), 1, "how often it is told", done)
        matches(r"mayfly: refused again \(49\): open \"/etc/passwd\"", done.err, "the sum")


@claim
def a_start_that_lacks_nothing_is_explained_by_nothing():
    """Every dynamic linker asks for /etc/ld.so.preload."""
    same(expect(command([MAYFLY, "run", "--explain", "--", "/bin/true"]), 0, "true").err, b"", "what is told")


if __name__ == "__main__":
    main()
