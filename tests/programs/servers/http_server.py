# SPDX-License-Identifier: MIT
"""http.server, with or without a thread a connection; "idle": it closes those that idle."""
import http.server
import sys

served = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global served
        served += 1
        body = str(served).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET


if "idle" in sys.argv:
    Handler.timeout = 0.2
kind = http.server.ThreadingHTTPServer if "threads" in sys.argv else http.server.HTTPServer
kind(("127.0.0.1", 8000), Handler).serve_forever()
