#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly image: a server's program in a file, served from there as it would be itself; files that are damaged, of
another machine or in want of a permission."""
import json
import os
import shutil
import subprocess
import tempfile

from serving import GUEST, SLOWER, Server
from mayfly import BUILD, MAYFLY, command, expect
from claims import check, claim, fail, main, matches, same

FOLDER = tempfile.mkdtemp(prefix="mayfly-images-")
IMAGE = os.path.join(FOLDER, "guest.img")


def image(*words, **more):
    return command([MAYFLY, "image", *words], **more)


def build(path, *options, guest=GUEST):
    expect(image("build", "-o", path, *options, "--", guest), 0, "building an image")
    return path


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
