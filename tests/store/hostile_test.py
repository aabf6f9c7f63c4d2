#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Requests that do to their own channel what they can: nobody else notices, every deadline holds, and the server lives."""
import random
import threading
import time

from storing import EMULATED, LONG, MIB, SLOWER, SOON, StoreServer, delete, get, put, results_of
from claims import check, claim, main, matches, same

SECONDS = 120 if LONG else 2.4
ENDS = {"/scribble": (200, 502, 504), "/indices": (502, 504, 200), "/sizes": (502, 504, 200), "/noise": (200, 504), "/flood": (504,),
        "/glut": (504, 200, 502), "/wait": (504,), "/loop": (504,), "/die": (502,), "/wake": (200,), "/respond": (502, 200),
        "/maps": (200,), "/calls": (200,)}


class Honest(threading.Thread):
    """A client whose every answer must be right, until it is told to stop."""

    def __init__(self, server, number):
        super().__init__()
        self.server, self.dice, self.number = server, random.Random(number), number
        self.stop, self.wrong, self.calls, self.late = threading.Event(), [], 0, 0
        self.start()

    def one_round(self, client, table, model):
        key = b"%d" % self.dice.randrange(50)
        value = self.dice.randbytes(16) * self.dice.choice((1, 10, 1000))
        ops = (get(table, key), put(table, key, value), get(table, key), delete(table, b"no"))
        answer = client.ask("/do", b"".join(op.bytes for op in ops))
        if answer.status == 504:  # the machine is small and busy; counted, see end()
            self.late += 1
            model[key] = None
            return
        got = [code or data for code, _, data in results_of(answer.body)] if answer.status == 200 else str(answer)
        known = model.get(key, "ENOENT")
        wanted = [got[0] if known is None else known, b"", value, "ENOENT"]
        if got != wanted:
            self.wrong.append(f"{[str(g)[:40] for g in got]}, should be {[str(w)[:40] for w in wanted]}")
        model[key] = value
        self.calls += 4

    def run(self):
        client, model = self.server.client(60), {}
        try:
            while not self.stop.is_set() and len(self.wrong) < 5:
                self.one_round(client, b"honest%d" % self.number, model)
        except Exception as error:
            self.wrong.append(repr(error))
        client.close()

    def end(self):
        self.stop.set()
        self.join()
        same(self.wrong, [], f"honest client {self.number}", self.server.log()[-700:])
        check(self.is_served(), f"honest client {self.number}: {self.late} of {self.calls / 4 + self.late} requests were late")
        return self.calls

    def is_served(self):
        """Hardly anything that it asks is late."""
        return self.calls and self.late <= 1 + self.calls / 40


def beside(server, attack, honest=2):
    """Runs attack while honest clients call; for longer on a machine so busy that this is what makes them late."""
    clients, until = [Honest(server, i) for i in range(honest)], time.monotonic() + 90
    try:
        attack()
        while not all(client.is_served() or client.wrong for client in clients) and time.monotonic() < until:
            attack()
    finally:
        for client in clients:
            client.stop.set()
    return sum(client.end() for client in clients)


def ends_as_it_may(server, target, deadline):
    """One hostile request: its answer, and that it came in time."""
    name = target.split("?")[0]
    began = time.monotonic()
    client = server.client(20)
    try:
        answer = client.ask(target)
    finally:
        client.close()
    took = time.monotonic() - began
    check(answer.status in ENDS[name], f"{target}: {answer}")
    check(took < SOON, f"{target}: took {took:.2f} s")
    return answer


def lives_on(server):
    same(server.codes(put(b"t", b"after", b"v"), get(b"t", b"after")), [0, 0], "a call afterwards", server.log()[-500:])
    same(server.log().count(b"storage program died"), 0, "deaths of the storage program", server.log()[-500:])
    same(server.stop(), 0, "exit status")
    log = server.log()
    if b"audits" in log:
        matches(r" 0 unclean", log)


@claim(emulated=True)
def every_attack_ends_as_it_may_and_hurts_nobody():
    with StoreServer("--audit", "--deadline", f"{250 * SLOWER}ms", vms=4) as server:
        def attack():
            for name in ENDS:
                for number in range(1 if EMULATED else 12 if name in ("/indices", "/sizes", "/die") else 2):
                    ends_as_it_may(server, f"{name}?{number * 1009 if name == '/scribble' else number if name != '/flood' else 0}", 0.25)
        check(beside(server, attack, 2) > 10, "the honest clients did little")
        lives_on(server)


@claim
def a_channel_rewritten_at_random_hurts_nobody():
    for wait in ("auto", "poll", "wake"):
        with StoreServer("--audit", "--deadline", "300ms", "--store-wait", wait, vms=6) as server:
            def attack():
                until, seeds = time.monotonic() + SECONDS / 3, random.Random(wait)
                threads = [threading.Thread(target=lambda: [ends_as_it_may(server, f"/scribble?{seeds.randrange(2**40)}", 0.3)
                                                            for _ in iter(lambda: time.monotonic() < until, False)]) for _ in range(3)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            beside(server, attack, 2)
            lives_on(server)


@claim
def a_crowd_of_all_attacks_hurts_nobody():
    with StoreServer("--audit", "--deadline", "600ms", "--workers", "2", vms=10) as server:
        wrong = []

        def attacker(number, until):
            dice = random.Random(number)
            while time.monotonic() < until:
                name = dice.choice(list(ENDS))
                try:
                    if dice.random() < 0.3:
                        sock = server.send_only(f"{name}?{dice.randrange(10**6)}")
                        time.sleep(dice.random() * 0.02)
                        sock.close()
                    else:
                        ends_as_it_may(server, f"{name}?{dice.randrange(10**6) if name != '/flood' else 0}", 1.2)
                except Exception as error:
                    wrong.append(str(error)[:300])

        def attack():
            until = time.monotonic() + SECONDS
            threads = [threading.Thread(target=attacker, args=(i, until)) for i in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        beside(server, attack, 2)
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
    with StoreServer("--deadline", f"{200 * SLOWER}ms", vms=1) as server:
        for target in ("/wait", "/flood", "/wait"):
            ends_as_it_may(server, target, 0.2)
        same(server.ask("/wake").body, b"-6", "MF_CALL_CHANNEL_WAKE")
        lives_on(server)


@claim
def noise_in_every_call_is_refused_and_changes_nothing_else():
    with StoreServer(vms=4) as server:
        same(server.codes(put(b"kept", b"k", b"v" * 5000)), [0], "a put")
        for number in range(2000 if LONG else 60):
            same(server.ask(f"/noise?{number}").body, b"refused", f"noise {number}")
        same(server.one(get(b"kept", b"k")), b"v" * 5000, "what was there")
        lives_on(server)


main()
