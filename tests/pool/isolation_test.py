#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Servers that know nothing of Mayfly, under a crowd: every request meets the program as it was frozen, whatever the others
do; no client is told a byte of another's."""
import os
import random
import re
import socket
import struct
import sys
import threading
import time

from serving import BUILD, EMULATED, LONG, SLOWER, Server, request, wait_until
from claims import check, claim, fail, main, matches, same

HERE = os.path.dirname(os.path.abspath(__file__))
GUEST = os.environ.get("MAYFLY_ISOLATION", os.path.join(BUILD, "tests/pool/isolation-guest"))
SEED = int(os.environ.get("MAYFLY_TEST_SEED", random.randrange(1 << 32)))
CLIENTS = 64
REQUESTS = 100000 if LONG else 1000  # of the C server
SCALED = 2000 if LONG else 100  # of each other one
DEADLINE = 3  # seconds
DEATHS = 11  # ways to crash that the guest knows


def nonce_of(dice):
    return b"nonce-%032x" % dice.randrange(1 << 128)


class Cut(Exception):
    """The connection ended before the answer did."""


class Connection:
    """Asks; no answer may have a nonce that is not of this connection."""

    def __init__(self, crowd, dice):
        self.own, self.dice, self.have = set(), dice, b""
        self.sock = socket.create_connection(("127.0.0.1", crowd.port), 100 * SLOWER)

    def send(self, data):
        """In pieces, cut at random."""
        cuts = sorted(self.dice.randrange(len(data)) for _ in range(self.dice.choice((0, 0, 1, 2, 5))))
        try:
            for start, end in zip([0, *cuts], [*cuts, len(data)]):
                self.sock.sendall(data[start:end])
        except OSError as error:
            raise Cut from error

    def receive(self):
        try:
            more = self.sock.recv(1 << 18)
        except ConnectionError as error:
            raise Cut from error
        self.have += more
        found = set(re.findall(rb"nonce-[0-9a-f]{32}", self.have))
        check(found <= self.own, "a client was told another's nonce", self.have[-2000:], *(found - self.own))
        if not more:
            raise Cut

    def answer(self):
        """(status, head, body)"""
        while b"\r\n\r\n" not in self.have:
            self.receive()
        head, rest = self.have.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
        while len(rest) < length:
            self.receive()
            rest = self.have.split(b"\r\n\r\n", 1)[1]
        self.have = rest[length:]
        return int(head.split()[1]), head, rest[:length]

    def close(self, abruptly=False):
        if abruptly:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Request:
    """Its bytes, and what an answer to it has to be."""

    def __init__(self, nonce, target, wanted=None, body=None, statuses=(200,)):
        self.nonce, self.wanted, self.statuses, self.began = nonce, wanted, statuses, 0
        self.bytes = request(f"{target.decode()}?{nonce.decode()}", body)

    def judge(self, status, head, body):
        """None when it is as it should be."""
        if status == 504 and time.monotonic() - self.began >= DEADLINE:
            return None  # a machine so busy that it was late: not what is tested here
        if status not in self.statuses:
            return f"status {status}, one of {self.statuses} was expected: {head} {body[:100]}"
        if status != 200:
            return f"an error with a nonce: {body[:200]}" if b"nonce-" in head + body else None
        if self.wanted is not None and body != self.wanted:
            return f"{len(body)} bytes {body[:200]}, {len(self.wanted)} bytes {self.wanted[:200]} were expected"
        return None if b"X-Nonce: " + self.nonce in head else f"another nonce: {head}"


class Crowd:
    """Clients that ask a server all the time, until so many requests are done; what was wrong is in .wrong."""

    def __init__(self, server, requests, counters, hostile=True, clients=CLIENTS):
        self.port = server.port()
        self.counters, self.hostile = counters, hostile
        self.left, self.wrong, self.done, self.lock = requests, [], {}, threading.Lock()
        threads = [threading.Thread(target=self.client, args=(random.Random(f"{SEED} {i}"),)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"      {sum(self.done.values())} requests: " + ", ".join(f"{count} {what}" for what, count in sorted(self.done.items())))

    def note(self, what, count=1):
        with self.lock:
            self.left -= count
            self.done[what] = self.done.get(what, 0) + count

    def client(self, dice):
        kinds = [self.kept, self.pipelined, self.single] + ([self.dies, self.leaves] if self.hostile else [])
        while self.left > 0 and len(self.wrong) < 10:
            connection = None
            try:
                connection = Connection(self, dice)
                dice.choice(kinds)(connection, dice)
            except Exception as error:  # told by the claim, on its own thread
                self.wrong.append(repr(error))
            finally:
                if connection:
                    connection.close(dice.random() < 0.3)

    def request(self, connection, dice):
        nonce = nonce_of(dice)
        connection.own.add(nonce)
        kind = dice.random()
        if kind < 0.1 and self.hostile:
            body = nonce * dice.randrange(1, 1500)
            return Request(nonce, b"/echo", body, body)
        if kind < 0.15 and self.hostile:
            return Request(nonce, b"/large", nonce * ((96 << 10) // len(nonce)))
        return Request(nonce, b"/count", self.counters + b" " + nonce)

    def check(self, request, answer):
        why = request.judge(*answer)
        if why:
            self.wrong.append(f"{request.bytes[:100]}: {why}")
        self.note("late" if answer[0] == 504 else "answered")

    def one(self, connection, request):
        request.began = time.monotonic()
        connection.send(request.bytes)
        self.check(request, connection.answer())

    def kept(self, connection, dice):
        for _ in range(dice.randrange(1, 12)):
            self.one(connection, self.request(connection, dice))

    def single(self, connection, dice):
        self.one(connection, self.request(connection, dice))

    def pipelined(self, connection, dice):
        requests = [self.request(connection, dice) for _ in range(dice.randrange(2, 9))]
        began = time.monotonic()
        connection.send(b"".join(request.bytes for request in requests))
        for request in requests:
            request.began = began
            self.check(request, connection.answer())

    def dies(self, connection, dice):
        """Among requests that are well: one whose program crashes, scribbles over its memory, or computes for ever."""
        before, after = self.request(connection, dice), self.request(connection, dice)
        nonce = nonce_of(dice)
        connection.own.add(nonce)
        how = dice.randrange(DEATHS)
        scribbles = how == DEATHS - 1
        if dice.random() < 0.3:
            bad = Request(nonce, b"/after/%d" % how, statuses=(200, 502))
        elif dice.random() < 0.01:
            bad = Request(nonce, b"/spin", statuses=(504,))
        else:
            bad = Request(nonce, b"/crash/%d" % how, statuses=(200, 502, 504) if scribbles else (502,))
        requests = (before, bad, after)
        before.began = bad.began = after.began = time.monotonic()
        try:
            connection.send(b"".join(request.bytes for request in requests))
            for request in requests:
                status, head, body = connection.answer()
                if request is bad and scribbles and status == 200:
                    self.note("scribbled")  # its own bytes, whatever they are
                elif request is bad:
                    why = request.judge(status, head, body)
                    if why:
                        self.wrong.append(f"{request.bytes[:100]}: {why}")
                    self.note("died")
                else:
                    self.check(request, (status, head, body))
                if request is after or b"onnection: close" in head:
                    break
        except Cut:
            check(scribbles, f"cut off at {bad.bytes[:40]}")
            self.note("cut")

    def leaves(self, connection, dice):
        """A client that goes: in the middle of its request, of a body, of an answer, or while the program computes."""
        kind = dice.randrange(5)
        request = self.request(connection, dice)
        if kind == 0:
            data = request.bytes[:dice.randrange(1, len(request.bytes))]
        elif kind == 1:
            data = Request(request.nonce, b"/echo", body=request.nonce * 1000).bytes
            data = data[:dice.randrange(200, len(data))]
        elif kind == 2:
            data = Request(request.nonce, b"/large").bytes * 3
        elif kind == 3:
            data = request.bytes + Request(request.nonce, b"/spin").bytes
        else:
            data = Request(request.nonce, b"/crash/%d" % dice.randrange(DEATHS)).bytes + request.bytes
        try:
            connection.send(data)
            if kind > 1 and dice.random() < 0.5:
                connection.receive()
        except Cut:
            pass
        self.note("left")


def serves_a_crowd(requests, counters, guest, args=(), options=(), clients=CLIENTS, **more):
    print(f"      MAYFLY_TEST_SEED={SEED}")
    with Server("--listen", "127.0.0.1:0", "--queue", "2000", *options, guest=guest, args=args, **more) as server:
        crowd = Crowd(server, requests, counters, clients=clients)
        if crowd.wrong:
            fail(f"{len(crowd.wrong)} things were wrong", *crowd.wrong[:10], server.log()[-1500:])
        crowd = Crowd(server, 32, counters, hostile=False, clients=4)
        same(crowd.wrong, [], "afterwards")
        same(server.stop(), 0, "exit status")
        return server.log()


@claim
def every_request_of_a_crowd_meets_the_program_as_it_was():
    log = serves_a_crowd(REQUESTS, b"1 1 1 1 1 1 1 1 1 1", GUEST, vms=8, options=("--deadline", f"{DEADLINE}s", "--audit"))
    matches(r"[1-9]\d* audits, 0 unclean", log)


def counting(program, name, *args):
    """A server in another language, before a smaller crowd."""
    options = ("--allow-read", "--memory", "1G", "--request-memory", "256M", "--deadline", f"{DEADLINE}s", "--warmup", "GET:/echo?x*3")
    serves_a_crowd(SCALED, b"1 1 1 1 1 1", program, (os.path.join(HERE, "../programs/servers", name), *args), options, clients=16, vms=4)


@claim
def so_does_every_request_of_a_crowd_of_pythons():
    counting("/usr/bin/python3", "counting.py", "http.server")
    counting("/usr/bin/python3", "counting.py", "streams")


@claim
def so_does_every_request_of_a_crowd_of_nodes():
    counting("/usr/bin/node", "counting.js")


HIDDEN = 1 << 31  # of the guest's places: bytes behind the answer
PLACES = ("data", "heap", "stack", "maps", "environment", "files", "queues", "epolls", "threads", "timers", "signals", "names",
          "limits", "fast area", "connections")
ANSWER, CRASH, EXIT, SPIN, TRIPLE = range(5)


def order(secret, places=0, end=ANSWER):
    return secret + struct.pack("<II", places, end)


def complement(secret):
    return bytes(255 - byte for byte in secret) + bytes(8)


def one_vm():
    return Server("--audit", "--workers", "1", "--deadline", "60s", guest=GUEST, vms=1)


def found(server, kind, body):
    """(how often, what Linux keeps of the program)"""
    answer = server.ask(f"/{kind}?x", body)
    same(answer.status, 200, kind, server.log()[-1000:])
    count, _, rest = answer.body.decode().partition(" ")
    return int(count), rest


@claim
def what_is_hidden_is_found_before_the_reset():
    """Each place by itself, within the request: or the next claim says nothing."""
    dice = random.Random(SEED)
    with one_vm() as server:
        count, kept = found(server, "both", order(dice.randbytes(16)))
        for number, place in enumerate(PLACES):
            more, other = found(server, "both", order(dice.randbytes(16), 1 << number))
            check(more > count or other != kept, f"{place} is not found: {more} times, {count} before", kept)
            same(found(server, "find", complement(dice.randbytes(16)))[0], 0, "what nobody hid")


def hide(server, dice, secret):
    places, end = dice.choice((dice.randrange(1 << len(PLACES)), (1 << len(PLACES)) - 1)), dice.choice((ANSWER, ANSWER, CRASH, EXIT, SPIN, TRIPLE))
    if dice.random() < 0.3:
        places |= HIDDEN
    body = order(secret, places, end)
    if dice.random() < 0.3:
        body += secret * dice.randrange(1, 6000)  # which nobody reads
    what = f"places {places:#x}, end {end}, {len(body)} bytes"
    client = server.client(100)
    try:
        client.request("POST", "/hide?x", body)
        if end == SPIN:
            time.sleep(dice.random() * 0.01)
            return what
        answer = client.getresponse()
        text = answer.read()
        check(secret not in text, f"{what}: the secret behind an answer")
        if not places & HIDDEN:
            same((answer.status, text if end == ANSWER else None), (200, b"hidden") if end == ANSWER else (502, None), what, server.log()[-1000:])
        return what
    finally:
        client.close()


@claim(emulated=True)
def no_secret_of_a_request_is_in_reach_of_the_next():
    print(f"      MAYFLY_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    with one_vm() as server:
        usual = found(server, "find", complement(dice.randbytes(16)))
        for turn in range(3000 if LONG else 5 if EMULATED else 60):
            secret = dice.randbytes(16)
            what = hide(server, dice, secret)
            same(found(server, "find", complement(secret)), usual, f"turn {turn}: what the request after this one finds: {what}")
        same(server.stop(), 0, "exit status")
        matches(r"[1-9]\d* audits, 0 unclean", server.log())
        check(b"(null)" not in server.log(), "a reason that is none", server.log()[-500:])


if __name__ == "__main__":
    main()
