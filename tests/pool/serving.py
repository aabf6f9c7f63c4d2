# SPDX-License-Identifier: MIT
"""A mayfly serve of one's own on Unix sockets, and clients of it. Used by the tests of this folder."""
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
sys.dont_write_bytecode = True
from mayfly import BUILD, EMULATED, MAYFLY, SLOWER, SOON  # noqa: E402
from claims import LONG, check, fail  # noqa: E402

GUEST = os.environ.get("MAYFLY_SERVED", os.path.join(BUILD, "tests/pool/pool-guest"))
PLAIN = os.environ.get("MAYFLY_SERVER", os.path.join(BUILD, "tests/pool/server-guest"))  # knows nothing of Mayfly


def resident(pid):
    """Bytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


def request(target, body=None, *, host="x", more=""):
    """Its bytes. body: that too; or how long it will be, for who sends it behind this. more: lines of the head."""
    count = body if body is None or isinstance(body, int) else len(body)
    length = "" if body is None else f"Content-Length: {count}\r\n"
    head = f"{'GET' if body is None else 'POST'} {target} HTTP/1.1\r\nHost: {host}\r\n{length}{more}\r\n"
    return head.encode() + (body if isinstance(body, bytes) else b"")


def one_answer(sock):
    """Its status, of an answer with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        more = sock.recv(65536)
        check(more, "cut in the middle of an answer")
        body += more
    return int(head.split()[1])


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def error(self):
        return self.headers.get("Mayfly-Error")

    def __str__(self):
        return f"{self.status} {self.error or ''} {self.body[:60]}"


class Client(http.client.HTTPConnection):
    """A connection that is kept. `path`: of a Unix socket, or a port of this machine."""

    def __init__(self, path, seconds=60):
        super().__init__("mayfly", timeout=seconds * SLOWER)
        self.path = path

    def connect(self):
        within = isinstance(self.path, str)
        self.sock = socket.socket(socket.AF_UNIX if within else socket.AF_INET)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path if within else ("127.0.0.1", self.path))

    def ask(self, target, body=None, method=None, headers=()):
        self.request(method or ("GET" if body is None else "POST"), target, body, dict(headers))
        answer = self.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


class Server:
    """With-statement: a server that is ready; it is ended at the end, and its stderr is in .log()."""

    def __init__(self, *options, guest=GUEST, vms=4, before=None, stderr=None, wait=True, prefix=(), args=()):
        self.folder = tempfile.TemporaryDirectory(prefix="mayfly-pool-")
        self.path, self.health = f"{self.folder.name}/socket", f"{self.folder.name}/health"
        self.log_name = f"{self.folder.name}/log"
        with open(self.log_name, "wb") as log:
            self.process = subprocess.Popen(
                [*prefix, MAYFLY, "serve", "--listen", f"unix:{self.path}", "--health", f"unix:{self.health}", "--vms", str(vms),
                 *options, "--", guest, *args], stdin=subprocess.DEVNULL, stderr=stderr or log, preexec_fn=before)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        until = time.monotonic() + 60 * SLOWER
        while self.ready() != 200:
            if self.process.poll() is not None:
                fail(f"the server ended with {self.process.returncode} before it was ready", self.log())
            if time.monotonic() > until:
                self.process.kill()
                fail("the server did not become ready in time", self.log())
            time.sleep(0.02)

    def ready(self, target="/readyz"):
        """The status of /readyz, None when nobody answers."""
        client = Client(self.health, 20)
        try:
            return client.ask(target).status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            client.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.kill()
            died = None
        else:
            died = self.process.returncode
        self.process.wait()
        log = self.log()
        self.folder.cleanup()
        if died is not None and died < 0 and kind is None:
            fail(f"the server died of signal {-died}", log)

    def port(self):
        """Of a server with --listen 127.0.0.1:0."""
        return int(re.search(rb" on 127\.0\.0\.1:(\d+)", self.log())[1])

    def client(self, seconds=60):
        return Client(self.path, seconds)

    def ask(self, target, body=None, **more):
        """One request on a connection of its own."""
        client = self.client()
        try:
            return client.ask(target, body, **more)
        finally:
            client.close()

    def begun(self, count=1):
        """Wait until so many requests of /sleep or /busy have begun, since the server's start."""
        wait_until(lambda: self.log().count(b"begun") >= count, f"{count} requests to begin")

    def start_all(self, targets):
        """All at once, each on its own connection and thread; answers as they come, an exception where there is none."""
        answers = [None] * len(targets)

        def one(i):
            try:
                answers[i] = self.ask(targets[i])
            except Exception as error:
                answers[i] = error

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(targets))]
        for thread in threads:
            thread.start()
        return answers, threads

    def ask_all(self, targets):
        """The same, and all answers."""
        answers, threads = self.start_all(targets)
        for thread in threads:
            thread.join()
        return answers

    def send_only(self, target):
        """A request whose answer is not waited for; returns the socket."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60 * SLOWER)
        sock.connect(self.path)
        sock.sendall(request(target))
        return sock

    def log(self):
        with open(self.log_name, "rb") as file:
            return file.read()

    def stop(self, how=signal.SIGTERM, seconds=60):
        """Its exit status."""
        self.process.send_signal(how)
        return self.wait(seconds)

    def wait(self, seconds=60):
        try:
            return self.process.wait(seconds * SLOWER)
        except subprocess.TimeoutExpired:
            fail(f"the server still runs {seconds * SLOWER} s after it was told to end", self.log())

    def footprint(self):
        """(KiB of its own, descriptors, threads). Pages of the image count once for each VM: they are left out."""
        pid = self.process.pid
        with open(f"/proc/{pid}/status") as file:
            facts = dict(line.split(":", 1) for line in file)
        return int(facts["RssAnon"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(facts["Threads"])

    def calm(self, before):
        """The footprint once it has no more descriptors and threads than before: the kernel's threads of VMs that were
        given up end a little later."""
        wait_until(lambda: all(now <= was for now, was in zip(self.footprint()[1:], before[1:])),
                   f"no more descriptors and threads than {before[1:]}", 30)
        return self.footprint()


def read_until(sock, wanted):
    """What comes, up to and with these bytes."""
    got = b""
    while wanted not in got:
        part = sock.recv(65536)
        check(part, f"it ended before {wanted[:20]}", got[:500])
        got += part
    return got


def wait_until(condition, what, seconds=60):
    until = time.monotonic() + seconds * SLOWER
    while not (given := condition()):
        check(time.monotonic() < until, f"waited in vain: {what}")
        time.sleep(0.01)
    return given
