#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The key-value store against a model of it: what each call does, also by many at once, and after a restart."""
import os
import random
import struct
import threading
import time

from storing import (CACHE, EMULATED, GUEST, LONG, MIB, WAITS, Server, StoreServer, add, call, command, delete, do, get, one, put,
                     records_of, resolve, results_of, scan, store_folder, swap, total, MAYFLY)
from claims import check, claim, fail, long_seconds, main, matches, same

SEED = os.environ.get("MAYFLY_TEST_SEED") or str(random.randrange(1 << 32) if LONG else 7)
CLIENTS = 2 if EMULATED else 4
ROUNDS = 150 if LONG else 3 if EMULATED else 8
BATCH = 12
TABLES = (b"a", b"table", b"\xff\x01 odd/name", b"x" * 63)
VALUE_SIZES = (0, 1, 2, 100, 2000, 2027, 2028, 4000, 4096, 5000, 65536)


class Model:
    """What one client did to keys that only it touches; each step returns the call and what it must answer."""

    def __init__(self, seed):
        self.dice, self.tables, self.mine = random.Random(seed), {}, seed.encode()[-1:]
        self.known = []
        self.added = self.calls = 0

    def key(self):
        dice = self.dice
        if self.known and dice.random() < 0.6:
            return dice.choice(self.known)
        length = dice.choice((1, 2, 3, 8, 50, 510, 511)) - 1
        key = self.mine + bytes(dice.randrange(256) for _ in range(length))
        self.known.append(key)
        return key

    def value(self):
        dice = self.dice
        size = dice.choice(VALUE_SIZES) if dice.random() < 0.97 else dice.choice((MIB, MIB - 1, 300000))
        return dice.randbytes(min(size, 20)) * (size // 20 + 1) if not size else (dice.randbytes(20) * (size // 20 + 1))[:size]

    def step(self):
        name = self.dice.choice(TABLES)
        table, key = self.tables.setdefault(name, {}), self.key()
        kind = self.dice.random()
        if kind < 0.3:
            return self.do_put(name, table, key)
        if kind < 0.5:
            return get(name, key), table.get(key, "ENOENT")
        if kind < 0.65:
            return delete(name, key), "ENOENT" if table.pop(key, None) is None else b""
        if kind < 0.75:
            return self.do_swap(name, table, key)
        if kind < 0.85:
            return self.do_add(name, table, key)
        if kind < 0.9:
            self.added += 1
            return add(b"shared", b"sum", 1), None
        return self.do_scan(name, table, key)

    def do_put(self, name, table, key):
        table[key] = self.value()
        return put(name, key, table[key]), b""

    def do_swap(self, name, table, key):
        old, value = table.get(key), self.value()[:900000]
        expected = self.dice.choice((old, None, b"other", old))
        answer = "ENOENT" if old is None and expected is not None else "EAGAIN" if expected != old else b""
        if answer == b"":
            table[key] = value
        return swap(name, key, expected, value), answer

    def do_add(self, name, table, key):
        number = self.dice.choice((1, -1, 2**63 - 1, -2**63, 12345))
        old = table.get(key)
        if old is not None and len(old) != 8:
            return add(name, key, number), "EINVAL"
        now = (struct.unpack("<q", old)[0] if old else 0) + number
        table[key] = struct.pack("<Q", now % 2**64)
        return add(name, key, number), table[key]

    def do_scan(self, name, table, key):
        prefix = key[:self.dice.randrange(1, 4)]
        limit, after = self.dice.choice((0, 1, 3, 10000)), self.dice.choice((b"", key, key[:-1] + b"\x80"))
        keys = sorted(k for k in table if k.startswith(prefix) and (not after or k > after))[:limit]
        records, used = [], 0
        for k in keys:
            used += 8 + len(k) + len(table[k])
            if used > MIB:
                break
            records.append((k, table[k]))
        return scan(name, prefix, limit, after), records if records or not keys else "ENOBUFS"


def compare(model, wanted, result):
    code, _, data = result
    got = records_of(data) if isinstance(wanted, list) and not code else code or data
    return wanted is None and not code or got == wanted


def batch_of(model):
    """Some steps whose calls fit into a request, and whose results into its response."""
    steps, size = [], 0
    while len(steps) < BATCH and size < 3 * MIB // 2:
        op, wanted = model.step()
        steps.append((op, wanted))
        size += len(op.bytes) + (sum(len(value) for _, value in wanted) if isinstance(wanted, list) else len(wanted or b""))
    return steps


def live(server, model, wrong):
    client, until = server.client(60), time.monotonic() + long_seconds(300)
    try:
        for _ in range(ROUNDS):
            if LONG and time.monotonic() > until:
                break
            steps = batch_of(model)
            model.calls += len(steps)
            for (op, wanted), result in zip(steps, do(client, *[op for op, _ in steps])):
                if not compare(model, wanted, result):
                    wrong.append(f"{op.bytes[:60]}: {result[0]}, {result[1]} bytes {result[2][:40]}, wanted {str(wanted)[:60]}")
    except Exception as error:
        wrong.append(repr(error))
    finally:
        client.close()


def live_together(server, models):
    wrong = []
    threads = [threading.Thread(target=live, args=(server, model, wrong)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        fail(f"{len(wrong)} answers were not the model's", *wrong[:5], server.log()[-500:])


def all_of(client, table):
    """Everything in a table, page by page."""
    records, after = [], b""
    while True:
        page = records_of(one(client, scan(table, b"", 7, after, MIB + 4096)) or b"")
        if not page:
            return records
        records += page
        after = page[-1][0]


def compare_all(server, models):
    client = server.client(60)
    for name in TABLES:
        wanted = sorted(record for model in models for record in model.tables.get(name, {}).items())
        got = all_of(client, name)
        if got != wanted:
            fail(f"table {name}: {len(got)} records, should be {len(wanted)}",
                 *[str(key[:20]) for key in dict(got).keys() ^ dict(wanted).keys()])
    wanted = sum(model.added for model in models)
    if wanted:
        same(total(client, b"shared", b"sum"), wanted, "the shared counter")
    client.close()


def model_holds(wait):
    with store_folder() as folder:
        models = [Model(f"{SEED} {wait} {i}") for i in range(CLIENTS)]
        for _ in range(2):
            with StoreServer("--store-wait", wait, "--audit", vms=CLIENTS, store=folder) as server:
                compare_all(server, models)
                live_together(server, models)
                compare_all(server, models)
                same(server.stop(), 0, "exit status")
                matches(" 0 unclean", server.log())
        print(f"      {wait}: {sum(model.calls for model in models)} calls by {CLIENTS} clients", flush=True)


@claim(emulated=True)
def the_store_does_what_its_model_does_by_hand_off():
    model_holds("hand-off")


@claim
def the_store_does_what_its_model_does_in_all_other_ways_of_waiting():
    for wait in WAITS:
        if wait != "hand-off":
            model_holds(wait)


@claim
def keys_and_values_of_every_length_and_byte_come_back():
    everything = bytes(range(256))
    with StoreServer(vms=1) as server:
        for length in (1, 2, 255, 256, 510, 511):
            key = (everything * 2)[-length:]
            same(server.codes(put(b"t", key, everything * 16)), [0], f"a key of {length} bytes")
            same(server.one(get(b"t", key)), everything * 16, f"a key of {length} bytes")
        for length in (0, 1, 2047, 2048, 4095, 4096, 65535, MIB - 1, MIB, MIB + 1, 2 * MIB + 4081):
            value = (everything * 12288)[:length]
            same(server.codes(put(b"t", b"value", value)), [0], f"a value of {length} bytes")
            same(server.do(get(b"t", b"value", 3 * MIB))[0], (0, length, value), f"a value of {length} bytes")
        for first in range(256):
            key = bytes([first])
            same(server.codes(put(b"bytes", key, key)), [0], f"the key {key}") if first % 16 == 0 else None


@claim
def impossible_lengths_are_einval():
    long_key, long_table = b"k" * 512, b"t" * 64
    with StoreServer(vms=1) as server:
        for table, key in ((b"t", b""), (b"t", long_key), (b"", b"k"), (long_table, b"k"), (b".mayfly", b"format"), (b".", b"k"),
                           (b"t" * 300, b"k")):
            for op in (get(table, key), put(table, key, b"v"), delete(table, key), swap(table, key, None, b"v"),
                       swap(table, key, b"v", b"v"), add(table, key, 1)):
                same(server.codes(op), ["EINVAL"], f"table {table[:20]}, key {key[:20]}, {op.bytes[:1]}")
        for table, prefix in ((b"t", long_key), (b"", b""), (long_table, b""), (b".mayfly", b"")):
            same(server.codes(scan(table, prefix)), ["EINVAL"], f"scan of {table[:20]} {prefix[:20]}")
        same(server.codes(scan(b"t", b"", after=long_key)), ["EINVAL"], "a scan behind a key of 512 bytes")
        same(server.codes(get(b"t", b"k")), ["ENOENT"], "nothing was put")


@claim
def calls_beneath_the_sdk_are_checked_by_the_store():
    """The heads that no SDK would send; see struct mf_abi_kv."""
    def payload(table=b"t", key=b"k", value=b"v", number=0, table_bytes=None, key_bytes=None, value_bytes=None):
        return struct.pack("<HHIQ", len(table) if table_bytes is None else table_bytes, len(key) if key_bytes is None else key_bytes,
                           len(value) if value_bytes is None else value_bytes, number) + table + key + value
    with StoreServer(vms=1) as server:
        same(server.codes(call(2, payload())), [0], "one that is right")
        for what, bad in (("empty", b""), ("cut", payload()[:10]), ("a byte more", payload() + b"x"),
                          ("a byte less", payload()[:-1]), ("no key", payload(key=b"")), ("a key of 512", payload(key=b"k" * 512)),
                          ("no table", payload(table=b"")), ("a dot", payload(table=b".t")), ("a NUL", payload(table=b"a\0b")),
                          ("a huge table", payload(table_bytes=65535)), ("a huge key", payload(key_bytes=65535)),
                          ("a huge value", payload(value_bytes=0xffffffff)), ("a long value", payload(value=b"v" * (MIB + 1)))):
            codes = server.codes(call(2, bad))
            check(codes[0] in ("EINVAL", "E2BIG"), f"put, {what}: {codes}")
        for function in (1, 3, 4, 5, 6):
            for bad in (b"", payload()[:10], payload() + b"x", payload(table=b".mayfly"), payload(key=b"k" * 600)):
                codes = server.codes(call(function, bad))
                check(codes[0] in ("EINVAL", "E2BIG"), f"function {function}: {codes}")
        same(server.codes(call(5, payload(number=2))), ["EINVAL"], "swap: more expected than came")
        same(server.codes(call(4, payload(value=b"\xff\xff"))), ["EINVAL"], "scan without room")
        same(server.codes(get(b"t", b"k"))[0], 0, "the store is as it was")


@claim(emulated=True)
def other_errnos_are_what_the_header_says():
    with StoreServer(vms=1) as server:
        same(server.codes(put(b"t", b"k", b"12345"), put(b"t", b"seven", b"7" * 7)), [0, 0], "puts")
        same(server.do(get(b"t", b"k", room=4))[0], ("ENOBUFS", 5, b""), "no room")
        same(server.do(get(b"t", b"k", room=5))[0], (0, 5, b"12345"), "just enough room")
        same(server.codes(get(b"t", b"none"), get(b"none", b"k"), delete(b"t", b"none"), delete(b"none", b"k")), ["ENOENT"] * 4, "")
        same(server.codes(swap(b"t", b"k", b"1234", b"x"), swap(b"t", b"k", None, b"x"), swap(b"t", b"none", b"x", b"y"),
                          swap(b"none", b"none", b"x", b"y")), ["EAGAIN", "EAGAIN", "ENOENT", "ENOENT"], "swaps")
        same(server.codes(swap(b"t", b"k", b"12345", b""), swap(b"t", b"k", b"", b"full"), swap(b"t", b"k", b"full", b"x")),
             [0, 0, 0], "swaps that fit")
        same(server.codes(add(b"t", b"seven", 1)), ["EINVAL"], "no counter")
        same(server.codes(call(99), call(64), call(0xffffffff), resolve(b"kv.none"), resolve(b"")),
             ["ENOSYS", "ENOSYS", "ENOSYS", "ENOENT", "ENOENT"], "functions that are none")
        same([struct.unpack("<I", server.one(resolve(b"kv." + name)))[0] for name in (b"get", b"put", b"delete", b"scan", b"cas", b"add")],
             [1, 2, 3, 4, 5, 6], "functions by name")
        same(server.codes(call(0, b"x" * 257)), ["E2BIG"], "a long name")
        same(server.codes(call(1, b"x" * (2 * MIB))), ["EMSGSIZE"], "more than the channel")
        same(server.codes(scan(b"t", b"", room=9)), ["ENOBUFS"], "not even one record")
        same(server.codes(scan(b"none")), [0], "a table that is not there has no records")


@claim
def what_is_asked_of_tables_that_are_not_there_makes_none():
    with StoreServer(vms=1) as server:
        client = server.client()
        for i in range(0, 300, 20):
            do(client, *[op for k in range(20) for op in (delete(b"no%d" % (i + k), b"k"), swap(b"no%d" % (i + k), b"k", b"x", b"y"))])
        same(do(client, put(b"real", b"k", b"v"))[0][0], 0, "a table is made after 300 misses")


@claim
def more_tables_than_fit_are_enospc_and_the_others_work():
    with store_folder() as folder:
        for start in range(2):
            with StoreServer(vms=2, store=folder) as server:
                client = server.client()
                codes = [do(client, put(b"t%d" % i, b"k", b"v"))[0][0] for i in range(300)]
                same(codes, [0] * 256 + ["ENOSPC"] * 44, f"300 tables, start {start}")
                same(do(client, get(b"t255", b"k"), get(b"t256", b"k"), scan(b"t256"))[1][0], "ENOENT", "the 257th")
                same(one(client, get(b"t255", b"k")), b"v", "the 256th")


def fill(client, table, value, most=100000):
    """Puts until nothing but -ENOSPC comes back; the numbers of those that succeeded."""
    done, step = 0, 20
    while done < most:
        codes = {result[0] for result in do(client, *[put(table, b"%06d" % (done + k), value) for k in range(step)])}
        if codes == {0}:
            done += step
        else:
            same(codes, {"ENOSPC"}, "codes of a store that fills up: all of a request or nothing")
            if step == 1:
                return list(range(done))
            step = 1
    fail("the store does not fill up")


@claim
def a_full_store_is_enospc_until_something_is_deleted():
    for size in (900, 100000):
        with store_folder() as folder:
            with StoreServer("--store-size", "2M", vms=1, store=folder) as server:
                client = server.client()
                value = b"v" * size
                full = fill(client, b"t", value)
                check(len(full) * (size + 14) > 1100000, f"only {len(full)} values of {size} bytes fit into 2 MiB")
                same([one(client, op) for op in (get(b"t", b"%06d" % full[0]), put(b"new", b"k", b"v" * 100000))], [value, "ENOSPC"],
                     f"full, values of {size} bytes")
                codes = [one(client, delete(b"t", b"%06d" % i)) for i in full[:len(full) // 2]]
                same(set(codes), {b""}, f"deletes in a full store, values of {size} bytes")
                same(one(client, put(b"t", b"new", value)), b"", f"a put after deletes, values of {size} bytes")
                again = len(fill(client, b"u", value))
                check(again > len(full) // 4, f"only {again} of {len(full) // 2} deleted values of {size} bytes found room")
                server.stop()
            with StoreServer("--store-size", "2M", vms=1, store=folder) as server:
                same(server.one(get(b"t", b"new")), value, "a full store opens again")
                same(server.one(delete(b"t", b"new")), b"", "a delete after that")


@claim
def a_full_store_spoils_nobody_elses_call():
    """Calls that fail take no other of their group along."""
    with StoreServer("--store-size", "2M", "--store-wait", "wake", vms=8) as server:
        client = server.client()
        fill(client, b"t", b"v" * 50000)
        for k in range(8):  # pages that are free, though snapshots may hold them for some commits
            one(client, delete(b"t", b"%06d" % k))
        wrong = []

        def small(i):
            other = server.client()
            for k in range(30):
                code = one(other, add(b"t", b"counter", 1))
                if not isinstance(code, bytes):
                    wrong.append(code)
            other.close()

        def large(i):
            other = server.client()
            for k in range(30):
                code = one(other, put(b"large%d %d" % (i, k), b"k", b"v" * 900000))
                if code != "ENOSPC":
                    wrong.append(f"large: {code}")
            other.close()

        threads = [threading.Thread(target=(small, large)[i % 2], args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        same(wrong[:5], [], "calls beside those that do not fit")
        same(total(client, b"t", b"counter"), 120, "the counter")


@claim(emulated=True)
def without_a_request_or_a_store_it_is_enotconn():
    with StoreServer(vms=1) as server:
        codes = struct.unpack("<4i", server.ask("/boot").body)
        same(codes, (-107,) * 4, "before the ready point")
        same(server.codes(get(b"t", b"k")), ["ENOENT"], "after it")
    with Server(guest=GUEST, vms=1) as server:
        codes = [result[0] for result in results_of(server.ask("/do", b"".join(
            op.bytes for op in (get(b"t", b"k"), put(b"t", b"k", b"v"), scan(b"t"), call(1), resolve(b"kv.get")))).body)]
        same(codes, ["ENOTCONN"] * 5, "without --store")
        same(server.ask("/wake").body, b"-6", "CHANNEL_WAKE without a store")


@claim
def natively_and_when_run_it_is_enotconn():
    body = get(b"t", b"k").bytes + put(b"t", b"k", b"v").bytes + resolve(b"x").bytes
    for program in ([GUEST], [MAYFLY, "run", "--", GUEST]):
        done = command(program, stdin=body, env={"MF_NATIVE_TARGET": "/do"})
        same(struct.unpack("<9i", done.out)[::3], (-107,) * 3, f"{program} {done}")


print(f"      MAYFLY_TEST_SEED={SEED}")
main()
