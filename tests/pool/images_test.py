#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly image: a server's program in a file, served from there as it would be itself; files that are damaged, of
another machine or in want of a permission."""
import hashlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time

from serving import GUEST, SLOWER, Server
from mayfly import BUILD, MAYFLY, command, expect
from claims import check, claim, fail, main, matches, same

FOLDER = tempfile.mkdtemp(prefix="mayfly-images-")
IMAGE = os.path.join(FOLDER, "guest.img")
SOCKETS = os.environ.get("MAYFLY_SOCKETS", os.path.join(BUILD, "tests/pool/socket-guest"))
STORING = os.path.join(BUILD, "examples/cache")
LOOPBACK = "--allow-net=127.0.0.1"
CLOCK, MEMORY = 8, 4  # kinds of sections: engine/image/file.h


def image(*words, **more):
    return command([MAYFLY, "image", *words], **more)


def build(path, *options, guest=GUEST, args=()):
    expect(image("build", "-o", path, *options, "--", guest, *args), 0, "building an image")
    return path


def refused(done, what, *patterns):
    same(done.status, 125, what)
    for pattern in patterns:
        matches(pattern, done.err, what)


def serve(*options):
    """What cannot be served."""
    return command([MAYFLY, "serve", "--listen", f"unix:{FOLDER}/s", *options], seconds=10)


def with_clock(path, target, clock_ns):
    """A copy of the image that says it was frozen at that time, with the digest that belongs to it."""
    shutil.copy(path, target)
    with open(target, "r+b") as file:
        header = bytearray(file.read(4096))
        count, = struct.unpack_from("<I", header, 200)
        sections = [struct.unpack_from("<IIQQ", header, 208 + 24 * i) for i in range(count)]
        file.seek(next(offset for kind, _, offset, _ in sections if kind == CLOCK))
        file.write(struct.pack("<Q", clock_ns))
        size = 208 + 24 * 16 + 32
        header[size - 32:size] = bytes(32)
        digest = hashlib.sha256(header[:size])
        for kind, _, offset, length in sections:
            file.seek(offset)
            if kind != MEMORY:
                digest.update(file.read(length))
                continue
            for page in range(length // 4096):
                content = file.read(4096)
                if content.count(0) != 4096:
                    digest.update(struct.pack("<Q", page) + content)
        file.seek(size - 32)
        file.write(digest.digest())
    expect(image("verify", target), 0, "an image with another clock")
    return target


def answers(path, *options):
    with Server(*options, guest=path) as server:
        same([server.ask("/count").body for _ in range(3)], [b"1"] * 3, "counters of requests on an image")


@claim(emulated=True)
def an_image_is_served_as_its_program_would_be():
    build(IMAGE)
    expect(image("verify", IMAGE), 0, "verifying it")
    answers(IMAGE)
    answers(IMAGE, "--trust-image")


@claim(emulated=True)
def what_is_known_of_an_image_is_told():
    build(IMAGE, "--warmup", "GET:/sleep?1*3")
    facts = json.loads(expect(image("info", IMAGE, "--json"), 0, "info").out)
    same((facts["runs_here"], facts["program"], facts["warmed up with"]), (True, GUEST, "3 requests"), "facts")
    matches(rf"digest +{facts['digest']}\n", image("info", IMAGE).out, "the same for people")


@claim
def requests_that_warm_up_are_part_of_the_image():
    build(IMAGE, "--warmup", "GET:/count*4")
    with Server(guest=IMAGE) as server:
        same([server.ask("/count").body for _ in range(2)], [b"5"] * 2, "counters behind four requests")
    recorded = os.path.join(FOLDER, "recorded")
    with open(recorded, "wb") as file:
        file.write(b"GET /count HTTP/1.1\r\nHost: x\r\n\r\nPOST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    build(IMAGE, "--warmup", recorded)
    with Server(guest=IMAGE) as server:
        same(server.ask("/count").body, b"3", "a counter behind two recorded requests")
    for bad in ("GET:/*0", "GET:/*99999999", os.path.join(FOLDER, "missing"), "/etc/hostname"):
        done = expect(image("build", "-o", IMAGE, "--warmup", bad, "--", GUEST), 125, bad)
        matches(r"^mayfly image build: --warmup .+\n$", done.err, bad)


@claim
def a_program_that_fails_leaves_no_file():
    target = os.path.join(FOLDER, "none.img")
    for guest, options in (("/bin/true", ()), (GUEST, ("--warmup", "GET:/crash")), (GUEST, ("--boot-deadline", "1ms"))):
        done = expect(image("build", "-o", target, *options, "--", guest), 125, f"{guest} {options}")
        matches(r"^mayfly image build: .+\n$", done.err.split(b"\n", done.err.count(b"\n") - 1)[-1], guest)
    same(os.listdir(FOLDER).count("none.img"), 0, "files")
    expect(image("build", "-o", "/nonexistent/x", "--", GUEST), 125, "a folder that is not there")


@claim(emulated=True)
def a_damaged_file_is_refused_with_a_sentence():
    build(IMAGE)
    size = os.path.getsize(IMAGE)
    damaged = os.path.join(FOLDER, "damaged.img")
    for at, what in ((100, "header"), (5000, "registers"), (size - 10000, "memory")):
        shutil.copy(IMAGE, damaged)
        with open(damaged, "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))
        done = expect(image("verify", damaged), 1 if at > 4096 else (1 if image("verify", damaged).status == 1 else 125),
                      what)
        matches(r"build it again", done.err, what)
        done = command([MAYFLY, "serve", "--listen", f"unix:{FOLDER}/s", "--", damaged], seconds=10)
        check(done.status == 125, f"a damaged {what} was served", done)
        matches(r"^mayfly serve: .+build it (again|on).+\n$", done.err, what)
    os.truncate(damaged, size // 2)
    matches(r"its length", expect(image("info", damaged), 125, "a short file").err, "a short file")
    matches(r"no image file", expect(image("info", GUEST), 125, "a program").err, "a program")


@claim
def an_image_of_another_machine_or_build_is_refused():
    build(IMAGE)
    other = os.path.join(FOLDER, "other.img")
    # file.h: magic, version, family, three sizes, then the digests of engine and CPU
    for at, why in ((12, "KVM"), (40, "another build of Mayfly"), (72, "another CPU")):
        shutil.copy(IMAGE, other)
        with open(other, "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))
        done = expect(image("info", other, "--json"), 1, why)
        facts = json.loads(done.out)
        same(facts["runs_here"], False, why)
        matches(why, facts["why_not"], why)
        done = command([MAYFLY, "serve", "--listen", f"unix:{FOLDER}/s", "--", other], seconds=10)
        same(done.status, 125, why)
        matches(why, done.err, why)


@claim
def sockets_of_an_image_file_are_made_anew():
    build(IMAGE, LOOPBACK, guest=SOCKETS, args=("fresh",))
    with Server(LOOPBACK, guest=IMAGE, vms=2) as server:
        for _ in range(2):
            same(server.ask("/fresh").body, b"9 -1 -1 ", "made, bound and listening sockets")
            same(server.ask("/pairs").body, b"-1 -1 1 ", "pairs")
            same(server.ask("/shared").body, b"42 0 -1 ", "shared memory")
        refused(serve(LOOPBACK, "--", IMAGE), "an address that is in use", r"socket at 127\.0\.0\.1:\d+.+in use")
    refused(serve("--", IMAGE), "without its network", r"--allow-net")
    refused(serve("--allow-net=127.0.0.2", "--", IMAGE), "with another's", r"allow it with --allow-net=127\.0\.0\.1:\d+")


@claim
def the_monotonic_clock_goes_on_from_the_freeze():
    """Whatever the clock of the host is that the file is loaded on: a fake is the file that says another time."""
    build(IMAGE, LOOPBACK, guest=SOCKETS, args=("fresh",))
    for seconds in (0, 100, 10 ** 9):
        began = time.monotonic()
        with Server(LOOPBACK, guest=with_clock(IMAGE, os.path.join(FOLDER, "other.img"), seconds * 10 ** 9)) as server:
            first, agree, _ = map(int, server.ask("/clock").body.split())
            second = int(server.ask("/clock").body.split()[0])
            same(agree, 3, "answers of the clock agree, and waits end")
            most = seconds + time.monotonic() - began + 1
            check(seconds <= first <= most and seconds <= second <= most, f"{seconds}: {first}, {second}")
    with Server(LOOPBACK, guest=IMAGE) as server:
        first, second, left = map(int, server.ask("/timer").body.split())
        same((first, second), (1, 0), "a timer that runs out, and one that does not yet")
        check(2990000 < left <= 3000000, f"{left} s are left")
    refused(serve(LOOPBACK, "--", with_clock_unverified(2 ** 63)), "a clock that no host has", r"its clock")


def with_clock_unverified(clock_ns):
    target = os.path.join(FOLDER, "bad.img")
    shutil.copy(IMAGE, target)
    with open(target, "r+b") as file:
        header = file.read(4096)
        count, = struct.unpack_from("<I", header, 200)
        for i in range(count):
            kind, _, offset, _ = struct.unpack_from("<IIQQ", header, 208 + 24 * i)
            if kind == CLOCK:
                file.seek(offset)
                file.write(struct.pack("<Q", clock_ns))
    return target


def native(guest, **more):
    return command([guest], **more)


@claim
def run_gives_one_request_from_standard_input_as_the_sdk_does():
    build(IMAGE)
    for target, body, method in (("/echo", b"a body", ""), ("/echo", b"", ""), ("/count", b"", "PUT"),
                                 ("/echo", b"y" * 300000, "PUT"), ("/crash-not", b"", "")):
        env = {**os.environ, "MF_NATIVE_TARGET": target, "MF_NATIVE_METHOD": method, "MF_NATIVE_HEADERS": "X-A: 1\nno\n"}
        alone = native(GUEST, stdin=body, env=env)
        for what in (GUEST, IMAGE):
            done = command([MAYFLY, "run", "--", what], stdin=body, env=env)
            same((done.status, done.out), (alone.status, alone.out), f"{what} {target} {len(body)} {method}")


@claim
def run_ends_a_request_at_its_limits():
    build(IMAGE)
    env = {**os.environ, "MF_NATIVE_TARGET": "/echo"}
    done = command([MAYFLY, "run", "--output", "4", "--", IMAGE], stdin=b"123456", env=env)
    same(done.out, b"1234", "what --output lets through")
    done = command([MAYFLY, "run", "--", IMAGE], stdin=b"x" * (64 << 20), env=env)
    matches(r"no request from standard input: Message too long", done.err)
    read, write = os.pipe()
    done = command([MAYFLY, "run", "--deadline", "300ms", "--", IMAGE], stdin=read)
    same(done.status, 124, "a request that never ends")
    os.close(read)
    os.close(write)


@claim
def an_option_that_an_image_cannot_heed_is_refused():
    build(IMAGE)
    for options in (("--memory", "64M"), ("--env", "A=b"), ("--allow-env=A",), ("--cwd", "/")):
        name = options[0].split("=")[0]
        done = command([MAYFLY, "run", *options, "--", IMAGE], seconds=10)
        refused(done, name, name + " can have no effect, for its .+ already|" + name + " can have no effect, for its memory")
        refused(serve(*options, "--", IMAGE), name, name + " can have no effect")
    refused(serve("--boot-deadline", "5s", "--", IMAGE), "--boot-deadline", r"--boot-deadline can have no effect")
    refused(command([MAYFLY, "run", "--trust-image", "--", GUEST]), "--trust-image", r"is no image file")
    expect(command([MAYFLY, "run", "--output", "1M", "--pids", "4", "--files", "100", "--cpu-time", "9s", "--allow-all", "--",
                    IMAGE]), 0, "options that have an effect")


@claim
def an_image_is_served_with_the_store_that_it_was_built_for():
    with_store = os.path.join(FOLDER, "store.img")
    build(IMAGE, guest=STORING)
    build(with_store, "--store", guest=STORING)
    refused(serve("--store", f"{FOLDER}/data", "--", IMAGE), "no place for a channel", r"image build --store")
    refused(serve("--", with_store), "no store", r"serve it with --store DIR")
    refused(command([MAYFLY, "run", "--", with_store]), "no store", r"serve it with --store DIR")
    with Server("--store", f"{FOLDER}/data", guest=with_store) as server:
        server.ask("/table/key", b"a value", method="PUT")
        same(server.ask("/table/key").body, b"a value", "what was put")
    with Server(guest=IMAGE) as server:
        check(server.ask("/table/key").status >= 500, "an answer without a store")


@claim
def an_image_has_its_arguments_already():
    build(IMAGE)
    done = command([MAYFLY, "run", "--", IMAGE, "more"], seconds=10)
    same(done.status, 125, "arguments for an image")
    matches(r"has its arguments already", done.err)


@claim
def a_changed_library_is_refused():
    """A dynamic program has its libraries mapped; one that is another file by then is found out."""
    library, program = (os.path.join(FOLDER, name) for name in ("libanswer.so", "served"))
    source = os.path.join(FOLDER, "answer.c")

    def compile(text):
        with open(source, "w") as file:
            file.write(text)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library + ".new", source], check=True)
        os.replace(library + ".new", library)

    big = "const char padding[1 << 20] = {1};\n"
    compile(big + 'const char *answer(void) { return "one"; }\n')
    with open(program + ".c", "w") as file:
        file.write('#include <mayfly/sdk.h>\nconst char *answer(void);\nint main(void) { while (mf_wait())'
                   ' mf_respond(200, "text/plain", answer(), 3); return 0; }\n')
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    subprocess.run(["cc", "-O2", f"-I{root}/guest/sdk", f"-I{root}/include", program + ".c", "-o", program, library,
                    f"{BUILD}/guest/sdk/libmayfly-sdk.a"], check=True)
    allowed = f"--allow-read={FOLDER}"
    build(IMAGE, allowed, guest=program)
    with Server(allowed, guest=IMAGE) as server:
        same(server.ask("/").body, b"one", "an answer from a library")
    compile(big + 'const char *answer(void) { return "two"; }\n')
    done = command([MAYFLY, "serve", "--listen", f"unix:{FOLDER}/s", allowed, "--", IMAGE], seconds=10)
    if done.status == 125:
        matches(r"libanswer.so has changed since the image was built", done.err)
    else:
        fail("a changed library was not found out", done)


try:
    main()
finally:
    shutil.rmtree(FOLDER, ignore_errors=True)
