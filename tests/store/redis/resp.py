# SPDX-License-Identifier: MIT
"""The Redis protocol as bytes: commands out, replies in as they were sent; and random commands for comparing two servers."""
import socket


class Error(str):
    """An error reply."""


class Resp:
    """A connection: a path of a Unix socket, or (host, port)."""

    def __init__(self, address, seconds=60):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        self.socket.connect(address)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, *args):
        self.socket.sendall(command(*args))

    def ask(self, *args):
        self.send(*args)
        return self.reply()

    def more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError("the connection was closed")
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def reply(self):
        """int, bytes, Error, None, True/False of version 3, or a tuple ("status", text), ("list" | "map" | "set", items)."""
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            return Error(rest.decode("latin1"))
        if kind == b"+":
            return "status", rest
        if kind == b":":
            return int(rest)
        if kind in b"_":
            return None
        if kind in b"$=":
            if rest == b"-1":
                return None
            data = self.take(int(rest) + 2)[:-2]
            return data if kind == b"$" else ("text", data)
        if kind in b"*%~":
            if rest == b"-1":
                return "no list"
            count = int(rest) * (2 if kind == b"%" else 1)
            return {b"*": "list", b"%": "map", b"~": "set"}[kind], [self.reply() for _ in range(count)]
        raise ValueError(f"no reply: {line!r}")


def command(*args):
    parts = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


UNORDERED = {b"HGETALL": 2, b"HKEYS": 1, b"HVALS": 1, b"KEYS": 1}


TIMES = {b"TTL": 1, b"PTTL": 1000, b"EXPIRETIME": 1, b"PEXPIRETIME": 1000}
SECONDS_APART = 100


def name_of(args):
    return args[0].upper() if isinstance(args[0], bytes) else args[0].upper().encode()


def shuffled(reply):
    """Whatever is in lists, in an order of its own."""
    return (reply[0], sorted(map(repr, map(shuffled, reply[1])))) if isinstance(reply, tuple) and isinstance(reply[1], list) else reply


def unnumbered(reply):
    """What HELLO says without the connection's number."""
    return (reply[0], reply[1][:7] + reply[1][8:]) if isinstance(reply, tuple) and reply[1][:1] == [b"server"] else reply


def comparable(args, reply):
    """A reply without what may differ: the order of what has none, and a connection's number."""
    name = name_of(args)
    if not isinstance(reply, tuple) or not isinstance(reply[1], list):
        return reply
    if name == b"HELLO":
        return unnumbered(reply)
    if name in (b"SCAN", b"HSCAN"):
        return reply[0]  # what is found by which cursor is each server's own
    step = UNORDERED.get(name, 0)
    return (reply[0], sorted(tuple(reply[1][i:i + step]) for i in range(0, len(reply[1]), step))) if step else reply


def near(one, other, milliseconds):
    """Two moments or what is left of a time: the one was asked later than the other."""
    return min(one, other) > 500 and abs(one - other) <= SECONDS_APART * (1000 if milliseconds else 1)


def alike_in_exec(one, other):
    """One of EXEC's replies: of which command is not known here."""
    if isinstance(one, Error) and isinstance(other, Error):
        return one[:100] == other[:100]
    return shuffled(unnumbered(one)) == shuffled(unnumbered(other)) or isinstance(one, int) and isinstance(other, int) and near(
        one, other, min(one, other) > 1e12)


def alike(args, one, other):
    """The same reply, but for what may differ."""
    name = name_of(args)
    if isinstance(one, Error) and isinstance(other, Error):
        return one[:100] == other[:100]  # what is wrong is quoted as far as it fits
    if name in TIMES and isinstance(one, int) and isinstance(other, int) and one != other:
        return near(one, other, TIMES[name] == 1000)
    if name == b"EXEC" and isinstance(one, tuple) and isinstance(other, tuple):
        return len(one[1]) == len(other[1]) and all(map(alike_in_exec, one[1], other[1]))
    return comparable(args, one) == comparable(args, other)


class Commands:
    """Random commands, good and bad, on few keys so that they meet."""

    def __init__(self, dice):
        self.dice = dice
        self.spans = 0
        self.keys = [b"a", b"b", b"key", b"k:1", b"k:2", b"h1", b"h2", b"", b"\x00\xff\r\n"]
        self.fields = [b"f", b"g", b"", b"field", b"\x01\x02", b"n"]

    def key(self):
        return self.dice.choice(self.keys)

    def field(self):
        return self.dice.choice(self.fields)

    def value(self):
        dice = self.dice
        return dice.choice((b"", b"0", b"1", b"-1", b"10", b"3.5", b"1e3", b"hello", b"x" * 100, b"x" * 5000, b"9223372036854775807",
                            b"-9223372036854775808", b" 1", b"1 ", b"01", b"+1", b"nan", b"inf", b"0x10", b"a\r\nb\x00c",
                            str(dice.randrange(-1000, 1000)).encode()))

    def number(self):
        return self.dice.choice((b"0", b"1", b"-1", b"5", b"-5", b"100", b"9223372036854775807", b"-9223372036854775808",
                                 b"9223372036854775808", b"x", b"", b"1.5", b"01", b"-0", str(self.dice.randrange(-20, 20)).encode()))

    def span(self):
        """Seconds that are over at once, or are not while the test runs; no two are near each other."""
        self.spans += 1000
        return self.dice.choice((b"-1", b"0", b"x", b"9223372036854775807", b"-9223372036854775808") + 5 * (b"%d" % (100000 + self.spans),))

    def moment(self, scale=b"", past=True):
        """Since 1970, in seconds, or with `scale` 000 in milliseconds."""
        self.spans += 1000
        return self.dice.choice((b"0", b"-5", b"9223372036854775807" + scale, b"y", *((b"1",) if past else ())) +
                                3 * (b"%d" % (4102444800 + self.spans) + scale,))

    def real(self):
        return self.dice.choice((b"1.5", b"-0.25", b"1e2", b"3", b"0", b"abc", b"", b"1e400", b"inf", b"-inf", b"nan", b" 1", b"5.0e-2"))

    def word(self, *words):
        word = self.dice.choice(words)
        return word.lower().encode() if self.dice.random() < 0.3 else word.encode()

    def some(self, make, most=3):
        return [make() for _ in range(self.dice.randint(1, most))]

    def set_options(self):
        options = []
        for _ in range(self.dice.choice((0, 0, 1, 1, 2, 3))):
            option = self.word("NX", "XX", "GET", "KEEPTTL", "EX", "PX", "EXAT", "PXAT", "PERSIST", "ZZ")
            options.append(option)
            if option.upper() in (b"EX", b"PX") and self.dice.random() < 0.95:
                options.append(self.span() + b"000" * (option.upper() == b"PX"))
            if option.upper() in (b"EXAT", b"PXAT") and self.dice.random() < 0.95:
                options.append(self.moment(b"000" * (option.upper() == b"PXAT"), past=False))
        return options

    def strings(self):
        key, value, number = self.key(), self.value(), self.number()
        return self.dice.choice((
            ("GET", key), ("SET", key, value, *self.set_options()), ("SET", key, value), ("SET", key, value), ("GETSET", key, value),
            ("GETDEL", key), ("GETEX", key, *self.set_options()), ("MGET", *self.some(self.key)),
            ("MSET", *[x for _ in range(self.dice.randint(1, 3)) for x in (self.key(), self.value())]),
            ("MSETNX", *[x for _ in range(self.dice.randint(1, 2)) for x in (self.key(), self.value())]),
            ("MSET", key, value, key), ("SETNX", key, value), ("SETEX", key, self.span(), value), ("PSETEX", key, self.span() + b"000", value),
            ("APPEND", key, value), ("STRLEN", key), ("GETRANGE", key, number, self.number()), ("SUBSTR", key, number, self.number()),
            ("SETRANGE", key, self.dice.choice((b"0", b"1", b"5", b"-1", b"300", b"99999999999", b"x")), value),
            ("INCR", key), ("DECR", key), ("INCRBY", key, number), ("DECRBY", key, number), ("INCRBYFLOAT", key, self.real())))

    def generic(self):
        key = self.key()
        conditions = [self.word("NX", "XX", "GT", "LT", "QQ") for _ in range(self.dice.choice((0, 0, 0, 1, 1, 2)))]
        return self.dice.choice((
            ("DEL", *self.some(self.key)), ("UNLINK", *self.some(self.key)), ("EXISTS", *self.some(self.key)), ("TYPE", key),
            ("TOUCH", *self.some(self.key)), ("EXPIRE", key, self.span(), *conditions), ("PEXPIRE", key, self.span() + b"000", *conditions),
            ("EXPIREAT", key, self.moment(), *conditions), ("PEXPIREAT", key, self.moment(b"000"), *conditions), ("TTL", key),
            ("EXPIRETIME", key), ("PEXPIRETIME", key), ("PERSIST", key), ("RENAME", key, self.key()), ("RENAMENX", key, self.key()),
            ("KEYS", self.dice.choice((b"*", b"k*", b"?", b"[ab]", b"[^a]*", b"h\\1", b"", b"k:[0-1]", b"[a-z]*", b"*e*", b"["))),
            ("SCAN", self.dice.choice((b"x", b" 1", b"1x", b"123456789012345678901"))), ("SCAN", b"0", "COUNT", self.dice.choice((b"0", b"x", b"-5"))),
            ("SCAN", b"0", "MATCH"), ("HSCAN", key, b"zz"), ("HSCAN", key, b"0", "BAD", b"1"),
            ("DBSIZE",), ("COPY", key, self.key(), *[self.word("REPLACE", "DB", "X") for _ in range(self.dice.choice((0, 0, 1, 1)))]),
            ("FLUSHDB", *([self.word("ASYNC", "SYNC", "X")] if self.dice.random() < 0.5 else []))
            if self.dice.random() < 0.05 else ("EXISTS", key)))

    def hashes(self):
        key, field, value = self.key(), self.field(), self.value()
        pairs = [x for _ in range(self.dice.randint(1, 3)) for x in (self.field(), self.value())]
        return self.dice.choice((
            ("HSET", key, *pairs), ("HSET", key, *pairs), ("HSET", key, *pairs, field), ("HMSET", key, *pairs), ("HGET", key, field),
            ("HMGET", key, *self.some(self.field)), ("HGETALL", key), ("HDEL", key, *self.some(self.field)), ("HEXISTS", key, field),
            ("HLEN", key), ("HKEYS", key), ("HVALS", key), ("HINCRBY", key, field, self.number()),
            ("HINCRBYFLOAT", key, field, self.real()), ("HSETNX", key, field, value), ("HSTRLEN", key, field)))

    def connection(self):
        dice = self.dice
        return dice.choice((
            ("PING",), ("PING", b"hi"), ("PING", b"a", b"b"), ("ECHO", b"x\r\ny"), ("SELECT", b"0"), ("SELECT", b"1"), ("SELECT", b"x"),
            ("SELECT", b"99999999999"), ("AUTH", b"p"), ("AUTH", b"default", b"p"), ("AUTH", b"me", b"p"), ("AUTH", b"a", b"b", b"c"),
            ("CLIENT", "GETNAME"), ("CLIENT", "SETNAME", b"n1"), ("CLIENT", "SETNAME", b"a b"), ("CLIENT", "NOPE"),
            ("CLIENT", "GETNAME", b"x"), ("CLIENT",), ("FOO",), ("foo", b"a", b"b" * 200, b"c"), ("GET",), ("GET", b"a", b"b"), ("NO\r\nPE", b"x"),
            ("HELLO", b"4"), ("HELLO", b"x"), ("HELLO", b"2", b"BAD"), ("HELLO", b"3", b"AUTH", b"me", b"p"), ("CONFIG", "NOPE"),
            ("CONFIG", "GET", b"databases"), ("RESET",), ("COMMAND", "NOPE"), ("MEMORY", "NOPE"), ("HELLO", b"2", b"SETNAME", b"a b")))

    def transaction(self):
        return self.dice.choice((("MULTI",), ("EXEC",), ("EXEC",), ("DISCARD",), ("WATCH", self.key()), ("UNWATCH",), ("WATCH",)))

    def next(self):
        kind = self.dice.random()
        make = (self.strings if kind < 0.4 else self.generic if kind < 0.6 else self.hashes if kind < 0.85
                else self.transaction if kind < 0.93 else self.connection)
        args = list(make())
        if self.dice.random() < 0.02 and len(args) > 1 and args[0] != "COMMAND":
            args.pop()
        if self.dice.random() < 0.02 and args[0] not in ("SCAN", "HSCAN"):
            args.append(self.value()[:400])  # it may be a key, and those of more than 510 bytes are no keys here
        if isinstance(args[0], str) and self.dice.random() < 0.3:
            args[0] = args[0].lower()
        return tuple(args)
