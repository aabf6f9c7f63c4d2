#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""--reset connection: a client's connection has a VM of its own as long as it lasts, and a connection within that VM."""
import os
import random
import re
import signal
import socket
import tempfile
import threading
import time

from serving import BUILD, SLOWER, Server, read_until, request, wait_until
from claims import LONG, check, claim, main, matches, same

GUEST = os.environ.get("MAYFLY_SERVER", os.path.join(BUILD, "tests/pool/server-guest"))
HTTP_SERVER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs/servers/http_server.py")
MODES = ("epoll", "edge", "poll", "select", "accept", "threads")
MINE = "/connection/mine"  # how many requests this connection of the program has had


def keeping(mode="epoll", *options, **more):
    """A server that keeps VMs, audited; no deadline gets in the way of a slow machine."""
    return Server("--reset", "connection", "--audit", "--deadline", "60s", "--workers", "1", *options, guest=GUEST,
                  args=(mode, "80"), **more)


def connect(server):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20 * SLOWER)
    sock.connect(server.path)
    return sock


def read_all(sock):
    got = b""
    while part := sock.recv(65536):
        got += part
    return got


def is_closed(sock, what):
    same(sock.recv(1), b"", f"{what}: the client's connection")


def ends_clean(server):
    same(server.stop(), 0, "its exit status")
    matches(r" 0 unclean", server.log(), "audits")


def counts(client, numbers, what, target=MINE):
    for number in numbers:
        same(client.ask(target).body, b"%d" % number, what)


@claim
def all_requests_of_a_connection_meet_one_vm_and_one_connection_of_the_program():
    for mode in MODES:
        with keeping(mode, vms=3) as server:
            first, second = server.client(), server.client()
            for target in (MINE, "/count"):
                client = server.client()
                counts(client, (1, 2, 3), f"{mode}: {target}", target)
                client.close()
            counts(first, (1, 2), f"{mode}: one")
            counts(second, (1, 2, 3), f"{mode}: another beside it")
            counts(first, (3, 4), f"{mode}: the one again")
            first.close()
            second.close()
            ends_clean(server)
    with Server("--reset", "request", guest=GUEST, args=("epoll", "80"), vms=2) as server:
        client = server.client()
        counts(client, (1, 1, 1), "with a VM for each request")
        client.close()


@claim
def requests_sent_ahead_are_served_in_order_by_the_same_vm():
    with keeping(vms=1) as server:
        sock = connect(server)
        sock.sendall(request(MINE) * 19 + request("/connection/last"))
        got = read_all(sock)
        same(re.findall(rb"\r\n\r\n(\d+)", got), [b"%d" % number for number in range(1, 20)], "counters")
        check(got.endswith(b"last"), "the last one", got[-200:])
        ends_clean(server)


@claim(emulated=True)
def nothing_of_a_connection_is_visible_to_another():
    for mode in ("epoll", "threads"):
        with keeping(mode, vms=2) as server:
            for number in range(3):
                first, second = server.client(), server.client()
                same(first.ask("/recall").body, b"nothing", f"{mode}: after a connection that is over")
                same(first.ask("/remember", b"SECRET%d" % number).body, b"SECRET%d" % number, "remember")
                same(second.ask("/recall").body, b"nothing", f"{mode}: of the one beside it")
                same(first.ask("/recall").body, b"SECRET%d" % number, f"{mode}: its own")
                for client in (first, second):
                    client.close()
                wait_until(lambda: server.ask("/recall").body == b"nothing", "a VM")
            ends_clean(server)


@claim(emulated=True)
def a_program_reads_the_end_of_its_clients_connection():
    for mode in ("epoll", "threads"):
        with keeping(mode, vms=1) as server:
            for number in (1, 3):
                client = server.client()
                counts(client, range(1, number + 1), mode, "/connection/tell")
                client.close()
                wait_until(lambda: b"gone after %d\n" % number in server.log(), f"{mode}: {number}")
            # its last request says so itself
            answer = server.ask("/connection/tell", headers={"Connection": "close"})
            same((answer.status, answer.headers["Connection"]), (200, "close"), "one that asks for it")
            wait_until(lambda: server.log().count(b"gone after 1\n") == 2, f"{mode}: the end of that")
            ends_clean(server)


@claim
def where_the_program_closes_the_clients_connection_ends():
    with keeping(vms=1) as server:
        for target, told in (("/connection/last", True), ("/connection/close", False), ("/until-close", True)):
            client = server.client()
            counts(client, (1, 2), "before")
            sock = client.sock
            answer = client.ask(target)
            same((answer.status, answer.headers["Connection"]), (200, "close" if told else None), target)
            if not told:
                is_closed(sock, target)
            client.close()
            wait_until(lambda: server.ask(MINE).body == b"1", f"the VM after {target}")
        ends_clean(server)


@claim
def what_a_program_does_to_connections_that_idle_is_done():
    for kind in ((), ("threads",)):
        with Server("--reset", "connection", "--allow-read", "--memory", "1G", "--request-memory", "256M", "--deadline", "60s",
                    "--workers", "1", guest="/usr/bin/python3", args=(HTTP_SERVER, *kind), vms=2) as server:
            client = server.client()
            counts(client, (1, 2, 3), "http.server: its own counter", "/")
            client.close()
            counts(server.client(), (1,), "the next connection", "/")
        with Server("--reset", "connection", "--allow-read", "--memory", "1G", "--request-memory", "256M", "--deadline", "60s",
                    "--workers", "1", guest="/usr/bin/python3", args=(HTTP_SERVER, "idle", *kind), vms=1) as server:
            sock = connect(server)
            sock.sendall(request("/"))
            read_until(sock, b"\r\n\r\n1")
            is_closed(sock, "http.server, with a limit of its own")
            wait_until(lambda: server.ask("/").status == 200, "the VM")


@claim
def a_connection_ends_with_its_vm():
    with keeping(vms=1) as server:
        for what, error in (("abort", "crash"), ("memory", "memory"), ("nothing", "response"), ("garbage", "response")):
            client = server.client(60)
            same(client.ask(MINE).body, b"1", f"before {what}")
            answer = client.ask(f"/bad/{what}")
            same((answer.status, answer.error, answer.headers["Connection"]), (502, error, "close"), what)
            client.close()
            same(server.ask(MINE).body, b"1", f"after {what}")
        sock = connect(server)
        sock.sendall(request("/connection/abort-after"))
        matches(r"\r\n\r\n1$", read_all(sock), "a crash behind an answer, and the end")
        same(server.ask(MINE).body, b"1", "afterwards")
        ends_clean(server)


@claim
def a_connection_ends_with_a_deadline_and_each_request_has_its_own():
    with keeping("epoll", "--deadline", "2s", vms=1) as server:
        client = server.client()
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            same(client.ask(MINE).status, 200, "longer than one deadline")
            time.sleep(0.1)
        answer = client.ask("/connection/sleep")
        same((answer.status, answer.headers["Connection"]), (504, "close"), "a request that sleeps")
        client.close()
        sock = connect(server)
        sock.sendall(request("/connection/spin-after"))
        matches(r"\r\n\r\n1$", read_all(sock), "a program that computes behind its answer, and the end")
        wait_until(lambda: server.ask(MINE).body == b"1", "the VM")
        ends_clean(server)


@claim
def bytes_behind_an_answer_are_never_another_answer():
    with keeping(vms=1) as server:
        for ahead in (0, 3):
            sock = connect(server)
            sock.sendall(request("/connection/extra") + request(MINE) * ahead)
            got = read_all(sock)
            same((got.count(b"HTTP/1.1 "), b"forged" in got), (1, False), f"with {ahead} requests behind it")
        same(server.ask(MINE).body, b"1", "afterwards")
        ends_clean(server)


@claim
def without_a_free_vm_others_get_503_until_a_connection_ends():
    with keeping(vms=2) as server:
        first, second, third = server.client(), server.client(), server.client()
        counts(first, (1,), "first")
        counts(second, (1,), "second")
        for _ in range(3):
            answer = third.ask(MINE)
            same((answer.status, answer.error, answer.headers["Retry-After"]), (503, "kept", "1"), "the third")
        counts(first, (2,), "the first goes on")
        second.close()
        wait_until(lambda: third.ask(MINE).status == 200, "a VM for the third")
        counts(third, (2,), "which keeps it")
        # one that waits for a VM whose request goes on is told when that is kept
        sock = connect(server)
        first.close()
        wait_until(lambda: server.ask(MINE).status == 200, "the VM of the first")
        sock.sendall(request("/echo", 100000) + b"x" * 99999)
        waiting = connect(server)
        waiting.sendall(request(MINE))
        sock.sendall(b"x")
        read_until(sock, b"x" * 100000)
        matches(r"^HTTP/1.1 503 .*Mayfly-Error: kept", read_until(waiting, b"\r\n\r\n"), "one that waited")
        for each in (sock, waiting, third):
            each.close()
        ends_clean(server)


@claim
def a_connection_that_idles_too_long_loses_its_vm():
    with keeping("epoll", "--connection-idle", "100ms", vms=1) as server:
        sock = connect(server)
        sock.sendall(request("/connection/tell"))
        read_until(sock, b"\r\n\r\n1")
        is_closed(sock, "after its idle time")
        wait_until(lambda: b"gone after 1\n" in server.log(), "its program knows")
        wait_until(lambda: server.ask(MINE).status == 200, "its VM")
        ends_clean(server)


@claim
def a_client_that_goes_away_in_the_middle_frees_its_vm():
    for mode in ("epoll", "accept"):
        with keeping(mode, vms=1) as server:
            for target in (request("/connection/sleep"), request("/echo", 200000) + b"x" * 100000, request("/events"),
                           request("/large?3000000")):
                sock = connect(server)
                sock.sendall(request("/connection/tell"))
                read_until(sock, b"\r\n\r\n1")
                sock.sendall(target)
                sock.close()
                wait_until(lambda: server.ask("/recall").body == b"nothing", f"the VM, after {target[:30]}")
            ends_clean(server)


@claim
def the_next_request_reaches_a_program_that_works_behind_its_answer():
    with keeping(vms=1) as server:
        client = server.client()
        for number in range(1, 6):
            same(client.ask("/connection/work-after").body, b"%d" % number, "the counter")
        client.close()
        sock = connect(server)
        sock.sendall(request("/connection/work-after") * 10)
        read_until(sock, b"\r\n\r\n10")
        # here it may also wait behind its answer
        sock.sendall(request("/connection/nap-after"))
        read_until(sock, b"\r\n\r\n11")
        wait_until(lambda: b"slept\n" in server.log(), "what comes behind its sleep")
        sock.close()
        ends_clean(server)
        same(server.log().count(b"worked on\n"), 15, "what it does behind its answers")


@claim
def an_end_of_the_server_closes_what_idles_and_finishes_what_runs():
    with keeping(vms=2) as server:
        idle, busy = connect(server), connect(server)
        for sock in (idle, busy):
            sock.sendall(request("/connection/tell"))
            read_until(sock, b"\r\n\r\n1")
        busy.sendall(request("/echo", 100000) + b"x" * 90000)
        server.process.send_signal(signal.SIGTERM)
        is_closed(idle, "of the one that idles")
        busy.sendall(b"x" * 10000)
        matches(r"^HTTP/1.1 200 .*\r\n\r\nx{100000}$", read_all(busy), "of the one that is served")
        same(server.wait(), 0, "its exit status")
        matches(r" 0 unclean", server.log(), "audits")
        for count in (1, 2):
            matches(f"gone after {count}\n", server.log(), "its program has read the ends of both")


@claim(emulated=True)
def programs_of_the_sdk_keep_their_state_as_long():
    with Server("--reset", "connection", "--audit", "--deadline", "60s", "--workers", "1", vms=2) as server:
        for _ in range(2):
            client, other = server.client(), server.client()
            counts(client, (1, 2, 3), "the counter", "/count")
            same(other.ask("/recall").body, b"nothing", "another's memory")
            same(client.ask("/remember", b"SECRET").body, b"SECRET", "remember")
            same(client.ask("/recall").body, b"SECRET", "its own")
            counts(client, (4,), "the counter", "/count")
            same(server.ask("/count").status, 503, "a third, meanwhile")
            answer = client.ask("/crash")
            same((answer.status, answer.error, answer.headers["Connection"]), (502, "crash", "close"), "a crash")
            for each in (client, other):
                each.close()
            wait_until(lambda: server.ask("/recall").body == b"nothing", "a VM")
        sock = connect(server)
        # the program works on behind its answer, and has the next request when it is through
        sock.sendall(request("/after?50") + request("/count") * 3)
        same(re.findall(rb"\r\n\r\n(done|\d+)", read_until(sock, b"\r\n\r\n4")), [b"done", b"2", b"3", b"4"], "counters")
        sock.sendall(request("/crash-after?0") + request("/count"))
        same(re.findall(rb"\r\n\r\n(done|\d+)", read_all(sock)), [b"done"], "behind a crash")
        ends_clean(server)


def visit(server, dice, mine, ends):
    """One client, on a connection of its own. It counts from one and finds what it left, or gets 503."""
    client, counted, secret, begun = server.client(60), 0, b"nothing", False
    for _ in range(dice.randrange(1, 7)):
        what = dice.choice((mine, "/recall", "/remember"))
        body = b"%d" % dice.randrange(1 << 60) if what == "/remember" else None
        answer = client.ask(what, body)
        if answer.status == 503 and not begun:
            client.close()
            return
        begun = True
        counted += what == mine or mine == MINE  # the program of the SDK counts what asks for that alone
        secret = body or secret
        same((answer.status, answer.body), (200, b"%d" % counted if what == mine else secret), what)
    end = dice.choice(ends)
    client.sock.sendall(end * (1 if end.startswith(b"POST") else dice.randrange(1, 4)))
    if dice.randrange(2):
        client.sock.settimeout(0.01)
        try:
            client.sock.recv(10)
        except OSError:
            pass
    client.close()


def crowd(server, seed, rounds, mine, ends):
    """What went wrong for several clients at once."""
    wrong = []

    def come(dice):
        for _ in range(rounds):
            try:
                visit(server, dice, mine, ends)
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=come, args=(random.Random(seed + i),)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


@claim
def a_crowd_of_connections_meets_vms_of_its_own_however_each_ends():
    seed = int(os.environ.get("MAYFLY_SEED", random.randrange(1 << 30)))
    rounds = 400 if LONG else 40
    print(f"      seed {seed}")
    ends = [b"", b"GET", request("/echo", 100000) + b"x" * 70000, request("/echo", 10) + b"x" * 9]
    server_ends = [request(f"/connection/{what}") for what in ("mine", "last", "close", "extra", "sleep", "abort-after", "work-after")]
    sdk_ends = [request(target) for target in ("/count", "/crash", "/crash-after?0", "/after?5", "/sleep", "/exit?3")]
    bad = [request(f"/bad/{what}") for what in ("abort", "nothing", "garbage", "short", "exit", "answer-exit")]
    for mode in ("epoll", "threads"):
        with keeping(mode, vms=3) as server:
            same(crowd(server, seed, rounds, MINE, ends + server_ends + bad), [], f"{mode}, seed {seed}")
            wait_until(lambda: server.ask("/recall").body == b"nothing", "a VM behind them")
            ends_clean(server)
    with Server("--reset", "connection", "--audit", "--deadline", "60s", "--workers", "2", vms=4) as server:
        same(crowd(server, seed, rounds, "/count", ends + sdk_ends), [], f"a program of the SDK, seed {seed}")
        wait_until(lambda: server.ask("/recall").body == b"nothing", "a VM behind them")
        ends_clean(server)


@claim
def the_store_is_there_for_each_request():
    program = os.path.join(BUILD, "tests/pool/store-server")
    with tempfile.TemporaryDirectory(prefix="mayfly-connections-") as folder:
        with Server("--reset", "connection", "--store", f"{folder}/store", "--workers", "1", guest=program, vms=1) as server:
            total = 0
            for served in (3, 1, 2):
                client = server.client()
                for number in range(1, served + 1):
                    total += 2
                    same(client.ask("/").body, b"%d 0 0 %d -107" % (number, total), "its own counter, two additions, the store's")
                client.close()
                wait_until(lambda: server.ask("/").status == 200, "the VM")
                total += 2


@claim
def a_kept_connection_costs_one_exit_a_request():
    """Counted between a server of a few requests and one of more."""
    exits = {}
    for mode in ("epoll", "accept"):
        for rounds in (10, 60):
            with keeping(mode, vms=1) as server:
                client = server.client()
                counts(client, range(1, rounds + 1), mode, "/connection/tell")
                client.close()
                wait_until(lambda: f"gone after {rounds}\n".encode() in server.log(), "its end")
                server.stop()
                exits[rounds] = int(re.search(rb"(\d+) user exits", server.log())[1])
        cost = (exits[60] - exits[10]) / 50
        print(f"      {mode}: {cost} user exits a request")
        check(cost < 1.5, f"{mode}: {cost} user exits a request")


main()
