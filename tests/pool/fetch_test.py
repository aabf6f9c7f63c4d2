#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mf_fetch(): HTTP requests that the engine makes for a program, to servers that behave and to those that do not."""
import contextlib
import http.client
import os
import re
import socket
import ssl
import subprocess
import tempfile
import threading

from serving import BUILD, SOON, Server, wait_until
from claims import check, claim, main, matches, same

GUEST = os.environ.get("MAYFLY_FETCHES", os.path.join(BUILD, "tests/pool/fetch-guest"))
ENOENT, EACCES, EFAULT, EINVAL, E2BIG, EPROTO, EMSGSIZE, ENOTCONN = -2, -13, -14, -22, -7, -71, -90, -107
EPROTONOSUPPORT, ECONNREFUSED, ECONNRESET, ETIMEDOUT, EKEYREJECTED = -93, -111, -104, -110, -129
OK = b"HTTP/1.1 200 OK\r\nServer: test\r\n"


def sized(body, head=OK):
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Upstream:
    """With-statement: an HTTP server as bad as its path says. .heads: what it was asked; .connections: how many came; .gone: are over."""

    def __init__(self, context=None, family=socket.AF_INET, host="127.0.0.1"):
        self.listener = socket.create_server((host, 0), family=family, backlog=200)
        self.port = self.listener.getsockname()[1]
        self.context, self.heads, self.connections, self.ended = context, [], 0, threading.Event()
        self.gone, self.lock = 0, threading.Lock()  # connections that are over
        self.together, self.crowd = threading.Semaphore(0), threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def url(self, path="/", host="127.0.0.1"):
        return f"http{'s' if self.context else ''}://{host}:{self.port}{path}"

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                self.connections += 1
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError):
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                if not self.context and connection.recv(1, socket.MSG_PEEK) == b"\x16":
                    connection.sendall(b"this is no TLS\n")
                    return
                while (line := stream.readline()) and self.answer(connection, stream, line):
                    pass
        with self.lock:
            self.gone += 1

    def answer(self, connection, stream, line):
        head = line
        while (line := stream.readline()) not in (b"\r\n", b""):
            head += line
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body, left = b"", int(length[1]) if length else 0
        while left and (part := stream.read(min(left, 1 << 16))):  # a gigabyte that is only announced is not set aside
            body, left = body + part, left - len(part)
        self.heads.append(head)
        what = head.split()[1].split(b"?")[0].decode().strip("/")
        getattr(self, what or "plain")(connection, head, body)
        return what not in ("breaks", "closing", "noise", "never", "slow")

    def plain(self, to, *_):
        to.sendall(sized(b"hello"))

    def echo(self, to, head, body):
        to.sendall(sized(head + b"\n" + body))

    def head(self, to, *_):
        to.sendall(OK + b"Content-Length: 1000\r\n\r\n")

    def chunked(self, to, *_):
        to.sendall(OK + b"Transfer-Encoding: chunked\r\nTrailer: late\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nlate: yes\r\n\r\n")

    def early(self, to, *_):
        to.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: early\r\n\r\n" + sized(b"hello"))

    def closing(self, to, *_):
        to.sendall(OK + b"Connection: close\r\n\r\nto the end")

    def redirect(self, to, *_):
        to.sendall(sized(b"elsewhere", b"HTTP/1.1 302 Found\r\nServer: test\r\nLocation: /secret\r\n"))

    def breaks(self, to, *_):
        to.sendall(OK + b"Content-Length: 1000\r\n\r\nnot all")

    def noise(self, to, *_):
        to.sendall(b"\x00\x01\x02 no HTTP at all\r\n\r\n")

    def more(self, to, *_):
        to.sendall(sized(b"hello") + sized(b"another answer, never asked for"))

    def huge(self, to, *_):
        to.sendall(OK + b"Content-Length: %d\r\n\r\n" % (1 << 40))
        while not self.ended.is_set():
            to.sendall(bytes(1 << 16))

    def headers(self, to, *_):
        to.sendall(OK + b"".join(b"x-%d: %s\r\n" % (i, b"y" * 100) for i in range(300)) + b"Content-Length: 0\r\n\r\n")

    def large(self, to, *_):
        to.sendall(sized(bytes(range(256)) * 12000))

    def never(self, to, *_):
        to.recv(1)  # until the other side closes

    def slow(self, to, *_):
        to.sendall(OK + b"Content-Length: 1000\r\n\r\n")
        to.recv(1)

    def crowded(self, to, *_):
        self.together.release()
        self.crowd.wait(600)
        to.sendall(sized(b"together"))


def serve(*options, vms=4, **more):
    return Server("--audit", *options, guest=GUEST, vms=vms, **more)


def fetch(server, url, method=None, headers=b"", body=None, room=None, ms=None, ask=None):
    """(result, status, headers, body)"""
    given = {"Fetch-Url": url}
    if method:
        given["Fetch-Method"] = method
    if room is not None:
        given["Fetch-Room"] = str(room)
    if ms:
        given["Fetch-Timeout-Ms"] = str(ms)
    order = b"" if body is None and not headers else headers + b"\r\n" + (body or b"") if headers else b"\r\n\r\n" + (body or b"")
    answer = (ask or server.ask)("/fetch", order, headers=given)
    if answer.status != 200:
        return answer.status, 0, b"", b""
    first, _, rest = answer.body.partition(b"\n")
    found, _, content = rest.partition(b"\r\n\r\n")
    return (*map(int, first.split()), found, content)


def clean(server):
    """The server ends, and every VM was as its image after each request."""
    server.process.terminate()
    server.process.wait(SOON * 4)
    matches(r"\d+ audits, 0 unclean", server.log(), "audit")
    same(server.process.returncode, 0, "the server's status", server.log())


@claim
def answers_arrive_as_they_were_sent():
    with Upstream() as up, serve(f"--allow-connect=127.0.0.1:{up.port}") as server:
        same(fetch(server, up.url()), (0, 200, b"Server: test\r\nContent-Length: 5", b"hello"), "plain")
        same(fetch(server, up.url("/chunked"))[3], b"abcdefg", "chunked")
        same(fetch(server, up.url("/closing"))[3], b"to the end", "until the connection is closed")
        same(fetch(server, up.url("/large"))[3], bytes(range(256)) * 12000, "3 MB")
        result = fetch(server, up.url("/early"))
        check(result[1] == 200 and b"early" not in result[2], "a provisional answer", str(result))
        same(fetch(server, up.url("/head"), method="HEAD")[:2], (0, 200), "HEAD")
        result = fetch(server, up.url("/redirect"))
        same((result[1], result[3]), (302, b"elsewhere"), "a redirect")
        matches(r"Location: /secret", result[2], "a redirect")
        check(not [head for head in up.heads if b"/secret" in head], "a redirect was followed")
        result = fetch(server, up.url("/echo?a=b#part"), "PATCH", b"X-One: 1\r\nEmpty:\r\n", b"\0body\r\n\r\nof it")[3]
        matches(r"^PATCH /echo\?a=b HTTP/1.1\r\nHost: 127.0.0.1:\d+\r\n(X-One: 1\r\n|Empty:\r\n|Content-Length: 14\r\n)+\n",
                result, "what was sent")
        check(result.endswith(b"\n\0body\r\n\r\nof it"), "the body", result)
        data = os.urandom(300000)
        check(fetch(server, up.url("/echo"), body=data)[3].endswith(data), "a larger body")
        clean(server)


@claim
def only_what_is_allowed_is_reached():
    with Upstream() as up, Upstream() as other, serve(f"--allow-connect=localhost:{up.port},10.0.0.0/8") as server:
        same(fetch(server, up.url(host="localhost"))[3], b"hello", "a name of a rule")
        same(fetch(server, up.url(host="LocalHost"))[3], b"hello", "in other letters")
        same(fetch(server, up.url())[3], b"hello", "its address")
        for host in ("localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]",
                     "[::ffff:7f00:1]"):
            result = fetch(server, other.url(host=host))[0]
            check(result in (EACCES, ENOENT), f"{host}: {result}")
        for host in ("nowhere.invalid", "localhost.", "x.localhost", "l%6fcalhos"):
            same(fetch(server, up.url(host=host))[0], ENOENT, host)
        same(fetch(server, "http://[fe80::1%25lo]/")[0], EINVAL, "a zone")
        same(other.connections, 0, "connections to the other one")
        clean(server)
    with Upstream() as up, serve() as server:
        same(fetch(server, up.url())[0], ENOTCONN, "nothing is allowed")
        same(server.ask("/early").body, b"%d" % ENOTCONN, "before a request")
        same(up.connections, 0, "connections")
    with Upstream() as up, serve("--allow-listen", "--allow-connect=unix:*") as server:
        same(fetch(server, up.url())[0], ENOTCONN, "no address is allowed")


@claim
def failures_are_told():
    free = socket.socket()
    free.bind(("127.0.0.1", 0))  # nobody listens there as long as it is kept
    port = free.getsockname()[1]
    with free, Upstream() as up, serve("--allow-connect=127.0.0.1") as server:
        for path, more, result in (("/never", {"ms": 300}, ETIMEDOUT), ("/slow", {"ms": 300}, ETIMEDOUT), ("/breaks", {}, ECONNRESET),
                                   ("/noise", {}, EPROTO), ("/huge", {}, EMSGSIZE), ("/headers", {}, EMSGSIZE),
                                   ("/plain", {"room": 30}, EMSGSIZE), ("/plain", {"room": 16}, EMSGSIZE),
                                   ("/plain", {"room": 16 + 14 + 19 + 4}, EMSGSIZE)):
            same(fetch(server, up.url(path), **more)[0], result, f"{path} {more}")
        same(fetch(server, up.url("/plain"), room=16 + 14 + 19 + 5)[0], 0, "just room enough")
        same(fetch(server, f"http://127.0.0.1:{port}/")[0], ECONNREFUSED, "nobody there")
        same(fetch(server, f"https://127.0.0.1:{up.port}/plain")[0], EPROTO, "no TLS")
        clean(server)


@claim
def what_is_malformed_is_refused():
    with Upstream() as up, serve(f"--allow-connect=127.0.0.1:{up.port}") as server:
        for url, result in (("", EINVAL), ("/", EINVAL), ("http://", EINVAL), ("file:///etc/passwd", EPROTONOSUPPORT),
                            ("gopher://127.0.0.1:1/x", EPROTONOSUPPORT), ("ftp://127.0.0.1/", EPROTONOSUPPORT),
                            ("unix:///run/x", EPROTONOSUPPORT), (up.url("/a b"), EINVAL), (up.url("/a\tb"), EINVAL),
                            (f"http://me:secret@127.0.0.1:{up.port}/", EINVAL), ("http://127.0.0.1:99999/", EINVAL),
                            (up.url("/" + "a" * 9000), E2BIG)):
            same(fetch(server, url)[0], result, url[:60])
        for method in ("CONNECT", "connect", "GET /other HTTP/1.1", "G(T", "a" * 33):
            result = fetch(server, up.url(), method)[0]
            check(result in (EINVAL, E2BIG), f"{method}: {result}")
        for header in (b"no colon\r\n", b": x\r\n", b"a b: c\r\n", b"a : c\r\n", b"a: b\nc: d\r\n", b"a: b\rc: d\r\n", b"a: \0\r\n",
                       b" folded: x\r\n", b"a;b: c\r\n", b"Host: other\r\n", b"content-length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
                       b"Connection: close\r\n", b"Proxy-Authorization: x\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n"):
            same(fetch(server, up.url(), headers=header)[0], EINVAL, str(header))
        same(fetch(server, up.url(), headers=b"a: b\r\n" * 101)[0], E2BIG, "101 headers")
        same(fetch(server, up.url(), headers=b"a: " + b"b" * 17000 + b"\r\n")[0], E2BIG, "a long header")
        same(up.connections, 0, "connections")
        answer = server.ask("/raw", headers={"Fetch-Url": up.url()})
        same(answer.status, 200, "raw calls", f"{up.connections} connections, {up.gone} gone", *up.heads, server.log())
        results = list(map(int, answer.body.split()))
        same(results, [EFAULT] * 3 + [EINVAL, EINVAL, EFAULT, EINVAL, E2BIG, EINVAL, EFAULT, E2BIG, EINVAL, EINVAL, EFAULT, E2BIG,
                                      EFAULT, EFAULT, E2BIG, EFAULT, EFAULT, EFAULT, EFAULT, E2BIG, EINVAL, EMSGSIZE, 0, 0], "raw calls")
        clean(server)


@claim
def the_end_of_a_request_ends_its_fetch():
    with Upstream() as up, serve("--allow-connect=127.0.0.1", "--deadline", "150ms", vms=1) as server:
        for path in ("/never", "/slow") * 4:
            came = up.connections
            while up.connections == came:  # on a busy machine the deadline may come before the fetch
                same(fetch(server, up.url(path))[0], 504, path)
            wait_until(lambda: up.gone == up.connections, f"{path}: the connection to end")
        wait_until(lambda: fetch(server, up.url())[3] == b"hello", "the next request to be answered")
        clean(server)
    with Upstream() as up, serve("--allow-connect=127.0.0.1", vms=1) as server:
        client = server.client()
        client.request("POST", "/fetch", b"", {"Fetch-Url": up.url("/slow")})
        wait_until(lambda: up.heads, "the fetch to begin")
        client.close()
        wait_until(lambda: up.gone == up.connections, "the connection of a client that went away to end")
        same(fetch(server, up.url())[3], b"hello", "the next request")
        clean(server)
    with Upstream() as up, serve("--allow-connect=127.0.0.1", "--drain", "100ms") as server:
        def ended():
            with contextlib.suppress(OSError, http.client.HTTPException):
                fetch(server, up.url("/slow"))

        thread = threading.Thread(target=ended)
        thread.start()
        wait_until(lambda: up.heads, "the fetch to begin")
        clean(server)
        thread.join()


@claim
def many_fetch_at_once():
    with Upstream() as up, serve("--allow-connect=127.0.0.1", "--workers", "1", vms=64) as server:
        results = [None] * 64
        threads = [threading.Thread(target=lambda i=i: results.__setitem__(i, fetch(server, up.url("/crowded"))[3]))
                   for i in range(64)]
        for thread in threads:
            thread.start()
        for i in range(64):
            check(up.together.acquire(timeout=SOON), f"only {i} came")
        up.crowd.set()
        for thread in threads:
            thread.join()
        same(results, [b"together"] * 64, "answers")
        clean(server)


@claim
def nothing_of_one_fetch_is_in_the_next():
    with Upstream() as up, serve("--allow-connect=127.0.0.1", vms=1) as server:
        secret = b"known-to-one-request-alone"
        check(fetch(server, up.url("/echo"), headers=b"Authorization: " + secret + b"\r\n", body=secret)[3].count(secret) == 2, "secret")
        same(server.ask("/kept").body, bytes(65536), "what is left in the VM")
        again = fetch(server, up.url("/echo"), body=b"x")[3]
        check(again.endswith(b"\nx") and secret not in again, "the next one", again)
        same(fetch(server, up.url("/more"))[3], b"hello", "an answer with another behind it")
        for _ in range(5):
            same(fetch(server, up.url())[3], b"hello", "the answer to the next request")
        check(up.connections < 7, f"{up.connections} connections: none was kept")
        clean(server)


@claim
def certificates_are_looked_at():
    with tempfile.TemporaryDirectory(prefix="mayfly-fetch-") as root:
        key, certificate = f"{root}/key", f"{root}/certificate"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with Upstream(context) as up:
            rule = f"--allow-connect=localhost:{up.port}"
            with serve(rule, prefix=["env", f"SSL_CERT_FILE={certificate}"]) as server:
                same(fetch(server, up.url(host="localhost"))[3], b"hello", "one that is trusted")
                same(fetch(server, up.url())[0], EKEYREJECTED, "another name")
                clean(server)
            with serve(rule) as server:
                same(fetch(server, up.url(host="localhost"))[0], EKEYREJECTED, "one that is not trusted")


@claim
def a_refusal_is_explained():
    with serve("--allow-connect=127.0.0.1:1", "--explain") as server:
        same(fetch(server, "http://api.example:8080/")[0], ENOENT, "a name")
        same(fetch(server, "http://127.0.0.1:2/")[0], EACCES, "an address")
        matches(r"--allow-connect=api\.example:8080", server.log(), "a name")
        matches(r"--allow-connect=127\.0\.0\.1:2", server.log(), "an address")


main()
