#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What must be each request's own: random bytes that programs start from, the generation that tells generators to seed
again, and a clock that goes on from the freeze; in static and in dynamic programs."""
import os
import re
import time

from serving import BUILD, MAYFLY, Server
from claims import check, claim, main, matches, same
from mayfly import command, expect

FOLDER = os.environ.get("MAYFLY_FRESH", os.path.join(BUILD, "tests/pool"))
GUESTS = [path for path in (f"{FOLDER}/fresh-guest-{name}" for name in ("static", "dynamic", "musl", "musl-dynamic"))
          if os.path.exists(path)]
REQUESTS = 24


def answers(server, target, count):
    """Some after each other, some at once."""
    said = [server.ask(target).body.decode() for _ in range(count // 2)]
    return said + [answer.body.decode() for answer in server.ask_all([target] * (count - count // 2))]


@claim(emulated=True)
def every_request_has_random_bytes_and_a_generation_of_its_own():
    check(len(GUESTS) >= 2, f"too few guests were built: {GUESTS}")
    for guest in GUESTS:
        with Server("--audit", guest=guest) as server:
            said = [line.split() for line in answers(server, "/random", REQUESTS)]
            for number, what in ((0, "AT_RANDOM"), (1, "generations"), (2, "getrandom")):
                same(len({line[number] for line in said}), REQUESTS, f"{guest}: different {what}", *said[:3])
            check("0" not in {line[1] for line in said}, "a generation of 0", *said[:3])
            same({line[3] for line in said}, {"1"}, "calls of the hook in a request")
            same({line[4] for line in said}, {"0"}, "the generation while the image is built")
            same(server.stop(), 0, "exit status")
            matches(r"\b0 unclean", server.log(), "a VM that was put back is the image")


@claim
def a_program_that_put_something_else_there_keeps_it():
    with Server("--audit", guest=GUESTS[0], args=["without-stack"]) as server:
        said = [line.split() for line in answers(server, "/random", 8)]
        same({line[0] for line in said}, {"78" * 16}, "where AT_RANDOM was")


@claim
def what_is_kept_between_requests_keeps_its_generation():
    with Server("--reset", "never", vms=1, guest=GUESTS[0]) as server:
        said = [server.ask("/random").body.decode().split() for _ in range(5)]
        same(len({line[1] for line in said}), 1, "generations")
        same([line[3] for line in said], ["1", "2", "3", "4", "5"], "calls of the hook")


def tell_time(server, guest):
    """What a request reads of the monotonic clock, and the host's before and behind it."""
    before, real = time.monotonic_ns(), time.time_ns()
    now, wall, backwards = map(int, server.ask("/time").body.split())
    after = time.monotonic_ns()
    same(backwards, 0, f"{guest}: readings that were before the one before")
    check(real - 1e9 < wall < real + after - before + 1e9, f"{guest}: the real time is {wall}, not {real}")
    return before, now, after


@claim
def the_clock_of_a_request_goes_on_from_the_freeze():
    for guest in GUESTS:
        began = time.monotonic_ns()
        with Server(guest=guest, vms=2) as server:
            ready = time.monotonic_ns()
            for i in range(REQUESTS):
                if i == 3:
                    time.sleep(0.2)
                before, now, after = tell_time(server, guest)
                check(began - 5e6 < now < ready + after - before + 5e6,
                      f"{guest}: {now} is not soon behind {ready}, in a request from {before} to {after}")


@claim
def without_resets_the_clock_goes_on_as_the_hosts_does():
    with Server("--reset", "never", vms=1, guest=GUESTS[0]) as server:
        first = tell_time(server, GUESTS[0])
        time.sleep(0.3)
        second = tell_time(server, GUESTS[0])
        check(second[0] - first[2] - 5e6 < second[1] - first[1] < second[2] - first[0] + 5e6,
              f"{second[1] - first[1]} ns", first, second)


@claim
def the_clock_is_read_without_a_system_call():
    for guest in GUESTS:
        done = expect(command([MAYFLY, "run", "--trace-syscalls", "--", guest, "once"]), 0, guest)
        same(re.findall(rb"clock_gettime.*", done.err), [], f"{guest}: 1,000 readings of the clock")
        matches(r"^\d+ \d+ 0\n$", done.out, guest)


if __name__ == "__main__":
    main()
