# SPDX-License-Identifier: MIT
"""A WSGI application on wsgiref's server. Argument: HOST:PORT."""
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

served = 0


class Server(WSGIServer):
    request_queue_size = 64  # of five, connections are dropped


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def hello(environ, start_response):
    global served
    served += 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"hello {served}\n".encode()]


host, port = sys.argv[1].rsplit(":", 1)
make_server(host, int(port), hello, server_class=Server, handler_class=Quiet).serve_forever()
