#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What an operator does to a store does the same whether it is served or not, and never less than it says."""
import base64
import fcntl
import json
import os
import random
import struct
import subprocess
import tempfile
import threading

from operating import (CHECK_STEP, CLOSE, COMPACT, LONG, MAYFLY, OPEN, PUT, READ, RESTORE_PUT, SEED, STAT, TABLES, Line, StoreServer, call, check,
                       claim, content, do, fail, figures, get, is_clean, line_of, lmdb_put, made, main, matches, put, random_lines, refuses, run, same,
                       store_folder)
from mayfly import GROUP, as_nobody
from storing import command, wait_until

PAGE = 4096


def some_lines(records=300):
    return random_lines(random.Random(SEED), records)


# ---- the same served or not

@claim
def what_is_told_of_a_store_is_the_same_served_or_not():
    lines = some_lines()
    with store_folder() as folder:
        made(folder, lines)
        alone, looked = figures(folder), json.loads(run("check", folder, "--json").out)
        same(content(folder), lines, "a dump")
        with StoreServer(vms=1, store=folder) as server:
            shared = figures(folder)
            same(content(folder), lines, "a dump of a store that is served")
            same(json.loads(run("check", folder, "--json").out)["records"], looked["records"], "records that check has seen")
            same(server.stop(), 0, "exit status")
    same((alone["served"], shared["served"]), (False, True), "served")
    same(list(alone), list(shared), "what stat names")
    same(alone["tables"], shared["tables"], "tables")
    same(sum(table["records"] for table in alone["tables"]), lines.count(b"\n"), "records of all tables")
    same(looked["records"], lines.count(b"\n"), "records that check counts")
    same((alone["format"], alone["key_limit_bytes"], alone["value_limit_bytes"], alone["tables_limit"]), (2, 511, 64 << 20, 255), "limits")
    same(shared["epoch"] > alone["epoch"], True, "the epoch grows")


@claim
def what_is_loaded_into_a_served_store_is_there_for_its_programs():
    with StoreServer(vms=1) as server:
        run("load", server.store, given=line_of(b"t", b"k", b"v") + line_of(b"t", b"old", b"v", expires=1000))
        same(server.one(get(b"t", b"k")), b"v", "what was loaded")
        same(server.codes(get(b"t", b"old")), ["ENOENT"], "what had expired")
        same(server.codes(put(b"t", b"k2", b"w" * 100000)), [0], "a put")
        matches("k2", content(server.store), "a dump")
        is_clean(server.store)
        same(server.stop(), 0, "exit status")


@claim
def a_server_that_keeps_nothing_takes_nothing():
    with store_folder() as folder:
        made(folder, line_of(b"t", b"k", b"v"))
        with StoreServer("--store-scope", "vm", vms=1, store=folder):
            refuses("a store of its own", "load", folder, given=line_of(b"t", b"more", b"v"))
            same(content(folder), line_of(b"t", b"k", b"v"), "what is in the folder")


@claim
def request_programs_have_none_of_it():
    with StoreServer(vms=1) as server:
        same(server.codes(put(b"t", b"k", b"v")), [0], "a put")
        for function in (STAT, TABLES, OPEN, PUT, COMPACT, CHECK_STEP):
            same(server.codes(call(function)), ["EPERM"], f"function {function:x}")
        same(server.codes(call(READ, bytes(8)), call(CLOSE, bytes(8)), call(RESTORE_PUT)), ["EPERM", "EPERM", "ENOSYS"], "others")
        same(server.log().count(b"died"), 0, "deaths")


# ---- backups

@claim
def a_restored_backup_is_the_same_store():
    lines = some_lines()
    with store_folder() as folder:
        made(folder, lines)
        run("backup", folder, f"{folder}.backup")
        same(os.stat(f"{folder}.backup").st_mode & 0o777, 0o600, "the mode of a backup")
        refuses("is there already; --force replaces it", "backup", folder, f"{folder}.backup")
        done = run("restore", f"{folder}.backup", f"{folder}.new", "--json")
        same(json.loads(done.out)["records"], lines.count(b"\n"), "records restored")
        same(content(f"{folder}.new"), lines, "what was restored")
        is_clean(f"{folder}.new")
        same(sorted(os.listdir(f"{folder}.new")), ["data.mdb", "epoch"], "what is in the new folder")
        refuses("is not empty", "restore", f"{folder}.backup", f"{folder}.new")
        made(f"{folder}.new", line_of(b"more", b"k", b"v"))
        run("restore", f"{folder}.backup", f"{folder}.new", "--force")
        same(content(f"{folder}.new"), lines, "what was restored by force")
        with StoreServer(vms=1, store=folder) as server:
            piped = run("backup", folder, "-").out
            refuses("in use by an engine; end it first", "restore", f"{folder}.backup", folder, "--force")
            same(server.stop(), 0, "exit status")
        run("restore", "-", f"{folder}.piped", given=piped)
        same(content(f"{folder}.piped"), lines, "what came over a pipe")


@claim
def a_damaged_backup_restores_nothing():
    dice = random.Random(SEED)
    with store_folder() as folder:
        made(folder, random_lines(dice, 40, (0, 10, 1000)))
        backup, bad = f"{folder}.backup", f"{folder}.bad"
        run("backup", folder, backup)
        with open(backup, "rb") as file:
            whole = file.read()

        def refused(data, what):
            with open(bad, "wb") as file:
                file.write(data)
            refuses("nothing was restored|version", "restore", bad, f"{folder}.new")
            same(os.listdir(f"{folder}.new"), [], f"what is left of {what}")

        cuts = [0, 1, 71, 72, 73, 88, len(whole) - 1, len(whole) - 40] + [dice.randrange(len(whole)) for _ in range(40 if LONG else 6)]
        for cut in cuts:
            refused(whole[:cut], f"a backup of {cut} bytes")
        for at in [0, 8, 12, 16, 40, 72, 76, 80, len(whole) - 1] + [dice.randrange(len(whole)) for _ in range(60 if LONG else 8)]:
            refused(whole[:at] + bytes([whole[at] ^ 1 << dice.randrange(8)]) + whole[at + 1:], f"byte {at} changed")
        refused(whole + b"x", "something more")
        refused(whole + whole, "two of them")
        second = 72 + 16 + struct.unpack_from("<I", whole, 76)[0] + 32
        refused(whole[:72] + whole[second:], "a block left out")
        run("restore", backup, f"{folder}.new")
        same(content(f"{folder}.new"), content(folder), "the whole one")


@claim
def the_largest_values_go_in_parts():
    sizes = ((1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) - 8, 64 << 20 if LONG else 7 << 20)
    lines = b"".join(line_of(b"t", b"%d" % i, b"v%d" % i * (size // 2), expires=4 << 40, kind=i) for i, size in enumerate(sizes))
    with store_folder() as folder:
        made(folder, line_of(b"t", b"before", b"v"))
        made(folder, lines)
        done = run("backup", folder, "-")
        run("restore", "-", f"{folder}.new", given=done.out)
        check(content(f"{folder}.new") == lines + line_of(b"t", b"before", b"v"), "they are others")
        is_clean(f"{folder}.new")
        if LONG:
            refuses("a value has at most 67108864 bytes", "load", folder, given=line_of(b"t", b"k", b"v" * (64 << 20) + b"v"))


def transfer(folder, number, over, wrong, done):
    """Money goes from one account to another, both in one transaction; all accounts of a client have 1000 together."""
    dice, line = random.Random(f"{SEED} {number}"), Line(folder)
    accounts = {f"{number}.{i}".encode(): 100 for i in range(10)}
    try:
        while not over.is_set():
            one, other = dice.sample(sorted(accounts), 2)
            amount = dice.randrange(50)
            accounts[one] -= amount
            accounts[other] += amount
            status = line.put(b"bank", [(key, struct.pack("<q", accounts[key]) + bytes(3000)) for key in sorted((one, other))])
            if status:
                wrong.append(f"a put: {status}")
                return
            done[number] += 1
    except Exception as error:
        wrong.append(repr(error))
    finally:
        line.close()


def sums(folder):
    found = {}
    for line in content(folder).splitlines():
        record = json.loads(line)
        number = record["key"].split(".")[0]
        found[number] = found.get(number, 0) + struct.unpack_from("<q", base64.b64decode(record["value64"]))[0]
    return found


@claim
def a_backup_is_one_state_while_eight_clients_write():
    clients, rounds = 7, 20 if LONG else 4  # the eighth place is the backup's
    with StoreServer(vms=1) as server:
        line = Line(server.store)
        for number in range(clients):
            same(line.put(b"bank", [(f"{number}.{i}".encode(), struct.pack("<q", 100) + bytes(3000)) for i in range(10)]), 0, "accounts")
        line.close()
        over, wrong, done = threading.Event(), [], [0] * clients
        threads = [threading.Thread(target=transfer, args=(server.store, i, over, wrong, done)) for i in range(clients)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: all(done) or wrong, "transfers")
            for i in range(rounds):
                before = sum(done)
                run("backup", server.store, f"{server.store}.{i}")
                wait_until(lambda: sum(done) > before or wrong, "transfers go on")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        same(wrong, [], "trouble")
        is_clean(server.store)
        for i in range(rounds):
            run("restore", f"{server.store}.{i}", f"{server.store}.new{i}")
            same(sums(f"{server.store}.new{i}"), {str(n): 1000 for n in range(clients)}, f"sums of backup {i}")
            subprocess.run(["rm", "-r", f"{server.store}.{i}", f"{server.store}.new{i}"], check=True)


@claim
def snapshots_are_bounded_and_nobody_elses():
    with StoreServer(vms=1) as server:
        line = Line(server.store)
        same(line.put(b"t", [(b"k", b"v")]), 0, "a put")
        held = [line.call(OPEN) for _ in range(4)]
        same([status for status, _ in held], [0] * 4, "four")
        same(line.call(OPEN)[0], -16, "a fifth")
        refuses("busy with others", "backup", server.store, "-")
        for status, reply in held:
            same(line.call(CLOSE, reply[:8])[0], 0, "an end")
            same(line.call(READ, reply[:8])[0], -116, "after its end")
        run("backup", server.store, f"{server.store}.b")
        os.unlink(f"{server.store}.b")
        line.close()


# ---- damage

def damaged(folder, change, what, status=1):
    with open(f"{folder}/data.mdb", "rb") as file:
        before = file.read()
    pages = bytearray(before)
    change(pages)
    with open(f"{folder}/data.mdb", "wb") as file:
        file.write(pages)
    done = run("check", folder, status=status)
    with open(f"{folder}/data.mdb", "rb") as file:
        check(file.read() == bytes(pages), f"{what}: check changed the file")
    with open(f"{folder}/data.mdb", "wb") as file:
        file.write(before)
    return done.out


def newest_head(pages):
    return max((0, 1), key=lambda i: struct.unpack_from("<Q", pages, i * PAGE + 16 + 128)[0])


def kinds(pages):
    """Pages in use, by what they are: those that the newest state reaches are found by their numbers in the free list."""
    last = struct.unpack_from("<Q", pages, newest_head(pages) * PAGE + 16 + 120)[0]
    found = {}
    for number in range(2, last + 1):
        if struct.unpack_from("<Q", pages, number * PAGE)[0] == number:
            found.setdefault(struct.unpack_from("<H", pages, number * PAGE + 10)[0], []).append(number)
    return found


@claim
def planted_damage_is_found():
    dice = random.Random(SEED)
    with store_folder() as folder:
        lines = b"".join(sorted(line_of(b"t%d" % (i % 3), b"key %06d" % i, b"v" * dice.choice((5, 100, 9000))) for i in range(600)))
        made(folder, lines)
        run("compact", folder)
        is_clean(folder)
        with open(f"{folder}/data.mdb", "rb") as file:
            whole = file.read()
        pages = kinds(whole)
        # what is free after the start's own commits is no damage: pages of large values are all in use
        large, branches = pages[4], pages[1]

        def cut(to):
            def change(pages):
                del pages[to:]
            return change

        def swap(one, other):
            def change(pages):
                a, b = slice(one * PAGE, (one + 1) * PAGE), slice(other * PAGE, (other + 1) * PAGE)
                pages[a], pages[b] = pages[b], pages[a]
            return change

        def flip(at, bit=1):
            def change(pages):
                pages[at] ^= bit
            return change

        for what, change in (("two pages swapped", swap(branches[0], large[3])), ("two large values swapped", swap(large[0], large[5])),
                             ("a page's number", flip(branches[0] * PAGE)), ("a page's kind", flip(branches[0] * PAGE + 10, 2)),
                             ("a page's bounds", flip(branches[0] * PAGE + 12, 2)), ("where a node is", flip(branches[0] * PAGE + 16, 8)),
                             ("how many pages a value has", flip(large[2] * PAGE + 12, 4)), ("a head's magic", flip(16)),
                             ("the other head's magic", flip(PAGE + 16)), ("a cut in the middle", cut(len(whole) // 2)),
                             ("a cut to three pages", cut(3 * PAGE)), ("a cut to one page", cut(PAGE)), ("an empty file", cut(0)),
                             ("zeros", lambda pages: pages.__setitem__(slice(0, None), bytes(len(pages)))),
                             ("a value's head", flip(large[1] * PAGE + 16 + 7, 0x80)),
                             ("the head's list of free pages", flip(newest_head(whole) * PAGE + 16 + 24 + 40, 1)),
                             ("a count of records", flip(newest_head(whole) * PAGE + 16 + 24 + 48 + 32, 1)),
                             ("the last page", flip(newest_head(whole) * PAGE + 16 + 120, 1))):
            out = damaged(folder, change, what)
            matches("[1-9][0-9]* faults?\n$", out, what)
        for i in range(200 if LONG else 12):  # whatever it is: an end, and one of the three
            at, bit = dice.randrange(len(whole)), 1 << dice.randrange(8)
            with open(f"{folder}/data.mdb", "wb") as file:
                file.write(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1:])
            done = command([MAYFLY, "store", "check", folder], seconds=60)
            check(done.status in (0, 1, 2), f"bit {bit} of byte {at}", str(done))
        with open(f"{folder}/data.mdb", "wb") as file:
            file.write(whole)
        is_clean(folder)
        same(content(folder), lines, "all of it")


@claim
def a_store_that_is_written_is_clean_all_the_time():
    with StoreServer(vms=1) as server:
        over, wrong, done = threading.Event(), [], [0, 0]
        threads = [threading.Thread(target=transfer, args=(server.store, i, over, wrong, done)) for i in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20 if LONG else 4):
                is_clean(server.store)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        same(wrong, [], "trouble")


# ---- compaction

@claim
def compaction_gives_free_pages_back_and_nothing_else():
    keep = b"".join(sorted(line_of(b"t", b"key %04d" % i, b"v" * 1000) for i in range(0, 300, 10)))
    with store_folder() as folder:
        made(folder, b"".join(line_of(b"t", b"key %04d" % i, b"v" * 1000) for i in range(300)))
        run("shell", folder, given=b"".join(b'delete t "key %04d"\n' % i for i in range(300) if i % 10), seconds=120)
        subprocess.run(["cp", "-r", folder, f"{folder}.served"], check=True)
        before = os.path.getsize(f"{folder}/data.mdb")
        run("compact", folder)
        check(os.path.getsize(f"{folder}/data.mdb") < before / 4, "the file is hardly smaller")
        same(content(folder), keep, "what is in it")
        is_clean(folder)
        with StoreServer(vms=1, store=f"{folder}.served") as server:
            same(server.one(get(b"t", b"key 0010")), b"v" * 1000, "a get")
            told = json.loads(run("compact", f"{folder}.served", "--json").out)
            check(told["after_bytes"] < told["before_bytes"] / 4, "hardly smaller", told)
            same(server.one(get(b"t", b"key 0010")), b"v" * 1000, "a get behind it")
            same(server.codes(put(b"t", b"new", b"v"), put(b"u", b"k", b"v" * 5000)), [0, 0], "puts")
            is_clean(f"{folder}.served")
            same(server.stop(), 0, "exit status")
        same(sorted(os.listdir(f"{folder}.served")), ["data.mdb", "epoch"], "what is left")
        subprocess.run(["rm", "-r", f"{folder}.served"], check=True)


# ---- formats

@claim
def older_formats_are_told_and_brought_up_and_newer_ones_are_refused():
    def number(n):
        return struct.pack("<Q", n)
    records = [(b"t", b"key %03d" % i, b"v" * (i * 50)) for i in range(100)]
    with store_folder() as folder:
        os.mkdir(folder)
        lmdb_put(folder, (b".mayfly", b"format", number(1)), (b".mayfly", b"epoch", number(7)), *records)
        told = json.loads(run("check", folder, "--json").out)
        same((told["format"], told["faults"], told["records"]), (1, 0, 100), "check of the first format")
        same(figures(folder)["format"], 2, "the format after it was opened")
        same(content(folder), b"".join(line_of(*record) for record in records), "its records")
        told = json.loads(run("check", folder, "--json").out)
        same((told["format"], told["faults"], told["records"]), (2, 0, 100), "check of the second format")
        lmdb_put(folder, (b".mayfly", b"format", number(3)))
        refuses("newer format than this mayfly knows", "check", folder, status=2)
        for words in (("stat", folder), ("dump", folder), ("backup", folder, "-"), ("shell", folder), ("load", folder)):
            done = run(*words, status=125)
            matches("the store has format 3, this version knows 1 to 2 only", done.err, words[0])
            same(done.out, b"", f"{words[0]}: output")


# ---- text

@claim
def a_line_that_is_wrong_is_told_by_its_number():
    good = line_of(b"t", b"k", b"v")
    with StoreServer(vms=1) as server:
        folder = server.store
        for bad, why in ((b"garbage\n", "no object of JSON"), (b"[]\n", "no object"), (b'{"table":"t","key":"k"}\n', "value"),
                         (b'{"table":"t","key":"k","value":1}\n', "value"), (b'{"table":".t","key":"k","value":"v"}\n', "no dot"),
                         (b'{"table":"","key":"k","value":"v"}\n', "1 to 63"), (b'{"table":"t","key":"","value":"v"}\n', "1 to 511"),
                         (b'{"table":"t","key":"k","value":"v","more":1}\n', "members"), (b'{"table":"t","key":"k","key64":"","value":"v"}\n', "one of"),
                         (b'{"table":"t","key64":"=","value":"v"}\n', "base64"), (b'{"table":"t","key64":"a===","value":"v"}\n', "base64"),
                         (b'{"table":"t","key":"k","value":"v","expires":-1}\n', "expires"), (b'{"table":"t","key":"k","value":"v","kind":256}\n', "kind"),
                         (line_of(b"t" * 64, b"k", b"v"), "1 to 63"), (line_of(b"t", b"k" * 512, b"v"), "1 to 511"),
                         (b'{"table":"a\\u0000b","key":"k","value":"v"}\n', "no zero")):
            refuses(f"standard input:3: .*{why}.*what is before it is loaded", "load", folder, given=good + b"\n" + bad + good)
        same(content(folder), good, "what is before it")
        made(folder, line_of(b"t", b"k" * 511, b"v" * (1 << 20)))
        matches("k" * 511, content(folder), "the longest")
        is_clean(folder)


@claim
def the_shell_reads_lines_and_ends_at_the_first_that_fails():
    with store_folder() as folder:
        refuses("there is no folder", "shell", folder)
        os.mkdir(folder)
        refuses("is no store", "shell", folder)
        made(folder, line_of(b"t", b"a", b"1"))
        script = (b'# a comment\n\nput t "k \\x00\\n\\"" \'v "\\\' \nget t "k \\x00\\n\\""\nput t b "two words"\nscan t\nscan t a 1\n'
                  b"incr c n\nincr c n 41\nincr c n -2\ndelete t a\nput t short v 1000\nexpire t b 0\ntables\nquit\ngarbage\n")
        done = run("shell", folder, given=script)
        same(done.out.decode().splitlines(), ['"v \\"\\\\"', "a 1", 'b "two words"', '"k \\x00\\n\\"" "v \\"\\\\"', "a 1", "1", "42", "40", "c 1", "t 3"],
             "what it says", str(done))
        for line, why, status in ((b"get t none\n", "line 1: there is none", 1), (b"delete t none\n", "there is none", 1),
                                  (b"garbage\n", "there is no command garbage; help lists them", 125), (b"get t\n", "write get TABLE KEY", 125),
                                  (b'get t "k\n', "has no end", 125), (b'get t "\\q"\n', "behind a backslash", 125), (b"put t k v x\n", "is no number", 125),
                                  (b"get .t k\n", "that cannot be", 125), (b"incr t b\n", "that cannot be", 125),
                                  (b"put a b c d e f g h i\n", "more than 8 words", 125), (b"\n\nget t none\nput t k never\n", "line 3: ", 1)):
            refuses(why, "shell", folder, given=line, status=status)
        matches("^  get ", run("shell", folder, given=b"help\n").out, "help")
        check(b"never" not in content(folder), "a line behind one that failed was done")
        with StoreServer(vms=1, store=folder) as server:
            run("shell", folder, given=b"put t seen yes\n")
            same(server.one(get(b"t", b"seen")), b"yes", "by the served program")


# ---- what cannot be

@claim
def what_cannot_be_is_said_in_one_sentence():
    with store_folder() as folder:
        root = os.path.dirname(folder)
        for words in (("stat", folder), ("dump", folder), ("backup", folder, "-"), ("compact", folder)):
            refuses("there is no folder", *words)
        refuses("there is no folder", "check", folder, status=2)
        refuses("no command given")
        refuses("there is no command look", "look", folder)
        refuses("store stat takes DIR", "stat")
        refuses("store backup takes DIR FILE", "backup", folder)
        refuses("store restore takes FILE", "restore", folder)
        refuses("a name is empty", "stat", "")
        refuses("cannot open .*none: No such file", "restore", f"{folder}/none", folder)
        check(not os.path.exists(folder), "a folder was made for nothing")
        with open(folder, "w") as file:
            file.write("a file")
        refuses("Not a directory", "stat", folder)
        os.unlink(folder)
        made(folder, line_of(b"t", b"k", b"v"))
        with open(f"{folder}/data.mdb", "r+b") as file:  # nobody serves it, and it is locked
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            refuses("in use by another engine, which takes no calls at store.sock .*; end it first", "stat", folder)
            os.close(lock)
        os.chmod(root, 0o755)
        done = command(as_nobody(root, [MAYFLY, "store", "stat", folder]))
        same(done.status, 125, "exit status", str(done))
        matches("Permission denied", done.err, "another user's store")
        done = command(["unshare", "-m", "/bin/sh", "-c", 'mount --bind /dev/null /dev/kvm && exec "$0" "$@"', MAYFLY, "store", "check", folder])
        same(done.status, 2, "exit status without KVM", str(done))
        matches("^mayfly store: [^\n]*kvm", done.err.lower().replace(b"mayfly store: ", b"mayfly store: ", 1), "without KVM")
        with open(f"{folder}/data.mdb", "wb") as file:
            file.write(b"garbage" * 2000)
        done = run("stat", folder, status=125)
        matches("data.mdb is no LMDB database", done.err, "garbage")


@claim
def what_strangers_say_at_the_socket_harms_nobody():
    dice = random.Random(SEED)
    with StoreServer(vms=1) as server:
        same(server.codes(put(b"t", b"k", b"v")), [0], "a put")
        mode = os.stat(f"{server.store}/store.sock").st_mode
        same(mode & 0o777, 0o600, "the socket's mode")
        for data in (b"", b"x", b"\0" * 7, struct.pack("<II", 1 << 31, STAT), struct.pack("<II", (2 << 20) + 1, STAT),
                     struct.pack("<II", 100, PUT) + b"short", *(dice.randbytes(dice.randrange(1, 100)) for _ in range(20))):
            line = Line(server.store)
            line.socket.sendall(data)
            line.close()
        line = Line(server.store)
        same(line.call(0xffffffff), (-38, b""), "a function that is none")
        same(line.call(STAT, b"x" * 5)[0], -7, "too much for it")
        same(line.call(PUT, b"x" * 5)[0], -22, "no block")
        same(line.call(PUT, struct.pack("<IHH", 1, 1, 0) + b"t" + struct.pack("<II", 1, 1 << 31) + b"k")[0], -22, "a record that ends nowhere")
        same(line.call(PUT, struct.pack("<IHH", 1 << 31, 1, 0) + b"t")[0], -22, "records that are none")
        same(line.call(READ, bytes(8))[0], -116, "a snapshot that is none")
        for _ in range(100):
            status, _ = line.call(dice.choice((OPEN, READ, CLOSE, PUT, CHECK_STEP)), dice.randbytes(dice.randrange(1, 40)))
            check(status < 0, f"garbage: {status}")
        line.close()
        lines = [Line(server.store) for _ in range(8)]  # as many as there are places
        same([line.call(STAT)[0] for line in lines], [0] * 8, "eight at once")
        for line in lines:
            line.close()
        same(server.one(get(b"t", b"k")), b"v", "a get")
        is_clean(server.store)
        same(server.log().count(b"died"), 0, "deaths", server.log())
        same(server.stop(), 0, "exit status")
        check(not os.path.exists(f"{server.store}/store.sock"), "the socket is left")


@claim
def a_server_that_was_killed_leaves_a_store_that_goes_on():
    with store_folder() as folder:
        server = StoreServer(vms=1, store=folder)
        try:
            same(server.codes(put(b"t", b"k", b"v")), [0], "a put")
            server.process.kill()
            server.process.wait()
        finally:
            server.__exit__(Exception, None, None)
        check(os.path.exists(f"{folder}/store.sock"), "the socket was removed")
        is_clean(folder)
        same(content(folder), line_of(b"t", b"k", b"v"), "by itself")
        with StoreServer(vms=1, store=folder):
            same(content(folder), line_of(b"t", b"k", b"v"), "served again")


main()
