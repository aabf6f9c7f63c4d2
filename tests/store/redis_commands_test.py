#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The store's Redis commands beside a real redis-server: the same random commands to both, the same replies."""
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time

from storing import BUILD, LONG
from claims import check, claim, fail, main, rounds, same
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "redis"))
from resp import Commands, Resp, alike  # noqa: E402

NATIVE = os.path.join(BUILD, "tests/store/redis-native")
ROUNDS = 400000 if LONG else 6000
SEED = int(os.environ.get("MAYFLY_TEST_SEED") or random.randrange(1 << 32))


@contextlib.contextmanager
def started(*args):
    """A server at the Unix socket that its arguments name last."""
    path = args[-1]
    with subprocess.Popen(args, stdout=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    Resp(path).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > end:
                        fail(f"{args[0]} does not start")
                    time.sleep(0.02)
            yield path
        finally:
            process.kill()


@contextlib.contextmanager
def both():
    """Addresses of the real server and of ours."""
    with tempfile.TemporaryDirectory(prefix="mayfly-redis-") as folder:
        real = ("redis-server", "--port", "0", "--save", "", "--databases", "1", "--dir", folder, "--unixsocket", f"{folder}/real")
        with started(*real) as theirs, started(NATIVE, f"{folder}/own") as ours:
            yield theirs, ours


def shorten(what):
    text = repr(what)
    return text if len(text) < 1500 else text[:1000] + "..." + text[-400:]


def compare(theirs, ours, args, seed):
    expected, got = theirs.ask(*args), ours.ask(*args)
    if not alike(args, expected, got):
        fail(f"{shorten(args)}: {shorten(got)}; redis-server says {shorten(expected)} (MAYFLY_TEST_SEED={seed})")
    return got


def run(seed, count):
    commands = Commands(random.Random(seed))
    with both() as (theirs_at, ours_at):
        pairs = [(Resp(theirs_at), Resp(ours_at)) for _ in range(3)]
        for _ in rounds(count, 900):
            theirs, ours = commands.dice.choice(pairs)
            compare(theirs, ours, commands.next(), seed)
        for theirs, ours in pairs:
            theirs.close()
            ours.close()


@claim
def random_commands_get_the_replies_of_a_real_server():
    """Strings, keys, hashes, transactions with watches, wrong ones, over several connections."""
    print(f"      MAYFLY_TEST_SEED={SEED}")
    run(SEED, ROUNDS)


@claim
def long_words_are_quoted_as_far_as_they_fit_in_a_transaction_too():
    long = b"x" * 5000
    with both() as (theirs_at, ours_at):
        theirs, ours = Resp(theirs_at), Resp(ours_at)
        for args in (("SET", "a", "1"), ("EXPIRE", "a", "100", long), (long,), ("MULTI",), ("EXPIRE", "a", "100", long), ("GET", "a"), ("EXEC",)):
            compare(theirs, ours, args, "none")


@claim
def every_command_is_documented():
    """docs/redis.md has a row for each, in its group, and for no other."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/redis.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| (\w+) \| `([A-Z]+)` \| (.+) \|$", file.read(), re.M)
    with tempfile.TemporaryDirectory(prefix="mayfly-redis-") as folder, started(NATIVE, f"{folder}/own") as ours:
        told = Resp(ours).ask("COMMAND", "DOCS")[1]
    docs = []
    for name, (_, pairs) in zip(told[::2], told[1::2]):
        entry = dict(zip(pairs[::2], pairs[1::2]))
        docs.append(tuple(text.decode() for text in (entry[b"group"], name.upper(), entry[b"summary"])))
    same(sorted(rows), sorted(docs))


if __name__ == "__main__":
    main()
