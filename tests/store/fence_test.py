#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Two engines over one store, where the lock does not keep the second one out: the store's files have a name in two folders, and the
lock is a folder's."""
import os
import threading

from storing import EMULATED, MAYFLY, SLOWER, StoreServer, command, get, put, refused, results_of, store_folder, wait_until
from claims import check, claim, main, same

SOME = 3 if EMULATED else 20


def ask(server, *ops):
    """(status, Mayfly-Error, codes)"""
    answer = server.ask("/do", b"".join(op.bytes for op in ops))
    return answer.status, answer.error, [code for code, _, _ in results_of(answer.body)] if answer.status == 200 else []


def second_name(folder):
    """Another folder with the same files."""
    os.mkdir(f"{folder}-too")
    for name in ("data.mdb", "epoch"):
        os.link(f"{folder}/{name}", f"{folder}-too/{name}")
    return f"{folder}-too"


def words(folder):
    with open(f"{folder}/epoch") as file:
        return file.read().split()


class Writer(threading.Thread):
    """Puts one key a request until that is refused."""

    def __init__(self, server, table):
        super().__init__()
        self.server, self.table = server, table
        self.done, self.end = [], None
        self.start()

    def run(self):
        number = 0
        while True:
            key = b"%06d" % number
            status, error, codes = ask(self.server, put(self.table, key, b"v" * 3000))
            if status != 200 or codes != [0]:
                self.end = status, error, codes
                return
            self.done.append(key)
            number += 1


def missing(server, table, keys):
    lost = []
    for at in range(0, len(keys), 50):
        part = keys[at:at + 50]
        status, error, codes = ask(server, *[get(table, key) for key in part])
        same((status, error), (200, None), "reads")
        lost += [key for key, code in zip(part, codes) if code]
    return lost


@claim(emulated=True)
def the_older_engine_is_fenced_and_nothing_acknowledged_is_lost():
    with store_folder() as folder:
        with StoreServer(store=folder, vms=2, control=f"unix:{folder}-one") as older:
            writer = Writer(older, b"old")
            wait_until(lambda: len(writer.done) > SOME, "some writes")
            other = second_name(folder)
            same(refused("--store", folder).status, 125, "where the lock holds, a second one is kept out")
            with StoreServer(store=other, vms=2, control=f"unix:{folder}-two") as newer:
                writer.join(60 * SLOWER)
                check(writer.end and writer.end[0] in (200, 503), f"the older one still writes: {writer.end}")
                for what in (put(b"old", b"late", b"v"), get(b"old", b"000000")):
                    same(ask(older, what), (503, "fenced", []), "the older one")
                same([engine.status()["store"]["fenced"] for engine in (older, newer)], [1, 0], "what they say of it")
                keys = [b"%06d" % number for number in range(10 * SOME)]
                for key in keys:
                    same(ask(newer, put(b"new", key, b"w" * 3000)), (200, None, [0]), "the newer one")
                    if key[-1:] == b"0":
                        same(ask(older, put(b"old", key, b"late"))[:2], (503, "fenced"), "the older one")
                same(missing(newer, b"old", writer.done), [], "what the older one had acknowledged")
                same(older.log().count(b"another engine has opened the store"), 1, "what it says of that", older.log())
                same(older.stop(), 0, "the older one's end", older.log())
                same(ask(newer, put(b"new", b"behind", b"w")), (200, None, [0]), "behind that")
                same(newer.stop(), 0, "the newer one's end", newer.log())
        done = command([MAYFLY, "store", "check", other])
        check(done.status == 0 and b"clean" in done.out, "check", str(done))
        with StoreServer(store=other, vms=2) as again:
            same(missing(again, b"old", writer.done) + missing(again, b"new", keys + [b"behind"]), [], "what was acknowledged")
            same(again.stop(), 0, "its end")


@claim
def each_engine_counts_the_epoch_up_and_says_when_it_has_ended():
    with store_folder() as folder:
        with StoreServer(store=folder, vms=1) as server:
            same(words(folder)[:3], ["mayfly-epoch", "1", "open"], "while it is served")
            same(server.stop(), 0, "its end")
        same(words(folder)[:3], ["mayfly-epoch", "1", "closed"], "behind its end")
        same(command([MAYFLY, "store", "check", folder]).status, 0, "check")
        same(words(folder)[1], "1", "who only looks does not count")
        server = StoreServer(store=folder, vms=1)
        server.process.kill()
        server.process.wait()
        server.__exit__(Exception, None, None)
        same(words(folder)[1:3], ["2", "open"], "behind a kill")
        same(command([MAYFLY, "store", "stat", folder]).status, 0, "stat")
        same(words(folder)[1:3], ["3", "closed"], "who may write counts")


@claim
def what_is_no_epoch_is_refused():
    with store_folder() as folder:
        os.mkdir(folder)
        for text in (b"5", b"mayfly-epoch x open a b 1 1\n", b"mayfly-epoch 18446744073709551615 open a b 1 1\n", bytes(300)):
            with open(f"{folder}/epoch", "wb") as file:
                file.write(text)
            done = refused("--store", folder)
            check(done.status == 125 and b"is no epoch of a store" in done.err, repr(text), str(done))
        os.unlink(f"{folder}/epoch")
        os.symlink("/dev/null", f"{folder}/epoch")
        done = refused("--store", folder)
        check(done.status == 125 and b"cannot write" in done.err, "a link", str(done))
        os.unlink(f"{folder}/epoch")
        open(f"{folder}/epoch", "w").close()
        with StoreServer(store=folder, vms=1) as server:
            same(ask(server, put(b"t", b"k", b"v")), (200, None, [0]), "an empty one is a new one")
            os.unlink(f"{folder}/epoch")
            same(ask(server, put(b"t", b"k", b"v"))[0], 503, "whose file is gone knows nothing of others")


main()
