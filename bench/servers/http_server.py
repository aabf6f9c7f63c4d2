# SPDX-License-Identifier: MIT
"""Python's http.server, as its manual shows it. Argument: HOST:PORT."""
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

served = 0


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global served
        served += 1
        body = f"hello {served}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(HTTPServer):
    request_queue_size = 64  # of five, connections are dropped


host, port = sys.argv[1].rsplit(":", 1)
Server((host, int(port)), Hello).serve_forever()
