#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Many clients and bad ones: an idle connection costs little and no VM, and nobody else notices the bad ones."""
import os
import resource
import socket
import time

from hostile import Door, hostile_crowd_is_noticed_by_nobody
from serving import LONG, MAYFLY, PLAIN, Client, Server, one_answer, resident, wait_until
from claims import check, claim, main, same

CROWD = 10000 if LONG else 100
EACH = 8 << 10  # bytes of an idle connection, at most
NOISE = 1 << 20
SANITIZED = b"__asan_init" in open(MAYFLY, "rb").read()


def dial(server):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(server.path)
    return sock


def idle_connections_cost_little(**more):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    crowd = min(CROWD, hard - 1000)
    if crowd < CROWD:
        print(f"this machine allows {hard} descriptors: {crowd} connections instead of {CROWD}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ.pop("MALLOC_PERTURB_", None)  # would write to memory that is merely set aside
    with Server("--connections", str(crowd + 10), "--workers", "1", vms=2, **more) as server:
        same(server.ask("/count").status, 200)
        before = resident(server.process.pid)
        idle = []
        for _ in range(crowd):
            sock = dial(server)
            sock.sendall(b"GET /count HTTP/1.1\r\nHost: a\r\n\r\n")
            same(one_answer(sock), 200, "each is served before it idles")
            idle.append(sock)
        grown = resident(server.process.pid) - before
        print(f"{crowd} idle connections: {grown >> 10} KiB, {grown / crowd:.0f} bytes each")
        if not SANITIZED:  # it keeps what was freed
            check(grown < EACH * crowd + NOISE, f"{crowd} idle connections take {grown} bytes")
        began = time.monotonic()
        for _ in range(20):
            same(server.ask("/count").body, b"1", "a VM is there for whoever asks")
        print(f"a request beside them: {(time.monotonic() - began) / 20 * 1e6:.0f} us")
        for sock in idle[::97]:
            sock.sendall(b"GET /count HTTP/1.1\r\nHost: a\r\n\r\n")
            same(one_answer(sock), 200, "an idle connection can be used again")
        for sock in idle:
            sock.close()


def pipeline(server):
    with dial(server) as sock:
        sock.sendall(b"GET /count HTTP/1.1\r\nHost: a\r\n\r\n" * 300 + b"GET /count HTTP/1.0\r\n\r\n")
        data = b""
        while more := sock.recv(65536):
            data += more
        same(data.count(b"HTTP/1.1 200 "), 301, "pipelined requests, each answered")


def deaf(server):
    """Asks for much and reads nothing."""
    with dial(server) as sock:
        sock.sendall(b"GET /large?8000000 HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        time.sleep(0.05)


@claim
def idle_connections_cost_little_and_hold_no_vm():
    idle_connections_cost_little()
    idle_connections_cost_little(guest=PLAIN, args=("epoll", "80"))


@claim
def much_that_is_asked_and_not_read_stops_nobody():
    with Server("--queue", "10000", vms=4) as server:
        for _ in range(20 if LONG else 2):
            pipeline(server)
            deaf(server)
            same(server.ask("/count").body, b"1", "afterwards")


def meets_a_hostile_crowd(*options, **more):
    with Server("--listen", "127.0.0.1:0", "--queue", "10000", "--deadline", "100s", *options, vms=4, **more) as server:
        port = server.port()
        door = Door(lambda: socket.create_connection(("127.0.0.1", port)))
        hostile_crowd_is_noticed_by_nobody(door, [(lambda: Client(port, 100), "a")])
        same(server.stop(), 0, "exit status")


@claim
def hundreds_of_bad_clients_are_noticed_by_nobody_else():
    meets_a_hostile_crowd()


@claim
def nor_where_the_program_knows_nothing_of_mayfly():
    meets_a_hostile_crowd(guest=PLAIN, args=("epoll", "80"))


@claim
def whoever_keeps_a_vm_waiting_gives_it_up_when_others_wait():
    """Clients that stop in the middle of what is too much to be held: without time limits of their own, they would keep all
    VMs for ever."""
    body = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 200000
    for end in (body, b"GET /large?60000000 HTTP/1.1\r\nHost: a\r\n\r\n"):
        with Server("--queue", "1000", "--workers", "1", "--deadline", "10m", "--request-memory", "256M", "--memory", "512M", guest=PLAIN,
                    args=("epoll", "80"), vms=2) as server:
            slow = [dial(server) for _ in range(20 if LONG else 6)]
            for sock in slow:
                sock.sendall(end)
            wait_until(lambda: b"it waited for its client, and others for its VM" in server.log(), "one to give up its VM", 100)
            client = server.client(100)
            for _ in range(5):
                same(client.ask("/count").body, b"1", "beside them")
            for sock in slow:
                sock.close()


@claim
def what_is_slow_to_arrive_stops_nobody():
    """More half requests than there are VMs and places in the queue: whoever sends a whole one is served at once."""
    with Server("--queue", "1", "--workers", "1", vms=1) as server:
        slow = [dial(server) for _ in range(60)]
        for i, sock in enumerate(slow):
            sock.sendall((b"GET /count HTTP/1.1\r\nHos", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
                          b"G")[i % 3])
        for _ in range(10):
            same(server.ask("/count").status, 200, "beside them")
        for sock in slow:
            sock.close()


main()
