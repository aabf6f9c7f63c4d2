#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""--http-proxy: an unmodified program goes out through that proxy, and reaches nothing else."""
import http.server
import os
import socket
import threading

from mayfly import FAILED, command, expect, folder, run, MAYFLY
from claims import check, claim, main, matches, same

PYTHON = "/usr/bin/python3"
READ = "--allow-read=/usr,/lib,/lib64,/etc"
NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "https_proxy")
FETCH = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=60).read().decode())"
SHOW = "import os; print([f'{k}={v}' for k, v in sorted(os.environ.items()) if 'proxy' in k.lower()])"


class Proxy(http.server.ThreadingHTTPServer):
    """With-statement: a proxy that goes nowhere and says what it was asked for; CONNECT is told and refused."""
    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(f"{self.command} {self.path}")
            body = f"by way of the proxy: {self.path}".encode()
            self.send_response(200 if self.command == "GET" else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_CONNECT = do_GET

        def log_message(self, *_):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Proxy.Handler)
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}).start()

    def __exit__(self, *arguments):
        self.shutdown()
        super().__exit__(*arguments)


@claim
def unmodified_programs_go_through_the_proxy():
    with Proxy() as proxy:
        for guest, args in ((PYTHON, ("-c", FETCH)), ("/usr/bin/curl", ("-s", "-S", "--max-time", "60"))):
            done = run(*args, "http://nowhere.example/page?a=b", guest=guest, seconds=90,
                       options=[READ, f"--http-proxy={proxy.url}/"])
            same(done.out.strip(), b"by way of the proxy: http://nowhere.example/page?a=b", guest, done)
        done = run("-s", "-S", "--max-time", "60", "https://nowhere.example/", guest="/usr/bin/curl", seconds=90,
                   options=[READ, f"--http-proxy={proxy.url}"])
        check(done.status not in (0, FAILED), "a refused tunnel", done)
        same(proxy.asked, ["GET http://nowhere.example/page?a=b"] * 2 + ["CONNECT nowhere.example:443"], "what was asked for")


@claim
def nothing_but_the_proxy_is_reached():
    with Proxy() as proxy, socket.create_server(("127.0.0.1", 0)) as other:
        code = (f"import socket, errno\nfor port in ({proxy.server_port}, {other.getsockname()[1]}):\n"
                "    s = socket.socket()\n    print(errno.errorcode.get(s.connect_ex(('127.0.0.1', port)), 0))")
        done = expect(run("-c", code, guest=PYTHON, options=[READ, f"--http-proxy={proxy.url}"]), 0, "two connections")
        same(done.out, b"0\nEACCES\n", "results", done)
        other.setblocking(False)
        try:
            other.accept()
            check(False, "the other one was reached")
        except BlockingIOError:
            pass


@claim
def its_address_is_in_the_environment():
    def shown(*options, env=None):
        done = run("-c", SHOW, guest=PYTHON, options=[READ, *options], env=env)
        return expect(done, 0, str(options)).out.decode().strip()

    def all_of(url):
        return str([f"{name}={url}" for name in NAMES])

    same(shown("--http-proxy=http://me:secret@127.0.0.1:3128"), all_of("http://me:secret@127.0.0.1:3128"), "a user")
    same(shown("--http-proxy=HTTP://[::1]:3128/"), all_of("http://[::1]:3128"), "IPv6")
    matches(r"http_proxy=http://(127\.0\.0\.1|\[::1\]):3128'", shown("--http-proxy=http://localhost:3128"), "a name")
    same(shown("--http-proxy=http://127.0.0.1:1", "--allow-env", env={**os.environ, "http_proxy": "http://127.0.0.2:2"}),
         all_of("http://127.0.0.1:1"), "before the host's")
    matches(r"'http_proxy=mine'", shown("--http-proxy=http://127.0.0.1:1", "--env", "http_proxy=mine"), "--env goes before")


@claim
def what_is_no_proxy_is_refused():
    for url in ("", "127.0.0.1:3128", "http://", "http://127.0.0.1", "http://127.0.0.1:", "http://127.0.0.1:0",
                "http://127.0.0.1:65536", "http://127.0.0.1:1x", "http://127.0.0.1:1/path", "http://127.0.0.1:1?a",
                "http://[::1:1", "http://:3128", "https://127.0.0.1:1", "socks5://127.0.0.1:1", "http://127.0.0.1 :1",
                "http://a\nb:1", "http://" + "a" * 300 + ":1", "http://" + "u" * 200 + "@h:1"):
        done = expect(run("true", options=[f"--http-proxy={url}"]), FAILED, url)
        matches("is no proxy; write http://HOST:PORT", done.err, url)
    done = expect(run("true", options=["--http-proxy=http://no-such-host.invalid:3128"]), FAILED, "a name without address")
    matches("--http-proxy: no-such-host.invalid has no address here", done.err, "a name without address")


@claim
def an_image_has_its_environment_already():
    with folder() as root:
        image = f"{root}/image"
        guest = os.environ["MAYFLY_SERVED"]
        expect(command([MAYFLY, "image", "build", "-o", image, "--http-proxy=http://127.0.0.1:1", "--", guest]), 0, "build")
        done = expect(run(guest=image, options=["--http-proxy=http://127.0.0.1:1"]), FAILED, "run")
        matches("--http-proxy.*environment already; --allow-connect", done.err, "run")


main()
