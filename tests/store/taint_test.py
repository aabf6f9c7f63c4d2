#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A secret goes into a channel in every way there is; the next request on the same VM looks for it in all of its channel and
its memory. That a search finds what is not wiped is shown here within a request, and by wipe_test.c with the wipe left out."""
import os
import random
import re
import struct
import time

from storing import EMULATED, LONG, StoreServer
from claims import check, claim, main, matches, rounds, same

SEED = os.environ.get("MAYFLY_TEST_SEED") or str(random.randrange(1 << 32) if LONG else 7)
ROUNDS = 10000 if LONG else 6 if EMULATED else 100
VALUE, GET, KEY, SCAN, UNREAD, ANYWHERE, EVERYWHERE, FOR_EVER, CRASH, UNTOUCHED = range(10)
PAGES = 1025  # of a window: a header, and two rings of 2 MiB


def order(secret, place):
    return secret + struct.pack("<I", place)


def complement(secret):
    return bytes(255 - byte for byte in secret)


def fresh(dice):
    return dice.randbytes(16)


def finds(server, secret, number=1):
    """(in the channel, elsewhere: looked for if number is 0); None: it was too late."""
    answer = server.ask(f"/find?{number}", complement(secret))
    if answer.status == 504:
        return None
    matches(r"^found \d+ \d+$", answer.body)
    return tuple(int(n) for n in re.findall(rb"\d+", answer.body))


def hide(server, dice, secret, way, place):
    """One request with the secret, ended as its way says; False: it met its deadline before."""
    body = order(secret, place)
    if way == FOR_EVER:
        client = server.client()
        client.request("POST", f"/hide?{way}", body)
        if dice.random() < 0.7:
            time.sleep(dice.random() ** 2 * 0.03)
            client.close()
        else:
            same(client.getresponse().status, 504, "a request that calls for ever")
            client.close()
        return True
    answer = server.ask(f"/hide?{way}", body)
    if answer.status == 504:
        return False
    same(answer.status, 502 if way == CRASH else 200, f"way {way}, place {place}", server.log()[-500:])
    return True


def leaves_nothing(server, what, secret, look, number=1):
    """look(): requests one after the other, True; the next one finds nothing of the secret. All of it again when one of them was late: on
    a busy machine a request does not come as far as its way says."""
    until = time.monotonic() + 120
    found = None
    while found is None:
        check(time.monotonic() < until, f"{what}: requests meet their deadlines again and again", server.log()[-300:])
        found = finds(server, secret, number) if look() else None
    same(found, (0, 0), what, server.log()[-300:])


def one_vm(*options):
    return StoreServer("--workers", "1", "--audit", "--deadline", "8s" if EMULATED else "2s", *options, vms=1)


@claim(emulated=True)
def a_search_finds_what_is_there():
    dice = random.Random(f"{SEED} 1")
    with one_vm() as server:
        for way in range(FOR_EVER):
            secret = fresh(dice)
            place = dice.randrange(10**6)

            def found_at_once():
                answer = server.ask(f"/hide-and-find?{way}", order(secret, place))
                check(answer.status == 504 or int(answer.body.split()[1]) > 0, f"way {way}: {answer}")
                return answer.status != 504

            leaves_nothing(server, f"the next request, way {way}", secret, found_at_once, 0)


def end(server):
    same(server.log().count(b"storage program died"), 0, "deaths of the storage program")
    same(server.stop(), 0, "exit status")
    matches(r"[1-9]\d* audits, 0 unclean", server.log())


@claim(emulated=True)
def nothing_of_a_request_is_left_in_its_channel_for_the_next():
    dice = random.Random(SEED)
    for wait in ("auto",) if EMULATED else ("auto", "poll"):
        with one_vm("--store-wait", wait) as server:
            for i in rounds(ROUNDS // 2, 600):
                secret, way, place = fresh(dice), i % 9, dice.choice((0, 100, 5000, dice.randrange(2**32)))
                leaves_nothing(server, f"round {i}, way {way}, waiting by {wait}", secret,
                               lambda: hide(server, dice, secret, way, place), 0 if i % 11 == 0 else 1)
            end(server)


@claim
def warm_requests_without_a_page_fault_leave_nothing_either():
    """The same small calls again and again: the wipe that looks for no pages. The search comes seldom, for it faults."""
    dice = random.Random(f"{SEED} 3")
    with one_vm() as server:
        for i in rounds(ROUNDS // 10):
            secret = fresh(dice)
            leaves_nothing(server, f"round {i}", secret, lambda: (
                all(hide(server, dice, fresh(dice), dice.choice((VALUE, GET, KEY)), 30) for _ in range(12))
                and hide(server, dice, secret, dice.choice((VALUE, GET, KEY, SCAN, UNREAD)), 30)))
        end(server)


@claim(emulated=True)
def what_the_storage_vm_alone_has_touched_is_wiped_too():
    """Warm requests that do not fault, and a reply on pages that were nobody's before: only the storage VM knows."""
    dice = random.Random(f"{SEED} 4")
    with one_vm() as server:
        for i in rounds(max(ROUNDS // 20, 2)):
            secret = fresh(dice)
            leaves_nothing(server, f"round {i}", secret, lambda: (
                hide(server, dice, secret, VALUE, 700000) and all(hide(server, dice, secret, UNTOUCHED, 0) for _ in range(6))))
        end(server)


@claim
def every_page_of_the_channel_is_wiped():
    dice = random.Random(f"{SEED} 5")
    step = 1 if LONG else 16
    with one_vm() as server:
        secret = fresh(dice)
        for page in [*range(step // 2, PAGES, step), 0, 1, 32, 33, 512, 513, 544, 545, 1024]:
            place = page + PAGES * dice.randrange(500)
            if page % (3 * step) < step or page in (0, 1, 1024):
                leaves_nothing(server, f"page {page}", secret, lambda: hide(server, dice, secret, ANYWHERE, place))
            else:
                hide(server, dice, secret, ANYWHERE, place)
        end(server)


print(f"      MAYFLY_TEST_SEED={SEED}")
main()
