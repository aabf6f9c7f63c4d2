#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An engine behind a router: connections come as descriptors, and go back as such. The test is the router."""
import os
import signal
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import serving  # noqa: E402
from serving import BUILD, GUEST, MAYFLY, SLOWER, wait_until  # noqa: E402
from mayfly import FAILED, command, end, expect  # noqa: E402
from claims import check, claim, main, matches, same  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402

MAGIC = 0x3146484D
SERVER = os.path.join(BUILD, "tests/pool/server-guest")


def handoff(first=b"", scope=b"", origin=1):
    return struct.pack("=IIII", MAGIC, origin, len(scope), len(first)) + scope + first


class Routed:
    """An engine, its router's socket, and what it says of itself."""

    def __init__(self, *options, guest=GUEST, args=()):
        self.folder = tempfile.TemporaryDirectory(prefix="mayfly-adopt-")
        self.router, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.router.settimeout(20 * SLOWER)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"{self.folder.name}/notify")
        self.notify.settimeout(20 * SLOWER)
        self.log = open(f"{self.folder.name}/log", "w+b")
        self.process = subprocess.Popen(
            [MAYFLY, "serve", "--router", str(theirs.fileno()), "--vms", "2", *options, "--", guest, *args],
            stdin=subprocess.DEVNULL, stderr=self.log, pass_fds=[theirs.fileno()],
            env={**os.environ, "NOTIFY_SOCKET": f"{self.folder.name}/notify"})
        theirs.close()
        self.hears("READY=1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        for thing in (self.router, self.notify, self.log):
            thing.close()
        self.folder.cleanup()

    def hears(self, text):
        same(self.notify.recv(1024), text.encode(), "what the engine says of itself")

    def give(self, first=b"", scope=b"", origin=1):
        """A connection of which the router has read `first`; the client's end."""
        ours, theirs = socket.socketpair()
        socket.send_fds(self.router, [handoff(first, scope, origin)], [theirs.fileno()])
        theirs.close()
        ours.settimeout(20 * SLOWER)
        return ours

    def taken_back(self):
        """A connection that the engine gave back: what it said of it, and the socket."""
        data, fds, _, _ = socket.recv_fds(self.router, 100000, 4)
        same(len(fds), 1, "descriptors")
        magic, origin, scope, first = struct.unpack("=IIII", data[:16])
        same((magic, scope, len(data)), (MAGIC, 0, 16 + first), "its form")
        return origin, data[16:], socket.socket(fileno=fds[0])


def answer(sock):
    """One answer: (status, head, body)."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = sock.recv(65536)
        if not more:
            return None, got, b""
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(lines[b"content-length"]):
        body += sock.recv(65536)
    return int(head.split()[1]), head, body


def get(target, host="a.example", more=""):
    return serving.request(target, host=host, more=more)


@claim(emulated=True)
def a_connection_goes_on_where_the_router_stopped():
    request = get("/count")
    with Routed() as engine:
        for cut in (0, 1, len(request) - 1, len(request)):
            client = engine.give(request[:cut])
            client.sendall(request[cut:])
            same(answer(client)[0], 200, f"cut at {cut}")
            client.sendall(request)
            same(answer(client)[0], 200, "the next one")
            client.close()
        client = engine.give(request * 3)
        got = b""
        while got.count(b"HTTP/1.1 200") < 3:
            more = client.recv(65536)
            check(more, "three at once are answered", got)
            got += more


@claim
def connections_of_the_network_are_taken_too():
    with Routed() as engine, socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        socket.send_fds(engine.router, [handoff(get("/count"))], [accepted.fileno()])
        accepted.close()
        same(answer(client)[0], 200, "over TCP")


@claim
def a_server_is_told_the_address_of_a_client_that_was_passed_on():
    with Routed(guest=SERVER, args=("epoll", "80")) as engine, socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        socket.send_fds(engine.router, [handoff(get("/peer"))], [accepted.fileno()])
        accepted.close()
        same(answer(client)[2], "{} {}".format(*client.getsockname()).encode(), "over TCP")
        matches(rb"^127\.0\.0\.1 \d+$".decode(), answer(engine.give(get("/peer")))[2], "over a Unix socket")


@claim(emulated=True)
def a_connection_that_keeps_a_vm_ends_with_its_engine():
    with Routed("--reset", "connection", guest=SERVER, args=("epoll", "80")) as engine:
        client, idle = engine.give(get("/count")), engine.give(origin=8)
        same(answer(client)[2], b"1", "the first")
        client.sendall(get("/count"))
        same(answer(client)[2], b"2", "the second, of the same VM")
        engine.process.send_signal(signal.SIGTERM)
        engine.hears("STOPPING=1")
        same(client.recv(1), b"", "the one that keeps a VM is closed")
        engine.router.shutdown(socket.SHUT_WR)
        origin, first, back = engine.taken_back()
        same((origin, first), (8, b""), "one that asked for nothing is given back")
        back.close()
        idle.close()
        same(engine.process.wait(20 * SLOWER), 0, "the end of the engine")


@claim(emulated=True)
def what_is_anothers_is_misdirected():
    with Routed() as engine:
        client = engine.give(get("/count"), b"a.example\0-/count/not\0+/count\0-/\0")
        same(answer(client)[0], 200, "its own")
        for target, host, status in (("/count/not", "a.example", 421), ("/", "a.example", 421), ("/count?x", "A.example:80", 200),
                                     ("/count", "b.example", 421), ("/count", "a.example", 200)):
            client.sendall(get(target, host))
            same(answer(client)[0], status, (target, host))


@claim
def what_is_no_connection_is_passed_over():
    with Routed() as engine:
        engine.router.send(b"x")
        engine.router.send(handoff(get("/count")))  # without a descriptor
        with open("/dev/null") as file:
            socket.send_fds(engine.router, [b"nonsense"], [file.fileno()])
            socket.send_fds(engine.router, [handoff()[:16]], [file.fileno()])  # no socket
        same(answer(engine.give(get("/count")))[0], 200, "afterwards")


@claim(emulated=True)
def a_drain_gives_back_what_idles_and_serves_what_came():
    with Routed("--workers", "2", "--vms", "4", "--deadline", "2s") as engine:
        idle = engine.give(get("/count"), origin=7)
        fresh = engine.give(origin=8)
        busy = engine.give(get("/sleep"), origin=9)
        same(answer(idle)[0], 200, "before it idles")
        before = os.listdir(f"/proc/{engine.process.pid}/fd")
        check(before, "the engine runs")
        # what is in the queue at the time of the signal is taken
        engine.process.send_signal(signal.SIGTERM)
        engine.hears("STOPPING=1")
        late = engine.give(get("/count"), origin=10)
        status, head, _ = answer(late)
        same(status, 200, "a late one")
        clients = {7: idle, 8: fresh}
        if b"Connection: close" not in head:
            clients[10] = late  # its worker had not heard of the drain yet
        engine.router.shutdown(socket.SHUT_WR)
        back = [engine.taken_back() for _ in clients]
        same(sorted((origin, first) for origin, first, _ in back), [(origin, b"") for origin in clients], "what comes back")
        for origin, _, theirs in back:
            theirs.sendall(b"from another engine")
            same(clients[origin].recv(100), b"from another engine", "the client's connection lives")
        status, head, _ = answer(busy)
        check(status in (200, 504), "what ran is answered", head)
        matches("Connection: close", head)
        same(engine.process.wait(20 * SLOWER), 0, "exit status")


@claim
def clients_that_ask_all_the_time_see_no_end():
    """Keep-alive clients under load; the engine drains; each connection answers or comes back, none is lost."""
    with Routed("--vms", "4") as engine:
        stop, lost, served, moved = threading.Event(), [], [0], [0]

        def ask():
            client = engine.give()
            while not stop.is_set():
                client.sendall(get("/count"))
                status, head, _ = answer(client)
                if status != 200:
                    lost.append(head)
                    return
                served[0] += 1
                if b"Connection: close" in head:
                    return  # told in time
            client.close()

        def take_back():
            """As a second engine would: answer what comes on connections that were given back."""
            while True:
                try:
                    _, first, sock = engine.taken_back()
                except (OSError, AssertionError, Exception):
                    return
                moved[0] += 1
                sock.settimeout(20 * SLOWER)
                while b"\r\n\r\n" not in first:
                    first += sock.recv(65536)
                sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                sock.close()

        clients = [threading.Thread(target=ask) for _ in range(8)]
        taker = threading.Thread(target=take_back)
        for thread in [*clients, taker]:
            thread.start()
        wait_until(lambda: served[0] > 50, "requests to be served", 60)
        engine.process.send_signal(signal.SIGTERM)
        engine.router.shutdown(socket.SHUT_WR)
        for thread in clients:
            thread.join()
        stop.set()
        same(engine.process.wait(20 * SLOWER), 0, "exit status")
        taker.join()
        same(lost, [], "connections that were lost")


@claim
def requests_over_the_rate_are_told_so():
    with Routed("--rate", "2/m", "--burst", "3") as engine:
        client = engine.give()
        statuses = []
        for _ in range(8):
            client.sendall(get("/count"))
            status, head, _ = answer(client)
            statuses.append(status)
        same(statuses[:3], [200] * 3, "the burst")
        check(set(statuses[3:]) <= {200, 429} and statuses[3:].count(429) >= 4, "over the rate", statuses)
        matches("429 Too Many Requests.*Retry-After", head)


@claim
def an_engine_wants_an_address_or_a_router():
    for args in (["--vms", "1"], ["--router", "7777"], ["--router", "x"], ["--router", "1"]):
        expect(command([MAYFLY, "serve", *args, "--", GUEST]), FAILED, args)
    for rate in ("0/s", "5", "5/", "/s", "5/h", "x/s", "5/0s", "9999999/s"):
        matches("is no rate", expect(command([MAYFLY, "serve", "--listen", "unix:x", "--rate", rate, "--", GUEST]), FAILED, rate).err)


if __name__ == "__main__":
    main()
