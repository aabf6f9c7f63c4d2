# SPDX-License-Identifier: MIT
"""mayfly store over folders, and its socket spoken to by hand. Used by the tests of this folder."""
import base64
import ctypes
import json
import os
import random
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from storing import BUILD, LONG, MAYFLY, SLOWER, StoreServer, call, command, do, get, put, store_folder, total  # noqa: E402,F401
from claims import check, claim, fail, main, matches, same  # noqa: E402,F401

SEED = os.environ.get("MAYFLY_TEST_SEED") or str(random.randrange(1 << 32))
print(f"      MAYFLY_TEST_SEED={SEED}")
STAT, TABLES, OPEN, READ, CLOSE, PUT, CHECK_BEGIN, CHECK_STEP, COMPACT, RESTORE_PUT = range(0x4d460001, 0x4d46000b)


def run(*words, status=0, given=b"", seconds=60, **more):
    """mayfly store WORDS."""
    done = command([MAYFLY, "store", *words], stdin=given, seconds=seconds * SLOWER, **more)
    same(done.status, status, f"mayfly store {' '.join(words)}: exit status", str(done))
    return done


def refuses(why, *words, status=125, **more):
    done = run(*words, status=status, **more)
    matches("^mayfly store: [^\n]*" + why + "[^\n]*\n$", done.err, " ".join(words))
    same(done.out, b"", "output")
    return done


def line_of(table, key, value, expires=0, kind=0):
    """A record as dump writes it, and as load may read it."""
    def member(name, data):
        try:
            text = data.decode()
            if all(c in "\n\t" or ord(c) >= 32 and ord(c) != 127 for c in text):
                return {name: text}
        except UnicodeDecodeError:
            pass
        return {name + "64": base64.b64encode(data).decode()}
    record = member("table", table) | member("key", key) | member("value", value)
    return json.dumps(record | ({"expires": expires} if expires else {}) | ({"kind": kind} if kind else {}),
                      ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def random_bytes(dice, size):
    if dice.random() < 0.5:
        return bytes(dice.choice(b"abcdefghij \n\"\\") for _ in range(size))
    return dice.randbytes(size)


def random_lines(dice, records, sizes=(0, 1, 10, 100, 1000, 2100, 5000, 50000)):
    """Lines in the order in which dump has them."""
    tables = sorted({bytes(dice.choice(b"tables-\xc3\xa9") for _ in range(dice.choice((1, 3, 63)))) for _ in range(8)})
    found = {}
    for _ in range(records):
        key = random_bytes(dice, dice.choice((1, 2, 8, 100, 511)))
        found[dice.choice(tables), key] = (random_bytes(dice, dice.choice(sizes)), dice.choice((0, 0, 4 << 40)), dice.choice((0, 0, 7, 255)))
    return b"".join(line_of(table, key, *found[table, key]) for table, key in sorted(found))


def made(folder, lines):
    run("load", folder, given=lines)
    return folder


def content(folder):
    return run("dump", folder).out


def figures(folder):
    return json.loads(run("stat", folder, "--json").out)


def is_clean(folder):
    done = run("check", folder)
    matches("clean, 0 faults\n$", done.out, "check")


class Line:
    """The administrative socket of a store that is served: docs/formats/store-socket.md."""

    def __init__(self, folder):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30 * SLOWER)
        self.socket.connect(os.path.join(folder, "store.sock"))
        same(struct.unpack("<II", self.read(8)), (0x4153464d, 1), "the hello")

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("closed")
            data += part
        return data

    def call(self, function, payload=b""):
        self.socket.sendall(struct.pack("<II", len(payload), function) + payload)
        count, status = struct.unpack("<Ii", self.read(8))
        return status, self.read(count)

    def put(self, table, records):
        """All in one transaction."""
        data = struct.pack("<IHH", len(records), len(table), 0) + table
        for key, value in records:
            data += struct.pack("<II", len(key), 8 + len(value)) + key + bytes(8) + value
        return self.call(PUT, data)[0]

    def close(self):
        self.socket.close()


def lmdb_put(folder, *records):
    """(table, key, value) by the library itself, in one transaction."""
    class Val(ctypes.Structure):
        _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_char_p)]
    lib, env, txn, dbi = ctypes.CDLL("liblmdb.so.0"), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()

    def do_call(name, *args):
        code = getattr(lib, name)(*args)
        check(not code, f"{name}: {code}")
    do_call("mdb_env_create", ctypes.byref(env))
    do_call("mdb_env_set_maxdbs", env, 10)
    do_call("mdb_env_open", env, folder.encode(), 0x400000, 0o600)  # MDB_NOLOCK
    do_call("mdb_txn_begin", env, None, 0, ctypes.byref(txn))
    for table, key, value in records:
        do_call("mdb_dbi_open", txn, table, 0x40000, ctypes.byref(dbi))  # MDB_CREATE
        do_call("mdb_put", txn, dbi, ctypes.byref(Val(len(key), key)), ctypes.byref(Val(len(value), value)), 0)
    do_call("mdb_txn_commit", txn)
    lib.mdb_env_close(env)
