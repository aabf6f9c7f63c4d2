#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A request program that sends a request's body to the store as it is, over a connection of the request's own (POST /N) or one
that it has had since its start (POST /kept/N), and answers with N frames of what came, or as many as came before the end."""
import http.server
import socket
import struct

kept = socket.socket(socket.AF_UNIX)
kept.connect("/run/mayfly/store.sock")
kept.sendall(struct.pack("<IIQ", 16, 1, 7))  # while it starts it calls nobody
early = kept.recv(16)


def frames(store, count):
    data = b""
    for _ in range(count):
        at = len(data)
        while len(data) < at + 16 or len(data) < at + struct.unpack_from("<I", data, at)[0]:
            size = 16 if len(data) < at + 16 else struct.unpack_from("<I", data, at)[0]
            more = store.recv(at + size - len(data))
            if not more:
                return data + b"END"
            data += more
    return data


class Raw(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = self.path.split("/")
        try:
            if parts[1] == "early":
                data = early
            elif parts[1] == "kept":
                kept.sendall(body)
                data = frames(kept, int(parts[2]))
            else:
                with socket.socket(socket.AF_UNIX) as store:
                    store.connect("/run/mayfly/store.sock")
                    store.sendall(body)
                    data = frames(store, int(parts[1]))
        except OSError as error:
            data = b"ERROR %d" % error.errno
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", 8000), Raw).serve_forever()
