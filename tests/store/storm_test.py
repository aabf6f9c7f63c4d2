#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Request VMs that send all kinds of messages as fast as the storage VM, which polls, takes them: a million, a hundred million in
the long form, in the rings, over connections to the store and in its file that is mapped into them. Meanwhile other requests' calls are answered, and answered right.
The seed is printed; MAYFLY_TEST_SEED repeats what is sent."""
import collections
import os
import random
import re
import threading
import time

from honest import beside, lives_on
from storing import LONG, StoreServer
from claims import check, claim, main

SEED = int(os.environ.get("MAYFLY_TEST_SEED") or random.randrange(1 << 32))
MESSAGES = int(os.environ.get("MESSAGES") or (100000000 if LONG else 1000000))
ATTACKERS = 2
PARTS = 20 if LONG else 4  # of a storm, in each of which every honest client has to get on
STARVED = 5000000  # so many messages more, and one has not: a matter of the better part of a minute
ENDS = {500: "told how many", 502: "ended by the engine", 504: "late"}


class Storm:
    """Requests for one target until so many of its messages were answered, and in each part of that calls of every honest client."""

    def __init__(self, server, target, messages):
        self.server, self.target, self.messages = server, target, messages
        self.seeds, self.lock = random.Random(f"{SEED} {target}"), threading.Lock()
        self.answered, self.parts, self.ends, self.wrong = 0, 0, collections.Counter(), []
        self.clients, self.made, self.begun_at = (), [], 0

    def one(self, client):
        with self.lock:
            seed = self.seeds.randrange(1 << 40)
        answer = client.ask(f"{self.target}?{seed}")
        told = re.fullmatch(rb"answered (\d+)", answer.body) if answer.status == 500 else None
        with self.lock:
            self.ends[ENDS.get(answer.status, answer.status)] += 1
            self.answered += int(told[1]) if told else 0
            if answer.status not in ENDS or (answer.status == 500 and not told):
                self.wrong.append(f"{self.target}?{seed}: {answer}")
            self.note_parts()

    def note_parts(self):
        due = self.begun_at + self.messages * (self.parts + 1) // PARTS
        got_on = all(client.calls > made for client, made in zip(self.clients, self.made))
        if self.answered >= due and got_on:
            self.parts, self.made = self.parts + 1, [client.calls for client in self.clients]
        elif self.answered > due + STARVED:
            self.wrong.append(f"an honest client made no call while {self.answered} messages were answered: {self.made}")

    def attack(self):
        client = self.server.client(120)
        while self.parts < PARTS and not self.wrong:
            try:
                self.one(client)
            except Exception as error:
                self.wrong.append(repr(error))
        client.close()

    def __call__(self, clients):
        self.parts, self.clients, self.made = 0, clients, [client.calls for client in clients]
        self.begun_at = self.answered
        threads = [threading.Thread(target=self.attack) for _ in range(ATTACKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def rages(target, messages, *options):
    print(f"      MAYFLY_TEST_SEED={SEED}")
    began = time.monotonic()
    with StoreServer("--audit", "--deadline", "60s", "--workers", "2", "--store-wait", "poll", *options, vms=6) as server:
        storm = Storm(server, target, messages)
        honest = beside(server, storm, 2)
        check(not storm.wrong, "requests that did not end as they may", *storm.wrong[:3], server.log()[-500:].decode(errors="replace"))
        lives_on(server)
        calls = int(re.search(rb"store: (\d+) calls", server.log())[1])
        took = time.monotonic() - began
        print(f"      {storm.answered} messages of {target} were answered ({took:.0f} s), in {sum(storm.ends.values())} requests "
              f"({', '.join(f'{name}: {count}' for name, count in storm.ends.items())}); beside them {honest} calls of honest ones, all right; "
              f"the store answered {calls} calls", flush=True)
    return storm, calls


@claim
def messages_of_all_kinds_in_the_rings_hurt_nobody():
    storm, calls = rages("/storm", MESSAGES * 8 // 10)
    check(calls >= storm.answered, "the store answered less than was counted")


@claim
def commands_of_all_kinds_over_connections_hurt_nobody():
    rages("/resp", MESSAGES // 10)


@claim
def reads_in_place_by_who_lies_about_all_of_it_hurt_nobody():
    rages("/place", MESSAGES // 10, "--store-evict", "--durability", "async")


main()
