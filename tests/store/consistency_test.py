#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Requests that run at the same time leave, and see, what they would have one after the other: money that is moved about
stays what it was, invariants over several keys hold (write skew), and counters count every request that was told 200.
Looked at from outside, by what clients were told alone. Accounts and amounts are random; the seed is printed."""
import os
import random
import threading
import time

from history import Transaction, judge
from storing import BUILD, LONG, StoreServer
from claims import check, claim, fail, main, same

FUNCTION = os.path.join(BUILD, "tests/store/txn-guest")
SERVER = os.path.join(BUILD, "tests/store/txn-server")
CLIENTS = 16 if LONG else 8
ROUNDS = 300 if LONG else 30
KINDS = [(guest, options) for guest in (FUNCTION, SERVER) for options in ((), ("--durability", "async"))]


def numbers(answer):
    """Of an answer to r: steps."""
    lines = [line.split() for line in answer.body.splitlines()]
    check(all(line[0] in (b"0", b"-2") for line in lines), "reads succeed", str(answer.body))
    return [int(line[1]) for line in lines]


class Crowd:
    """Clients, each on its own thread and connection, that do `what(client, dice)` again and again."""

    def __init__(self, server, seed):
        self.server, self.seed, self.wrong = server, seed, []

    def run(self, *whats, rounds=ROUNDS):
        def client(number, what):
            connection, dice = self.server.client(60), random.Random(f"{self.seed} {number}")
            try:
                for _ in range(rounds):
                    what(connection, dice)
            except BaseException as error:  # told by the thread that waits
                self.wrong.append(repr(error))
            connection.close()

        threads = [threading.Thread(target=client, args=(i, whats[i % len(whats)])) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        same(self.wrong[:3], [], "what clients met")


def each_kind(what):
    seed = int(os.environ.get("MAYFLY_TEST_SEED") or random.randrange(1 << 30))
    print(f"      MAYFLY_TEST_SEED={seed}")
    for guest, options in KINDS:
        with StoreServer("--workers", "2", "--queue", "256", "--deadline", "60s", *options, guest=guest, vms=8) as server:
            what(server, Crowd(server, seed))


def accepted(answer):
    """Done (True), or in conflict too often (False)."""
    if answer.status not in (200, 409):
        fail(f"an answer: {answer}")
    return answer.status == 200


@claim
def money_that_is_moved_stays_what_it_was():
    accounts = [f"a{i}" for i in range(6)]
    look = "/" + ";".join(f"r:{name}" for name in accounts)

    def check_bank(server, crowd):
        same(server.ask("/" + ";".join(f"a:{name}=100" for name in accounts)).status, 200, "the money")
        done = [0]

        def move(client, dice):
            a, b = dice.sample(accounts, 2)
            done[0] += accepted(client.ask(f"/t:{a},{b}={dice.randrange(1, 60)}"))

        def audit(client, _):
            seen = numbers(client.ask(look))
            same((sum(seen), min(seen) >= 0), (600, True), "the sum within one request", str(seen))

        crowd.run(move, move, move, audit)
        audit(server, None)
        check(done[0], "transfers")

    each_kind(check_bank)


@claim
def an_invariant_over_two_keys_holds():
    def check_skew(server, crowd):
        pairs = [(f"x{i}", f"y{i}") for i in range(4)]

        def leave(client, dice):
            """One of a pair goes, as long as both are there; or both are there again."""
            a, b = dice.sample(dice.choice(pairs), 2)
            if dice.random() < 0.5:
                accepted(client.ask(f"/w:{a},{b}"))
            else:
                accepted(client.ask(f"/f:{a},{b}"))
            seen = numbers(client.ask(f"/r:{a};r:{b}"))
            check(sum(seen) >= 1 and max(seen) <= 1, "one of the two is there", str(seen))

        for a, b in pairs:
            same(server.ask(f"/f:{a},{b}").status, 200, "both")
        crowd.run(leave)

    each_kind(check_skew)


@claim
def counters_count_what_clients_were_told():
    def check_counter(server, crowd):
        done, lock = [0], threading.Lock()

        def count(client, _):
            if accepted(client.ask("/a:n=1")):
                with lock:
                    done[0] += 1

        crowd.run(count)
        same(numbers(server.ask("/r:n")), [done[0]], "the counter")

    each_kind(check_counter)


def recorded(client, name, number, dice, keys):
    """One request that reads some keys and writes some of those, each with a value of its own: a Transaction, or None."""
    reads = dice.sample(keys, dice.randrange(1, 5))
    writes = {key: f"{name}.{number}.{key}" for key in reads[:dice.randrange(len(reads) + 1)]}
    steps = [f"g:{key}" for key in reads] + [f"p:{key}={value}" for key, value in writes.items()]
    begin = time.monotonic()
    answer = client.ask("/" + ";".join(steps))
    end = time.monotonic()
    if not accepted(answer):
        return None
    told = [line.split() for line in answer.body.decode().splitlines()]
    same([line[0] for line in told[len(reads):]], ["0"] * len(writes), "puts", str(answer.body))
    check(all(line[0] in ("0", "-2") for line in told), "gets", str(answer.body))
    return Transaction(begin, end, {key: line[1] if line[0] == "0" else None for key, line in zip(reads, told)}, writes)


@claim
def recorded_requests_could_have_been_made_one_after_the_other():
    """Reads and writes of several keys, each with its times, judged by themselves (history.py)."""
    keys = [f"h{i}" for i in range(10)]

    def check_history(server, crowd):
        done, lock, names = [], threading.Lock(), iter(range(1 << 30))

        def some(client, dice):
            with lock:
                number = next(names)
            one = recorded(client, "t", number, dice, keys)
            with lock:
                done.append(one)

        crowd.run(some)
        history = [one for one in done if one]
        wrong = judge(history)
        print(f"      {len(history)} transactions were done, {len(done) - len(history)} not; anomalies: {len(wrong)}")
        same(wrong[:3], [], "anomalies")
        check(len(history) > len(done) // 10, "hardly any was done")

    each_kind(check_history)


@claim
def the_judge_finds_what_cannot_be():
    def one(begin, end, reads, writes):
        return Transaction(begin, end, dict(reads), dict(writes))

    first = one(0, 1, {"a": None, "b": None}, {"a": "a1", "b": "b1"})
    good = [first, one(2, 5, {"a": "a1"}, {"a": "a2"}), one(3, 4, {"a": "a1", "b": "b1"}, {}), one(6, 7, {"a": "a2", "b": "b1"}, {})]
    same(judge(good), [], "a history that could be")
    for what, more in {
            "a lost update": [one(2, 3, {"a": "a1"}, {"a": "a2"}), one(2, 3, {"a": "a1"}, {"a": "a3"})],
            "write skew": [one(2, 4, {"a": "a1", "b": "b1"}, {"a": "a2"}), one(2, 4, {"a": "a1", "b": "b1"}, {"b": "b2"})],
            "half of a transaction": [one(2, 4, {"a": "a1", "b": "b1"}, {"a": "a2", "b": "b2"}), one(2, 4, {"a": "a2", "b": "b1"}, {})],
            "a read of what was over before it began": [one(2, 3, {"a": "a1"}, {"a": "a2"}), one(4, 5, {"a": "a1"}, {})],
            "a read of what was not done": [one(2, 3, {"a": "a9"}, {})],
            "two orders of two writes": [one(2, 6, {"a": "a1"}, {"a": "a2"}), one(2, 6, {"b": "b1"}, {"b": "b2"}),
                                         one(2, 6, {"a": "a2", "b": "b1"}, {}), one(2, 6, {"a": "a1", "b": "b2"}, {})]}.items():
        check(judge([first, *more]), f"{what} was not found")


main()
