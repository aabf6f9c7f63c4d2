#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The access log: a line for each request, whatever became of it; it is opened again, and holds nobody up."""
import json
import os
import re
import signal
import socket
import tempfile

from serving import SLOWER, Server, wait_until
from claims import check, claim, main, matches, same


def lines_of(path):
    with open(path) as file:
        return file.read().splitlines()


def logged(path, count):
    wait_until(lambda: os.path.exists(path) and len(lines_of(path)) >= count, f"{count} lines")
    found = lines_of(path)
    same(len(found), count, "one line a request", *found)
    return found


def send(server, data):
    """Raw bytes, and all that comes back."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(server.path)
        sock.sendall(data)
        answer = b""
        while more := sock.recv(65536):
            answer += more
    return answer


@claim
def each_request_has_a_line_whatever_became_of_it():
    with tempfile.TemporaryDirectory(prefix="mayfly-access-") as folder:
        log = f"{folder}/log"
        with Server("--access-log", log, "--access-format", "json", "--deadline", f"{1000 * SLOWER}ms") as server:
            server.ask("/count", headers={"X-Request-Id": "first", "User-Agent": 'a "b" \\', "Referer": "r"})
            server.ask("/echo", body=b"hello")
            server.ask("/crash")
            server.ask("/sleep")
            send(server, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
            logged(log, 5)
        with Server("--access-log", log, "--access-format", "json", "--deadline", "100s") as server:
            with server.send_only("/sleep"):
                server.begun()
            found = [json.loads(line) for line in logged(log, 6)]
        same([(line["method"], line["target"], line["status"], line["outcome"]) for line in found],
             [("GET", "/count", 200, "ok"), ("POST", "/echo", 200, "ok"), ("GET", "/crash", 502, "crash"),
              ("GET", "/sleep", 504, "deadline"), ("", "", 400, "refused"), ("GET", "/sleep", 499, "cancelled")],
             "what became of them", *found)
        first = found[0]
        same((first["id"], first["agent"], first["referer"], first["version"], first["bytes"]),
             ("first", 'a "b" \\', "r", "1.1", 1), "of the first request", first)
        check(first["exits"] >= 1, "one exit, and one more each time that its slice was over", first)
        check(0 <= first["vm"] < 4 and first["us"] > 0, f"{first}")
        check(len({line["id"] for line in found}) == 6, "ids are no two requests' own", *found)


@claim
def lines_have_the_common_forms_and_no_more_lines_than_requests():
    with tempfile.TemporaryDirectory(prefix="mayfly-access-") as folder:
        log = f"{folder}/log"
        ours = r" id=\w+ vm=\d exits=\d+ us=\d+ outcome=ok$"
        time = r"\[\d\d/[A-Z][a-z][a-z]/20\d\d:\d\d:\d\d:\d\d \+0000\]"
        with Server("--access-log", log) as server:
            send(server, b'GET /a"\\{} HTTP/1.0\r\n\r\n')
            line = logged(log, 1)[0]
            matches("^- - - " + time + r' "GET /a\\x22\\x5c\{\} HTTP/1\.0" 404 0' + ours, line, "common")
        os.unlink(log)
        with Server("--access-log", log, "--access-format", "combined", "--forwarded", "none") as server:
            send(server, b"GET /count HTTP/1.0\r\nUser-Agent: x\xc3\xa4\ty\r\n\r\n")
            line = logged(log, 1)[0]
            matches("^- - - " + time + r' "GET /count HTTP/1\.0" 200 1 "-" "x\\xc3\\xa4\\x09y" id=-', line, "combined")


@claim
def a_log_that_was_moved_away_is_opened_again():
    with tempfile.TemporaryDirectory(prefix="mayfly-access-") as folder:
        log = f"{folder}/log"
        with Server("--access-log", log) as server:
            server.ask("/count")
            logged(log, 1)
            os.rename(log, f"{log}.1")
            server.ask("/count")
            logged(f"{log}.1", 2)
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: os.path.exists(log), "a new file")
            server.ask("/count")
            logged(log, 1)
            logged(f"{log}.1", 2)


@claim
def what_is_logged_can_be_objects():
    with Server("--log-format", "json") as server:
        server.ask("/print?3")
        server.ask("/crash")
        server.stop()
        found = [json.loads(line) for line in server.log().splitlines()]
    same([line["text"] for line in found if line["source"].startswith("vm ")][:3],
         [f"line {i} of the guest" for i in range(3)], "what the program printed", *found)
    check(any("request ended: " in line["text"] for line in found), "why the request ended", *found)
    check(all(line["time"] > 1e9 and line["text"] and "\n" not in line["text"] for line in found), "each", *found)


@claim
def a_log_that_nobody_reads_holds_nobody_up():
    """Standard output is a pipe without a reader: a megabyte and a pipe of lines wait, the others are dropped."""
    reader, writer = os.pipe()
    with Server("--access-log", "-", "--connections", "40", before=lambda: os.dup2(writer, 1)) as server:
        os.close(writer)
        client = server.client()
        target = "/" + "x" * 2000
        for _ in range(1300):
            same(client.ask(target).status, 404, "served all the same")
        server.process.send_signal(signal.SIGTERM)
        same(server.process.wait(20 * SLOWER), 0, "and it ends")
        said = re.search(r"(\d+) lines of the access log were dropped", server.log().decode())
        check(said and int(said[1]) > 100, "what was dropped is said", server.log())
    os.close(reader)


main()
