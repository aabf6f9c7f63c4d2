#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Clients that exist already, in request VMs: they reach the store where they expect a Redis server, and nothing else has to be set."""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from storing import BUILD, LONG, StoreServer, wait_until
from claims import check, claim, fail, main, rounds, same
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "redis"))
from resp import Commands, Resp, alike, command  # noqa: E402

CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "redis/clients")
PYTHON = "/usr/bin/python3"
HIREDIS = os.path.join(BUILD, "tests/store/hiredis-guest")
SEED = int(os.environ.get("MAYFLY_TEST_SEED") or random.randrange(1 << 32))
BATCHES, BATCH = (400, 250) if LONG else (4, 250)
MESSAGES = 20000 if LONG else 60


def serving(name, *options, program=PYTHON, **more):
    """A server of one of the clients."""
    return StoreServer("--allow-read=/usr", "--allow-read=/etc", f"--allow-read={CLIENTS}", *options, guest=program,
                       args=[os.path.join(CLIENTS, name)], **more)


def ask(server, target, body=None):
    answer = server.ask(target, body)
    if answer.status != 200:
        fail(f"{target}: {answer}", server.log())
    return answer.body


def nothing_died(server):
    """The storage VM has served all of it with the same program."""
    server.process.terminate()
    server.process.wait(timeout=60)
    told = re.search(rb"(\d+) restarts, (\d+) calls lost", server.log())
    same(told and told.groups(), (b"0", b"0"), "restarts and lost calls", server.log())


PYTHON_SAYS = [
    True, True, ["hello", True], [None, "hello", "\x00\xff"], [[1, 2, 3], -2, 0.1], [True, ["1", "2", None]],
    [2, {"x": "1", "y": "two"}, 42, ["42", None]], [True, 2, "two", None], [True, "20"], [21], True, [["x", "42"], ["y", "two"]],
    [2, 0, True, "hash", 30], "locked", "WRONGTYPE Operation against a key holding the wrong kind of value",
    "unknown command 'NOSUCH', with args beginning with: 'thing' "]


@claim
def redis_py_works_unchanged():
    """Strings, numbers, hashes, pipelines, transactions with WATCH, iterators, a lock, errors; over TCP and a Unix socket."""
    with serving("client.py", vms=2) as server:
        same(json.loads(ask(server, "/suite")), PYTHON_SAYS)
        same(json.loads(ask(server, "/tcp/GET/greeting")), "\x00\xff", "the next request, in a fresh VM")
        same(json.loads(ask(server, "/unix/HGET/h/x")), "42", "over the Unix socket")
        same(json.loads(ask(server, "/name/PING")), True)
        same(json.loads(ask(server, "/big")), 5120000, "a value of 5 MB there and back")
        nothing_died(server)


NODE_SAYS = ["PONG", "OK", 42, "42", None, ["OK", "x", 1, 0], 2, {"x": "1", "y": "2"}, ["OK", 2, "2"], ["h", "m", "n"],
             "WRONGTYPE Operation against a key holding the wrong kind of value"]


@claim
def node_redis_keeps_the_connection_that_it_opened_before_it_listened():
    """It awaits its handshake while the image is built; each request's fresh VM goes on with that connection."""
    node = shutil.which("node")
    with serving("client.js", "--env", "NODE_PATH=/usr/share/nodejs", f"--allow-read={os.path.dirname(os.path.realpath(node))}",
                 program=node, vms=2) as server:
        same(json.loads(ask(server, "/suite")), NODE_SAYS)
        for i in range(3):
            same(json.loads(ask(server, "/INCR/n")), 43 + i, "in a VM of its own")
        nothing_died(server)


@claim
def hiredis_works_unchanged():
    """Commands one by one, and 10,000 in a pipeline."""
    with StoreServer(guest=HIREDIS, vms=2) as server:
        said = ask(server, "/", b"SET key value\nGET key\nHSET h a 1\nHGETALL h\nGET none\nNOPE\npipeline 10000\n\n")
        same(said.decode().splitlines(), ["OK", "value", "1", "[a 1 ]", "nil",
                                          "ERR unknown command 'NOPE', with args beginning with: ", "10000"])
        nothing_died(server)


@claim
def a_programs_own_listener_at_the_port_comes_first():
    with serving("own.py", "--guest-listen", "8000", vms=1) as server:
        same(ask(server, "/"), b"mine\n")


def exits_of(path):
    """User exits of a server's request VMs with three such requests, as it says at its end."""
    with serving("raw.py", "--store-wait", "hand-off", "--workers", "1", vms=1) as server:
        for _ in range(3):
            ask(server, path)
        server.process.terminate()
        server.process.wait(timeout=60)
        return int(re.search(rb"(\d+) user exits\n", server.log())[1])


@claim
def a_get_costs_one_exit_of_the_request_vm():
    """What is sent waits in the VM until the program wants the reply: the exit that asks for it brings both."""
    each = (exits_of("/gets/220") - exits_of("/gets/20")) / 600
    print(f"user exits of the request VM for a GET: {each}")
    check(0.9 <= each <= 1.05, f"{each} exits")


def replies(said):
    """Each reply in what a connection said."""
    reader = Resp.__new__(Resp)
    reader.buffer, found = said, []
    reader.more = lambda: fail(f"a reply is cut: {reader.buffer[-100:]!r}")
    while reader.buffer:
        found.append(reader.reply())
    return found


def listens(path):
    """Its file is there before somebody listens."""
    try:
        Resp(path).close()
    except OSError:
        return False
    return True


@claim
def random_commands_get_the_replies_of_a_real_server():
    """Through the channel and over transactions of the store; a batch a request, each in a fresh VM."""
    print(f"      MAYFLY_TEST_SEED={SEED}")
    commands = Commands(random.Random(SEED))
    with tempfile.TemporaryDirectory(prefix="mayfly-redis-") as folder, serving("raw.py", vms=2) as server:
        path = f"{folder}/real"
        real = subprocess.Popen(["redis-server", "--port", "0", "--save", "", "--databases", "1", "--dir", folder, "--unixsocket", path],
                                stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: listens(path), "redis-server to start")
            for _ in rounds(BATCHES, 900):
                batch = [commands.next() for _ in range(BATCH)]
                theirs = Resp(path)
                expected = [theirs.ask(*args) for args in batch]
                theirs.close()
                got = replies(ask(server, "/", b"".join(command(*args) for args in batch)))
                same(len(got), len(batch), "replies", f"MAYFLY_TEST_SEED={SEED}")
                for args, one, other in zip(batch, expected, got):
                    check(alike(args, one, other), f"{str(args)[:300]}: {str(other)[:300]}; redis-server says {str(one)[:300]} "
                          f"(MAYFLY_TEST_SEED={SEED})")
        finally:
            real.kill()
            real.wait()
        nothing_died(server)


def changed(dice, message):
    """Some bytes are others, gone, or there twice."""
    data = bytearray(message)
    for _ in range(dice.randrange(6)):
        at, span = dice.randrange(len(data) + 1), dice.randrange(1, 9)
        what = dice.random()
        if what < 0.4:
            data[at:at + 1] = bytes([dice.choice(b"\r\n*$-0123456789\x00\xff\"' ")])
        elif what < 0.7:
            del data[at:at + span]
        else:
            data[at:at] = data[at:at + span]
    return bytes(data)


@claim
def what_is_no_protocol_harms_nobody():
    """Messages changed at random, lengths without end, half commands, floods of connections: the others are served as before."""
    print(f"      MAYFLY_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    commands = Commands(dice)
    with serving("raw.py", vms=3) as server:
        same(ask(server, "/", command("SET", "good", "thing")), b"+OK\r\n")
        for i in rounds(MESSAGES, 900):
            message = b"".join(command(*commands.next()) for _ in range(dice.randrange(1, 5)) if True)
            ask(server, "/", changed(dice, message) or b"\r\n")
        for evil in (b"*1048576\r\n" + b"$1\r\na\r\n" * 3000, b"$" * 70000, b"*" + b"9" * 70000, b"*-5\r\n*-5\r\nPING\r\n",
                     b"*2\r\n$3\r\nGET\r\n$67108864\r\nshort", b"*1\r\n$67108865\r\n", b"(" * 100000, b"*1\r\n*1\r\n*1\r\n" * 10000,
                     b"MULTI\r\n" + b"SET a 1\r\n" * 20000, b"\x00" * 65536):
            ask(server, "/", evil)
        opened = int(ask(server, "/flood"))
        check(30 <= opened <= 64, f"{opened} connections")
        same(ask(server, "/", command("PING")), b"+PONG\r\n", "behind the flood")
        nothing_died(server)


@claim
def large_answers_and_pipelines_flow_both_ways():
    """Neither side holds more than there is room for: 300 KB of commands, 6 MB of answers."""
    with serving("raw.py", vms=1) as server:
        value = b"v" * 100000
        sent = command("SET", "v", value) + command("GET", "v") * 60 + b"PING\r\n" * 50000
        said = ask(server, "/", sent)
        one = b"$100000\r\n" + value + b"\r\n"
        check(said == b"+OK\r\n" + one * 60 + b"+PONG\r\n" * 50000, f"{len(said)} bytes came back")
        nothing_died(server)


if __name__ == "__main__":
    main()
