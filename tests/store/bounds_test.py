#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What an operator sets for a store that is served: how much it keeps, what goes then, and how long a transaction may be open."""
import json
import os

from storing import BUILD, MAYFLY, MIB, StoreServer, command, do, get, put, refused, store_folder
from claims import check, claim, main, same

HIREDIS = os.path.join(BUILD, "tests/store/hiredis-guest")


def stat(folder):
    done = command([MAYFLY, "store", "stat", folder, "--json"])
    same(done.status, 0, "mayfly store stat", str(done))
    return json.loads(done.out)


@claim
def a_cache_beyond_its_bound_never_refuses_a_write_and_keeps_what_is_used():
    """Three times the bound is written; one record is read all along."""
    bound, value = 2 * MIB, b"v" * 1000
    with StoreServer("--store-size", "16M", "--store-quota", "2M", "--store-evict", vms=2) as server:
        client = server.client()
        do(client, put(b"cache", b"hot", b"warm"))
        most = 0
        for batch in range(120):
            keys = [b"%05d" % (50 * batch + i) for i in range(50)]
            codes = [code for code, _, _ in do(client, *[put(b"cache", key, value) for key in keys], get(b"cache", b"hot"))]
            same(set(codes), {0}, f"batch {batch}: a put, or the read of what is used", server.log()[-400:])
            if batch % 10 == 9:
                most = max(most, stat(server.store)["kept_bytes"])
        figures = stat(server.store)
        check(most <= bound + bound // 16 + 50 * 1100, f"{most} bytes are kept at a bound of {bound}")
        check(figures["kept_bytes"] > bound // 2, f"only {figures['kept_bytes']} bytes are kept")
        check(figures["evictions"] > 2000, f"{figures['evictions']} evictions")
        same((figures["quota_bytes"], figures["evicts"]), (bound, 1), "what stat says of the bound")
        check(figures["hits"] >= 120 and "misses" in figures, f"hits and misses: {figures}")
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


@claim
def a_bound_without_room_for_commits_is_refused():
    with store_folder() as folder:
        done = refused("--store", folder, "--store-size", "1M", "--store-quota", "1000K", "--store-evict")
        check(done.status != 0 and "three quarters" in done.err.decode(), "the sentence", str(done))
    with StoreServer("--store-size", "8M", "--store-evict", vms=1) as server:
        same(stat(server.store)["quota_bytes"], 6 * MIB, "without a quota")


main()
