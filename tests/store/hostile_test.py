#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Requests that do to their own channel what they can: nobody else notices, every deadline holds, and the server lives."""
import collections
import os
import random
import threading
import time

from honest import beside, lives_on
from storing import EMULATED, LONG, MIB, SLOWER, SOON, StoreServer, get, put
from claims import check, claim, long_seconds, main, rounds, same

SEED = os.environ.get("MAYFLY_TEST_SEED") or str(random.randrange(1 << 32) if LONG else 7)
SECONDS = long_seconds(120) if LONG else 2.4
ENDS = {"/scribble": (200, 502, 504), "/indices": (502, 504, 200), "/sizes": (502, 504, 200), "/noise": (200, 504), "/flood": (504,),
        "/glut": (504, 200, 502), "/wait": (504,), "/loop": (504,), "/die": (502,), "/wake": (200,), "/respond": (502, 200),
        "/maps": (200,), "/calls": (200,)}


ended = collections.Counter()  # (target, status)


def ends_as_it_may(server, target, deadline, crowded=False):
    """One hostile request: its answer, and that it came in time. In a crowd any may meet its deadline; otherwise one that met it on a
    busy machine has said nothing of how it ends, and is made again."""
    name, until = target.split("?")[0], time.monotonic() + 90
    while True:
        began = time.monotonic()
        client = server.client(20)
        try:
            answer = client.ask(target)
        finally:
            client.close()
        took = time.monotonic() - began
        if answer.status != 504 or 504 in ENDS[name] or crowded or time.monotonic() > until:
            break
    check(answer.status in ENDS[name] or (crowded and answer.status == 504), f"{target}: {answer}")
    check(took < SOON, f"{target}: took {took:.2f} s")
    ended[name, answer.status] += 1
    return answer


def tell_ends():
    print("      attacks: " + ", ".join(f"{name} {status} {count}" for (name, status), count in sorted(ended.items())), flush=True)
    ended.clear()


@claim(emulated=True)
def every_attack_ends_as_it_may_and_hurts_nobody():
    with StoreServer("--audit", "--deadline", f"{250 * SLOWER}ms", vms=4) as server:
        def attack(_):
            for name in ENDS:
                for number in range(1 if EMULATED else 12 if name in ("/indices", "/sizes", "/die") else 2):
                    ends_as_it_may(server, f"{name}?{number * 1009 if name == '/scribble' else number if name != '/flood' else 0}", 0.25)
        check(beside(server, attack, 2) > 10, "the honest clients did little")
        tell_ends()
        lives_on(server)


@claim
def a_channel_rewritten_at_random_hurts_nobody():
    for wait in ("auto", "poll", "wake"):
        with StoreServer("--audit", "--deadline", "300ms", "--store-wait", wait, vms=6) as server:
            def attack(_):
                until, seeds = time.monotonic() + SECONDS / 3, random.Random(f"{SEED} {wait}")
                threads = [threading.Thread(target=lambda: [ends_as_it_may(server, f"/scribble?{seeds.randrange(2**40)}", 0.3)
                                                            for _ in iter(lambda: time.monotonic() < until, False)]) for _ in range(3)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            beside(server, attack, 2)
            tell_ends()
            lives_on(server)


@claim
def a_crowd_of_all_attacks_hurts_nobody():
    with StoreServer("--audit", "--deadline", "600ms", "--workers", "2", vms=10) as server:
        wrong = []

        def attacker(number, until):
            dice = random.Random(f"{SEED} {number}")
            while time.monotonic() < until:
                name = dice.choice(list(ENDS))
                try:
                    if dice.random() < 0.3:
                        sock = server.send_only(f"{name}?{dice.randrange(10**6)}")
                        time.sleep(dice.random() * 0.02)
                        sock.close()
                    else:
                        ends_as_it_may(server, f"{name}?{dice.randrange(10**6) if name != '/flood' else 0}", 1.2, crowded=True)
                except Exception as error:
                    wrong.append(str(error)[:300])

        def attack(_):
            until = time.monotonic() + SECONDS
            threads = [threading.Thread(target=attacker, args=(i, until)) for i in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        beside(server, attack, 2)
        tell_ends()
        same(wrong[:5], [], "attacks that did not end as they may")
        lives_on(server)


@claim
def who_waits_in_a_loop_does_not_hold_up_others():
    """Its reply is there, so each wait is over at once: a way to run on and on without its slice being over."""
    with StoreServer("--workers", "1", "--deadline", "60s", vms=3) as server:
        sock = server.send_only("/loop")  # one worker takes requests in their order
        for _ in range(5):
            began = time.monotonic()
            same(server.codes(put(b"t", b"k", b"v")), [0], "a short request beside it")
            took = time.monotonic() - began
            check(took < SOON, f"the short one took {took:.2f} s")
        sock.close()


@claim(emulated=True)
def system_calls_do_not_reach_the_channel():
    with StoreServer("--audit", vms=1) as server:
        for place in (0, 64, 4096, 3 * MIB):
            results = dict(line.rsplit(" ", 1) for line in server.ask(f"/calls?{place}").body.decode().splitlines())
            check(len(results) > 9, str(results))
            allowed = {"sigaction": ("-14", "0")}
            for name, result in results.items():
                check(result == "-14" or result in allowed.get(name, ()), f"{name} with an address in the channel: {result}")
        lives_on(server)


@claim(emulated=True)
def the_channel_cannot_be_unmapped_moved_or_covered():
    with StoreServer("--audit", vms=1) as server:
        for _ in range(3):
            results = dict(line.rsplit(" ", 1) for line in server.ask("/maps").body.decode().splitlines())
            same((results.pop("magic"), results.pop("call")), ("1", "0"), "the channel afterwards", str(results))
            same(results.pop("mmap-hint"), "0", "a hint there")
            results.pop("madvise")
            for name, result in results.items():
                check(result in ("-1", "-12") or (name, result) == ("mremap-to", "-22"), f"{name}: {result}")
        lives_on(server)


@claim
def a_request_that_waits_for_nothing_ends_by_its_deadline():
    with StoreServer("--deadline", f"{600 * SLOWER}ms", vms=1) as server:
        for target in ("/wait", "/flood", "/wait"):
            ends_as_it_may(server, target, 0.2)
        same(server.ask("/wake").body, b"-6", "MF_CALL_CHANNEL_WAKE")
        lives_on(server)


@claim
def noise_in_every_call_is_refused_and_changes_nothing_else():
    with StoreServer(vms=4) as server:
        same(server.codes(put(b"kept", b"k", b"v" * 5000)), [0], "a put")
        for number in rounds(2000 if LONG else 60):
            same(server.ask(f"/noise?{number}").body, b"refused", f"noise {number}")
        same(server.one(get(b"kept", b"k")), b"v" * 5000, "what was there")
        lives_on(server)


print(f"      MAYFLY_TEST_SEED={SEED}")
main()
