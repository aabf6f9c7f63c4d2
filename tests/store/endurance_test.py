#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Many requests with calls, and many restarts of the storage program: the engine grows by nothing."""
import os
import random
import threading
import time

from storing import EMULATED, LONG, PROGRAM, StoreServer, add, call, delete, do, get, put, scan
from claims import check, claim, fail, long_seconds, main, matches, same

SEED = os.environ.get("MAYFLY_TEST_SEED") or str(random.randrange(1 << 32) if LONG else 7)
SECONDS = long_seconds(900)  # of a crowd, at most
REQUESTS = 10000 if LONG else 20 if EMULATED else 300
RESTARTS = 100 if LONG else 2 if EMULATED else 3
CLIENTS = 2 if EMULATED else 4
ECHO, CRASH, EXIT, COUNT = 100, 101, 102, 107


def in_parallel(server, count, request):
    """request(client, dice) so often, by some clients, or for as long as there is time; how often it was."""
    wrong, left, lock, until = [], [count], threading.Lock(), time.monotonic() + SECONDS

    def take():
        with lock:
            if not left[0] or time.monotonic() > until:
                return False
            left[0] -= 1
            return True

    def run(number):
        client, dice = server.client(60), random.Random(f"{SEED} {number}")
        while take():
            try:
                request(client, dice)
            except Exception as error:
                wrong.append(repr(error))
                client.close()
                client = server.client(60)
        client.close()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(wrong[:3], [], "requests that went wrong", server.log()[-500:])
    return count - left[0]


def settled(server):
    time.sleep(1)
    return server.footprint()


def has_not_grown(what, before, server):
    after = server.calm(before)
    print(f"      {what}: (KiB, descriptors, threads) {before} -> {after}")
    # Values of up to 400 KB go through the allocator's arenas: after a short warm-up they still grow by some MiB.
    check(after[0] < before[0] * 1.1 + (4096 if LONG else 16384), f"memory grew: {before[0]} -> {after[0]} KiB")


def some_calls(client, dice):
    kind = dice.random()
    key, value = b"%d" % dice.randrange(200), dice.randbytes(20) * dice.choice((1, 10, 500, 20000))
    if kind < 0.1:
        client.ask(dice.choice(("/die?0", "/die?1", "/die?2", "/scribble?%d" % dice.randrange(1000))))
    else:
        # Beside requests that hang until their deadline a busy machine lets others meet it: they have been, and are made again.
        do(client, put(b"t", key, value), get(b"t", key), scan(b"t", b"1", 3), add(b"t", b"n", 1), delete(b"t", key), again=(409, 504))


@claim(emulated=True)
def requests_with_calls_leave_the_engine_as_it_was():
    with StoreServer("--audit", "--deadline", "20s" if EMULATED else "2s", vms=4) as server:
        in_parallel(server, max(REQUESTS // 4, 10), some_calls)
        before = settled(server)
        done = in_parallel(server, REQUESTS, some_calls)
        has_not_grown(f"{done} requests", before, server)
        same(server.stop(), 0, "exit status")
        matches(" 0 unclean", server.log())


@claim
def restarts_of_the_storage_program_leave_the_engine_as_it_was():
    def kill(client, dice):
        codes = [result[0] for result in do(client, call(ECHO, b"x"), call(dice.choice((CRASH, EXIT)), b"x"), call(COUNT))]
        if (codes[0], codes[1]) != (0, "ECONNRESET") or codes[2] not in (0, "ECONNRESET"):
            fail(str(codes))

    with StoreServer(program=PROGRAM, vms=4) as server:
        first = in_parallel(server, RESTARTS, kill)
        before = settled(server)
        second = in_parallel(server, RESTARTS, kill)
        has_not_grown(f"{second} restarts", before, server)
        same(server.codes(call(ECHO, b"x")), [0], "afterwards")
        same(server.log().count(b"the storage program died"), first + second, "deaths")
        same(server.stop(), 0, "exit status")


print(f"      MAYFLY_TEST_SEED={SEED}")
main()
