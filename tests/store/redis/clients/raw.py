# SPDX-License-Identifier: MIT
"""A web server that sends a request's body to the store as it is, and answers with all that comes back. /flood: opens connections
until one is refused, says how many, and leaves each in the middle of a command. /gets/N: so many GETs, one after the other."""
import http.server
import selectors
import socket


def talk(body):
    """Both ways at once: neither side waits for the other with its buffer full."""
    store = socket.create_connection(("127.0.0.1", 6379))
    store.setblocking(False)
    wait, said = selectors.DefaultSelector(), []
    wait.register(store, selectors.EVENT_READ | selectors.EVENT_WRITE)
    while True:
        for _, events in wait.select():
            if events & selectors.EVENT_WRITE:
                try:
                    body = body[store.send(body[:65536]):]
                except (BrokenPipeError, ConnectionResetError):
                    body = b""
                if not body:
                    wait.modify(store, selectors.EVENT_READ)
                    try:
                        store.shutdown(socket.SHUT_WR)
                    except OSError:  # it was reset: reading says so
                        pass
            if events & selectors.EVENT_READ:
                try:
                    part = store.recv(65536)
                except BlockingIOError:
                    continue
                except ConnectionResetError:
                    part = b""
                if not part:
                    store.close()
                    return b"".join(said)
                said.append(part)


def flood():
    opened = []
    try:
        while True:
            one = socket.socket(socket.AF_UNIX)
            opened.append(one)
            one.connect("/run/mayfly/redis.sock")
            one.sendall(b"*2\r\n$3\r\nGET\r\n$60000000\r\n" + b"x" * 1000)
    except ConnectionRefusedError:
        return str(len(opened) - 1).encode()


def gets(count):
    store = socket.socket(socket.AF_UNIX)
    store.connect("/run/mayfly/redis.sock")
    for _ in range(count):
        store.sendall(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n")
        said = store.recv(1000)
    return said if count else b""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, said):
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_GET(self):
        self.answer(flood() if self.path == "/flood" else gets(int(self.path.split("/")[2])))

    def do_POST(self):
        self.answer(talk(self.rfile.read(int(self.headers["Content-Length"]))))


if __name__ == "__main__":
    http.server.HTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
