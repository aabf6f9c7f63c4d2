#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly run at a terminal: signals reach the program, which sees and sets the terminal's modes."""
import fcntl
import os
import pty
import signal
import struct
import subprocess
import tempfile
import termios

from mayfly import GUESTS, MAYFLY, SOON, end
from claims import check, claim, main, same

GUEST = os.path.join(GUESTS, "guest-terminal")


@claim(emulated=True)
def signals_reach_the_programs_handlers():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
        for how in ("waits", "busy"):
            process = subprocess.Popen([MAYFLY, "run", "--", GUEST, how], stdout=subprocess.PIPE)
            try:
                same(process.stdout.readline(), b"ready\n", "its first line")
                process.send_signal(number)
                out = process.communicate(timeout=4 * SOON)[0]
                same((process.returncode, out), (5, b"%d\n" % number), f"{how}: {number.name}")
            finally:
                end(process)


@claim
def what_the_caller_ignores_is_ignored_until_the_program_handles_it():
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    for args in ([GUEST, "waits"], [MAYFLY, "run", "--", GUEST, "waits"]):
        process = subprocess.Popen(args, stdout=subprocess.PIPE, preexec_fn=ignore)
        try:
            process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            same(process.communicate(timeout=4 * SOON)[0], b"%d\n" % signal.SIGHUP, "the first signal that came")
        finally:
            end(process)
    shell = ["/bin/sh", "-c", "echo ready; read line"]
    for args, status in ((shell, -signal.SIGTERM), ([MAYFLY, "run", "--", *shell], 128 + signal.SIGTERM)):
        process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   preexec_fn=ignore)
        try:
            process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            same(process.wait(timeout=4 * SOON), status, "what it died of")
        finally:
            end(process)


@claim
def a_terminals_modes_are_seen_and_set():
    """With the terminal of the caller, and only of the caller: a pipe is none."""
    for args, wanted in (([GUEST, "modes"], 0), ([MAYFLY, "run", "--", GUEST, "modes"], 0)):
        master, slave = pty.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
            done = subprocess.run(args, stdin=slave, capture_output=True, timeout=4 * SOON)
            same((done.returncode, done.stdout), (wanted, b"echo 0 rows 33 columns 77\n"), args[0])
            check(not termios.tcgetattr(slave)[3] & termios.ECHO, "the terminal itself")
        finally:
            os.close(master)
            os.close(slave)
    done = subprocess.run([MAYFLY, "run", "--", GUEST, "modes"], stdin=subprocess.DEVNULL, capture_output=True, timeout=4 * SOON)
    same(done.returncode, 1, "without a terminal")


@claim
def the_terminal_of_the_session_is_the_programs():
    """/dev/tty is the caller's, the program is in front; streams that are pipes have nothing to do with it."""
    told = []
    for args in ([GUEST, "uses"], [MAYFLY, "run", "--", GUEST, "uses"]):
        out, into = os.pipe()
        pid, master = pty.fork()
        if not pid:
            os.dup2(into, 1)
            os.execv(args[0], args)
        os.close(into)
        seen = b""
        while b"password:" not in seen:
            seen += os.read(master, 100)
        os.write(master, b"secret\n")
        with os.fdopen(out, "rb") as pipe:
            told.append((pipe.read(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
        os.close(master)
    same(told[1], told[0], "in a VM")
    check(b"open 1\nin front 1, leader 1\n" in told[0][0], "natively", told[0])


@claim
def the_mask_of_new_files_is_the_callers():
    with tempfile.TemporaryDirectory() as folder:
        for mask in (0, 0o027, 0o002):
            path = os.path.join(folder, f"{mask:o}")
            subprocess.run([MAYFLY, "run", f"--allow-write={folder}", "--", "/bin/touch", path], umask=mask, timeout=4 * SOON, check=True)
            same(os.stat(path).st_mode & 0o777, 0o666 & ~mask, f"umask {mask:o}")


if __name__ == "__main__":
    main()
