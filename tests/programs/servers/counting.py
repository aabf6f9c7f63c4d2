# SPDX-License-Identifier: MIT
"""Counts its requests wherever it can keep a number and repeats each client's nonce: with http.server, or asyncio's streams."""
import asyncio
import http.server
import os
import signal
import sys

served = 0
kept = [0]


def in_file():
    with open("/dev/shm/served", "a+") as file:
        file.write("x")
        return file.tell()


def in_environment():
    os.environ["SERVED"] = os.environ.get("SERVED", "") + "x"
    return len(os.environ["SERVED"])


def in_descriptors():
    os.open("/dev/shm/open", os.O_RDWR | os.O_CREAT)  # stays open
    names = []
    for number in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            pass
    return names.count("/dev/shm/open")


def in_handlers():
    return 1 + (signal.signal(signal.SIGUSR1, signal.SIG_IGN) != signal.SIG_DFL)


def count():
    global served
    served += 1
    kept[0] += 1
    return f"{served} {kept[0]} {in_file()} {in_environment()} {in_descriptors()} {in_handlers()}"


def die(how):
    if how % 3 == 0:
        os.abort()
    if how % 3 == 1:
        os._exit(1)
    os.kill(os.getpid(), signal.SIGKILL)


def body_of(path, nonce, body):
    if path == "/echo":
        return body
    if path == "/large":
        return nonce * ((96 << 10) // len(nonce))
    if path.startswith("/crash"):
        die(int(path.split("/")[2]))
    while path == "/spin":
        pass
    return nonce if path.startswith("/after") else f"{count()} ".encode() + nonce


def parts(target):
    path, _, nonce = target.partition("?")
    return path, nonce.encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, nonce = parts(self.path)
        body = body_of(path, nonce, self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.send_response(200)
        self.send_header("X-Nonce", nonce.decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if path.startswith("/after"):
            die(int(path.split("/")[2]))

    do_POST = do_GET


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length:")]
            sent = await reader.readexactly(int(lengths[0])) if lengths else b""
            path, nonce = parts(head.split()[1])
            body = body_of(path, nonce, sent)
            writer.write(b"HTTP/1.1 200 OK\r\nX-Nonce: %s\r\nContent-Length: %d\r\n\r\n%s" % (nonce, len(body), body))
            await writer.drain()
            if path.startswith("/after"):
                die(int(path.split("/")[2]))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def streams():
    await (await asyncio.start_server(serve, "127.0.0.1", 8000)).serve_forever()


if sys.argv[1] == "streams":
    asyncio.run(streams())
else:
    http.server.HTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
