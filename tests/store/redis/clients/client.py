# SPDX-License-Identifier: MIT
"""A web server that keeps its things with redis-py, as it would anywhere: /COMMAND/ARG/ARG runs one, /suite what a program does."""
import http.server
import json
import urllib.parse

import redis

STORES = {"tcp": redis.Redis(), "name": redis.Redis(host="127.0.0.1", port=6379), "unix": redis.Redis(unix_socket_path="/run/mayfly/redis.sock")}
tcp = STORES["tcp"]


def plain(what):
    return what.decode("latin1") if isinstance(what, bytes) else [plain(one) for one in what] if isinstance(what, (list, tuple, set)) \
        else {plain(key): plain(value) for key, value in what.items()} if isinstance(what, dict) else what


def suite():
    """What a program does with it, in its words."""
    store = tcp
    yield store.ping()
    yield store.set("greeting", "hello", ex=1000)
    yield store.get("greeting"), 0 < store.ttl("greeting") <= 1000
    yield store.set("greeting", "other", nx=True), store.getset("greeting", b"\x00\xff"), store.get("greeting")
    yield [store.incr("count") for _ in range(3)], store.decrby("count", 5), store.incrbyfloat("real", 0.1)
    yield store.mset({"a": 1, "b": 2}), store.mget("a", "b", "none")
    yield store.hset("h", mapping={"x": 1, "y": "two"}), store.hgetall("h"), store.hincrby("h", "x", 41), store.hmget("h", "x", "z")
    with store.pipeline() as pipe:
        yield pipe.set("p", 1).incr("p").hget("h", "y").get("none").execute()
    with store.pipeline() as pipe:
        pipe.watch("p")
        now = int(pipe.get("p"))
        pipe.multi()
        yield pipe.set("p", now * 10).get("p").execute()
    yield store.transaction(lambda pipe: pipe.multi() or pipe.incr("p"), "p")
    for i in range(25):
        store.set(f"scan:{i}", i)
    yield sorted(store.scan_iter("scan:*", count=7)) == sorted(f"scan:{i}".encode() for i in range(25))
    yield sorted(store.hscan_iter("h"))
    yield store.delete("a", "b", "none"), store.exists("a"), store.rename("p", "q"), store.type("h"), store.dbsize()
    lock = store.lock("lock", timeout=100)
    try:
        lock.acquire()
        yield "locked"
    except redis.ResponseError as error:
        yield str(error)
    try:
        store.incr("h")
    except redis.ResponseError as error:
        yield str(error)
    try:
        store.execute_command("NOSUCH", "thing")
    except redis.ResponseError as error:
        yield str(error)


def big():
    value = bytes(range(256)) * 20000
    tcp.set("big", value)
    return tcp.get("big") == value and tcp.strlen("big")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        parts = [urllib.parse.unquote(part) for part in self.path.strip("/").split("/")]
        try:
            answer = list(suite()) if parts == ["suite"] else big() if parts == ["big"] \
                else STORES[parts[0]].execute_command(*parts[1:])
        except redis.RedisError as error:
            answer = f"{type(error).__name__}: {error}"
        body = json.dumps(plain(answer)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    http.server.HTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
