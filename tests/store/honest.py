# SPDX-License-Identifier: MIT
"""Clients whose every answer must be right, beside whatever else happens to the server. Used by the tests of this folder."""
import random
import threading
import time

from storing import delete, get, put, results_of
from claims import EMULATED, check, matches, same

SERVED = 5 if EMULATED else 20  # requests of each beside an attack, at least


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
        print(f"      honest client {self.number}: {self.calls // 4} requests served, {self.late} late")
        check(self.is_served(), f"honest client {self.number}: {self.calls // 4} requests served, {self.late} late")
        return self.calls

    def is_served(self):
        """It gets on. How many of its requests are late beside attackers who compute until the same deadline is the machine's
        matter: on a busy one that is half of them."""
        return self.calls >= 4 * SERVED


def beside(server, attack, honest=2):
    """Runs attack(the clients) while honest clients call, until they were served; for longer on a busy machine. How many calls they
    made."""
    clients, until = [Honest(server, i) for i in range(honest)], time.monotonic() + 90
    try:
        attack(clients)
        while not all(client.is_served() or client.wrong for client in clients) and time.monotonic() < until:
            attack(clients)
    finally:
        for client in clients:
            client.stop.set()
    return sum(client.end() for client in clients)


def lives_on(server):
    same(server.codes(put(b"t", b"after", b"v"), get(b"t", b"after")), [0, 0], "a call afterwards", server.log()[-500:])
    same(server.log().count(b"storage program died"), 0, "deaths of the storage program", server.log()[-500:])
    same(server.stop(), 0, "exit status")
    log = server.log()
    if b"audits" in log:
        matches(r" 0 unclean", log)
