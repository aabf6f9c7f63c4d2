#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A storage program in Python: notes by name in an SQLite database. Runs in the storage VM, started with its folder."""
import json
import os
import socket
import sqlite3
import struct
import sys

CALL, ANSWER = struct.Struct("<IIQII"), struct.Struct("<IiQ")  # docs/formats/calls.md
ADD, LIST, COUNT = 1, 2, 3
ENOSYS, EINVAL, EIO = 38, 22, 5

db = sqlite3.connect(os.path.join(sys.argv[1], "notes.db"), isolation_level=None)
db.execute("create table if not exists note(id integer primary key, name text, text text)")


def answer(function, payload):
    """0 or a negative errno, and bytes."""
    if function == ADD:
        name, _, text = payload.decode().partition("\n")
        return 0, str(db.execute("insert into note(name, text) values(?, ?)", (name, text)).lastrowid).encode()
    if function == LIST:
        rows = db.execute("select text from note where name = ? order by id", (payload.decode(),))
        return 0, json.dumps([text for text, in rows]).encode()
    if function == COUNT:
        return 0, str(db.execute("select count(*) from note").fetchone()[0]).encode()
    return -ENOSYS, b""


def read(calls, count):
    data = b""
    while len(data) < count:
        more = calls.recv(count - len(data))
        if not more:
            sys.exit("nobody calls any more")
        data += more
    return data


listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/mayfly/calls.sock")
listener.listen()
calls, _ = listener.accept()  # the ready point
while True:
    size, function, number, _, _ = CALL.unpack(read(calls, CALL.size))
    payload = read(calls, size - CALL.size)
    try:
        status, data = answer(function, payload)
    except UnicodeDecodeError:
        status, data = -EINVAL, b""
    except sqlite3.Error as error:
        print("notes:", error, file=sys.stderr)
        status, data = -EIO, b""
    calls.sendall(ANSWER.pack(ANSWER.size + len(data), status, number) + data)
