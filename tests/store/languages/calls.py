#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A storage program that does what the tests ask of it, well or badly: threads and all, over its one connection."""
import os
import socket
import struct
import sys
import threading
import time

ECHO, COUNT, NAP, EXIT, RAW, OPEN, WHO, MEET, BIG, DIAL, HANG = range(1, 12)
CALL, ANSWER = struct.Struct("<IIQII"), struct.Struct("<IiQ")
folder = sys.argv[-2]
lock = threading.Lock()
met = []


def answer(number, status=0, data=b""):
    with lock:
        calls.sendall(ANSWER.pack(ANSWER.size + len(data), status, number) + data)


def count():
    """A number in a file, written anew and synced."""
    try:
        with open("count") as file:
            now = int(file.read()) + 1
    except FileNotFoundError:
        now = 1
    with open("count.new", "w") as file:
        file.write(str(now))
        file.flush()
        os.fdatasync(file.fileno())
    os.rename("count.new", "count")
    return str(now).encode()


def opens(path):
    """Write, read and list it: the errnos."""
    found = []
    for what in (lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)), lambda: os.close(os.open(path, os.O_RDONLY)),
                 lambda: os.mkdir(path + b".d"), lambda: os.unlink(path)):
        try:
            what()
            found.append(0)
        except OSError as error:
            found.append(error.errno)
    return struct.pack("<4i", *found)


def dial(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return 0
    except OSError as error:
        return -error.errno


def later(number, seconds, data):
    time.sleep(seconds)
    answer(number, 0, data)


def meet(number, wanted, data):
    """Answered, last come first, when so many calls are there."""
    met.append((number, data))
    if len(met) == wanted:
        while met:
            answer(met[-1][0], 0, met[-1][1])
            met.pop()


def serve(function, number, vm, request, data):
    if function == ECHO:
        answer(number, 0, data)
    elif function == COUNT:
        answer(number, 0, count())
    elif function == NAP:
        threading.Thread(target=later, args=(number, struct.unpack_from("<d", data)[0], data)).start()
    elif function == EXIT:
        os._exit(data[0])
    elif function == RAW:
        with lock:
            calls.sendall(data.replace(b"NUMBER__", struct.pack("<Q", number)))
    elif function == OPEN:
        answer(number, 0, opens(data))
    elif function == WHO:
        answer(number, 0, struct.pack("<II", vm, request))
    elif function == MEET:
        meet(number, data[0], data)
    elif function == BIG:
        answer(number, 0, b"y" * struct.unpack("<I", data)[0])
    elif function == DIAL:
        answer(number, dial(struct.unpack("<I", data)[0]))
    elif function != HANG:
        answer(number, -38, b"none")


listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/mayfly/calls.sock")
listener.listen()
calls, _ = listener.accept()
stream = calls.makefile("rb")
while True:
    size, function, number, vm, request = CALL.unpack(stream.read(CALL.size))
    serve(function, number, vm, request, stream.read(size - CALL.size))
