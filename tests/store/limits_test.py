#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A store with too little, or a lot, of something: it works, or one sentence says what to change."""
import os
import resource
import time

from storing import CACHE, MIB, PROGRAM, SOON, StoreServer, get, one, put, refused, store_folder
from claims import check, claim, main, matches, same


def files(count):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def sentence(done, why, what):
    same(done.status, 125, f"{what}: exit status", str(done))
    own = [line for line in done.err.decode().splitlines() if not line.startswith("[store] ")]
    same(len(own), 1, f"{what}: sentences", str(done))
    matches("^mayfly serve: ", own[0])
    matches(why, done.err, what)


def works(server, size=1000):
    client = server.client()
    for i in range(5):
        same(one(client, put(b"t", b"%d" % i, b"v" * size)), b"", "a put", server.log()[-400:])
        same(one(client, get(b"t", b"%d" % i)), b"v" * size, "a get")
    client.close()


@claim
def too_few_descriptors_are_told_and_just_enough_work():
    with store_folder() as folder:
        sentence(refused("--store", folder, before=files(64)), "raise it \\(`ulimit -Hn`\\), or lower --vms or --connections", "64 descriptors")
        check(not os.path.exists(folder), "the folder was made")
        for count in range(8, 64, 5):
            done = refused("--store", folder, "--connections", "1", "--workers", "1", before=files(count))
            sentence(done, "ulimit|descriptors|open files|Too many", f"{count} descriptors")
    least = 0
    for count in range(60, 130, 4):
        with store_folder() as folder:
            try:
                with StoreServer("--connections", "2", "--workers", "1", vms=1, store=folder, before=files(count)) as server:
                    works(server)
                    least = least or count
            except Exception:
                check(not least, f"{least} descriptors are enough, {count} are not")
    check(least, "no number of descriptors is enough")


@claim
def too_little_memory_is_told_and_what_it_has_does_for_calls():
    with store_folder() as folder:
        least = all_of_it = None
        for size in ("1K", "100K", "1M", "2M", "4M", "8M", "12M", "16M", "24M", "32M"):
            try:
                server = StoreServer("--store-memory", size, vms=1, store=folder)
            except Exception as error:
                check(not least, f"{least} is enough, {size} is not: {error}")
                sentence(refused("--store", folder, "--store-memory", size), "--store-memory", f"--store-memory {size}")
                continue
            least = least or size
            with server:
                works(server)
                code = server.codes(put(b"t", b"large", b"v" * MIB))[0]
                check(code in (0, "ENOMEM"), f"a put of 1 MiB in {size}: {code}", server.log()[-500:])
                all_of_it = all_of_it or (size if not code else None)
                works(server)
                same(server.log().count(b"died"), 0, f"deaths in {size}", server.log()[-500:])
        check(all_of_it, "32M is not enough for a value of 1 MiB")
        print(f"      it starts in {least}, a value of 1 MiB needs {all_of_it}")


@claim
def sizes_that_cannot_be_are_told():
    with store_folder() as folder:
        for option, value in (("--store-size", "0"), ("--store-size", "x"), ("--store-size", "-1"), ("--store-size", "18446744073709551616"),
                              ("--store-memory", "0"), ("--store-deadline", "0"), ("--store-deadline", "soon"), ("--store-wait", "never")):
            sentence(refused("--store", folder, option, value), option, f"{option} {value}")
        done = refused("--store-program", PROGRAM)
        sentence(done, "--store-program needs a folder", "a program without a folder")
        check(not os.path.exists(folder), "the folder was made")


@claim
def tiny_stores_work_or_are_told():
    for size in ("1", "4K", "8K", "16K", "32K", "64K", "128K", "1M"):
        with store_folder() as folder:
            try:
                with StoreServer("--store-size", size, vms=1, store=folder) as server:
                    codes = server.codes(*[put(b"t", b"%d" % i, b"v") for i in range(10)])
                    check(set(codes) <= {0, "ENOSPC"}, f"{size}: {codes}")
                    if size in ("128K", "1M"):
                        same(set(codes), {0}, f"puts into a store of {size}")
                    same(server.stop(), 0, "exit status")
            except Exception as error:
                check("did not become ready" in str(error), f"{size}: {error}")
                sentence(refused("--store", folder, "--store-size", size), "--store-(size|memory)", f"--store-size {size}")


@claim
def a_huge_store_works_or_is_told():
    for size in ("100G", "1024G", "60000G", "200000G", "17179869183G"):
        with store_folder() as folder:
            try:
                with StoreServer("--store-size", size, vms=1, store=folder) as server:
                    began = time.monotonic()
                    works(server)
                    check(time.monotonic() - began < SOON, f"{size}: slow")
                    same(server.stop(), 0, "exit status")
                    check(os.path.getsize(f"{folder}/data.mdb") < 10 * MIB, "the file")
            except Exception as error:
                check("did not become ready" in str(error), f"{size}: {error}")
                sentence(refused("--store", folder, "--store-size", size), "--store-(size|memory)", f"--store-size {size}")


@claim
def a_store_can_be_opened_with_another_size():
    with store_folder() as folder:
        with StoreServer("--store-size", "4M", vms=1, store=folder) as server:
            works(server, MIB // 4)
        for size in ("64M", "1M", "4M", "1G"):
            with StoreServer("--store-size", size, vms=1, store=folder) as server:
                same(server.one(get(b"t", b"3")), b"v" * (MIB // 4), f"what was there, in {size}")
                check(server.codes(put(b"t", b"new", b"v"))[0] in (0, "ENOSPC"), f"a put in {size}")


@claim
def many_vms_share_a_store():
    began = time.monotonic()
    with StoreServer("--connections", "64", guest=CACHE, vms=1000) as server:
        took = time.monotonic() - began
        check(took < 60, f"the start took {took:.0f} s")
        for i in range(50):
            same(server.ask(f"/t/{i}", b"v%d" % i, method="PUT").status, 204, "a put")
        same([answer.body for answer in server.ask_all([f"/t/{i}" for i in range(50)])], [b"v%d" % i for i in range(50)], "gets")
        print(f"      ready after {took:.1f} s")
        same(server.stop(seconds=40), 0, "exit status")


@claim
def more_vms_than_can_be_are_told():
    with store_folder() as folder:
        done = refused("--store", folder, "--vms", "65536", seconds=60)
        sentence(done, "--vms|VMs|memory", "65536 VMs")


main()
