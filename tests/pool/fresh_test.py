#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What must be each request's own: random bytes that programs start from, the generation that tells generators to seed
again, and a clock that goes on; in static and in dynamic programs."""
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


@claim
def the_clock_goes_on_through_forks_and_resets():
    for guest in GUESTS:
        with Server(guest=guest, vms=2) as server:
            last = 0
            for _ in range(REQUESTS):
                before, real = time.monotonic_ns(), time.time_ns()
                now, wall, backwards = map(int, server.ask("/time").body.split())
                after = time.monotonic_ns()
                same(backwards, 0, f"{guest}: readings that were before the one before")
                check(now >= last, f"{guest}: {now} after {last}")
                check(before - 5e6 < now < after + 5e6, f"{guest}: {now} is not between {before} and {after}")
                check(abs(wall - real) < 1e9, f"{guest}: the real time is {wall}, not {real}")
                last = now


@claim
def the_clock_is_read_without_a_system_call():
    for guest in GUESTS:
        done = expect(command([MAYFLY, "run", "--trace-syscalls", "--", guest, "once"]), 0, guest)
        same(re.findall(rb"clock_gettime.*", done.err), [], f"{guest}: 1,000 readings of the clock")
        matches(r"^\d+ \d+ 0\n$", done.out, guest)


if __name__ == "__main__":
    main()
