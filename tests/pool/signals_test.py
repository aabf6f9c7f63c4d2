#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Signals and resets: handlers, masks, queues, timers and forged frames of one request are unknown to the next."""
import os
import random

from serving import BUILD, Server
from claims import EMULATED, LONG, check, claim, main, matches, same

GUEST = os.path.join(os.environ.get("MAYFLY_FRESH", os.path.join(BUILD, "tests/pool")), "signal-guest")
SEED = int(os.environ.get("MAYFLY_SEED", random.randrange(1 << 30)))
ROUNDS = 5 if EMULATED else 1000 if LONG else 40


def clean(server):
    server.stop()
    matches(r"audits, 0 unclean", server.log())


def state(server):
    return server.ask("/tell").body


@claim(emulated=True)
def what_is_frozen_is_there_in_every_request():
    with Server("--audit", guest=GUEST) as server:
        first = state(server)
        check(b"handlers 200 " in first and b"mask 800 pending 800 stack 1 32768" in first and b"taken 1 " in first,
              "the state at the ready point", first)
        for _ in range(5):
            same(state(server), first, "a later request's")


@claim(emulated=True)
def signals_of_one_request_are_unknown_to_the_next():
    with Server("--audit", guest=GUEST, vms=2) as server:
        first = state(server)
        for seed in range(SEED, SEED + ROUNDS):
            server.ask(f"/spoil?{seed}")
            same(state(server), first, f"after /spoil?{seed}")
            same(state(server), first, f"after /spoil?{seed}, another VM")
        clean(server)


@claim(emulated=True)
def forged_frames_harm_nobody():
    with Server("--audit", "--deadline", "2s", guest=GUEST, vms=2) as server:
        first = state(server)
        survived = 0
        for seed in range(SEED, SEED + 20 * ROUNDS):
            if seed >= SEED + ROUNDS and survived:  # where few are made, all of those may be deadly
                break
            answer = server.ask(f"/hostile?{seed}")
            check(answer.status in (200, 502, 504), f"/hostile?{seed}: {answer}", server.log())
            survived += answer.status == 200
            same(state(server), first, f"after /hostile?{seed}")
            same(state(server), first, f"after /hostile?{seed}, another VM")
        clean(server)
        check(survived, "no round came to its end: what is tested is not what is meant", server.log())


print(f"seed {SEED} (MAYFLY_SEED)")
main()
