#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly run at a terminal: signals reach the program, which sees and sets the terminal's modes."""
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios

from mayfly import GUESTS, MAYFLY, SLOWER, end
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
                out = process.communicate(timeout=5 * SLOWER)[0]
                same((process.returncode, out), (5, b"%d\n" % number), f"{how}: {number.name}")
            finally:
                end(process)


@claim
def what_the_caller_ignores_stays_ignored():
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = subprocess.Popen([MAYFLY, "run", "--", GUEST, "waits"], stdout=subprocess.PIPE, preexec_fn=ignore)
    try:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGUSR1)
        same(process.communicate(timeout=5)[0], b"%d\n" % signal.SIGUSR1, "the first signal that came")
    finally:
        end(process)


@claim
def a_terminals_modes_are_seen_and_set():
    """With the terminal of the caller, and only of the caller: a pipe is none."""
    for args, wanted in (([GUEST, "modes"], 0), ([MAYFLY, "run", "--", GUEST, "modes"], 0)):
        master, slave = pty.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
            done = subprocess.run(args, stdin=slave, capture_output=True, timeout=10)
            same((done.returncode, done.stdout), (wanted, b"echo 0 rows 33 columns 77\n"), args[0])
            check(not termios.tcgetattr(slave)[3] & termios.ECHO, "the terminal itself")
        finally:
            os.close(master)
            os.close(slave)
    done = subprocess.run([MAYFLY, "run", "--", GUEST, "modes"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    same(done.returncode, 1, "without a terminal")


if __name__ == "__main__":
    main()
