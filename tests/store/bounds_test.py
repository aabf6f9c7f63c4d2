#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What an operator sets for a store that is served: how much it keeps, what goes then, and how long a transaction may be open."""
import os
import threading

from storing import BUILD, MIB, StoreServer, do, get, nap, put, records_of, refused, results_of, scan, store_folder, wait_until
from claims import check, claim, main, same

HIREDIS = os.path.join(BUILD, "tests/store/hiredis-guest")


@claim(sanitized=False)
def a_cache_beyond_its_bound_never_refuses_a_write_and_keeps_what_is_used():
    """Three times the bound is written; two records are read all along, one of them where it lies."""
    bound, value = 2 * MIB, b"v" * 1000
    with StoreServer("--store-size", "16M", "--store-quota", "2M", "--store-evict", vms=2) as server:
        client = server.client()
        do(client, put(b"cache", b"hot", b"warm"), put(b"cache", b"placed", b"warm"))
        most = 0
        for batch in range(120):
            keys = [b"%05d" % (50 * batch + i) for i in range(50)]
            codes = [code for code, _, _ in do(client, *[put(b"cache", key, value) for key in keys], get(b"cache", b"hot"))]
            same(set(codes), {0}, f"batch {batch}: a put, or the read of what is used", server.log()[-400:])
            same(do(client, get(b"cache", b"placed"))[0], (0, 4, b"warm"), f"batch {batch}: a read in place")
            if batch % 10 == 9:
                most = max(most, server.stat()["kept_bytes"])
        figures = server.stat()
        check(most <= bound + bound // 16 + 50 * 1100, f"{most} bytes are kept at a bound of {bound}")
        check(figures["kept_bytes"] > bound // 2, f"only {figures['kept_bytes']} bytes are kept")
        check(figures["evictions"] > 2000, f"{figures['evictions']} evictions")
        same((figures["quota_bytes"], figures["evicts"]), (bound, 1), "what stat says of the bound")
        check(figures["hits_in_place"] >= 119, f"reads in place: {figures}")
        check(figures["hits"] >= 239 and "misses" in figures, f"hits and misses: {figures}")
        found = [code for code, _, _ in do(client, *[get(b"cache", b"%05d" % key) for key in range(5900, 6000)])]
        check(found.count(0) > 80, f"of the last hundred {found.count(0)} are there")
        same(do(client, get(b"cache", b"00000"))[0][0], "ENOENT", "the first one")
        client.close()


@claim
def a_hash_of_the_redis_protocol_goes_as_a_whole():
    """Hashes, and strings until most of them had to go: each has all of its fields or none."""
    fields = " ".join(f"f{i} {'x' * 20}" for i in range(30))
    with StoreServer("--store-size", "8M", "--store-quota", "512K", "--store-evict", guest=HIREDIS, vms=1) as server:
        def says(*lines):
            answer = server.ask("/", ("\n".join(lines) + "\n\n").encode())
            same(answer.status, 200, "a request", str(answer) + str(server.log()[-400:]))
            return answer.body.decode().splitlines()

        for number in range(20):
            same(says(f"HSET hash{number} {fields}"), ["30"], "HSET")
        for number in range(100):
            same(set(says(*[f"SET key{number}.{i} {'y' * 400}" for i in range(20)])), {"OK"}, "SET")
            same(says("HLEN hash7"), ["30"], "one that is used")
        lengths = says(*[f"HLEN hash{number}" for number in range(20)])
        check(set(lengths) == {"0", "30"}, f"fields of hashes: {lengths}")
        kept = says(*[f"EXISTS hash{number}" for number in range(20)])
        same([length != "0" for length in lengths], [one == "1" for one in kept], "a hash without its key, or a key without its hash")


def grow(server, key, times):
    """Replaces a value of 200,000 bytes, a commit each."""
    client = server.client()
    for i in range(times):
        same([code for code, _, _ in do(client, put(b"big", key, bytes([i % 256]) * 200000))], [0], "a put")
    client.close()


@claim(sanitized=False)
def a_transaction_that_is_open_for_too_long_is_dropped_and_the_file_grows_no_more():
    with StoreServer("--transaction-age", "300ms", "--store-window", "0", "--deadline", "1m", "--store-size", "64M", vms=3) as server:
        grow(server, b"first", 1)
        answers, threads = [None, None], []
        first = get(b"big", b"first")

        def ask(which, ops):
            answers[which] = server.ask("/do", b"".join(op.bytes for op in ops))

        for which, ops in enumerate(((first, nap(3000), first), (put(b"late", b"k", b"v"), nap(3000)))):
            threads.append(threading.Thread(target=ask, args=(which, ops)))
            threads[-1].start()
        wait_until(lambda: server.stat()["transactions_open"] == 2 or not any(thread.is_alive() for thread in threads), "both to begin")
        began = server.stat()["pages_used"]
        while server.stat()["transactions_aged"] < 2 and any(thread.is_alive() for thread in threads):
            grow(server, b"first", 2)
        before = os.path.getsize(f"{server.store}/data.mdb")
        grow(server, b"first", 60)
        check(os.path.getsize(f"{server.store}/data.mdb") <= before + MIB, "the file grows", str(before))
        check(began <= server.stat()["pages_used"], "pages")
        for thread in threads:
            thread.join()
        same([code for code, _, _ in results_of(answers[0].body)], [0, 0, "ETIMEDOUT"], "who only reads: its next call", str(answers[0]))
        same((answers[1].status, answers[1].error), (503, "age"), "who has written: its commit")
        same(do(server.client(), get(b"late", b"k"))[0][0], "ENOENT", "what it wrote")
        same(server.stat()["transactions_open"], 0, "open ones")


@claim
def a_transaction_that_is_open_keeps_what_it_sees_until_then():
    with StoreServer("--deadline", "1m", vms=2) as server:
        grow(server, b"first", 1)
        ops = (get(b"big", b"first"), nap(500), get(b"big", b"first"))
        answers = []
        reader = threading.Thread(target=lambda: answers.append(server.ask("/do", b"".join(op.bytes for op in ops))))
        reader.start()
        wait_until(lambda: server.stat()["transactions_open"] or not reader.is_alive(), "it to begin")
        grow(server, b"first", 5)
        reader.join()
        results = results_of(answers[0].body)
        same([code for code, _, _ in results], [0, 0, 0], "its calls")
        same(results[0][2], results[2][2], "what it sees")


@claim
def a_store_of_each_vm_begins_with_the_folder_or_with_nothing():
    with store_folder() as folder:
        with StoreServer(store=folder, vms=1) as server:
            same(server.codes(put(b"t", b"a", b"1"), put(b"t", b"b", b"2")), [0, 0], "puts")
            same(server.stop(), 0, "its end")
        for scope, codes, keys in (("vm", [0, 0, 0], [b"a", b"b", b"c"]), ("empty", ["ENOENT", 0, 0], [b"c"])):
            with StoreServer("--store-scope", scope, store=folder, vms=1) as server:
                for _ in range(3):
                    results = server.do(get(b"t", b"a"), put(b"t", b"c", b"3"), get(b"t", b"c"), scan(b"t"))
                    same([code for code, _, _ in results[:3]], codes, f"{scope}: calls")
                    same([key for key, _ in records_of(results[3][2])], keys, f"{scope}: a scan")
                same(server.stop(), 0, "its end")
        with StoreServer(store=folder, vms=1) as server:
            same([key for key, _ in records_of(server.do(scan(b"t"))[0][2])], [b"a", b"b"], "what the folder holds")


@claim
def a_bound_without_room_for_commits_is_refused():
    with store_folder() as folder:
        done = refused("--store", folder, "--store-size", "1M", "--store-quota", "1000K", "--store-evict")
        check(done.status != 0 and "three quarters" in done.err.decode(), "the sentence", str(done))
    with StoreServer("--store-size", "8M", "--store-evict", vms=1) as server:
        same(server.stat()["quota_bytes"], 6 * MIB, "without a quota")


main()
