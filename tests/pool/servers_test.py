#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Programs that know nothing of Mayfly and serve HTTP as they would anywhere: each request in a VM of its own, whatever
they wait with."""
import http.client
import os
import re
import socket
import tempfile

from serving import BUILD, EMULATED, PLAIN, SLOWER, Server, read_until, wait_until
from mayfly import MAYFLY, command, expect
from claims import check, claim, fail, main, matches, same

MODES = ("epoll", "edge", "poll", "select", "accept", "threads")
NON_BLOCKING = ("epoll", "edge")


def serving(mode="epoll", *options, where="80", **more):
    return Server(*options, guest=PLAIN, args=(mode, where), **more)


def refused(answer, status, error, what):
    same((answer.status, answer.error), (status, error), what)


@claim(emulated=True, sanitized=False)
def every_request_gets_a_fresh_vm_however_the_program_waits():
    for mode in MODES:
        with serving(mode, "--audit", vms=2) as server:
            for _ in range(3):
                same(server.ask("/count").body, b"1", f"{mode}: the counter")
            client = server.client()
            for _ in range(3):
                same(client.ask("/count").body, b"1", f"{mode}: the counter, on a connection that is kept")
            client.close()
            for answer in server.ask_all(["/count"] * 8):
                same(answer.body, b"1", f"{mode}: at once")
            server.stop()
            matches(r" 0 unclean", server.log(), f"{mode}: audits")


@claim(emulated=True, sanitized=False)
def answers_end_as_the_program_ends_them():
    for mode in MODES:
        with serving(mode, vms=2) as server:
            client = server.client()
            for target, body in (("/until-close", b"until the end"), ("/chunks", b"first second"), ("/slow", b"slow"),
                                 ("/", b"hello"), ("/bad/answer-exit", b"last words")):
                answer = client.ask(target)
                same((answer.status, answer.body), (200, body), f"{mode}: {target}")
            client.close()


@claim(emulated=True)
def much_goes_through_in_both_directions():
    for mode in ("edge", "accept"):
        with serving(mode, f"--allow-read={PLAIN}", "--deadline", "100s", vms=1) as server:
            for size in (0, 1, 4095, 4096, 131071, 131072, 131073, *(() if EMULATED else (1 << 20, 5 << 20))):
                answer = server.ask(f"/large?{size}")
                check(answer.body == b"b" * size, f"{mode}: of {size} bytes {len(answer.body)} came")
                body = bytes(i % 251 for i in range(256)) * (size // 256 + 1)
                answer = server.ask("/echo", body)
                check(answer.body == body, f"{mode}: of {len(body)} bytes {len(answer.body)} came back")
            with open(PLAIN, "rb") as file:
                check(server.ask("/file").body == file.read(), f"{mode}: a file by sendfile")


@claim
def a_program_sees_a_connection_as_on_linux():
    with serving(vms=1) as server:
        same(server.ask("/names").body, b"2 7f000001:80 2 7f000001 1 0 1 0", "names and options")
        head = server.ask("/head?a=b", headers={"X-Some": "Thing", "Connection": "close"}).body
        matches(r"^GET /head\?a=b HTTP/1\.1\r\n", head, "request line")
        matches(r"(?i)\r\nx-some: Thing\r\n", head, "a header")
        check(b"close" not in head, "the client's connection is not the program's", head)


@claim
def a_program_is_told_the_address_of_its_client():
    with serving("epoll", "--listen", "127.0.0.1:0", vms=1) as server:
        port = int(re.search(rb" on 127\.0\.0\.1:(\d+)", server.log())[1])
        for host, number in (("127.0.0.5", b"7f000005"), ("127.0.0.1", b"7f000001")):
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(host, 0))
            client.request("GET", "/names")
            same(client.getresponse().read(), b"2 7f000001:80 2 " + number + b" 1 0 1 0", f"names, for {host}")
            client.close()


def peer(address):
    """What a program is told of the client that asks there, and what the client is."""
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as sock:
        sock.settimeout(20 * SLOWER)
        sock.connect(address)
        own = sock.getsockname()
        told = []
        for _ in range(2):
            sock.sendall(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n")
            told.append(re.search(rb"\r\n\r\n([^ ]+ \d+)$", read_until(sock, b" %d" % own[1]))[1].decode())
        return told, [f"{own[0]} {own[1]}"] * 2


@claim(sanitized=False)
def a_program_is_told_the_port_of_its_client():
    """The same over TCP of both families, whichever the program listens at, and on every way that a VM is put back."""
    for where, prefix in (("80", ""), ("+80", "::ffff:")):
        for how in ("request", "connection", "never"):
            with serving("epoll", "--listen", "127.0.0.1:0", "--reset", how, where=where, vms=1) as server:
                port = int(re.search(rb" on 127\.0\.0\.1:(\d+)", server.log())[1])
                for _ in range(3):
                    told, is_ = peer(("127.0.0.1", port))
                    same(told, [prefix + each for each in is_], f"IPv4, at {where}, --reset {how}")
    with serving("epoll", "--listen", "[::1]:0", where="+80", vms=1) as server:
        told, is_ = peer(("::1", int(re.search(rb" on \[::1\]:(\d+)", server.log())[1])))
        same(told, is_, "IPv6")


@claim
def a_client_on_a_unix_socket_is_one_to_a_program_that_listens_there():
    with tempfile.TemporaryDirectory(prefix="mayfly-servers-") as folder:
        with serving("epoll", where=f"{folder}/socket", vms=1) as server:
            same(server.ask("/peer").body, b"unix", "without a name")
            for name in (f"{folder}/client", "\0client of the test"):
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(20 * SLOWER)
                sock.bind(name)
                sock.connect(server.path)
                sock.sendall(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n")
                matches(r"\r\n\r\nunix " + name.lstrip("\0"), read_until(sock, b"client"), "with one")
                sock.close()
        with serving("epoll", vms=1) as server:
            matches(r"^127\.0\.0\.1 \d+$", server.ask("/peer").body, "to one that listens at a port")


IN_FRONT = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n"
IN_FRONT_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.1") + b"\x12\x67\x01\xbb"


def all_of(server, *pieces):
    """What comes until the server closes, for what is sent in pieces."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20 * SLOWER)
    sock.connect(server.path)
    got = b""
    try:
        for piece in pieces:
            sock.sendall(piece)
        while part := sock.recv(65536):
            got += part
    except ConnectionError:
        pass
    sock.close()
    return got


@claim
def a_proxy_in_front_says_who_its_client_is():
    ask = b"GET /%s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n%s\r\n"
    peers = ask % (b"peer", b"") + ask % (b"peer", b"Connection: close\r\n")
    for how in ("request", "connection"):
        with serving("epoll", "--proxy-protocol", "--reset", how, vms=2) as server:
            for front in (IN_FRONT, IN_FRONT_2):
                for cut in (0, 1, 20, len(front)):
                    got = all_of(server, front[:cut], front[cut:] + peers)
                    same(re.findall(rb"\r\n\r\n(192[^H]*)", got), [b"192.0.2.7 4711"] * 2, f"{how}: its socket, cut at {cut}")
                got = all_of(server, front + ask % (b"head", b"Connection: close\r\n"))
                matches(r"(?i)x-forwarded-for: 192\.0\.2\.7\r\n", got, "what the front door adds")
                check(b"6.6.6.6" not in got, "what the client said of itself", got)
            got = all_of(server, b"PROXY UNKNOWN\r\n" + ask % (b"peer", b"Connection: close\r\n"))
            matches(r"\r\n\r\n127\.0\.0\.1 \d+$", got, "a client that the proxy does not know")
            for bad in (ask % (b"peer", b""), b"PROXY TCP4 192.0.2.7\r\n" + peers, IN_FRONT_2[:12] + b"\x21\x12" + IN_FRONT_2[14:] + peers,
                        b"PROXY " + b"x" * 200):
                same(all_of(server, bad), b"", f"{bad[:30]}")
    with serving("lines", "--proxy-protocol", "--protocol", "raw", vms=1) as server:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20 * SLOWER)
        sock.connect(server.path)
        sock.sendall(IN_FRONT + b"hello\n")
        same(read_until(sock, b"\n"), b"1 hello\n", "behind it, where it is not HTTP")
        sock.close()


@claim(emulated=True)
def nothing_of_a_request_is_visible_to_the_next():
    for mode in ("epoll", "threads"):
        with serving(mode, "--audit", "--workers", "1", vms=1) as server:
            for number in range(3):
                same(server.ask("/remember", b"SECRET%d" % number).body, b"SECRET%d" % number, "remember")
                same(server.ask("/recall").body, b"nothing", f"{mode}: recall")
            server.stop()
            matches(r" 0 unclean", server.log(), f"{mode}: audits")


@claim(emulated=True)
def what_becomes_of_bad_requests_is_told_and_the_next_is_served():
    with serving("epoll", "--deadline", "60s", "--audit", vms=2) as server:
        for what, error in (("abort", "crash"), ("exit", "crash"), ("memory", "memory"), ("nothing", "response"),
                            ("garbage", "response")):
            refused(server.ask(f"/bad/{what}"), 502, error, what)
            same(server.ask("/count").body, b"1", f"after {what}")
        server.stop()
        matches(r" 0 unclean", server.log(), "audits")


@claim(emulated=True)
def an_answer_that_is_cut_short_is_seen_to_be():
    with serving("epoll", "--deadline", "60s", vms=1) as server:
        try:
            fail("an answer that its program cut short", server.ask("/bad/short"))
        except http.client.IncompleteRead as error:
            same(error.partial, b"short", "what came of it")
        same(server.ask("/count").body, b"1", "afterwards")


@claim(emulated=True)
def answers_without_end_reach_their_clients_as_they_are_written():
    with serving("epoll", "--workers", "1", "--deadline", "60s", vms=1) as server:
        for target, wanted in (("/events", b"data: event"), ("/bad/flood", b"\0" * 1000)):
            sock = server.send_only(target)
            read_until(sock, wanted)
            sock.close()
            wait_until(lambda: server.ask("/count").body == b"1", f"the VM, once the client of {target} is gone", 10)


@claim(emulated=True)
def another_protocol_goes_both_ways():
    with serving("accept", "--workers", "1", vms=1) as server:
        for _ in range(2):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(20 * SLOWER)
            sock.connect(server.path)
            sock.sendall(b"GET /upgrade HTTP/1.1\r\nHost: x\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\n")
            matches(r"^HTTP/1.1 101 ", read_until(sock, b"\r\n\r\n"), "the answer")
            for word in (b"first", b"second"):
                sock.sendall(word)
                same(read_until(sock, word.upper()), word.upper(), "an echo")
            sock.shutdown(socket.SHUT_WR)
            same(sock.recv(10), b"", "the end")
            sock.close()
        same(server.ask("/count").body, b"1", "HTTP, afterwards")


@claim(emulated=True)
def a_connection_without_http_is_a_request():
    with serving("lines", "--protocol", "raw", "--workers", "1", vms=2) as server:
        for _ in range(3):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(20 * SLOWER)
            sock.connect(server.path)
            for number in range(1, 4):
                sock.sendall(b"hello\n")
                same(read_until(sock, b"\n"), b"%d hello\n" % number, "a line, with the number of this connection's")
            sock.close()


@claim(sanitized=False)
def what_takes_too_long_is_504():
    with serving("epoll", "--deadline", "2s", "--audit", vms=2) as server:
        for what in ("sleep", "spin"):
            refused(server.ask(f"/bad/{what}"), 504, None, what)
            same(server.ask("/count").body, b"1", f"after {what}")
        server.stop()
        matches(r" 0 unclean", server.log(), "audits")


@claim(emulated=True)
def hostile_programs_are_contained():
    for mode in ("epoll", "accept"):
        with serving(mode, "--deadline", "60s", vms=1) as server:
            for what, body in (("accept-twice", b"none"), ("write-after-close", b"closed"),
                               ("close-listener", b"closed the listener"), ("listen-often", b"255"),
                               ("connect-often", b"31")):
                same(server.ask(f"/bad/{what}").body, body, f"{mode}: {what}")
                same(server.ask("/count").body, b"1", f"{mode}: after {what}")
            if mode in NON_BLOCKING:
                same(server.ask("/bad/bad-pointers").body, b"6", "bad pointers")


@claim(emulated=True, sanitized=False)
def an_image_file_of_a_server_is_served():
    with tempfile.TemporaryDirectory(prefix="mayfly-servers-") as folder:
        for mode in ("epoll", "poll", "threads"):
            image = f"{folder}/{mode}.img"
            expect(command([MAYFLY, "image", "build", "-o", image, "--warmup", "GET:/count*3", "--", PLAIN, mode]), 0,
                   f"{mode}: building")
            expect(command([MAYFLY, "image", "verify", image]), 0, f"{mode}: verifying")
            with Server(guest=image, vms=2) as server:
                for _ in range(2):
                    same(server.ask("/count").body, b"4", f"{mode}: behind three requests that warmed it up")
        done = expect(command([MAYFLY, "run", "--", image]), 125, "running it")
        matches(r"serve it: mayfly serve", done.err, "running it")


@claim(sanitized=False)
def what_warms_a_program_up_is_read_as_what_clients_send():
    with tempfile.TemporaryDirectory(prefix="mayfly-servers-") as folder:
        for what in (b"GET /before/read?1 HTTP/1.1\r\nHost: x\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nX-Stays: a  b\r\n"
                     b"Keep-Alive: 5\r\nTE: trailers\r\n\r\n",
                     b"POST /before/read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n2\r\n !\r\n0\r\n\r\n",
                     b"POST /before/read HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
                     b"POST /before/read HTTP/1.1\r\nHOST: x\r\ncontent-LENGTH: 0\r\n\r\n",
                     b"GET /before/read HTTP/1.0\r\nX-One: 1\r\nX-One: 2\r\nHTTP2-Settings: x\r\n\r\n"):
            recorded = f"{folder}/recorded"
            with open(recorded, "wb") as file:
                file.write(what * 2)
            with serving("epoll", "--forwarded", "none", "--reset", "never", "--workers", "1", vms=1) as server:
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(20 * SLOWER)
                sock.connect(server.path)
                sock.sendall(what)
                read_until(sock, b"HTTP/1.1 200 OK")
                sock.close()
                sent = server.ask("/before/tell").body
            with serving("epoll", "--warmup", recorded, vms=1) as server:
                same(server.ask("/before/tell").body, sent, "read while it was warmed up, and when it is served")


@claim
def what_does_not_listen_is_refused_with_a_sentence():
    for mode, why in (("never", r"neither listens nor calls mf_wait"), ("later", r"does not wait for connections")):
        with serving(mode, "--boot-deadline", f"{800 * SLOWER}ms", wait=False) as server:
            same(server.wait(), 125, mode)
            matches(why, server.log(), mode)
    with Server(guest="/bin/true", wait=False) as server:
        same(server.wait(), 125, "true")
        matches(r"ended with status 0 before it was ready; .* listens and waits", server.log(), "true")


@claim
def the_address_is_no_address_of_the_host():
    with serving("epoll", where="1") as first, serving("epoll", where="1") as second:
        for server in (first, second):
            same(server.ask("/count").body, b"1", "on a port that both have")
    with tempfile.TemporaryDirectory(prefix="mayfly-servers-") as folder:
        with serving("epoll", where=f"{folder}/socket") as server:
            same(server.ask("/count").body, b"1", "on a Unix socket")
            same(os.listdir(folder), [], "files")


@claim
def of_several_addresses_one_is_chosen():
    with serving("second", "--guest-listen", "81") as server:
        same(server.ask("/count").body, b"1", "the second")
    with serving("second", "--boot-deadline", f"{800 * SLOWER}ms", wait=False) as server:
        same(server.wait(), 125, "the first, where it never waits")


@claim(emulated=True)
def reset_never_lets_a_server_go_on():
    for mode in ("epoll", "threads"):
        with serving(mode, "--reset", "never", "--workers", "1", vms=1) as server:
            for number in range(1, 4):
                same(server.ask("/count").body, b"%d" % number, f"{mode}: the counter")
            client = server.client()
            for number in range(4, 6):
                same(client.ask("/count").body, b"%d" % number, f"{mode}: the counter, on one connection")
            client.close()
            same(server.ask("/until-close").body, b"until the end", "a connection that ends")
            same(server.ask("/count").body, b"7", f"{mode}: over the next one")
            refused(server.ask("/bad/abort"), 502, "crash", "a crash")
            same(server.ask("/count").body, b"1", f"{mode}: after a crash: the image")


@claim
def reset_never_lets_each_vm_go_on_by_itself():
    with serving("epoll", "--reset", "never", "--workers", "1", vms=2) as server:
        busy = server.send_only("/bad/sleep")
        wait_until(lambda: server.ask("/count").body == b"2", "a request behind another on the VM that is free")
        same(server.ask("/count").body, b"3", "the VM that is free")
        busy.close()


@claim(emulated=True)
def the_store_keeps_what_a_server_writes():
    program = os.path.join(BUILD, "tests/pool/store-server")
    for options in ((), ("--reset", "never")):
        with tempfile.TemporaryDirectory(prefix="mayfly-servers-") as folder:
            with Server("--store", f"{folder}/store", "--workers", "1", *options, guest=program, vms=1) as server:
                for number in range(1, 4):
                    served = number if options else 1
                    same(server.ask("/").body, b"%d 0 0 %d -107" % (served, 2 * number),
                         "its own counter, two additions, the store's (-107: no store before the first request)")


@claim
def a_program_works_on_behind_its_answer_until_it_waits():
    with serving("epoll", "--deadline", "60s", "--workers", "1", "--audit", vms=1) as server:
        for count in range(1, 4):
            same(server.ask("/connection/work-after").body, b"1", "the answer")
            same(server.ask("/connection/doze-after").body, b"1", "the answer of one that waits behind it")
            same(server.ask("/connection/abort-after").body, b"1", "the answer of one that crashes behind it")
            same(server.ask("/count").body, b"1", "afterwards")
        same(server.ask("/connection/work-after").body, b"1", "the last answer")
        same(server.stop(), 0, "its exit status, after all that was done behind answers")
        same((server.log().count(b"worked on\n"), server.log().count(b"slept\n")), (4, 0), "what was done behind answers")
        matches(r" 0 unclean", server.log(), "audits")


@claim
def work_behind_an_answer_has_the_requests_deadline():
    with serving("epoll", "--deadline", "500ms", "--queue", "1", "--workers", "1", vms=1) as server:
        same(server.ask("/connection/spin-after").body, b"1", "the answer")
        wait_until(lambda: server.ask("/count").body == b"1", "the VM of a program that computes for ever")


@claim
def a_client_that_goes_away_frees_the_vm():
    with serving("epoll", "--deadline", "60s", "--workers", "1", vms=1) as server:
        for target in ("/bad/sleep", "/bad/spin"):
            server.send_only(target).close()
            wait_until(lambda: server.ask("/count").body == b"1", f"after {target}", 10)


@claim
def what_a_request_costs_is_counted():
    """User exits of one warm request; printed, and bounded by what the calls of the program are."""
    rounds = 5 if EMULATED else 20
    for mode, most in (("epoll", 12), ("accept", 10)):
        with serving(mode, "--workers", "1", vms=1) as server:
            for _ in range(rounds):
                same(server.ask("/count").body, b"1", "the counter")
            server.stop()
            exits = int(re.search(rb"(\d+) user exits", server.log())[1]) / rounds
            print(f"      {mode}: {exits} user exits a request")
            check(exits <= most, f"{mode}: {exits} user exits a request")


main()
