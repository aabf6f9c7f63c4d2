# SPDX-License-Identifier: MIT
from wsgiref.simple_server import make_server

served = 0


def application(environ, start_response):
    global served
    served += 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(served).encode()]


make_server("", 8000, application).serve_forever()
