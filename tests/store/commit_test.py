#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A request is a transaction that the engine ends: what it wrote lasts when it has ended well, and not before its client
is answered. The storage program is one of this folder that obeys the engine's orders and does what a file says."""
import os
import re
import signal
import socket
import tempfile
import threading

from storing import BUILD, EMULATED, SLOWER, StoreServer, WAITS, refused, store_folder, wait_until
from claims import check, claim, main, same

FUNCTION = os.path.join(BUILD, "tests/store/txn-guest")
SERVER = os.path.join(BUILD, "tests/store/txn-server")
STORE = os.path.join(BUILD, "tests/store/txn-store")
BOTH = (FUNCTION, SERVER)


class Txn(StoreServer):
    def __init__(self, *options, guest=FUNCTION, **more):
        self.private = tempfile.TemporaryDirectory(prefix="mayfly-commit-")
        patience = () if "--store-deadline" in options else ("--store-deadline", "60s")
        super().__init__(*patience, *options, guest=guest, program=STORE, control=f"unix:{self.private.name}/control", **more)

    def drop(self):
        super().drop()
        self.private.cleanup()

    def how(self, text):
        """What orders meet from now on."""
        with open(f"{self.store}/how.new", "w") as file:
            file.write(text)
        os.rename(f"{self.store}/how.new", f"{self.store}/how")

    def counter(self, key):
        body = self.ask(f"/a:{key}=0;s:500").body.split()
        same(body[0], b"0", "a counter is read")
        return int(body[1])

    def requests(self):
        return self.status()["requests"]


def told(answer, status, body=None, error=None):
    same((answer.status, answer.error), (status, error), "status", str(answer))
    if body is not None:
        same(answer.body, body, "body")


@claim(emulated=True)
def what_ended_well_lasts_and_nothing_else():
    for guest in BOTH:
        with Txn("--deadline", "2s", guest=guest, vms=2) as server:
            told(server.ask("/a:n=1;a:n=1"), 200, b"0 1\n0 2\n")
            same(server.counter("n"), 2, "both of a request that ended well")
            told(server.ask("/a:n=5;s:404"), 404, b"0 7\n")
            same(server.counter("n"), 7, "404 is an answer")
            told(server.ask("/a:n=1;s:500"), 500, b"0 8\n")
            told(server.ask("/a:n=1;s:503"), 503, b"0 8\n")
            same(server.counter("n"), 7, "5xx says that the program has failed")
            told(server.ask("/a:n=1;c"), 502, error="crash")
            same(server.counter("n"), 7, "a crash")
            told(server.ask(f"/a:n=1;n:{100000 * SLOWER}"), 504)
            same(server.counter("n"), 7, "the deadline")
            server.send_only("/a:n=1;n:100000").close()
            same(server.counter("n"), 7, "a client that is gone")
            told(server.ask("/a:n=1;e;a:n=10"), 200, b"0 8\n")
            wait_until(lambda: server.counter("n") == 18, "what was written behind the answer")
            told(server.ask("/a:n=1;e;n:1;a:n=10;c"), 200, b"0 19\n")
            same(server.counter("n"), 19, "what was committed before the crash behind the answer")
            told(server.ask("/a:n=1;s:500;e;n:1"), 500, b"0 20\n")
            same(server.counter("n"), 19, "what failed, and worked on")
            told(server.ask("/a:n=1;x"), 200, b"0 20\n")
            same(server.counter("n"), 20, "the program exits behind its answer")


@claim
def all_ways_of_waiting_and_forms_of_reset_commit():
    for wait in WAITS:
        for options in ((), ("--reset", "never"), ("--reset", "connection")):
            for guest in BOTH:
                with Txn("--store-wait", wait, "--workers", "1", *options, guest=guest, vms=2) as server:
                    for number in range(1, 6):
                        told(server.ask("/a:n=1"), 200, b"0 %d\n" % number)


@claim(emulated=True)
def a_conflict_is_served_again_and_the_client_sees_one_200():
    for guest in BOTH:
        with Txn("--workers", "1", guest=guest, vms=3) as server:
            server.how("hold")
            answers, threads = server.start_all(["/a:n=1", "/a:n=1"])
            wait_until(lambda: server.status()["vms"]["busy"] == 2, "both at their commit")
            wait_until(lambda: server.status()["store"]["calls"] == 2, "both at their commit")
            server.how("")
            for thread in threads:
                thread.join()
            same(sorted((answer.status, answer.body) for answer in answers), [(200, b"0 1\n"), (200, b"0 2\n")], "answers")
            requests = server.requests()
            same((requests["reruns"], requests["committed"], requests["total"]), (1, 2, 2), "counts")


@claim
def after_three_reruns_the_client_is_told_409():
    for guest in BOTH:
        with Txn("--workers", "1", guest=guest, vms=2) as server:
            server.how("conflict")
            told(server.ask("/a:n=1"), 409)
            told(server.ask("/a:n=1", body=b"x" * 1000), 409)
            told(server.ask("/g:n"), 200)
            server.how("")
            told(server.ask("/a:n=1"), 200, b"0 1\n")
            requests = server.requests()
            same((requests["conflict"], requests["reruns"], requests["committed"]), (2, 6, 1), "counts")
        with Txn("--workers", "1", "--reset", "never", guest=guest, vms=1) as server:
            server.how("conflict")
            told(server.ask("/a:n=1"), 409)
            same(server.requests()["reruns"], 0, "a VM that goes on is not served again")


@claim
def what_the_store_does_not_take_is_told():
    for guest in BOTH:
        with Txn("--workers", "1", guest=guest, vms=2) as server:
            for number, status, error in ((28, 507, None), (122, 507, None), (5, 503, "store"), (30, 503, "store")):
                server.how(f"fail {number}")
                told(server.ask("/a:n=1"), status, error=error)
                told(server.ask("/a:n=1;e;a:n=1"), status, error=error)
            server.how("")
            same(server.counter("n"), 0, "nothing of it")


@claim
def the_storage_vm_dies_at_a_commit():
    for guest in BOTH:
        with Txn("--workers", "1", guest=guest, vms=2) as server:
            server.how("die")
            told(server.ask("/a:n=1"), 503, error="commit")
            server.how("")
            told(server.ask("/a:n=1"), 200, b"0 1\n")


@claim
def a_deadline_holds_for_the_commit_and_the_vm_comes_back_when_it_is_over():
    for guest in BOTH:
        with Txn("--workers", "1", "--deadline", f"{1000 * SLOWER:.0f}ms", guest=guest, vms=1) as server:
            server.how("hold")
            told(server.ask("/a:n=1"), 504, error="commit")
            told(server.ask("/a:n=1"), 504)  # the only VM is still at it
            server.how("")
            wait_until(lambda: server.ask("/s:200").status == 200, "the VM")
            same(server.counter("n"), 1, "it was done after all")


def begin_commit(server, target="/a:n=1"):
    """A request that is at its commit."""
    answers, threads = server.start_all([target])
    wait_until(lambda: server.status()["store"]["calls"] > 0 and server.status()["vms"]["busy"] == 1, "the commit")
    return answers, threads[0]


@claim
def reads_go_on_while_a_commit_waits_or_computes():
    """It does so until they were answered: no read waits for it."""
    for how in ("hold", "spin"):
        for wait in WAITS:
            with Txn("--workers", "2", "--store-wait", wait, "--deadline", "60s", "--store-deadline", "60s", vms=4) as server:
                server.how(how)
                answers, thread = begin_commit(server)
                for _ in range(5):
                    told(server.ask("/g:n"), 200, b"-2 \n")
                same(answers[0], None, f"{how}, {wait}: it commits still")
                server.how("")
                thread.join()
                told(answers[0], 200, b"0 1\n")


@claim
def a_drain_waits_for_the_commit():
    for guest in BOTH:
        with Txn("--workers", "1", guest=guest, vms=2) as server:
            server.how("hold")
            answers, thread = begin_commit(server)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: server.ready() != 200, "the drain")
            server.how("")
            thread.join()
            told(answers[0], 200, b"0 1\n")
            same(server.process.wait(20 * SLOWER), 0, "the server ends")


@claim
def a_stop_does_not_wait_for_ever():
    with Txn("--workers", "1", "--store-deadline", "1s", "--drain", "1s", guest=SERVER, vms=2) as server:
        server.how("hold")
        answers, thread = begin_commit(server)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30 * SLOWER)
        thread.join()
        check(not hasattr(answers[0], "status") or answers[0].status != 200, "no 200", str(answers[0]))


def read_all(server, target):
    """All bytes of a connection, and how it ended."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20 * SLOWER)
    sock.connect(server.path)
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    got = b""
    try:
        while more := sock.recv(1 << 20):
            got += more
    except ConnectionResetError:
        pass
    finally:
        sock.close()
    return got


@claim
def a_streamed_answer_is_held_and_never_complete_before_its_commit():
    with Txn("--workers", "1", guest=SERVER, vms=2) as server:
        for size in (10, 100000, 900000, 3000000):
            whole = read_all(server, f"/a:n=1;b:{size};a:n=1")
            check(whole.endswith(b"0\r\n\r\n"), f"{size} bytes: all of it")
        same(server.counter("n"), 8, "all of them")
        server.how("conflict")
        for size, status in ((10, b"409"), (900000, b"409")):
            got = read_all(server, f"/a:n=1;b:{size};a:n=1")
            check(got.startswith(b"HTTP/1.1 " + status), f"{size} bytes", got[:100])
        got = read_all(server, "/a:n=1;b:3000000;a:n=1")
        check(got.startswith(b"HTTP/1.1 200") and not got.endswith(b"0\r\n\r\n"), "cut", got[-20:])
        got = read_all(server, "/b:10;n:1;a:n=1")
        check(not got.endswith(b"0\r\n\r\n"), "what was begun before the first write is cut", got)
        reruns = server.requests()["reruns"]
        same(reruns, 6, "none after something was sent")
        server.how("")
        same(server.counter("n"), 8, "nothing of it was done")
        told(server.ask("/a:n=1;b:3000000"), 200)


@claim
def of_an_endless_answer_each_call_stands_for_itself():
    with Txn("--workers", "1", guest=SERVER, vms=2) as server:
        sock = server.send_only("/a:n=1;o;a:n=1;n:100000")
        wait_until(lambda: server.counter("n") == 2, "both while it goes on")
        server.how("conflict")
        told(server.ask("/a:n=1;o;n:1"), 409)
        sock.close()


@claim
def counters_of_many_clients_are_exact():
    clients, each = (8, 3) if EMULATED else (64, 5)
    for guest in BOTH:
        with Txn("--workers", "2", "--queue", "256", guest=guest, vms=8) as server:
            done, wrong, lock = [0], [], threading.Lock()

            def count():
                client = server.client(60)
                for _ in range(each):
                    answer = client.ask("/a:n=1")
                    with lock:
                        if answer.status == 200:
                            done[0] += 1
                        elif answer.status != 409:
                            wrong.append(str(answer))
                client.close()

            threads = [threading.Thread(target=count) for _ in range(clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            same(wrong, [], "other answers")
            same(server.counter("n"), done[0], "the counter")
            requests = server.requests()
            print(f"      {done[0]} of {clients * each} done, {requests['reruns']} served again, {requests['conflict']} told 409")


@claim
def a_store_of_each_vm_goes_with_its_reset():
    for guest in BOTH:
        with Txn("--workers", "1", "--store-scope", "vm", guest=guest, vms=1) as server:
            for _ in range(3):
                told(server.ask("/a:n=1;a:n=1;g:m"), 200, b"0 1\n0 2\n-2 \n")
            same((server.requests()["committed"], os.path.getsize(f"{server.store}/journal")), (0, 0), "commits")
        with Txn("--workers", "1", "--store-scope", "vm", "--reset", "never", guest=guest, vms=1) as server:
            for number in range(1, 4):
                told(server.ask("/a:n=1"), 200, b"0 %d\n" % number)
            told(server.ask("/a:n=1;c"), 502, error="crash")
            told(server.ask("/a:n=1"), 200, b"0 1\n")
        with Txn("--workers", "1", "--store-scope", "vm", "--reset", "connection", guest=guest, vms=2) as server:
            first, second = server.client(), server.client()
            for number in range(1, 4):
                told(first.ask("/a:n=1"), 200, b"0 %d\n" % number)
            told(second.ask("/a:n=1"), 200, b"0 1\n")
            first.close()
            second.close()


@claim
def a_commit_that_never_ends_ends_the_program_at_its_deadline():
    """The program's other thread answers calls all along."""
    for how in ("spin", "hold"):
        for wait in ("auto", "poll"):
            with Txn("--store-deadline", "700ms", "--store-wait", wait, vms=3) as server:
                told(server.ask("/a:n=1"), 200, b"0 1\n")
                server.how(how)
                answers, threads = server.start_all(["/p:m=1"])
                wait_until(lambda: not threads[0].is_alive() or server.ask("/g:n").status == 200, "reads meanwhile")
                threads[0].join()
                told(answers[0], 503, error="commit")
                wait_until(lambda: re.search(rb"died: a (call|commit) took longer than 0.7 s", server.log()), "the sentence")
                server.how("")
                wait_until(lambda: server.ask("/a:n=1").status == 200, "the next program")
                same(server.log().count(b"the storage program died"), 1, "deaths", server.log())


@claim
def a_commit_that_is_forgotten_ends_the_program():
    """None of its threads waits for a time or for the disk, and a worker runs it meanwhile, for reads."""
    with Txn("--workers", "1", "--store-deadline", "300ms", "--store-wait", "hand-off", "--deadline", "20s", vms=3) as server:
        reader, reads = server.client(), "/" + ";".join(["g:n"] * 100)
        for deaths in (1, 2):
            server.how("forget")
            answers, threads = server.start_all(["/p:m=1"])
            while threads[0].is_alive():
                reader.ask(reads)
            told(answers[0], 503, error="commit")
            server.how("")
            wait_until(lambda: server.ask("/a:n=1").status == 200, "the next program")
            same(server.log().count(b"the storage program died"), deaths, "deaths", server.log())


@claim
def a_quota_is_told_by_507_and_reads_go_on():
    """Of Mayfly's own storage program."""
    with StoreServer("--workers", "1", "--store-quota", "512K", guest=FUNCTION, vms=2) as server:
        value = "x" * 200
        told(server.ask(f"/p:first={value}"), 200)
        for number in range(400):
            answer = server.ask("/" + ";".join(f"p:k{number}.{i}={value}" for i in range(8)))
            if answer.status != 200:
                break
        told(answer, 507, b"The store is full.\n")
        told(server.ask("/g:first"), 200, b"0 " + value.encode() + b"\n")


@claim
def options_that_make_no_sense_are_refused():
    for options, words in ((("--durability", "group=1m"), "longer than 10 seconds"), (("--durability", "never"), "group=5ms"),
                           (("--durability", "group="), "--durability"), (("--store-scope", "me"), "--store-scope"),
                           (("--store-size", "1M", "--store-quota", "2M"), "--store-quota is larger")):
        with store_folder() as folder:
            done = refused("--store", folder, *options)
            check(done.status != 0 and words in done.err.decode(), f"{options}", str(done))


@claim
def who_only_reads_orders_nothing():
    for guest in BOTH:
        with Txn("--workers", "1", guest=guest, vms=1) as server:
            for _ in range(3):
                told(server.ask("/g:n"), 200, b"-2 \n")
            told(server.ask("/"), 200, b"")
            same(server.requests()["committed"], 0, "commits")


main()
