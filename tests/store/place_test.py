#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Reads in place: a request reads the store's file where it is mapped into its VM, and sees one snapshot, whatever others do
meanwhile. What it costs is counted; what a request can do wrong with it ends itself alone."""
import json
import os
import tempfile
import threading
import time

from storing import BUILD, EMULATED, LONG, MAYFLY, MIB, StoreServer, command, wait_until
from claims import check, claim, main, same

GUEST = os.path.join(BUILD, "tests/store/place-guest")
ROUNDS = 10_000_000 if LONG else 100_000
A_REQUEST = 20_000 if LONG else 2_000
BEYOND = 60 * MIB // 4096


def serve(*options, vms=2, **more):
    return StoreServer("--workers", "2", "--queue", "256", "--deadline", "60s", *options, guest=GUEST, vms=vms, **more)


def told(client, target):
    """The numbers of an answer that succeeds."""
    answer = client.ask(target)
    same(answer.status, 200, target, str(answer))
    return [int(word) for word in answer.body.split()]


def does(client, target, wanted):
    answer = client.ask(target)
    same((answer.status, answer.body), (200, wanted), target)


def filled(server, version=1):
    client = server.client(60)
    does(client, f"/fill?{version}", b"filled")
    return client


def in_time(client, target, status):
    """An answer of a server with a short deadline: what is late on a busy machine is asked for again."""
    answer = client.ask(target)
    while answer.status == 504:
        answer = client.ask(target)
    same(answer.status, status, target, str(answer))


def file_bytes(server):
    return os.path.getsize(os.path.join(server.store, "data.mdb"))


@claim(emulated=True)
def a_hot_get_is_in_place_and_makes_no_exit_and_no_call():
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "access")
        with serve("--access-log", log, "--access-format", "json", vms=1) as server:
            client = filled(server)
            does(client, "/state", b"1 4194304 " + client.ask("/state").body.split()[2])
            # One that lasts beyond its slice, on a busy machine, has an exit for that: the least of many counts.
            for count in (0, 1, 1000) * (1 if EMULATED else 20):
                code, total, hits, tail, _, _ = told(client, f"/hot?{count}")
                same((code, total, hits, tail), (0, count * 40, 1 + 2 * count, 0), f"{count} reads: hits, and bytes in the ring")
            server.stop()
        with open(log, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    exits = {target: min(line["exits"] for line in lines if line["target"] == target) for target in ("/hot?0", "/hot?1", "/hot?1000")}
    if not EMULATED:  # all of them last so long there; exits/store has it
        same(exits, {"/hot?0": 1, "/hot?1": 1, "/hot?1000": 1}, "exits of requests")


@claim(emulated=True)
def small_puts_cost_a_request_no_exit():
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "access")
        with serve("--access-log", log, "--access-format", "json", vms=1) as server:
            client = server.client(60)
            for count in (0, 1, 100):
                for _ in range(20):
                    does(client, f"/post?{count}", b"0 0")
                does(client, "/posted?1000", b"%d" % count)
            # More than nobody waits for: now and then one is waited for.
            does(client, "/post?10000", b"0 0")
            does(client, "/posted?20000", b"10000")
            # A request sees its own.
            does(client, "/look?300", b"0 300")
            server.stop()
        with open(log, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    # The watchdog ends a turn that a busy processor makes long: one exit more, but not each time.
    targets = {line["target"] for line in lines if line["target"].startswith("/post?")}
    exits = {target: min(line["exits"] for line in lines if line["target"] == target) for target in targets}
    check(1 < exits.pop("/post?10000"), "exits of 10,000 puts")
    same(exits, {"/post?0": 1, "/post?1": 1, "/post?100": 1}, "exits of requests")


@claim
def puts_of_a_request_that_failed_are_not_kept():
    for wait in ("hand-off", "poll", "wake"):
        with serve("--store-wait", wait) as server:
            client = server.client(60)
            for _ in range(20):
                same(client.ask("/fail?20").status, 500, "it failed")
            does(client, "/posted?20", b"0")
            same(client.ask("/goon").status, 500, "it failed, and went on")
            wait_until(lambda: client.ask("/posted?20").body != b"0", "what it wrote then")
            does(client, "/posted?20", b"1")


@claim
def a_put_that_fails_unseen_is_told_at_the_commit():
    for wait in ("hand-off", "poll", "wake"):
        with serve("--store-wait", wait) as server:
            client = server.client(60)
            for _ in range(5):
                same(client.ask("/nonsense").status, 503, "a client of what was not kept")
            does(client, "/posted?20", b"0")
            does(client, "/post?3", b"0 0")
            does(client, "/posted?20", b"3")


@claim
def without_a_window_all_goes_by_the_ring():
    with serve("--store-window", "0") as server:
        client = filled(server)
        code, torn, in_place, version = told(client, "/reads?500")
        same((code, torn, in_place, version), (0, 0, 0, 1), "reads")


@claim
def a_vms_own_store_is_not_read_in_place():
    with serve("--store-scope", "vm") as server:
        same(told(server.client(), "/state"), [0, 0, 0], "the place")


@claim(emulated=True)
def a_request_sees_its_own_writes():
    with serve() as server:
        client = filled(server)
        answer = client.ask("/own?77")
        same((answer.status, answer.body), (500, b"0 -95 0 77"), "own write")
        same(told(client, "/reads?500")[3], 1, "and what was dropped is not there")


@claim(emulated=True)
def an_answer_may_be_what_lies_in_the_store():
    with serve() as server:
        client = filled(server, 0x4142434445464748)
        same(client.ask("/body").body, b"HGFEDCBA" * 750, "the value")


def read_while_a_writer_replaces_all(rounds, *options):
    """(reads, those in place); what is seen is of one version, and not older than what was told before."""
    done, versions, total = threading.Event(), [1], [0, 0]

    def write(server):
        client = server.client(120)
        while not done.is_set():
            if client.ask(f"/fill?{versions[0] + 1}").status == 200:
                versions[0] += 1

    with serve(*options, vms=3) as server:
        client = filled(server)
        writer = threading.Thread(target=write, args=(server,))
        writer.start()
        try:
            newest = 1
            while total[0] < rounds:
                before = versions[0]
                code, torn, in_place, version = told(client, f"/mixed?{min(A_REQUEST, rounds)}")
                same((code, torn), (0, 0), "code and torn", f"version {version}")
                check(version >= max(newest, before), f"a snapshot is not older than what was there: {version}, {before}, {newest}")
                newest = version
                total[0] += min(A_REQUEST, rounds)
                total[1] += in_place
        finally:
            done.set()
            writer.join()
        print(f"      {total[0]} reads, {total[1]} in place, {versions[0]} versions, the file has {file_bytes(server) >> 10} KiB")
    return total


@claim(emulated=True)
def reads_in_place_and_over_the_ring_are_of_one_version_while_a_writer_replaces_all():
    reads, in_place = read_while_a_writer_replaces_all(2_000 if EMULATED else ROUNDS)
    check(in_place > reads * 9 // 10, "most reads are in place", f"{in_place} of {reads}")


@claim
def reads_are_of_one_version_while_commits_are_seen_before_they_are_on_the_disk():
    read_while_a_writer_replaces_all(ROUNDS // 20, "--durability", "async")


@claim
def while_something_is_not_on_the_disk_all_else_is_read_in_place():
    """A writer of two other keys never stops; counted are requests that began while some of that was not on the disk."""
    seen, in_place, done = 0, 0, threading.Event()

    def write(server):
        client = server.client(120)
        while not done.is_set():
            client.ask("/oncall")

    with serve("--durability", "async", vms=3) as server:
        client = filled(server)
        wait_until(lambda: not told(client, "/newer?1")[5], "the first writes to be on the disk")
        writer = threading.Thread(target=write, args=(server,))
        writer.start()
        try:
            while seen < (2000 if LONG else 50):
                code, torn, found, version, state, bits = told(client, "/newer?500")
                same((code, torn, version), (0, 0, 1), "code, torn and version")
                check(bits <= 8, f"bits of four writes at most: {bits}")
                seen += bits > 0
                in_place += found if bits else 0
                check(found > 400 or state != 1, f"{found} in place of 500", f"bits {bits}")
        finally:
            done.set()
            writer.join()
    check(in_place > seen * 400, f"{in_place} in place in {seen} requests of 500 reads each")


@claim
def who_evicts_is_told_of_what_is_read_in_place():
    with serve("--store-evict", vms=1) as server:
        client = filled(server)
        same(told(client, "/wide?40"), [80, 40, 0], "40 keys, twice: in place, told, not found")
        same(told(client, "/wide?64"), [126, 63, 0], "more than can be told are asked for")
        same(told(client, "/reads?500")[:2], [0, 0], "and nothing is lost")
        wait_until(lambda: server.stat()["hits_in_place"] >= 206, "them to be hits")
    with serve(vms=1) as server:
        same(told(filled(server), "/wide?64"), [128, 0, 0], "who does not evict needs not be told")


@claim
def what_expires_is_read_in_place_until_then():
    with serve(vms=1) as server:
        client = server.client(60)
        does(client, "/expiring?3600000", b"done")
        same(told(client, "/expired"), [0, 0, 4], "in an hour")
        does(client, "/expiring?1", b"done")
        wait_until(lambda: told(client, "/expired")[1] == -2, "it to expire")
        check(told(client, "/expired") in ([-95, -2, 0], [-2, -2, 0]), "it is not there")


@claim
def what_was_read_in_place_is_in_conflict_with_who_wrote_it():
    with serve("--workers", "2", vms=4) as server:
        for _ in range(20 if LONG else 4):
            does(server.client(), "/oncall", b"done")
            answers = server.ask_all(["/skew?0", "/skew?1"])
            same([answer.status for answer in answers], [200, 200], "answers", *answers)
            same(sorted(answer.body for answer in answers), [b"0 1", b"0 2"], "one sees that the other is gone")


@claim(emulated=True)
def a_request_that_is_cut_off_or_crashes_keeps_no_pages():
    with serve("--deadline", "1500ms", vms=3) as server:
        client = server.client(60)
        in_time(client, "/fill?1", 200)
        for version in range(2, 12):
            in_time(client, f"/fill?{version}", 200)
        same(client.ask("/spin").status, 504, "its end")
        in_time(client, "/crash", 502)
        sizes = [file_bytes(server)]
        for begin in range(12, 192, 30):  # their VMs are reset when there is time for it, which may be behind the first of these
            for version in range(begin, begin + 30):
                in_time(client, f"/fill?{version}", 200)
            sizes.append(file_bytes(server))
            if len(sizes) > 2 and sizes[-1] < sizes[-2] + sizes[-2] // 4:
                return
        check(False, f"the file grows on and on: {sizes}")


@claim
def a_request_that_runs_keeps_its_snapshot_and_no_longer():
    with serve(vms=3) as server:
        client = filled(server)
        answers, threads = server.start_all(["/hold?1500"])
        for version in range(2, 40):
            does(client, f"/fill?{version}", b"filled")
        threads[0].join()
        same((answers[0].status, answers[0].body), (200, b"0 0"), "one version all the time")
        size = file_bytes(server)
        for version in range(40, 80):
            does(client, f"/fill?{version}", b"filled")
        check(file_bytes(server) < size + size // 4, f"the file grows no more: {size}, {file_bytes(server)}")


@claim(emulated=True)
def it_grows_by_pieces_and_what_lies_behind_the_window_goes_by_the_ring():
    with serve("--store-window", "8M", vms=1) as server:
        client = server.client(60)
        for number in range(3):
            does(client, f"/grow?{number}", b"grown")
        same(told(client, "/state")[1], 4 * MIB, "the first piece")
        same(told(client, "/large?3"), [0, 3], "all in place")
        for number in range(3, 12):
            does(client, f"/grow?{number}", b"grown")
        same(told(client, "/state")[1], 8 * MIB, "two pieces, and no more")
        code, in_place = told(client, "/large?12")
        same(code, 0, "they are all there")
        check(2 <= in_place < 12, f"some of them are in place: {in_place}")


@claim
def stat_and_status_say_what_the_window_is_and_costs():
    with tempfile.TemporaryDirectory() as folder, serve("--store-window", "8M", vms=1, control=f"unix:{folder}/control") as server:
        client, hits = server.client(60), 0
        for pieces, numbers in ((1, range(2)), (2, range(2, 12))):
            for number in numbers:
                does(client, f"/grow?{number}", b"grown")
            hits += told(client, "/large?2")[1]
            wait_until(lambda: server.stat()["hits_in_place"] == hits, "its hits to be counted")
            figures, status = server.stat(), server.status()["store"]
            wanted = [4 * pieces * MIB, pieces, 4 * pieces * 2560]
            same([figures[f"window_{name}"] for name in ("bytes", "slots", "kernel_bytes")], wanted, "mayfly store stat")
            same([status[f"window_{name}"] for name in ("bytes", "slots", "kernel_bytes")], wanted, "mayfly ctl status")
            same((status["in_place"], status["fenced"]), (hits, 0), "reads in place; fenced")
    with serve("--store-window", "0", vms=1) as server:
        figures = server.stat()
        same([figures[f"window_{name}"] for name in ("bytes", "slots", "kernel_bytes")], [0, 0, 0], "no window")


@claim(emulated=True)
def who_writes_into_the_store_or_reads_beyond_it_ends_alone():
    with serve(vms=2) as server:
        client = filled(server)
        before = client.ask("/reads?2000").body
        for target in ("/write?0", "/write?3", f"/write?{BEYOND}", f"/read?{BEYOND}", "/read?1000"):
            answer = server.ask(target)
            same((answer.status, answer.error), (502, "crash"), target, str(answer))
        for seed in range(4):
            check(server.ask(f"/scribble?{seed}").status in (200, 409, 502), "a hostile one is told something")
        same(client.ask("/reads?2000").body, before, "nothing has changed for others")


@claim
def a_file_that_is_cut_is_a_crash_of_requests_alone():
    with serve(vms=2) as server:
        client = filled(server)
        same(told(client, "/reads?100")[0], 0, "reads")
        with open(os.path.join(server.store, "data.mdb"), "r+b") as file:
            file.truncate(8192)
        answer = server.ask("/reads?100")
        check(answer.status in (502, 503), f"the request ends: {answer}")
        answer = server.ask("/body")
        check(server.process.poll() is None, "the server goes on")


@claim
def a_storage_program_that_begins_anew_waits_for_who_reads_in_place():
    with serve(vms=3) as server:
        client = filled(server)
        for version in range(2, 8):
            does(client, f"/fill?{version}", b"filled")
        answers, threads = server.start_all(["/hold?1500"])
        time.sleep(0.3)
        done = command([MAYFLY, "store", "compact", server.store], seconds=60)
        same(done.status, 0, "compact", done.err)
        threads[0].join()
        same((answers[0].status, answers[0].body), (200, b"0 0"), "one version all the time")
        same(told(client, "/reads?500")[:2], [0, 0], "reads go on")
        for version in range(8, 30):
            does(client, f"/fill?{version}", b"filled")
        code, torn, in_place, version = told(client, "/reads?500")
        same((code, torn, in_place, version), (0, 0, 500, 29), "and in place, from the new file")


@claim
def no_tenant_sees_anothers_store():
    secret = 0x5345435245543432
    with serve() as one, serve() as other:
        client = filled(one, secret)
        same(told(client, "/reads?500")[3], secret, "its own")
        stranger = filled(other)
        same(told(stranger, "/reads?500")[3], 1, "the other's own")
        same(told(stranger, f"/search?{secret}"), [4 * MIB, 0], "what it has mapped, and what it found there")
        check(told(client, f"/search?{secret}")[1] > 0, "where it is it is found")


main()
