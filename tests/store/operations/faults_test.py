#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A disk that is full, or fails, under load: nothing that was acknowledged is lost, and what is left is clean."""
import base64
import http.client
import json
import os
import random
import struct
import subprocess
import threading
import time

from operating import BUILD, LONG, MAYFLY, SEED, StoreServer, check, claim, content, do, get, is_clean, line_of, made, main, matches, put, \
    random_lines, refuses, run, same, store_folder
from storing import command

FAILING = os.path.join(BUILD, "tests/store/operations/failing.so")


class Writer(threading.Thread):
    """A client with keys of its own: what each may hold."""

    def __init__(self, server, number, over):
        super().__init__()
        self.server, self.number, self.over, self.dice = server, number, over, random.Random(f"{SEED} {number}")
        self.sure, self.tried, self.acknowledged, self.refused, self.full, self.wrong = {}, {}, 0, 0, 0, []

    def one(self, client):
        key = b"%d.%d" % (self.number, self.dice.randrange(8))
        value = self.dice.randbytes(self.dice.choice((10, 300, 3000, 20000)))
        self.tried.setdefault(key, []).append(value)
        answer = do(client, put(b"t", key, value))[0][0]
        if answer:
            self.refused += 1
            self.full += answer == "ENOSPC"
        else:
            self.sure[key], self.tried[key], self.acknowledged = value, [], self.acknowledged + 1

    def run(self):
        client = self.server.client()
        while not self.over.is_set():
            try:
                self.one(client)
            except (OSError, http.client.HTTPException):
                client.close()
                self.refused += 1
                time.sleep(0.01)
            except Exception as error:  # a batch that is not answered with 200
                self.refused += 1
                if "a batch of calls" not in str(error):
                    self.wrong.append(repr(error))
        client.close()

    def judge(self, found):
        """found: the records of the file."""
        for key in set(self.sure) | set(self.tried):
            allowed = [self.sure.get(key), *self.tried.get(key, [])]
            if found.get(key) not in allowed:
                self.wrong.append(f"{key}: neither what was acknowledged nor one of {len(allowed) - 1} tried")


def records(lines):
    found = {}
    for line in lines.splitlines():
        record = json.loads(line)
        if record["table"] == "t":
            found[record["key"].encode()] = base64.b64decode(record["value64"]) if "value64" in record else record["value"].encode()
    return found


def load_under(server, seconds, met):
    """For so long, and until each writer has had an answer and what is tested was met; the judge tells what was not."""
    over = threading.Event()
    writers = [Writer(server, i, over) for i in range(4)]
    for writer in writers:
        writer.start()
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds or now < 120 and not (all(writer.acknowledged for writer in writers) and met(writers)):
        time.sleep(0.05)
    return over, writers


def end_and_judge(server, over, writers, look):
    server.process.kill()
    server.process.wait()
    over.set()
    for writer in writers:
        writer.join()
    found = records(look())
    for writer in writers:
        writer.judge(found)
    same(sum((writer.wrong for writer in writers), []), [], "what was lost")
    print(f"      {[w.acknowledged for w in writers]} writes acknowledged, {[w.refused for w in writers]} refused or not answered")
    check(all(writer.acknowledged for writer in writers), "a writer without one write")


@claim
def a_full_disk_under_load_loses_nothing():
    with store_folder() as folder:
        os.mkdir(folder)
        prefix = ["unshare", "-m", "/bin/sh", "-c", f"mount -t tmpfs -o size=700K,mode=700 none {folder} && exec \"$0\" \"$@\""]
        server = StoreServer("--deadline", "5s", vms=4, store=folder, prefix=prefix)
        inside = ["nsenter", "-t", str(server.process.pid), "-m", "-r"]
        copy = f"{folder}-copy"
        try:
            while server.codes(put(b"ballast", b"%d" % random.randrange(1 << 32), b"b" * 40000)) == [0]:
                pass
            over, writers = load_under(server, 6 if LONG else 2, lambda writers: sum(writer.full for writer in writers))
            done = command([*inside, MAYFLY, "store", "backup", folder, f"{folder}/backup"], seconds=60)
            if done.status:  # there may have been room
                matches("cannot write .*backup: No space left on device", done.err, "a backup on a full disk")
            os.makedirs(copy)
            hold = subprocess.Popen([*inside, "/bin/sh", "-c", f"mount --make-rprivate / && echo && read x && cp -r {folder}/data.mdb {copy}/"],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            hold.stdout.readline()

            def look():
                hold.communicate(b"\n")
                is_clean(copy)
                return content(copy)
            end_and_judge(server, over, writers, look)
            check(sum(writer.full for writer in writers), "the disk was never full")
            subprocess.run(["rm", "-r", copy], check=True)
        finally:
            server.__exit__(Exception, None, None)


@claim
def a_disk_that_fails_under_load_loses_nothing():
    with store_folder() as folder:
        prefix = ["/usr/bin/env", f"LD_PRELOAD={FAILING}", "MAYFLY_FAILING=97"]
        server = StoreServer("--deadline", "5s", vms=4, store=folder, prefix=prefix)
        try:
            over, writers = load_under(server, 20 if LONG else 4, lambda _: b"died" in server.log())

            def look():
                is_clean(folder)
                return content(folder)
            end_and_judge(server, over, writers, look)
            check(b"died" in server.log(), "the disk never failed", server.log()[-500:])
        finally:
            server.__exit__(Exception, None, None)


def on_small_disk(size, place, *words, then="true", **more):
    """mayfly store WORDS where `place` is a disk of that size; `then` says what is there afterwards."""
    os.makedirs(place, exist_ok=True)
    script = f"mount -t tmpfs -o size={size} none {place} && \"$0\" \"$@\"; s=$?; {{ {then}; }} >&2; exit $s"
    done = command(["unshare", "-m", "/bin/sh", "-c", script, MAYFLY, "store", *words], seconds=60, **more)
    same(done.status, 125, " ".join(words), str(done))
    return done.err.decode()


@claim
def commands_that_find_no_room_say_so_and_leave_nothing_half_done():
    lines = random_lines(random.Random(SEED), 200, (1000, 5000))
    with store_folder() as folder:
        made(folder, lines)
        small = f"{folder}.small"
        said = on_small_disk("100K", small, "backup", folder, f"{small}/backup", then=f"wc -c <{small}/backup")
        matches("cannot write .*backup: No space left on device\n0\n$", said, "a backup without room")
        run("backup", folder, f"{folder}.backup")
        said = on_small_disk("200K", small, "restore", f"{folder}.backup", f"{small}/new", then=f"ls {small}/new; echo that is all")
        matches("there is no room[^\n]*\nthat is all\n$", said, "a restore without room")
        # a start of the storage program writes, for which there may be no room: it is a copy that is dumped
        said = on_small_disk("200K", small, "load", f"{small}/new", stdin=lines,
                             then=f"{MAYFLY} store check {small}/new; cp -r {small}/new {folder}.copy; {MAYFLY} store dump {folder}.copy >{folder}.dump")
        matches("standard input:[0-9]+: from this line on nothing is loaded: there is no room.*clean, 0 faults\n$", said, "a load without room")
        first = int(said.split("standard input:")[1].split(":")[0])
        with open(f"{folder}.dump", "rb") as file:
            same(file.read(), b"".join(lines.splitlines(True)[:first - 1]), "what was loaded before that line")
        os.rmdir(small)
        done = command([MAYFLY, "store", "load", small, "--size", "512K"], stdin=lines)
        matches("there is no room", done.err, "a load into a store with a limit")
        is_clean(small)


main()
