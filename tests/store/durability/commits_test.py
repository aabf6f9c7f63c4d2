#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Many clients' transactions, and a storage program that dies within commits, with each durability: what clients were told is held
against what is there. Nothing that was told to be done is lost, but for the end of what was told before it was on the disk (async),
and that by a death alone; what is there is whole, and nothing of it was told not to be done.

Each transaction reads its client's last number, and writes the next one and a pair of keys with it: it tells what came before it."""
import collections
import os
import random
import re
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from storing import BUILD, LONG, MAYFLY, SLOWER, StoreServer, command, store_folder  # noqa: E402
from claims import check, claim, long_seconds, main, same  # noqa: E402

SEED = os.environ.get("MAYFLY_TEST_SEED") or str(random.randrange(1 << 32))
SECONDS = long_seconds(600) if LONG else 6  # of all durabilities
DURABILITIES = ("durable", "group=5ms", "async")
CLIENTS = 24 if LONG else 12
KEYS = 4  # pairs of each client
ROUND = 40  # transactions of each client between two looks at what is there
KILLS = 100 if LONG else 3  # of each durability, at least
GUEST = f"{BUILD}/tests/store/txn-guest"
HERE = f"{BUILD}/tests/store/durability"
COUNT = "a:all=1"  # of all clients: here they come into conflict
OUTSIDE = "at a transaction's end"
WITHIN = ("before a commit", "before a write", "within a write", "after a write", "before a sync", "after a sync", "after a commit")
PATIENCE = 90 * SLOWER
LATE = 180 * SLOWER


class Writer:
    """One client. `tried`: [(number, key, it is known to be done)] of all that may be there, in order."""

    def __init__(self, number):
        self.name, self.dice = f"c{number}", random.Random(f"{SEED} {number}")
        self.tried, self.number, self.told = [], 0, collections.Counter()
        self.sums, self.perhaps = [], 0  # of the counter of all; how many may be done
        self.lost, self.wrong = 0, []

    def pair(self, key):
        return f"{self.name}.{key}.a", f"{self.name}.{key}.b"

    def steps(self, key):
        a, b = self.pair(key)
        puts = [f"p:{self.name}={self.number}", f"p:{a}={self.number}", f"p:{b}={self.number}"]
        self.dice.shuffle(puts)
        return ";".join([f"g:{self.name}", *puts, *([COUNT] if self.dice.random() < 0.1 else [])])

    def ask(self, client, steps):
        """(done: True, False, None: perhaps; [what each step told])"""
        answer = client.ask("/" + steps)
        lines = [line.split() for line in answer.body.decode().splitlines()] if answer.status == 200 else []
        self.told[f"{answer.status} {answer.error or ''}".strip()] += 1
        if answer.status == 503 and answer.error == "commit" or answer.status == 504:
            return None, []
        if answer.status == 200 and any(line[0] not in ("0", "-2") for line in lines):
            self.told["200 of calls that failed"] += 1
            if {line[0] for line in lines} - {"0", "-2"} != {"-104"}:
                self.wrong.append(f"{steps}: {lines}")
            return False, []
        if answer.status not in (200, 409, 503):
            self.wrong.append(f"{steps}: {answer}")
        return answer.status == 200, lines

    def one(self, client, may_lose):
        key, self.number = self.dice.randrange(KEYS), self.number + 1
        done, lines = self.ask(client, self.steps(key))
        if done:
            check(len(lines) in (4, 5), "what it told", str(lines))
            self.see(int(lines[0][1]) if lines[0][0] == "0" else 0, may_lose)
            if len(lines) > 4:
                self.sums.append(int(lines[4][1]))
        if done is not False:
            self.perhaps += done is None
            self.tried.append((self.number, key, bool(done)))

    def see(self, last, may_lose):
        """The last number that is there: it was done, and what was tried behind it was not."""
        known = max((number for number, _, done in self.tried if done), default=0)
        if last < known:
            self.lost += sum(done for number, _, done in self.tried if number > last)
            if not may_lose:
                self.wrong.append(f"{self.name}: {known} was told to be done, and {last} is there")
        if last and last not in [number for number, _, _ in self.tried]:
            self.wrong.append(f"{self.name}: {last} is there, which cannot be ({self.tried[-5:]})")
        self.tried = [(number, key, done or number == last) for number, key, done in self.tried if number <= last]

    def judge(self, found, may_lose):
        """All its keys: {key: number}."""
        self.see(found[self.name], may_lose)
        for key in range(KEYS):
            a, b = (found[name] for name in self.pair(key))
            may = set()
            for number, of, done in reversed(self.tried):
                if of == key:
                    may.add(number)
                    if done:
                        break
            else:
                may.add(0)
            if a != b or a not in may:
                self.wrong.append(f"{self.name}, pair {key}: {a} and {b} are there, should be one of {sorted(may)}")
        self.tried = self.tried[-200:]  # of the others only a pair's last may be asked for


def read(server, names, step="g"):
    """What is there; asked for until the storage program lives for as long as that takes."""
    until = time.monotonic() + LATE
    while True:
        answer = server.ask("/" + ";".join(f"{step}:{name}" for name in names))
        lines = [line.split() for line in answer.body.decode().splitlines()] if answer.status == 200 else []
        if lines and all(line[0] in ("0", "-2") for line in lines):
            return {name: int(line[1]) if line[0] == "0" else 0 for name, line in zip(names, lines)}
        check(time.monotonic() < until, "the store is not read", str(answer), server.log()[-500:])


def places_of(server):
    """Where its storage programs died."""
    return re.findall(r"dies (.*)", server.log().decode(errors="replace"))


class Trial:
    def __init__(self, durability, program):
        self.durability, self.program = durability, program
        self.writers = [Writer(i) for i in range(CLIENTS)]
        self.may_lose = durability == "async"
        self.looks = self.deaths = 0

    def wrong(self):
        return sum((writer.wrong for writer in self.writers), [])

    def server(self, folder, program):
        patience = "60s" if self.program == "crash-store" else "5s"  # the one that is lazy forgets some
        options = ("--workers", "2", "--queue", "256", "--deadline", patience, "--store-deadline", patience, "--durability", self.durability)
        return StoreServer(*options, store=folder, guest=GUEST, program=program, vms=CLIENTS)

    def start(self, folder):
        """It may die in its first start: then the engine says so and ends."""
        for _ in range(20):
            try:
                return self.server(folder, f"{HERE}/{self.program}")
            except Exception as error:
                failure = error
        raise failure

    def write(self, server, writer):
        client = server.client(LATE)
        try:
            for _ in range(ROUND):
                writer.one(client, self.may_lose)
        except Exception as error:
            writer.wrong.append(repr(error))
        client.close()

    def round(self, server):
        threads = [threading.Thread(target=self.write, args=(server, writer)) for writer in self.writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.look(server)

    def look(self, server):
        self.deaths = server.log().count(b"died")
        for writer in self.writers:
            writer.judge(read(server, [writer.name] + [name for key in range(KEYS) for name in writer.pair(key)]), self.may_lose)
        self.looks += 1
        if self.durability != "async":
            self.look_at_counter(server)

    def look_at_counter(self, server):
        """Each was told a sum of its own."""
        sums = sorted(sum((writer.sums for writer in self.writers), []))
        top, perhaps = read(server, ["all"], "r")["all"], sum(writer.perhaps for writer in self.writers)
        if len(set(sums)) != len(sums) or not len(sums) <= top <= len(sums) + perhaps or sums[-1:] > [top]:
            self.writers[0].wrong.append(f"the counter is {top}, {len(sums)} were told, {perhaps} may be done; twice: "
                                         f"{[a for a, b in zip(sums, sums[1:]) if a == b]}")

    def died_enough(self, server):
        within = [place for place in places_of(server) if place != OUTSIDE]
        return len(within) >= KILLS and (not LONG or set(WITHIN) <= set(within))

    def run(self, seconds):
        """For so long; on a busy machine for longer, until it died where it should."""
        began = time.monotonic()
        with store_folder() as folder:
            with self.start(folder) as server:
                while not self.wrong() and (time.monotonic() < began + seconds or
                                            not self.died_enough(server) and time.monotonic() < began + seconds + PATIENCE):
                    self.round(server)
                self.tell(server, time.monotonic() - began)
                enough = self.died_enough(server)
                server.stop()
                self.may_lose &= server.log().count(b"died") > self.deaths
            if not self.wrong():
                with self.server(folder, None) as server:  # the one that does not die finds the same: without a death nothing is lost
                    self.look(server)
                    server.stop()
                done = command([MAYFLY, "store", "check", folder], seconds=120 * SLOWER)
                same(done.status, 0, "mayfly store check", str(done))
        return enough

    def tell(self, server, took):
        places = collections.Counter(places_of(server))
        told = sum((writer.told for writer in self.writers), collections.Counter())
        print(f"      {self.durability}: {sum(writer.number for writer in self.writers)} transactions, {sum(places.values())} deaths "
              f"({', '.join(f'{place} {count}' for place, count in places.most_common())}), {self.looks} looks, "
              f"lost {sum(writer.lost for writer in self.writers)} ({took:.0f} s)")
        print(f"      told: {', '.join(f'{what} {count}' for what, count in told.most_common())}", flush=True)


@claim
def what_was_told_to_be_done_is_there_whatever_the_durability():
    print(f"      MAYFLY_TEST_SEED={SEED}")
    for durability in DURABILITIES:
        trial = Trial(durability, "crash-store")
        enough = trial.run(SECONDS / len(DURABILITIES))
        same(trial.wrong()[:10], [], durability)
        check(enough, f"{durability}: it hardly died within commits")


@claim
def a_program_that_tells_it_before_its_commit_is_found():
    for durability in DURABILITIES[:2]:
        trial = Trial(durability, "lazy-store")
        trial.run(PATIENCE)  # until it is
        check(any("there" in what for what in trial.wrong()), f"{durability}: nothing was found", *trial.wrong()[:3])


main()
