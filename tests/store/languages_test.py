#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Storage programs in other languages: they listen, get frames on one connection and answer them."""
import itertools
import json
import os
import re
import socket
import struct
import threading

from storing import MIB, SLOWER, StoreServer, call, do, one, refused, resolve, store_folder, wait_until
from claims import check, claim, fail, main, matches, same

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "languages")
EXAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "examples/store-python/notes.py")
ECHO, COUNT, NAP, EXIT, RAW, OPEN, WHO, MEET, BIG, DIAL, HANG = range(1, 12)
ADD, LIST, NOTES = 1, 2, 3


def python(*options, **more):
    return StoreServer("--store-allow-read=/usr", *options, program=f"{FOLDER}/calls.py", **more)


def node(*options, **more):
    return StoreServer("--store-allow-read", "--store-memory", "1G", "--store-arg", f"{FOLDER}/calls.js", *options,
                       program="/usr/bin/node", **more)


def deaths(server):
    return server.log().count(b"the storage program died")


def ask_from_all(server, count, ops):
    """So many clients at a time, each with its operations, a request each: the lists of results."""
    results = [None] * count

    def client(i):
        link = server.client()
        results[i] = [one(link, op) for op in ops(i)]
        link.close()

    threads = [threading.Thread(target=client, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def exits_per_call(server):
    server.stop()
    calls, exits = re.search(rb"store: (\d+) calls.*?(\d+) user exits", server.log()).groups()
    return int(calls), int(exits)


@claim(sanitized=False)
def thousands_of_calls_of_many_requests_are_answered_by_python_each_once():
    with python(vms=4) as server:
        each = 300
        # The fourth of a batch is a call that its own request made, and no other's.
        def batch(i):
            return [call(ECHO, b"%d-%d-%d" % (i, n, m)) for n in range(each) for m in range(1)]
        results = ask_from_all(server, 4, batch)
        for i, got in enumerate(results):
            same(got, [b"%d-%d-0" % (i, n) for n in range(each)], f"the answers of client {i}")
        client = server.client()
        got = do(client, *[call(ECHO, b"%d" % n) for n in range(1000)])
        same([data for _, _, data in got], [b"%d" % n for n in range(1000)], "a thousand calls of one request")
        client.close()
        same(deaths(server), 0, "deaths", server.log())
        calls, exits = exits_per_call(server)
        same(calls, 4 * each + 1000, "calls that were answered")
        print(f"      {calls} calls, {exits} user exits of the storage VM: {exits / calls:.2f} a call")
        check(exits < 4 * calls, f"{exits} user exits for {calls} calls")


@claim(sanitized=False)
def node_answers_the_same():
    with node(vms=4) as server:
        results = ask_from_all(server, 4, lambda i: [call(2, struct.pack("<I", 1)) for _ in range(100)])
        sums = sorted(int(number) for got in results for number in got)
        same(sums, list(range(1, 401)), "each sum, once")
        client = server.client()
        got = do(client, *[call(ECHO, b"x" * n) for n in range(0, 60000, 1001)])
        same([len(data) for _, _, data in got], list(range(0, 60000, 1001)), "echoes of many lengths")
        same([code for code, _, _ in do(client, call(99))], ["ENOSYS"], "a function that it does not have")
        client.close()
        with open(f"{server.store}/sum") as file:
            same(file.read(), "400", "the sum in its folder")
        same(deaths(server), 0, "deaths", server.log())
        calls, exits = exits_per_call(server)
        print(f"      {calls} calls, {exits} user exits of the storage VM: {exits / calls:.2f} a call")


@claim(sanitized=False)
def each_way_to_wait_works():
    for how in ("auto", "poll", "hand-off", "wake"):
        with python("--store-wait", how, vms=2) as server:
            same([got[-1] for got in ask_from_all(server, 2, lambda i: [call(ECHO, b"%d" % i)] * 20)], [b"0", b"1"], how)


@claim(sanitized=False)
def what_it_keeps_outlives_the_server():
    with store_folder() as folder:
        for start in range(2):
            with python(vms=1, store=folder) as server:
                same([server.one(call(COUNT)) for _ in range(3)], [b"%d" % (3 * start + n) for n in (1, 2, 3)], f"counts, start {start}")
                server.stop()


@claim(sanitized=False)
def the_example_keeps_notes():
    with StoreServer("--store-allow-read", program=EXAMPLE, vms=2) as server:
        same([server.one(call(ADD, b"a\n" + text)) for text in (b"one", b"two")], [b"1", b"2"], "added")
        same(server.one(call(LIST, b"a")), b'["one", "two"]', "listed")
        same(server.codes(call(ADD, b"\xff\n"), call(9)), ["EINVAL", "ENOSYS"], "what it refuses")
        same(server.one(call(NOTES)), b"2", "counted")


@claim
def payloads_up_to_their_bound_go_both_ways():
    with python(vms=1) as server:
        for size in (0, 1, 7, 4095, 65536, MIB - 1, MIB):
            same(server.one(call(ECHO, b"z" * size)) or b"", 0 if not size else b"z" * size, f"{size} bytes") if size else \
                same(server.codes(call(ECHO)), [0], "no bytes")
            same(len(server.one(call(BIG, struct.pack("<I", size))) or b"") if size else 0, size, f"an answer of {size}")
        same(server.codes(call(ECHO, b"z" * (MIB + 1))), ["E2BIG"], "a byte more")
        same(server.codes(call(12345), resolve(b"echo")), ["ENOSYS", "ENOSYS"], "functions it does not have")
        same(deaths(server), 0, "deaths", server.log())


@claim
def calls_are_in_flight_together_and_answered_in_any_order():
    with python("--workers", "1", vms=4) as server:  # a worker's VMs are its own: all four have to be one's
        same(ask_from_all(server, 4, lambda i: [call(MEET, b"\4%d" % i)] * 5), [[b"\4%d" % i] * 5 for i in range(4)], "four that wait for each other")
        got = ask_from_all(server, 4, lambda i: [call(NAP, struct.pack("<d", 0.01 * i) + b"%d" % i)] * 3)
        same([data[0][8:] for data in got], [b"0", b"1", b"2", b"3"], "four that sleep")


@claim
def who_calls_is_told_and_true():
    with python(vms=3) as server:
        seen = set()
        for got in ask_from_all(server, 3, lambda i: [call(WHO)] * 20):
            seen |= {struct.unpack("<II", data) for data in got}
        same(len(seen), 60, "each request has numbers of its own")
        check({vm for vm, _ in seen} <= {0, 1, 2}, f"VMs: {seen}")
    with python("--store-scope", "vm", "--reset", "never", vms=1) as server:
        numbers = {server.one(call(WHO)) for _ in range(5)}
        same(len(numbers), 1, "requests of a VM that is not reset")
    with python("--store-scope", "vm", vms=1) as server:
        numbers = {server.one(call(WHO)) for _ in range(5)}
        same(len(numbers), 5, "requests of one that is")


@claim
def a_program_that_ends_within_a_call_is_started_again():
    with python(vms=2) as server:
        for _ in range(3):
            same(server.codes(call(EXIT, b"\7")), ["ECONNRESET"], "the call that it died of")
            same(server.one(call(ECHO, b"again")), b"again", "the next one")
        same(deaths(server), 3, "deaths")
        matches("it exited with status 7", server.log())


@claim(sanitized=False)
def a_call_that_is_never_answered_ends_it_at_the_deadline_though_others_are():
    with python("--store-deadline", f"{500 * SLOWER:.0f}ms", "--deadline", "20s", vms=3) as server:
        ends = []
        thread = threading.Thread(target=lambda: ends.append(server.codes(call(HANG))))
        thread.start()
        client = server.client()
        wait_until(lambda: (do(client, call(ECHO, b"x")), ends)[1], "the call to end")
        thread.join()
        same(ends, [["ECONNRESET"]], "its answer")
        matches("a call took longer than", server.log())
        same(one(client, call(ECHO, b"after")), b"after", "the next one")


def frame(size, status=0, number=b"NUMBER__", data=b""):
    return struct.pack("<Ii", size, status) + number + data


@claim
def frames_against_the_rules_end_the_program_and_nothing_else():
    bad = [(frame(15), "too short"), (frame(0), "too short"), (frame(16 + MIB + 1), "longer than"), (frame(2**32 - 1), "longer than"),
           (frame(16, number=b"\0" * 8), "call that there is not"), (frame(16, number=b"\xff" * 8), "call that there is not"),
           (frame(16) + frame(16), "call that there is not"), (frame(16, status=1), "neither 0 nor"), (frame(16, status=-4096), "neither 0 nor"),
           (b"GET / HTTP/1.1\r\n\r\n", "longer than")]
    with python(vms=2) as server:
        for raw, why in bad:
            code = server.codes(call(RAW, raw))[0]
            check(code in ("ECONNRESET", 0), f"{raw}: {code}")
            wait_until(lambda: deaths(server) > bad.index((raw, why)), f"its death of {raw}")
            matches(f"it broke the rules of its calls: [^\n]*{why}[^\n]*\n$", server.log().split(b"the storage program died")[-1])
            same(server.one(call(ECHO, b"again")), b"again", f"after {raw}")
        same(server.codes(call(RAW, frame(17) + b"x")), [0], "one that keeps them")


@claim(sanitized=False)
def its_folder_is_all_that_it_can_write():
    listener = socket.create_server(("127.0.0.1", 0))
    with python(vms=1) as server:
        outside = os.path.dirname(server.store)
        os.symlink(outside, f"{server.store}/out")
        for path in ("here", f"{server.store}/there"):
            same(struct.unpack("<4i", server.one(call(OPEN, path.encode()))), (0, 0, 0, 0), path)
        for path in ("../x", f"{outside}/x", "out/x", "/tmp/mayfly-x", "/etc/passwd", "/usr/x", "/run/mayfly/x", "/var/x"):
            got = struct.unpack("<4i", server.one(call(OPEN, path.encode())))
            check(got[0] and got[1] and got[2] and got[3], f"{path}: {got}")
            check(not os.path.exists(f"{outside}/x"), "a file beside the store")
        code = struct.unpack("<4i", server.one(call(OPEN, b"/usr/bin/env")))
        check(code[0] and not code[1] and code[3], f"what it may read: {code}")
        check(server.codes(call(DIAL, struct.pack("<I", listener.getsockname()[1])))[0] not in (0,), "it has reached the network")
        same(deaths(server), 0, "deaths", server.log())
    listener.close()


@claim(sanitized=False)
def what_is_no_storage_program_is_refused_with_a_sentence():
    for program, args, why in (("/usr/bin/python3", ["-c", "import sys; sys.exit(3)"], "exited with status 3"),
                               ("no-such-program", [], "no-such-program"),
                               ("/usr/bin/python3", ["-c", "import time; time.sleep(100)"], "did not become ready in time")):
        with store_folder() as folder:
            done = refused("--store", folder, "--store-allow-read", "--boot-deadline", f"{1500 * SLOWER:.0f}ms",
                           *[word for arg in args for word in ("--store-arg", arg)], "--store-program", program)
            same(done.status, 125, f"{args}: exit status", str(done))
            matches(f"mayfly serve: .*{why}", done.err)


def ask_frame(function, number, data=b""):
    return struct.pack("<IIQ", 16 + len(data), function, number) + data


def answers_of(data):
    """[(id, status, bytes)], and what follows."""
    found = []
    while len(data) >= 16:
        size, status, number = struct.unpack_from("<IiQ", data)
        found.append((number, status, data[16:size]))
        data = data[size:]
    return found, data


def raw(*options, **more):
    return python("--allow-read", "--memory", "128M", *options, guest="/usr/bin/python3", args=(f"{FOLDER}/raw.py",), **more)


def send(server, path, data):
    answer = server.ask(path, data)
    same(answer.status, 200, "a request", str(answer))
    return answers_of(answer.body)


@claim(sanitized=False)
def a_program_without_the_sdk_calls_over_a_socket():
    with raw(vms=2) as server:
        for size in (0, 1, 16000, 16384, 70000, MIB):
            same(send(server, "/1", ask_frame(ECHO, 9, b"e" * size)), ([(9, 0, b"e" * size)], b""), f"{size} bytes")
        many = b"".join(ask_frame(ECHO, n, b"%d" % n) for n in range(200))
        got, rest = send(server, "/200", many)
        same((sorted(got), rest), ([(n, 0, b"%d" % n) for n in range(200)], b""), "two hundred at a time")
        got, rest = send(server, "/4", b"".join(ask_frame(MEET, n, b"\4") for n in range(4)))
        same((sorted(got), rest), ([(n, 0, b"\4") for n in range(4)], b""), "four in flight")
        same(send(server, "/2", ask_frame(77, 1) + ask_frame(BIG, 2, struct.pack("<I", MIB)))[0], [(1, -38, b"none"), (2, 0, b"y" * MIB)], "others")
        same(deaths(server), 0, "deaths", server.log())


@claim
def what_a_request_sends_against_the_rules_closes_its_connection_and_harms_nobody():
    with raw(vms=2) as server:
        for bad in (struct.pack("<IIQ", 15, 1, 1), struct.pack("<IIQ", 0, 1, 1), struct.pack("<IIQ", 17 + MIB, 1, 1), b"\xff" * 64,
                    b"*1\r\n$4\r\nPING\r\nPING\r\n"):
            same(send(server, "/1", bad), ([], b"END"), f"{bad}")
            same(send(server, "/2", ask_frame(ECHO, 1, b"a") + bad), ([(1, 0, b"a")], b"END"), f"a call, and {bad}")
            same(send(server, "/1", ask_frame(ECHO, 2, b"b")), ([(2, 0, b"b")], b""), "the next request")
        got = server.ask("/1", ask_frame(EXIT, 2, b"\1")).body
        check(got in (b"END", b"ERROR 104"), f"the connection when the program died: {got}")
        same(send(server, "/1", ask_frame(ECHO, 3, b"c")), ([(3, 0, b"c")], b""), "after it")
        same(deaths(server), 1, "deaths", server.log())


@claim(sanitized=False)
def nothing_of_a_request_is_left_in_a_connection():
    with raw(vms=1) as server:
        same(send(server, "/early", b"x")[0], [(7, -107, b"")], "a call while it started")
        for n in range(20):
            same(send(server, "/kept/1", ask_frame(ECHO, n, b"k")), ([(n, 0, b"k")], b""), "the connection that it started with")
            send(server, "/0", ask_frame(ECHO, 5, b"half")[:-2])
            send(server, "/kept/0", ask_frame(ECHO, 6, b"half")[:-2])
            send(server, "/kept/0", b"".join(ask_frame(ECHO, m, b"unread") for m in range(300)))
        same(deaths(server), 0, "deaths", server.log())


@claim(sanitized=False)
def requests_of_an_unmodified_server_keep_notes():
    front = os.path.join(os.path.dirname(EXAMPLE), "front.py")
    with StoreServer("--store-allow-read", "--allow-read", "--memory", "128M", program=EXAMPLE, guest="/usr/bin/python3", args=(front,), vms=4) as server:
        def client(i):
            link = server.client()
            for n in range(25):
                same(link.ask("/list", b"%d-%d" % (i, n)).status, 200, "a note")
            link.close()
        threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        notes = json.loads(server.ask("/list").body)
        same(sorted(notes), sorted(f"{i}-{n}" for i in range(4) for n in range(25)), "all notes, each once")
        for i in range(4):
            mine = [note for note in notes if note.startswith(f"{i}-")]
            same(mine, [f"{i}-{n}" for n in range(25)], f"the order of client {i}")
        calls, exits = exits_per_call(server)
        print(f"      {calls} messages, {exits} user exits of the storage VM")


@claim(sanitized=False)
def requests_that_attack_their_channels_hurt_nobody():
    with StoreServer("--store-allow-read", "--audit", "--deadline", f"{250 * SLOWER}ms", program=EXAMPLE, vms=4) as server:
        over, served = [], []

        def attack():
            for number in itertools.count():
                for name in ("scribble", "indices", "sizes", "noise", "flood", "glut", "die", "calls"):
                    answer = server.ask(f"/{name}?{number * 1009 if name != 'flood' else 0}")
                    if answer.status not in (200, 502, 504):
                        over.append(f"/{name}?{number}: {answer}")
                if number > 1 and len(served) >= 5 or over:
                    return

        threads = [threading.Thread(target=attack) for _ in range(2)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            answer = server.ask("/do", call(ADD, b"honest\n%d" % len(served)).bytes)  # may wait for the attackers, up to its deadline
            check(answer.status in (200, 504), f"an honest request: {answer}")
            if answer.status == 200:
                served.append(answer)
        same(over, [], "answers to attacks")
        wait_until(lambda: server.ask("/do", call(NOTES).bytes).status == 200, "an answer after all of them")
        same(deaths(server), 0, "deaths", server.log())


main()
