# SPDX-License-Identifier: MIT
"""Hostile clients, by the hundred, and honest ones beside them. A door is where they dial and what it says of bad requests."""
import os
import random
import socket
import threading
import time

from serving import SLOWER
from claims import LONG, check, fail, same

SEED = int(os.environ.get("MAYFLY_TEST_SEED", random.randrange(1 << 30)))
CLIENTS, TURNS = (300, 40) if LONG else (60, 5)
HONEST = 4
HALF_OPEN = 200 if LONG else 40  # connections that are held all the time, each with half a request
REFUSED = (400, 413, 414, 417, 431, 501, 505)

# A request of its own for whoever takes the one before it to end too early.
HIDDEN = b"GET /count?hidden HTTP/1.1\r\nHost: a\r\n\r\n"
GET, POST = b"GET /count HTTP/1.1\r\n", b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BAD = [GET + b"Host : a\r\n\r\n", GET + b"Host: a\r\n folded\r\n\r\n", GET + b"Host: a\r\nX: y\r\n\tfolded\r\n\r\n", GET + b" Host: a\r\n\r\n",
       GET + b"Host: a\r\nHost: b\r\n\r\n", GET + b"Host: a, b\r\n\r\n", GET + b"Host: a\r\nX\r\n\r\n", GET + b"Host: a\r\nX: \0\r\n\r\n",
       GET + b"Host: a\r\nX: a\rY: b\r\n\r\n", b"GET /count HTTP/1.1\nHost: a\n\n", b"GET  /count HTTP/1.1\r\nHost: a\r\n\r\n",
       b"GET /count HTTP/1.1 \r\nHost: a\r\n\r\n", b"GET /count HTTP/9.1\r\nHost: a\r\n\r\n", b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
       b"GET http://a/count HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
       b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET /" + b"a" * 20000, b"\0" * 100 + b"\r\n\r\n", GET + b"Host: a\r\nX: " + b"y" * 20000, GET + b"Host: a\r\n" + b"X: y\r\n" * 200 + b"\r\n"]
SMUGGLES = [POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", POST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN),
            POST + b"Content-Length: 0, %d\r\n\r\n" % len(HIDDEN), POST + b"Content-Length: +5\r\n\r\nhello", POST + b"Content-Length : 5\r\n\r\nhello",
            POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n", POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
            POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", POST + b"Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
            POST + b"X: y\r\n Content-Length: 5\r\n\r\nhello", POST + CHUNKED + b"\r\n1\nx\n0\n\n", POST + CHUNKED + b"\r\n1\r\nxy\r\n0\r\n\r\n",
            POST + CHUNKED + b"\r\n0x1\r\nx\r\n0\r\n\r\n", POST + CHUNKED + b"\r\n-1\r\nx\r\n0\r\n\r\n", POST + CHUNKED + b"\r\n1;a\nb\r\nx\r\n0\r\n\r\n",
            POST + CHUNKED + b"\r\n0\r\n folded: x\r\n\r\n", b"POST /echo HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n0\r\n\r\n"]


class Door:
    """`dial`: a new connection; `refused`: statuses of what is no request. The host of all requests is a."""

    def __init__(self, dial, refused=REFUSED):
        self.dial, self.refused = dial, refused

    def connect(self):
        sock = self.dial()
        sock.settimeout(100 * SLOWER)
        return sock


def send(sock, data):
    """As much as the other side takes: it may have refused what came before."""
    try:
        sock.sendall(data)
    except ConnectionError:
        pass


def all_of(sock):
    """What comes, to the end of the connection."""
    data = b""
    try:
        while more := sock.recv(1 << 18):
            data += more
    except ConnectionError:
        pass
    return data


def statuses(data):
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


def refused(door, dice):
    bad = dice.choice(BAD)
    with door.connect() as sock:
        send(sock, bad)
        got = statuses(all_of(sock))
        check(len(got) <= 1 and set(got) <= set(door.refused), f"{bad[:80]} got {got}")


def smuggled(door, dice):
    """Nobody finds a second request in it."""
    bad = dice.choice(SMUGGLES)
    with door.connect() as sock:
        send(sock, bad + HIDDEN)
        got = statuses(all_of(sock))
        check(len(got) <= 1 and set(got) <= set(door.refused), f"{bad[:120]} got {got}")


def half(door, dice):
    with door.connect() as sock:
        send(sock, (POST + b"Content-Length: 100\r\n\r\n" + b"x" * 50)[:dice.randrange(1, 140)])
        time.sleep(dice.random() * 0.05)


def resets(door, dice):
    """In the middle of a body, with a reset where the socket can."""
    with door.connect() as sock:
        send(sock, POST + dice.choice((CHUNKED + b"\r\n5\r\nhel", b"Content-Length: 50000\r\n\r\n" + b"x" * dice.randrange(50000))))
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        else:
            sock.shutdown(socket.SHUT_RDWR)


def drips(door, dice):
    """Byte by byte, and to the end."""
    with door.connect() as sock:
        for byte in POST + CHUNKED + b"Connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n":
            sock.sendall(bytes([byte]))
            if dice.random() < 0.05:
                time.sleep(dice.random() * 0.02)
        same(statuses(all_of(sock)), [200], "byte by byte")


def pipelines(door, dice):
    count = dice.randrange(1, 60)
    with door.connect() as sock:
        send(sock, (GET + b"Host: a\r\n\r\n") * count + GET + b"Host: a\r\nConnection: close\r\n\r\n")
        same(statuses(all_of(sock)), [200] * (count + 1), "pipelined requests, each answered")


def deaf(door, dice):
    """Asks for much and reads nothing."""
    with door.connect() as sock:
        send(sock, (b"GET /large?200000 HTTP/1.1\r\nHost: a\r\n\r\n") * 3)
        time.sleep(dice.random() * 0.1)


def noise(door, dice):
    with door.connect() as sock:
        send(sock, dice.randbytes(dice.randrange(1, 3000)) + b"\r\n\r\n")
        got = statuses(all_of(sock))
        check(len(got) <= 1 and set(got) <= set(door.refused), f"noise got {got}")


KINDS = (refused, smuggled, half, resets, drips, pipelines, deaf, noise)
HALVES = (b"GET /count HTTP/1.1\r\nHos", POST + b"Content-Length: 9\r\n\r\nx", b"G", POST + b"Content-Length: 900000\r\n\r\n" + b"x" * 30000,
          POST + CHUNKED + b"\r\n5\r\nhel", b"")


def crowd(door):
    """The hostile ones, each on a thread, until all had their turns; what they were told otherwise than they should."""
    errors = []

    def run(number):
        dice = random.Random(f"{SEED} {number}")
        for _ in range(TURNS):
            kind = dice.choice(KINDS)
            try:
                kind(door, dice)
            except Exception as error:  # told on the test's own thread
                errors.append(f"{kind.__name__}: {error!r}")
    return errors, [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]


def hostile_crowd_is_noticed_by_nobody(door, honest):
    """`honest`: (dial a client, the host that it asks): each of their answers has to be right, on connections that they keep and
    on new ones."""
    print(f"      MAYFLY_TEST_SEED={SEED}")
    held = [door.connect() for _ in range(HALF_OPEN)]
    for number, sock in enumerate(held):
        send(sock, HALVES[number % len(HALVES)])
    errors, threads = crowd(door)
    wrong, served = [], [0] * HONEST

    def ask(number):
        dial, host = honest[number % len(honest)]
        client = dial()
        while any(thread.is_alive() for thread in threads) or served[number] < 20:
            body = b"%d %d " % (number, served[number]) * (served[number] % 500 + 1)
            try:
                answer = client.ask("/echo", body, headers={"Host": host})
                if (answer.status, answer.body) != (200, body):
                    wrong.append(f"{answer}")
            except Exception as error:
                wrong.append(repr(error))
                client.close()
            if len(wrong) > 10:
                return
            served[number] += 1
            if served[number] % 10 == 0:
                client.close()  # the next request dials
        client.close()

    for thread in threads:
        thread.start()
    honest_threads = [threading.Thread(target=ask, args=(number,)) for number in range(HONEST)]
    for thread in honest_threads:
        thread.start()
    for thread in threads + honest_threads:
        thread.join()
    for sock in held:
        sock.close()
    print(f"      {CLIENTS} hostile clients, {CLIENTS * TURNS} times; {HALF_OPEN} half requests; {sum(served)} honest requests beside them")
    if wrong or errors:
        fail("not as it should be", "honest:", *wrong[:5], "hostile:", *errors[:10])
