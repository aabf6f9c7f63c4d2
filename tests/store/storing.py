# SPDX-License-Identifier: MIT
"""A mayfly serve with a store, and clients that have the guest of this folder call it. Used by the tests of this folder."""
import errno
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pool"))
sys.dont_write_bytecode = True
from serving import BUILD, EMULATED, MAYFLY, SLOWER, SOON, Client, Server, wait_until  # noqa: E402,F401
from mayfly import Run, command  # noqa: E402,F401
from claims import LONG, check, fail, same  # noqa: E402,F401

GUEST = os.path.join(BUILD, "tests/store/store-guest")
PROGRAM = os.path.join(BUILD, "tests/store/store-program")
CACHE = os.path.join(BUILD, "examples/cache")
WAITS = ("auto", "poll", "hand-off", "wake")
MIB = 1 << 20


def errno_of(code):
    return errno.errorcode.get(-code, str(code)) if code < 0 else code


class Op:
    """One call; see struct head of store_guest.c."""

    def __init__(self, what, table=b"", key=b"", first=b"", second=b"", number=0, room=0):
        self.bytes = struct.pack("<c3xIIIIIq", what, len(table), len(key), len(first), len(second), room, number)
        self.bytes += table + key + first + second


def get(table, key, room=MIB):
    return Op(b"g", table, key, room=room)


def put(table, key, value):
    return Op(b"p", table, key, value)


def delete(table, key):
    return Op(b"d", table, key)


def scan(table, prefix=b"", limit=1000, after=b"", room=MIB):
    return Op(b"s", table, prefix, after, number=limit, room=room)


def swap(table, key, expected, value):
    return Op(b"W", table, key, b"", value) if expected is None else Op(b"w", table, key, expected, value)


def add(table, key, number):
    return Op(b"a", table, key, number=number)


def call(function, payload=b"", room=MIB):
    return Op(b"c", first=payload, number=function, room=room)


def submit(function, payload=b""):
    return Op(b"u", first=payload, number=function)


def look_away():
    """Wait at the channel, without a look at what came meanwhile."""
    return Op(b"v")


def collect(room=MIB):
    return Op(b"o", room=room)


def resolve(name):
    return Op(b"r", name)


def nap(ms):
    return Op(b"n", number=ms)


def results_of(body):
    """[(0 or the errno's name, whole length, bytes)]"""
    results, at = [], 0
    while at < len(body):
        code, whole, copied = struct.unpack_from("<iII", body, at)
        results.append((errno_of(code), whole, body[at + 12:at + 12 + copied]))
        at += 12 + copied
    return results


def records_of(data):
    """[(key, value)] of a scan."""
    records, at = [], 0
    while at < len(data):
        key, value = struct.unpack_from("<II", data, at)
        at += 8
        records.append((data[at:at + key], data[at + key:at + key + value]))
        at += key + value
    return records


def do(client, *ops, again=(409,)):
    """The results of a batch, which is one transaction: it is made again when it came into conflict too often (`again`: after these
    answers; with 504, for whom it may be done twice, that of a busy machine too), and each of its calls has failed when the store
    did not take it. Else the request must succeed."""
    until = time.monotonic() + 120
    for _ in range(1000):
        answer = client.ask("/do", b"".join(op.bytes for op in ops))
        if answer.status not in again or time.monotonic() > until:
            break
    refused_with = {(507, None): "ENOSPC", (503, "store"): "EIO"}.get((answer.status, answer.error))
    if refused_with:
        return [(refused_with, 0, b"")] * len(ops)
    if answer.status != 200:
        fail(f"a batch of calls: {answer}")
    return results_of(answer.body)


def one(client, op):
    """The result of one call: its code, or its bytes when it succeeded with some."""
    code, _, data = do(client, op)[0]
    return code or data


def total(client, table, key):
    """A counter's value."""
    return struct.unpack("<q", one(client, get(table, key)))[0]


class StoreServer(Server):
    """A Server whose store lives in .store; it may outlive the server: give it as `store`."""

    def __init__(self, *options, store=None, guest=GUEST, program=None, control=None, **more):
        self.own, self.control = store is None, control
        self.store = store or tempfile.mkdtemp(prefix="mayfly-store-")
        given = (*(("--store-program", program) if program else ()), *(("--control", control) if control else ()))
        try:
            super().__init__("--store", self.store, *given, *options, guest=guest, **more)
        except Exception:
            self.drop()
            raise

    def drop(self):
        if self.own:
            shutil.rmtree(self.store, ignore_errors=True)

    def __exit__(self, *how):
        try:
            return super().__exit__(*how)
        finally:
            self.drop()

    def status(self):
        """Of one with a `control` address."""
        done = command([MAYFLY, "ctl", "--control", self.control, "--json", "status"])
        same(done.status, 0, "status", str(done))
        return json.loads(done.out)

    def stat(self):
        done = command([MAYFLY, "store", "stat", self.store, "--json"])
        same(done.status, 0, "mayfly store stat", str(done))
        return json.loads(done.out)

    def do(self, *ops):
        client = self.client()
        try:
            return do(client, *ops)
        finally:
            client.close()

    def one(self, op):
        client = self.client()
        try:
            return one(client, op)
        finally:
            client.close()

    def codes(self, *ops):
        return [code for code, _, _ in self.do(*ops)]


def store_folder():
    """With-statement: the path of a folder for a store that is not made yet."""
    class Folder(tempfile.TemporaryDirectory):
        def __enter__(self):
            return os.path.join(super().__enter__(), "store")
    return Folder(prefix="mayfly-store-")


def refused(*options, guest=GUEST, prefix=(), seconds=20, **more):
    """A server that should not start: how it ended."""
    with tempfile.TemporaryDirectory(prefix="mayfly-store-") as folder:
        done = command([*prefix, MAYFLY, "serve", "--listen", f"unix:{folder}/s", "--vms", "1", *options, "--", guest],
                       seconds=seconds, **more)
        same(os.listdir(folder), [], "what is left beside it", str(done))
        return done
