# SPDX-License-Identifier: MIT
"""Handlers, masks, timers and waiting for signals."""
import signal
import time

seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(signal.Signals(number).name))
signal.raise_signal(signal.SIGUSR1)
print(seen)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
signal.raise_signal(signal.SIGUSR1)
print(sorted(signal.sigpending()), len(seen))
print(signal.sigwait([signal.SIGUSR1]))
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
signal.signal(signal.SIGALRM, lambda number, frame: seen.append("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
began = time.monotonic()
while seen.count("alarm") < 5 and time.monotonic() < began + 60:
    pass
signal.setitimer(signal.ITIMER_REAL, 0)
print(seen.count("alarm") >= 5)
began = time.monotonic()
signal.alarm(1)
signal.pause()
print("paused", 0.9 < time.monotonic() - began)
