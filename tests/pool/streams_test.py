#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Servers without the SDK that answer in pieces: events as they come, large bodies both ways, upgrades, no HTTP at all."""
import os
import socket
import time

from serving import BUILD, SLOWER, Server
from claims import check, claim, main, matches, same

GUEST = os.environ.get("MAYFLY_STREAMER", os.path.join(BUILD, "tests/pool/stream-guest"))
MIB = 1 << 20


def serving(*options, **more):
    return Server(*options, guest=GUEST, **more)


def dial(server):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20 * SLOWER)
    sock.connect(server.path)
    return sock


def hear(sock, end):
    data = b""
    while not data.endswith(end):
        more = sock.recv(65536)
        check(more, f"ended before {end}: {data[-200:]}")
        data += more
    return data


def resident(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


@claim
def events_reach_a_client_as_they_come_and_outlive_the_deadline():
    with serving("--deadline", f"{1500 * SLOWER}ms", "--audit", vms=1) as server:
        with dial(server) as sock:
            sock.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            hear(sock, b"data: 0\n\n\r\n")
            data = hear(sock, b"0\r\n\r\n")
            same(data.count(b"data: "), 39, "events behind the first")
        same(server.ask("/none").status, 404, "afterwards")
        server.stop()
        matches(r" 0 unclean", server.log(), "audits")


@claim
def a_client_that_leaves_ends_its_events():
    with serving(vms=1) as server:
        for _ in range(3):
            with dial(server) as sock:
                sock.sendall(b"GET /events-slow HTTP/1.1\r\nHost: a\r\n\r\n")
                hear(sock, b"data: 0\n\n\r\n")
            same(server.ask("/none").status, 404, "the VM is there for the next")


@claim
def large_bodies_go_through_and_are_not_held():
    with serving("--deadline", "60s", vms=1) as server:
        server.ask("/none")
        before = resident(server)
        with dial(server) as sock:
            sock.sendall(b"POST /sum HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (200 * MIB))
            for _ in range(200):
                sock.sendall(b"x" * MIB)
            check(hear(sock, str(200 * MIB).encode()).startswith(b"HTTP/1.1 200 OK"), "all of it was read")
        with dial(server) as sock:
            sock.sendall(b"GET /big HTTP/1.0\r\n\r\n")
            time.sleep(0.3)  # the client is slow: the server has to wait
            got = 0
            while more := sock.recv(MIB):
                got += len(more)
            check(48 * MIB < got < 48 * MIB + 500, f"{got} bytes came back")
        grown = resident(server) - before
        print(f"      grown by {grown >> 10} KiB")
        check(grown < 16 * MIB, f"it holds {grown} bytes more")


@claim
def an_upgrade_is_a_tunnel_to_the_program():
    with serving("--deadline", f"{1500 * SLOWER}ms", vms=1) as server:
        with dial(server) as sock:
            sock.sendall(b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            check(hear(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 101 "), "it is switched")
            for i in range(20):
                sock.sendall(b"message %d\xff" % i)
                same(hear(sock, b"\xff"), b"message %d\xff" % i)
                time.sleep(0.1 * SLOWER)
            sock.shutdown(socket.SHUT_WR)
            same(sock.recv(100), b"", "the program closed")
        same(server.ask("/none").status, 404, "afterwards")


@claim
def without_http_a_connection_is_a_request():
    with serving("--protocol", "raw", "--access-log", "-", vms=2) as server:
        for _ in range(5):
            with dial(server) as sock:
                sock.sendall(b"hello")
                same(hear(sock, b"hello"), b"hello")
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n\xff")
                same(hear(sock, b"\xff"), b"GET / HTTP/1.1\r\n\r\n\xff", "it is no HTTP")
                sock.shutdown(socket.SHUT_WR)
                same(sock.recv(100), b"", "the program closed")


main()
