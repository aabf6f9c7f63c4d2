#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A tenant's own storage program: found by name and number, bounded, and started again whatever it does."""
import os
import struct
import threading
import time

from storing import EMULATED, GUEST, MIB, PROGRAM, SLOWER, SOON, StoreServer, call, collect, look_away, nap, one, refused, resolve, \
    store_folder, submit, wait_until
from mayfly import threads
from claims import check, claim, fail, main, matches, same

ECHO, CRASH, EXIT, LOOP, LIE, NAP, BIG, COUNT, FACTS, WAIT, READ, FAIL, CRASH_WRITING, LIE_WRITING, NAMELESS, OPEN = range(100, 116)
ONE = struct.pack("<Q", 1)
DEATHS = {CRASH: "Segmentation fault", EXIT: "exited with status 7", CRASH_WRITING: "Segmentation fault"}
STUCK = (LOOP, WAIT, READ)
NICE = os.nice(0)
LIMIT = 0.5 * SLOWER  # of a call that never ends


def own(*options, limit=20 * SLOWER, **more):
    return StoreServer("--store-deadline", f"{limit * 1000:.0f}ms", *options, program=PROGRAM, **more)


def begin_as(folder, how):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/boot", "w") as file:
        file.write(how)


def deaths(server):
    return server.log().count(b"the storage program died")


@claim(emulated=True)
def functions_are_found_by_name_and_number():
    with own(vms=1) as server:
        for name, number in ((b"echo", ECHO), (b"crash-writing", CRASH_WRITING), (b"facts", FACTS)):
            same(server.one(resolve(name)), struct.pack("<I", number), f"the number of {name}")
        same(server.codes(resolve(b"nameless"), resolve(b"ech"), resolve(b"echoo"), resolve(b"e" * 256), resolve(b"e" * 257)),
             ["ENOENT"] * 4 + ["E2BIG"], "names that are none")
        same(server.one(call(ECHO, b"abc")), b"abc", "echo")
        same(server.codes(call(NAMELESS)), [0], "a function without a name")
        same(server.codes(call(99), call(116)), ["ENOSYS"] * 2, "numbers that are none")


@claim
def bounds_hold_on_both_sides():
    with own(vms=1) as server:
        same(server.one(call(ECHO, b"x" * 4096)), b"x" * 4096, "as much as may be")
        same(server.codes(call(ECHO, b"x" * 4097), call(COUNT, b"x"), call(NAMELESS, b"x")), ["E2BIG"] * 3, "a byte more")
        same(server.one(call(BIG, b"y" * MIB)), b"y" * MIB, "a MiB")
        same(server.do(call(ECHO, b"x" * 100, room=99))[0], ("ENOBUFS", 100, b""), "a caller without room")
        for more in (1, 1000, 2**63 - 100, 2**64 - 65, 2**64 - 64):
            same(server.codes(call(LIE, struct.pack("<Q", more)))[0], "EOVERFLOW" if more != 2**64 - 64 else 0, f"{more} bytes more than room")
            same(server.codes(call(LIE_WRITING, struct.pack("<Q", more)))[0], "EOVERFLOW" if more != 2**64 - 64 else 0, f"written, {more}")
        for code in (-2, -11, -4095):
            same(server.do(call(FAIL, struct.pack("<i", code)))[0][1:], (11, b"with a word") if code != -11 else (11, b""), "a failure's word")
        same(deaths(server), 0, "deaths")


@claim
def declarations_that_cannot_be_are_refused():
    with own(vms=1) as server:
        codes = struct.unpack_from("<7i", server.one(call(FACTS)), 16)
        same(codes, (-22, -22, -22, -17, -17, -90, -90), "what mf_storage_declare() says")
    with store_folder() as folder:
        begin_as(folder, "many")
        with own(vms=1, store=folder) as server:
            codes = server.codes(call(1000), call(1047), call(1048), resolve(b"echo"))
            same(codes, [0, 0, "ENOSYS", 0], "64 functions, and no more")
            same(struct.unpack_from("<i", server.one(call(FACTS)), 16 + 28), (-28,), "the 65th")


@claim
def a_group_that_cannot_begin_or_commit_fails_all_its_calls():
    with own(vms=2) as server:
        same(server.one(call(COUNT)), struct.pack("<Q", 1), "a write")
        for name, code in (("no-begin", "EROFS"), ("no-commit", "EDQUOT")):
            open(f"{server.store}/{name}", "w").close()
            same(server.codes(call(COUNT), call(ECHO, b"x")), [code, 0], name)
            os.unlink(f"{server.store}/{name}")
        same(server.codes(call(COUNT)), [0], "afterwards")


@claim(emulated=True)
def a_program_that_dies_is_started_again_and_its_call_is_reset():
    with own(vms=2) as server:
        for i, (function, why) in enumerate(DEATHS.items()):
            same(server.codes(call(ECHO, b"x"), call(function, b"x"), call(ECHO, b"x")), [0, "ECONNRESET", 0], why)
            same(deaths(server), i + 1, "deaths")
            matches(f"the storage program died: .*{why}", server.log())
        same(struct.unpack("<Q", server.one(call(FACTS))[:8]), (1,), "calls that the last one knows of")


@claim
def a_call_that_never_ends_ends_the_program_at_its_deadline():
    for wait, functions in (("auto", STUCK), ("poll", (LOOP, WAIT)), ("wake", (LOOP,))):
        with own("--store-wait", wait, limit=LIMIT, vms=2) as server:
            for i, function in enumerate(functions):
                began = time.monotonic()
                same(server.codes(call(function, b"x"), call(ECHO, b"x")), ["ECONNRESET", 0], f"function {function}, {wait}")
                took = time.monotonic() - began
                check(LIMIT * 0.9 < took < LIMIT + SOON, f"it took {took:.1f} s")
                same(deaths(server), i + 1, "deaths")
                matches("died: a call took longer than 0.5 s", server.log())


@claim
def the_store_s_thread_gives_way_while_it_computes():
    """SCHED_BATCH is 3; nice where it may raise that again."""
    def standing(server):
        return next(((int(fields[16]) - NICE, int(fields[38])) for name, fields in threads(server.process.pid) if name == "store"), None)

    with own("--store-wait", "wake", limit=60, vms=2) as server:
        wait_until(lambda: standing(server) == (0, 0), "the store's thread to stand as all others")
        client = server.client()
        client.request("POST", "/do", call(LOOP, b"x").bytes)
        wait_until(lambda: standing(server) in ((5, 3), (0, 3)), "it to be lowered")
        client.close()


@claim
def a_call_that_sleeps_is_not_disturbed_and_disturbs_no_deadline():
    with own("--deadline", "1500ms", limit=4, vms=2) as server:
        same(server.codes(call(NAP, struct.pack("<I", 200))), [0], "a nap of 200 ms")
        same(server.ask("/do", call(NAP, struct.pack("<I", 2000)).bytes).status, 504, "a nap beyond the request's deadline")
        wait_until(lambda: server.codes(call(ECHO, b"x")) == [0], "afterwards")
        same(deaths(server), 0, "deaths")
        same(server.ask("/do", call(LOOP, b"x").bytes).status, 504, "the request's own deadline")
        wait_until(lambda: deaths(server) == 1, "the program's deadline")
        wait_until(lambda: server.ask("/do", call(ECHO, b"x").bytes).status == 200, "afterwards")


@claim
def the_server_ends_though_a_call_does_not():
    for function in STUCK:
        with StoreServer("--store-deadline", "1m", "--drain", "300ms", program=PROGRAM, vms=2) as server:
            sock = server.send_only("/do")
            client = server.client()
            client.request("POST", "/do", call(function, b"x").bytes)
            time.sleep(0.3)
            began = time.monotonic()
            same(server.stop(), 0, "exit status")
            check(time.monotonic() - began < SOON, f"function {function}: the end took {time.monotonic() - began:.1f} s")
            sock.close()
            client.close()


@claim(emulated=True)
def what_had_not_begun_is_answered_by_the_next_program():
    """While one client kills the program again and again, the honest calls of the others are answered, every one."""
    rounds, wrong = 4 if EMULATED else 15, []

    def honest(server, stop):
        client = server.client(60)
        while not stop.is_set():
            code = one(client, call(ECHO, b"honest" * 20))
            if code != b"honest" * 20:
                wrong.append(code)
        client.close()

    for function in (CRASH, EXIT):
        with own("--workers", "2", vms=4) as server:
            stop = threading.Event()
            threads = [threading.Thread(target=honest, args=(server, stop)) for _ in range(3)]
            for thread in threads:
                thread.start()
            client = server.client(60)
            codes = [one(client, call(function, b"x")) for _ in range(rounds)]
            stop.set()
            for thread in threads:
                thread.join()
            same(codes, ["ECONNRESET"] * rounds, "the deadly calls")
            same(wrong[:3], [], "honest calls that were not answered")
            same(deaths(server), rounds, "deaths")


@claim(emulated=True)
def who_comes_to_wait_when_the_program_is_up_again_is_told():
    """A call is sent, another client's call makes the program run and die of it; only then its sender waits."""
    for wait in ("auto", "wake"):
        with own("--workers", "2", "--store-wait", wait, "--deadline", f"{20 * SLOWER}s", vms=4) as server:
            codes = []
            sender = threading.Thread(target=lambda: codes.extend(
                server.codes(submit(CRASH, b"x"), nap(1000 * SLOWER), look_away(), collect())))
            sender.start()
            time.sleep(0.2 * SLOWER)
            same(server.one(call(ECHO, b"x")), b"x", "the other client's call")
            began = time.monotonic()
            sender.join()
            same(codes, [0, 0, 0, "ECONNRESET"], f"what the sender was told, {wait}")
            check(time.monotonic() - began < 5 * SLOWER, "it was told when its deadline came")
            same(deaths(server), 1, "deaths")


@claim
def a_program_that_does_not_begin_is_refused_with_a_sentence():
    rows = {"exit": "did not become ready: it exited with status 3", "crash": "did not become ready: .*Segmentation fault",
            "request": "waits for requests as a request program does", "look-and-exit": "did not become ready: it exited with status 5",
            "too-large": "did not become ready: it exited with status 90", "loop": "did not become ready in time; raise --boot-deadline",
            "sleep": "did not become ready in time; raise --boot-deadline", "pause": "did not become ready in time; raise --boot-deadline"}
    for how, why in rows.items():
        with store_folder() as folder:
            begin_as(folder, how)
            began = time.monotonic()
            deadline = f"{400 * SLOWER}ms" if "in time" in why else "60s"
            done = refused("--store", folder, "--store-program", PROGRAM, "--boot-deadline", deadline)
            took = time.monotonic() - began
            same(done.status, 125, f"{how}: exit status", str(done))
            matches(f"^mayfly serve: .*{why}", done.err)
            same(done.err.count(b"\n"), 1, f"{how}: lines on stderr", done.err)
            check(took < SOON, f"{how}: it took {took:.1f} s")
            same(sorted(os.listdir(folder)), ["boot", "epoch"], "the folder")


@claim
def a_file_that_is_no_storage_program_is_refused_with_a_sentence():
    for program, why in ((GUEST, "waits for requests as a request program does"), ("/bin/true", "did not become ready.*exited with status 0"),
                         ("/etc/passwd", "/etc/passwd may not be executed"), ("/nonexistent/program", "/nonexistent/program"),
                         ("/tmp", "/tmp.*regular file"), ("/dev/null", "/dev/null.*regular file")):
        with store_folder() as folder:
            done = refused("--store", folder, "--store-program", program)
            same(done.status, 125, f"{program}: exit status", str(done))
            matches(f"^mayfly serve: .*{why}", done.err)
            same(done.err.count(b"\n"), 1, f"{program}: lines on stderr", done.err)
            if program in (GUEST, "/bin/true"):
                check(os.listdir(folder) in ([], ["epoch"]), f"{program}: what is in the folder", os.listdir(folder))
            else:
                check(not os.path.exists(folder), f"{program}: the folder was made")


@claim
def a_program_that_cannot_start_again_is_tried_until_it_can():
    for how in ("exit", "loop"):
        with own("--deadline", "800ms", "--boot-deadline", "800ms", vms=2) as server:
            begin_as(server.store, how)
            same(server.codes(call(EXIT, b"x")), ["ECONNRESET"], "the last call of the first program")
            for _ in range(2):
                began = time.monotonic()
                same(server.ask("/do", call(ECHO, b"x").bytes).status, 504, "a call that nobody answers")
                check(time.monotonic() - began < SOON, "the deadline came late")
            same(server.ask("/wake").status, 200, "a request without a call")
            matches("the storage program does not start again: ", server.log())
            os.unlink(f"{server.store}/boot")
            wait_until(lambda: server.ask("/do", call(ECHO, b"x").bytes).status == 200, "it starts again")
            same(server.stop(), 0, "exit status")


@claim
def the_server_ends_though_the_program_cannot_start_again():
    for how in ("exit", "loop", "sleep"):
        with own(vms=2) as server:
            begin_as(server.store, how)
            same(server.codes(call(EXIT, b"x")), ["ECONNRESET"], "the last call")
            time.sleep(0.5)
            began = time.monotonic()
            same(server.stop(), 0, "exit status")
            check(time.monotonic() - began < SOON, f"{how}: the end took {time.monotonic() - began:.1f} s")


@claim
def the_storage_program_reaches_its_folder_and_nothing_else():
    with own(vms=1) as server:
        outside = os.path.dirname(server.store)
        os.symlink("/etc/passwd", f"{server.store}/link")
        os.symlink(outside, f"{server.store}/out")
        open(f"{server.store}/there", "w").close()
        for path in ("there", "./there", f"{server.store}/there", "fresh"):
            same(server.codes(call(OPEN, path.encode())), [0], path)
        for path in ("/etc/passwd", "link", "../x", f"{outside}/x", "out/x", "/proc/self/mem", "/dev/kvm", f"{server.store}-too", "/"):
            check(server.codes(call(OPEN, path.encode()))[0] in ("EACCES", "ENOENT", "EPERM"), f"{path} was opened")
        check(not os.path.exists(f"{outside}/x"), "a file beside the store")


main()
