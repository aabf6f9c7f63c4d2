#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Notes over HTTP, an ordinary server: POST /NAME adds a line, GET /NAME lists. What it keeps, the storage program keeps."""
import http.server
import socket
import struct
import urllib.parse

CALL, ANSWER = struct.Struct("<IIQ"), struct.Struct("<IiQ")  # docs/formats/calls.md
ADD, LIST = 1, 2


def call(function, payload):
    """The storage program's status and bytes."""
    with socket.socket(socket.AF_UNIX) as store, store.makefile("rb") as answers:
        store.connect("/run/mayfly/store.sock")
        store.sendall(CALL.pack(CALL.size + len(payload), function, 1) + payload)
        size, status, _ = ANSWER.unpack(answers.read(ANSWER.size))
        return status, answers.read(size - ANSWER.size)


class Notes(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def name(self):
        return urllib.parse.unquote(self.path[1:]).encode()

    def answer(self, status, data):
        self.send_response(500 if status else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(*call(LIST, self.name()))

    def do_POST(self):
        self.answer(*call(ADD, self.name() + b"\n" + self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", 8000), Notes).serve_forever()
