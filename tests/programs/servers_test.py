#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Servers in the languages that Debian ships, as anybody writes them: each of their requests meets the program as it was
when it waited first, behind the requests that warmed it up."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "pool"))
sys.dont_write_bytecode = True
from serving import Server  # noqa: E402
from claims import check, claim, main, same  # noqa: E402

PYTHON, NODE = "/usr/bin/python3", "/usr/bin/node"


def server(name):
    return os.path.join(HERE, "servers", name)


def serves_fresh(program, *args, warmed=3):
    options = ["--allow-read", "--memory", "1G", "--request-memory", "256M", "--deadline", "100s"]
    if warmed:
        options += ["--warmup", f"GET:/*{warmed}"]
    with Server(*options, guest=program, args=args, vms=2) as running:
        name = f"{os.path.basename(program)} {' '.join(os.path.basename(arg) for arg in args)}"
        client = running.client(100)
        for _ in range(3):
            same(client.ask("/").body, b"%d" % (warmed + 1), f"{name}: the counter")
        client.close()
        for answer in running.ask_all(["/"] * 4):
            same(getattr(answer, "body", answer), b"%d" % (warmed + 1), f"{name}: the counter, of several at once")


@claim
def pythons_servers_serve_fresh():
    serves_fresh(PYTHON, server("http_server.py"))
    serves_fresh(PYTHON, server("http_server.py"), "threads")
    serves_fresh(PYTHON, server("wsgi.py"), warmed=0)
    serves_fresh(PYTHON, server("streams.py"))


@claim
def node_serves_fresh():
    serves_fresh(NODE, server("server.js"))
    serves_fresh(NODE, server("server.js"), warmed=0)


@claim
def an_image_of_node_does_not_grow_old():
    """No timer of its runs out while it waits: neither a request sees one, nor what Node has for itself."""
    began = time.monotonic()
    with Server("--allow-read", "--memory", "1G", "--workers", "1", "--warmup", "GET:/*30", guest=NODE,
                args=(server("timers.js"),), vms=1) as running:
        booted = time.monotonic() - began
        for age in (0, 0, 0, 3, 0, 0, 0, 0, 0, 0):
            time.sleep(age)
            asked = time.monotonic()
            ticks, since = map(float, running.ask("/").body.split())
            took = time.monotonic() - asked
            check(since / 1000 < booted + took + 0.1, f"{since} ms have passed, and not {booted} s and {took} s")
            check(ticks <= since / 50, f"{ticks} ticks in {since} ms")
        running.stop()
        requests, exits = map(int, re.search(rb"(\d+) requests, .*?(\d+) user exits", running.log()).groups())
        print(f"      {exits} user exits of {requests} requests")
        check(exits <= 5 * requests, f"{exits} user exits of {requests} requests")


@claim
def ruby_and_perl_serve_fresh():
    serves_fresh("/usr/bin/ruby", server("accept.rb"))
    serves_fresh("/usr/bin/perl", server("select.pl"))


@claim
def php_serves():
    with Server("--allow-read", guest="/usr/bin/php", args=("-n", "-S", "127.0.0.1:8000", server("index.php")),
                vms=2) as running:
        for _ in range(3):
            same(running.ask("/").body, b"1", "a page")
        same(running.ask("/", b"x" * 8000).body, b"8000", "a body that was posted")


@claim
def redis_is_each_connections_own():
    with Server("--protocol", "raw", "--memory", "512M", "--allow-read", guest="/usr/bin/redis-server",
                args=("--save", "", "--appendonly", "no"), vms=2) as running:
        for _ in range(3):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(100)
            sock.connect(running.path)
            for command, answer in ((b"PING", b"+PONG\r\n"), (b"DBSIZE", b":0\r\n"), (b"SET a 41", b"+OK\r\n"),
                                    (b"INCR a", b":42\r\n"), (b"DBSIZE", b":1\r\n")):
                sock.sendall(command + b"\r\n")
                same(sock.recv(100), answer, command)
            sock.close()


@claim(long=True)
def go_serves_fresh():
    with tempfile.TemporaryDirectory(prefix="mayfly-go-") as folder:
        done = subprocess.run(["/usr/bin/go", "build", "-o", f"{folder}/server", server("server.go")], cwd=folder,
                              env={"PATH": "/usr/bin:/bin", "HOME": folder, "GO111MODULE": "off"},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        same(done.returncode, 0, "building it", done.stdout)
        serves_fresh(f"{folder}/server")
        serves_fresh(f"{folder}/server", warmed=0)


main()
