#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How a server begins and ends: sockets, signals, draining, exit status."""
import os
import signal
import socket
import subprocess
import threading
import time

from serving import GUEST, MAYFLY, SLOWER, SOON, Client, Server, wait_until
from claims import check, claim, main, matches, same


def drains(server):
    wait_until(lambda: b"finishing what runs" in server.log(), "the drain")


@claim(emulated=True)
def a_signal_finishes_what_runs_and_ends_with_0():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server(vms=2) as server:
            sock = server.send_only(f"/sleep?{500 * SLOWER}")
            server.begun()
            server.process.send_signal(number)
            got = sock.recv(65536)
            check(got.startswith(b"HTTP/1.1 200") and got.endswith(b"slept"), f"{number.name}: {got}")
            same(server.wait(), 0, "exit status")
            check(not os.path.exists(server.path), "the socket is left")
            check(not os.path.exists(server.health), "the health socket is left")
            matches("finishing what runs", server.log())
            matches(r"1 requests, 0 of them failed", server.log())


@claim
def queued_requests_are_finished_too():
    with Server("--workers", "1", "--queue", "3", "--drain", "100s", "--deadline", "100s", vms=1) as server:
        first = server.send_only("/sleep")
        server.begun()
        socks = [server.send_only("/sleep?200") for _ in range(3)]  # one worker takes them in their order
        same(server.ask("/count").status, 503, "beyond those four")
        server.process.send_signal(signal.SIGTERM)
        drains(server)
        first.close()
        for sock in socks:
            check(sock.recv(65536).startswith(b"HTTP/1.1 200"), "a request that waited")
        same(server.wait(), 0, "exit status")


@claim
def new_connections_are_refused_while_draining():
    with Server(vms=2) as server:
        sock = server.send_only(f"/sleep?{1000 * SLOWER}")
        server.begun()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.ready() in (503, None), "readiness is withdrawn")
        refused = False
        client = Client(server.path, 2)
        try:
            answer = client.ask("/count")
            refused = answer.status == 503
        except OSError:
            refused = True
        finally:
            client.close()
        check(refused, "a new client was served")
        check(sock.recv(65536).startswith(b"HTTP/1.1 200"), "the running request")
        same(server.wait(), 0, "exit status")


@claim
def readyz_says_503_and_healthz_200_while_draining():
    with Server("--drain", "60s", "--deadline", "60s", vms=1) as server:
        sock = server.send_only("/sleep")
        server.begun()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.ready("/readyz") == 503, "/readyz")
        same(server.ready("/healthz"), 200, "/healthz")
        same(server.stop(), 0, "exit status")
        sock.close()


@claim
def idle_connections_do_not_hold_it_up():
    with Server("--drain", "60s", vms=2) as server:
        clients = [server.client() for _ in range(20)]
        for client in clients:
            same(client.ask("/count").status, 200, "a request")
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(server.path)
        time.sleep(0.1)
        began = time.monotonic()
        same(server.stop(), 0, "exit status")
        took = time.monotonic() - began
        check(took < SOON, f"it took {took:.1f} s")


@claim
def half_a_request_holds_it_up_no_longer_than_drain():
    with Server("--drain", "1s", vms=1) as server:
        half = socket.socket(socket.AF_UNIX)
        half.connect(server.path)
        half.sendall(b"GET /count HT")
        time.sleep(0.1)
        began = time.monotonic()
        same(server.stop(), 0, "exit status")
        check(time.monotonic() - began < SOON, "it waited longer than --drain")


@claim
def drain_bounds_how_long_it_waits():
    for target in ("/sleep", "/busy"):
        with Server("--drain", "500ms", "--deadline", "60s", vms=2) as server:
            sock = server.send_only(target)
            server.begun()
            began = time.monotonic()
            same(server.stop(), 0, "exit status")
            took = time.monotonic() - began
            check(0.4 < took < SOON, f"{target}: it took {took:.1f} s")
            sock.close()


@claim(emulated=True)
def a_second_signal_hurries():
    for target in ("/sleep", "/busy"):
        with Server("--drain", "60s", "--deadline", "60s", vms=2) as server:
            sock = server.send_only(target)
            server.begun()
            server.process.send_signal(signal.SIGTERM)
            drains(server)  # two signals at once would be one
            time.sleep(0.2)
            check(server.process.poll() is None, "it did not wait")
            began = time.monotonic()
            same(server.stop(), 0, "exit status")
            check(time.monotonic() - began < SOON, f"{target}: it did not hurry")
            sock.close()


@claim
def work_after_a_response_holds_the_end_up_no_longer_than_drain():
    with Server("--drain", "500ms", "--deadline", "60s", vms=1) as server:
        same(server.ask("/after").status, 200, "the response")
        began = time.monotonic()
        same(server.stop(), 0, "exit status")
        check(time.monotonic() - began < SOON, "it waited for the work")


@claim
def many_signals_and_requests_at_once_end_it_cleanly():
    for _ in range(5):
        with Server("--drain", "2s", vms=4) as server:
            socks = [server.send_only(target) for target in ("/sleep?50", "/busy?50", "/crash", "/eat") * 4]
            for _ in range(3):
                server.process.send_signal(signal.SIGTERM)
                time.sleep(0.01)
            same(server.wait(), 0, "exit status")
            for sock in socks:
                sock.close()


@claim
def a_signal_during_boot_ends_it():
    for number in (signal.SIGTERM, signal.SIGINT):
        for delay in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05):
            server = Server(vms=64, wait=False)
            with server:
                time.sleep(delay)
                status = server.stop(number)
                check(status in (0, -number), f"after {delay} s: status {status}")
                server.process.returncode = 0


@claim
def a_stale_socket_is_replaced_and_a_live_one_is_not():
    with Server(vms=1) as server:
        done = subprocess.run([MAYFLY, "serve", "--listen", f"unix:{server.path}", "--vms", "1", "--", GUEST],
                              capture_output=True, timeout=60 * SLOWER)
        same(done.returncode, 125, "a second server on the same socket")
        matches("Another server listens on", done.stderr)
        same(server.ask("/count").status, 200, "the first one afterwards")
        server.process.kill()
        server.process.wait()
        server.process.returncode = 0
        check(os.path.exists(server.path), "a killed server leaves its socket")
        other = subprocess.Popen([MAYFLY, "serve", "--listen", f"unix:{server.path}", "--vms", "1", "--quiet", "--", GUEST])
        try:
            def answers():
                try:
                    return server.ask("/count").status == 200
                except OSError:
                    return False
            wait_until(answers, "the server on the replaced socket", 10)
        finally:
            other.terminate()
            same(other.wait(20 * SLOWER), 0, "its exit status")
        check(not os.path.exists(server.path), "the socket is left")


@claim
def a_port_in_use_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        for option in ("--listen", "--health"):
            args = ["--listen", "127.0.0.1:0"] if option == "--health" else []
            done = subprocess.run([MAYFLY, "serve", *args, option, address, "--vms", "1", "--", GUEST],
                                  capture_output=True, timeout=60 * SLOWER)
            same(done.returncode, 125, "exit status")
            matches(rf"Another program listens on {address}", done.stderr, option)


@claim
def tcp_works_and_a_relative_socket_path_too():
    process = subprocess.Popen([MAYFLY, "serve", "--listen", "127.0.0.1:0", "--vms", "1", "--", GUEST],
                               stderr=subprocess.PIPE)
    try:
        line = b""
        while b" on 127.0.0.1:" not in line:
            line = process.stderr.readline()
            check(line, "it ended")
        port = int(line.split(b"127.0.0.1:")[1].split(b":")[0])
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET /count HTTP/1.1\r\nHost: x\r\n\r\n")
            check(sock.recv(4096).endswith(b"\r\n\r\n1"), "the answer")
    finally:
        process.terminate()
        same(process.wait(SOON), 0, "exit status")
        process.stderr.close()
    with Server(vms=1) as server:  # for its folder
        folder = server.folder.name
        other = subprocess.Popen([MAYFLY, "serve", "--listen", "unix:here", "--vms", "1", "--quiet", "--", GUEST],
                                 cwd=folder)
        try:
            def answers():
                try:
                    return Client(f"{folder}/here").ask("/count").status == 200
                except OSError:
                    return False
            wait_until(answers, "the server on a relative name")
        finally:
            other.terminate()
            same(other.wait(SOON), 0, "exit status")
        check(not os.path.exists(f"{folder}/here"), "the relative socket is left")


main()
