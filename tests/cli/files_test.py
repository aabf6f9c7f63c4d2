#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly run and the files of the host: nothing is reached but what --allow-read and --allow-write name."""
import os
import stat
import subprocess

from mayfly import FAILED, MAYFLY, SLOWER, expect, folder, run
from claims import check, claim, main, matches, same

REFUSED = {b"open: EACCES\n", b"open: ENOENT\n", b"open: EPERM\n", b"open: ELOOP\n", b"open: EXDEV\n",
           b"open: 6\n"}  # ENXIO: no such device


def tree(root):
    """open/file, open/deep/file, closed/secret and ways from one to the other."""
    for path, text in (("open/file", "public"), ("open/deep/file", "deep"), ("closed/secret", "SECRET")):
        os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
        with open(f"{root}/{path}", "w") as file:
            file.write(text)
    os.symlink("../closed/secret", f"{root}/open/relative")
    os.symlink(f"{root}/closed/secret", f"{root}/open/absolute")
    os.symlink("../closed", f"{root}/open/out")
    os.symlink("/", f"{root}/open/root")
    os.symlink("deep/file", f"{root}/open/inside")


def show(path, *options):
    return expect(run("show", path, options=options), 0, f"show {path}").out


@claim(emulated=True)
def nothing_can_be_read_without_permission():
    with folder() as root:
        tree(root)
        for path in (f"{root}/open/file", "/etc/passwd", "/proc/self/mem", "/dev/kvm", "/dev/tty", "/"):
            check(show(path) in REFUSED, f"{path} was opened: {show(path)}")


@claim(emulated=True)
def what_is_allowed_can_be_read():
    with folder() as root:
        tree(root)
        same(show(f"{root}/open/file", f"--allow-read={root}/open"), b"public", "a file of the folder")
        same(show(f"{root}/open/deep/file", f"--allow-read={root}/open"), b"deep", "a file deeper down")
        same(show(f"{root}/open/inside", f"--allow-read={root}/open"), b"deep", "through a link that stays inside")
        same(show(f"{root}/open/file", f"--allow-read={root}/open/file"), b"public", "a file named itself")
        same(show(f"{root}/closed/secret", f"--allow-read={root}/open,{root}/closed/secret"), b"SECRET", "two paths")
        same(show(f"{root}/open/file", "--allow-read"), b"public", "everything")
        same(show("open/file", f"--allow-read={root}/open", "--cwd", root), b"public", "relative to --cwd")


@claim
def everything_else_stays_closed():
    with folder() as root:
        tree(root)
        allowed = f"--allow-read={root}/open"
        for path in (f"{root}/closed/secret", "/etc/passwd", f"{root}/open/../closed/secret",
                     f"{root}/open/deep/../../closed/secret", f"{root}/open/relative", f"{root}/open/absolute",
                     f"{root}/open/out/secret", f"{root}/open/root/etc/passwd", f"{root}/openx",
                     f"/proc/self/root{root}/closed/secret", f"{root}/open/../../../../../../../etc/passwd",
                     f"//{root}/closed/secret", f"{root}/open/./../closed/secret", "/proc/1/environ",
                     "/proc/self/mem", f"/proc/{os.getpid()}/environ", "/proc/self/task/1/environ"):
            got = show(path, allowed)
            check(got in REFUSED, f"{path} was opened: {got}")
        got = show("../closed/secret", allowed, "--cwd", f"{root}/open")
        check(got in REFUSED, f"relative to --cwd: {got}")


@claim
def a_file_opened_by_its_own_name_opens_no_sibling():
    with folder() as root:
        tree(root)
        allowed = f"--allow-read={root}/open/file"
        for path in (f"{root}/open/deep/file", f"{root}/open/inside", f"{root}/open"):
            check(show(path, allowed) in REFUSED, f"{path} was opened")


@claim
def reading_does_not_allow_writing():
    with folder() as root:
        tree(root)
        for path in (f"{root}/open/file", f"{root}/open/new"):
            done = expect(run("make", path, options=[f"--allow-read={root}/open"]), 0, path)
            check(done.out in (b"EACCES\n", b"EROFS\n", b"EPERM\n"), f"{path}: {done.out}")
        with open(f"{root}/open/file") as file:
            same(file.read(), "public", "the file afterwards")
        check(not os.path.exists(f"{root}/open/new"), "a file was made")


@claim
def allow_write_makes_and_changes_files():
    with folder() as root:
        tree(root)
        for path in (f"{root}/open/new", f"{root}/open/file"):
            done = expect(run("make", path, "content", options=[f"--allow-write={root}/open"]), 0, path)
            same(done.out, b"written\n", path)
            with open(path) as file:
                same(file.read(), "content", path)
        mode = os.stat(f"{root}/open/new").st_mode
        check(stat.S_ISREG(mode) and not mode & 0o7022, f"mode {mode:o}")


@claim
def allow_write_reaches_nothing_outside():
    with folder() as root:
        tree(root)
        os.symlink("../closed/planted", f"{root}/open/dangling")
        for path in ("relative", "absolute", "out/new", "../closed/secret", "../closed/new", "dangling"):
            done = expect(run("make", f"{root}/open/{path}", options=[f"--allow-write={root}/open"]), 0, path)
            check(done.out != b"written\n", f"{path} was written")
        with open(f"{root}/closed/secret") as file:
            same(file.read(), "SECRET", "the secret afterwards")
        same(os.listdir(f"{root}/closed"), ["secret"], "the closed folder afterwards")


@claim
def writing_does_not_allow_reading():
    with folder() as root:
        tree(root)
        got = show(f"{root}/open/file", f"--allow-write={root}/open")
        check(got in REFUSED, f"a file could be read with --allow-write alone: {got}")


@claim
def behind_the_end_of_a_mapped_file_is_death_or_zeroes():
    with folder() as root:
        tree(root)
        done = run("past-end", f"{root}/open/file", options=[f"--allow-read={root}/open"])
        check(done.status in (0, 128 + 7, 128 + 11), "status", done)


@claim
def devices_and_pipes_in_an_allowed_folder_are_harmless():
    with folder() as root:
        os.mkfifo(f"{root}/pipe")
        done = run("show", f"{root}/pipe", options=[f"--allow-read={root}", "--deadline", "2s"], seconds=10)
        check(done.status in (0, 124), "opening a pipe without a writer", done)
        got = show("/dev/kvm", "--allow-read=/dev")
        check(got.startswith(b"open: "), f"/dev/kvm was opened by a guest: {got}")


@claim
def a_path_that_is_not_there_is_told():
    for option in ("--allow-read", "--allow-write"):
        done = expect(run("exit", "0", options=[f"{option}=/not/there"]), FAILED, option)
        matches(r"/not/there", done.err, option)
        done = expect(run("exit", "0", options=[f"{option}=/tmp,,/etc"]), FAILED, option)
        matches(r"has an empty part", done.err, option)


@claim
def what_the_caller_opened_gets_no_other_name():
    """A stream that is a file outside: no name for it where the program may read. A file of its own gets one."""
    code = ("import ctypes, errno, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "def name(fd, to):\n"
            "    got = libc.linkat(-100, b'/proc/self/fd/%d' % fd, -100, to, 0x400)\n"
            "    return errno.errorcode[ctypes.get_errno()] if got else 'ok'\n"
            "own = os.open('own', os.O_RDWR | os.O_CREAT)\nbare = os.open('.', os.O_TMPFILE | os.O_RDWR)\n"
            "print(name(1, b'stolen'), name(own, b'more'), name(bare, b'named'), file=sys.stderr)")
    with folder() as root:
        os.mkdir(f"{root}/in")
        with open(f"{root}/out", "w+") as out:
            done = subprocess.run([MAYFLY, "run", "--allow-read=/usr", f"--volume={root}/in:/in:rw", "--cwd", "/in", "--",
                                   "/usr/bin/python3", "-c", code], stdout=out, stderr=subprocess.PIPE, timeout=30 * SLOWER)
        same(done.stderr, b"EPERM ok ok\n", "a stream, a file of its own, one without a name")
        same(sorted(os.listdir(f"{root}/in")), ["more", "named", "own"], "names")


main()
