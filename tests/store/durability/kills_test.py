#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Kills under load: the storage program dies at random points of its work, the engine by SIGKILL, and afterwards all
that was acknowledged is there, nothing is torn, and nobody got a wrong answer. Killed processes lose no page cache:
what a crash of the machine may lose is the replay test's matter."""
import collections
import http.client
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "pool"))
from serving import BUILD, LONG, MAYFLY, SLOWER, Client  # noqa: E402
from claims import check, claim, fail, long_seconds, main, same  # noqa: E402

SEED = os.environ.get("MAYFLY_TEST_SEED") or str(random.randrange(1 << 32))
WRITES, KILLS, SECONDS = (100000, 5000, long_seconds(1500)) if LONG else (5000, 100, 60)
ENOUGH = min(KILLS // 10, int(SECONDS * 2))  # where it has to die at random points
CLIENTS = 8
KEYS = 12  # of each client, and as many counters
HERE = f"{BUILD}/tests/store/durability"
BYTES = 256 << 20


def form_value(dice, key, sequence):
    size = dice.choice((10, 100, 100, 1000, 6000, 50000 if dice.random() < 0.2 else 300))
    body = f"{key}:{sequence}:" + "abcdefghij" * (dice.randrange(size) // 10)
    return f"{body}:{zlib.crc32(body.encode()):08x}"


def is_whole(key, value):
    body, _, crc = value.rpartition(":")
    return value.startswith(key + ":") and crc == f"{zlib.crc32(body.encode()):08x}"


class Record:
    """What a key may hold: what was acknowledged or seen last, or what was tried since and not answered."""

    def __init__(self):
        self.sure, self.tried, self.acknowledged = None, [], 0

    def acknowledge(self, value):
        self.sure, self.tried = value, []

    def allows(self, found):
        return found == self.sure or found in self.tried


class Counter(Record):
    """The same of a number to which 1 is added: each try that was not answered counts or does not."""

    def allows(self, found):
        low = int(self.sure or 0)
        return found is None and not low or found is not None and low <= int(found) <= low + len(self.tried)


class Engine:
    """mayfly serve over a store whose program kills itself; it is killed and started again."""

    def __init__(self, folder, program):
        self.folder, self.path, self.store = folder, f"{folder}/socket", f"{folder}/store"
        self.program = f"{HERE}/{program}"
        self.up, self.over, self.process = threading.Event(), False, None
        self.log = open(f"{folder}/log", "ab")
        self.failed_starts = 0

    def start(self):
        """Again when the storage program died in its first start: then the engine says so and ends."""
        for _ in range(20):
            self.process = subprocess.Popen(
                [MAYFLY, "serve", "--listen", f"unix:{self.path}", "--vms", str(CLIENTS), "--store", self.store,
                 "--store-program", self.program, "--store-size", str(BYTES), "--", f"{BUILD}/examples/cache"],
                stdin=subprocess.DEVNULL, stderr=self.log)
            if self.wait_ready():
                self.up.set()
                return
            self.failed_starts += 1
        fail("the server does not start", self.said()[-2000:])

    def wait_ready(self):
        until = time.monotonic() + 20 * SLOWER
        while self.process.poll() is None:
            client = Client(self.path, 5)
            try:
                client.ask("/values/none")  # answered when the storage program has started
                return True
            except (OSError, http.client.HTTPException):
                check(time.monotonic() < until, "the server does not listen", self.said()[-2000:])
                time.sleep(0.005)
            finally:
                client.close()
        check(self.process.returncode == 125, f"the server ended with {self.process.returncode}", self.said()[-2000:])
        return False

    def kill(self):
        self.up.clear()
        self.process.kill()
        self.process.wait()

    def said(self):
        with open(f"{self.folder}/log", "rb") as file:
            return file.read().decode(errors="replace")


class Writer(threading.Thread):
    """A client with keys of its own, so that it knows what each may hold."""

    def __init__(self, engine, number):
        super().__init__()
        self.engine, self.dice = engine, random.Random(f"{SEED} {number}")
        self.client = Client(engine.path, 30)
        self.records = {("values", f"v{number}.{i}"): Record() for i in range(KEYS)}
        self.records |= {("counts", f"c{number}.{i}"): Counter() for i in range(KEYS)}
        self.sequence = self.writes = 0
        self.outcomes, self.wrong = collections.Counter(), []
        self.resting = threading.Event()

    def ask(self, method, where, body=None):
        """The answer; None when there was none, False when the request was not even sent."""
        while not self.client.sock:
            self.resting.set()
            self.engine.up.wait()
            self.resting.clear()
            if self.engine.over:
                return False
            try:
                self.client.connect()
            except OSError:
                time.sleep(0.01)
        try:
            return self.client.ask("/" + "/".join(where), body, method=method)
        except (OSError, http.client.HTTPException) as error:
            self.client.close()
            self.outcomes[f"no answer ({type(error).__name__})"] += 1
            return None

    def one(self):
        where = self.dice.choice(list(self.records))
        record, kind = self.records[where], self.dice.random()
        method = "GET" if kind < 0.15 else "POST" if where[0] == "counts" else "DELETE" if kind < 0.25 else "PUT"
        self.sequence += 1
        value = {"PUT": form_value(self.dice, where[1], self.sequence), "POST": "1"}.get(method)
        answer = self.ask(method, where, value)
        if answer is False:
            return
        if answer is None or answer.status == 503:
            if answer:
                said = answer.body.decode(errors="replace").strip()
                self.outcomes[f"503 {said}"] += 1
                if said.startswith("The server is busy"):  # the machine, then: nobody has begun with it
                    return
                if said != "Connection reset by peer" and answer.error != "commit":
                    self.wrong.append(f"{method} {where}: {answer}")
            if method != "GET":
                record.tried.append(value)
            return
        self.outcomes[f"{method} {answer.status}"] += 1
        self.writes += method != "GET"
        self.judge(method, where, record, value, answer)

    def judge(self, method, where, record, value, answer):
        told = answer.body.decode(errors="replace").strip() if answer.status == 200 else None
        if method == "GET" and told is not None and where[0] == "counts":
            told = str(int.from_bytes(answer.body, "little"))  # a number is kept as 8 bytes
        good = answer.status in {"GET": (200, 404), "PUT": (204,), "DELETE": (204, 404), "POST": (200,)}[method]
        if method == "GET" or method == "DELETE" and answer.status == 404:
            good = good and record.allows(told)
        elif method == "POST":
            record.tried.append(value)
            good = good and record.allows(told) and int(told) > int(record.sure or 0)
        if not good:
            self.wrong.append(f"{method} {where}: {answer}; acknowledged {str(record.sure)[:60]}, tried {len(record.tried)}")
        record.acknowledge(value if method == "PUT" else told)

    def run(self):
        while not self.engine.over:
            try:
                self.one()
            except Exception as error:
                self.wrong.append(repr(error))
                return
        self.resting.set()


class Kills:
    def __init__(self, folder, program, seconds, places):
        self.engine, self.seconds, self.places = Engine(folder, program), seconds, places
        self.writers = [Writer(self.engine, i) for i in range(CLIENTS)]
        self.dice = random.Random(SEED)
        self.engine_kills = self.checks = self.found = self.unanswered_found = 0
        self.lost = []

    def deaths(self):
        return self.engine.said().count("the storage program died")

    def read_store(self):
        done = subprocess.run([f"{HERE}/kills-reader", f"{self.engine.store}/data.mdb", str(BYTES)], capture_output=True,
                              timeout=60 * SLOWER)
        same(done.returncode, 0, "reading the store", done.stderr)
        found = {}
        for line in done.stdout.split(b"\n")[:-1]:
            table, key, value = line.split(b" ", 2)
            found[table.decode(), key.decode()] = value
        return found

    def check_store(self):
        """Every page and record, by the command."""
        done = subprocess.run([MAYFLY, "store", "check", self.engine.store], capture_output=True, timeout=120 * SLOWER)
        if done.returncode:
            self.lost.append(f"mayfly store check: {done.returncode}: {(done.stdout + done.stderr).decode(errors='replace')[:500]}")

    def compare(self):
        """The file against what the clients know; every client rests and the engine is dead."""
        self.check_store()
        found, self.checks = self.read_store(), self.checks + 1
        for writer in self.writers:
            for where, record in writer.records.items():
                value = found.pop(where, None)
                if value is not None:
                    value = value.decode(errors="replace")
                    if where[0] == "values" and not is_whole(where[1], value):
                        self.lost.append(f"{where}: torn: {value[:80]}")
                if not record.allows(value):
                    self.lost.append(f"{where}: acknowledged {str(record.sure)[:60]}, tried {len(record.tried)}, found "
                                     f"{str(value)[:60]}")
                else:
                    self.found += 1
                    self.unanswered_found += value != record.sure
                record.acknowledge(value)
        self.lost += [f"{where}: nobody wrote it" for where in found]

    def kill_engine(self):
        self.engine.kill()
        self.engine_kills += 1
        for writer in self.writers:
            check(writer.resting.wait(40 * SLOWER), "a client still waits for an answer", *writer.wrong)
        self.compare()

    def go_on(self, until):
        """For so long; on a busy machine for up to three times as long, until it has died everywhere that was asked for."""
        writes, kills = sum(w.writes for w in self.writers), self.engine_kills + self.deaths()
        more = until if LONG or self.died_enough() else until + 2 * self.seconds
        return (writes < WRITES or kills < KILLS) and time.monotonic() < more and not self.lost and \
            not any(w.wrong for w in self.writers)

    def died_enough(self):
        said = self.engine.said()
        return not self.places or (all(f"dies {place}" in said for place in self.places) and said.count("dies ") >= ENOUGH
                                   and self.engine_kills >= 3)

    def run(self):
        until = time.monotonic() + self.seconds
        self.engine.start()
        for writer in self.writers:
            writer.start()
        while self.go_on(until):
            time.sleep(self.dice.random() * 1.2)
            self.kill_engine()
            self.engine.start()
        self.engine.over = True
        self.kill_engine()
        self.engine.up.set()
        for writer in self.writers:
            writer.join()
        self.engine.log.close()


def tell(kills, took):
    said, outcomes = kills.engine.said(), sum((w.outcomes for w in kills.writers), collections.Counter())
    places = collections.Counter(re.findall(r"dies (.*)", said))
    print(f"      MAYFLY_TEST_SEED={SEED}")
    print(f"      {sum(w.writes for w in kills.writers)} writes acknowledged, {kills.deaths()} kills of the storage program,"
          f" {kills.engine_kills} of the engine, {kills.engine.failed_starts + said.count('does not start again')} of them "
          f"in a start ({took:.0f} s)")
    print("      it died " + ", ".join(f"{place} {count}" for place, count in places.most_common()))
    print("      answers: " + ", ".join(f"{what} {count}" for what, count in sorted(outcomes.items())))
    print(f"      {kills.checks} looks into the file: {kills.found} records as acknowledged, {kills.unanswered_found} of "
          f"them by a write that was not answered; lost or torn: {len(kills.lost)}", flush=True)
    return places


def run_kills(program, seconds, places=()):
    """The kills, records lost or torn, and wrong answers. places: where it has to die."""
    with tempfile.TemporaryDirectory(prefix="mayfly-kills-") as folder:
        kills, began = Kills(folder, program, seconds, places), time.monotonic()
        try:
            kills.run()
        finally:
            kills.engine.over = True
            kills.engine.up.set()
            if kills.engine.process.poll() is None:
                kills.engine.process.kill()
        return kills, tell(kills, time.monotonic() - began), sum((writer.wrong for writer in kills.writers), [])


@claim
def what_was_acknowledged_outlives_every_kill():
    wanted = ("before a commit", "within a write", "after a write", "before a sync", "after a commit")
    kills, places, wrong = run_kills("crash-store", SECONDS * 0.8, wanted)
    same(len(kills.lost), 0, "records lost or torn", *kills.lost[:10])
    same(len(wrong), 0, "wrong answers", *wrong[:10])
    check(sum(places.values()) >= ENOUGH and kills.engine_kills >= 3, "there were hardly any kills")
    for place in wanted:
        check(places[place], f"it never died {place}")


@claim
def a_store_that_answers_before_its_commit_is_found():
    kills, _, wrong = run_kills("lazy-store", 20)
    check(kills.lost or wrong, "nothing was found")


main()
