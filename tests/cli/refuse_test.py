#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What mayfly run and serve refuse: status 125 and one sentence that says what is wrong, never a crash."""
import os
import random
import resource
import struct

from mayfly import EMULATED, FAILED, GUESTS, MAYFLY, STATIC, command, expect, folder, for_everybody, run
from claims import check, claim, main, matches

LOAD, INTERP, PHDR = 1, 3, 6
CODE = bytes.fromhex("b83c000000" "31ff" "0f05")  # exit(0)
BASE = 0x400000


def segment(kind=LOAD, flags=5, offset=0, vaddr=BASE, filesz=0x1000, memsz=None, align=0x1000):
    return struct.pack("<IIQQQQQQ", kind, flags, offset, vaddr, vaddr, filesz, filesz if memsz is None else memsz, align)


def elf(segments=None, entry=BASE + 0x200, machine=62, kind=2, bits=2, data=1, version=1, phoff=64, phentsize=56,
        phnum=None, size=0x1000, magic=b"\x7fELF"):
    """An ELF file that exits with 0; every field can be spoilt."""
    segments = [segment()] if segments is None else segments
    header = magic + bytes([bits, data, version]) + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", kind, machine, version, entry, phoff, 0, 0, 64, phentsize,
        len(segments) if phnum is None else phnum, 0, 0, 0)
    image = bytearray(max(size, 0x220))
    image[0x200:0x200 + len(CODE)] = CODE
    text = header + b"".join(segments)
    image[:len(text)] = text
    return bytes(image)


def two(vaddr, offset=0, filesz=0x1000, **more):
    return elf([segment(), segment(vaddr=vaddr, offset=offset, filesz=filesz, flags=6, **more)], size=0x2000)


TOP = 0x7fffffe00000
# (what, file, the sentence)
IMAGES = [
    ("empty", b"", "empty"),
    ("one byte", b"\x7f", "not an ELF program"),
    ("text", b"hello, world\n", "not an ELF program"),
    ("script without interpreter", b"#!\nexit 0\n", "first line"),
    ("script with blanks for an interpreter", b"#! \t \nexit 0\n", "first line"),
    ("script whose line does not end", b"#!/" + b"a" * 300, "first line"),
    ("script whose interpreter is not there", b"#!/nowhere/sh\n", "there is no file /nowhere/sh"),
    ("script whose interpreter is no program", b"#!/etc/passwd\n", "/etc/passwd may not be executed"),
    ("zeroes", bytes(4096), "not an ELF program"),
    ("only the magic", b"\x7fELF", "truncated"),
    ("32 bits", elf(bits=1), "32-bit"),
    ("no class", elf(bits=0), "class"),
    ("big endian", elf(data=2), "little-endian"),
    ("version", elf(version=0), "version"),
    ("arm", elf(machine=183), "another machine.*183"),
    ("i386", elf(machine=3), "another machine"),
    ("object file", elf(kind=1), "object file"),
    ("core dump", elf(kind=4), "core dump"),
    ("no kind", elf(kind=0), "not an executable"),
    ("library", elf(kind=3, entry=0), "library"),
    ("no program headers", elf([]), "no program headers"),
    ("65,535 program headers", elf(phnum=65535), "too many program headers"),
    ("program headers of another size", elf(phentsize=32), "program headers of 32 bytes"),
    ("program headers behind the file", elf(phoff=0x100000), "beyond the end"),
    ("program headers that wrap", elf(phoff=(1 << 64) - 8), "beyond the end"),
    ("nothing to load", elf([segment(kind=PHDR)]), "nothing to load"),
    ("interpreter", elf([segment(kind=INTERP, offset=0x300, filesz=8), segment()]), "interpreter is empty"),
    ("interpreter without an end", elf([segment(kind=INTERP, offset=0x200, filesz=2), segment()]), "does not end"),
    ("interpreter of one byte", elf([segment(kind=INTERP, offset=0x300, filesz=1), segment()]), "1 bytes"),
    ("interpreter that is too long", elf([segment(kind=INTERP, offset=0, filesz=4097), segment()], size=0x3000), "4097 bytes"),
    ("interpreter behind the file", elf([segment(kind=INTERP, offset=1 << 40), segment()]), "interpreter|beyond"),
    ("overlap", two(BASE + 0x800, offset=0x800, filesz=0x800), "overlap"),
    ("same page", two(BASE + 0x1800, offset=0x1800, filesz=0x100).replace(
        segment(), segment(filesz=0x1000, memsz=0x1700)), "shares a page"),
    ("descending", two(BASE - 0x10000), "ascending"),
    ("more in the file than in memory", elf([segment(memsz=16)]), "more bytes in the file"),
    ("segment behind the file", elf([segment(filesz=0x100000)]), "beyond the end"),
    ("segment offset wraps", elf([segment(offset=(1 << 64) - 0x1000)]), "beyond the end"),
    ("misaligned", elf([segment(offset=0x10)], size=0x2000), "misaligned"),
    ("odd alignment", elf([segment(align=0x1800)]), "power of two"),
    ("huge alignment", elf([segment(align=1 << 40)]), "alignment"),
    ("address zero", elf([segment(vaddr=0)], entry=0x200), "outside"),
    ("address wraps", elf([segment(vaddr=(1 << 64) - 0x1000, memsz=0x2000)]), "wraps|outside"),
    ("kernel half", elf([segment(vaddr=0xffffffff80000000)], entry=0xffffffff80000200), "outside"),
    ("not canonical", elf([segment(vaddr=1 << 47)], entry=(1 << 47) + 0x200), "outside"),
    ("the engine's pages", elf([segment(vaddr=TOP)], entry=TOP + 0x200), "outside"),
    ("into the engine's pages", elf([segment(vaddr=TOP - 0x1000, memsz=0x3000)], entry=TOP - 0xe00), "outside"),
    ("the stack", elf([segment(vaddr=TOP - 0x10000)], entry=TOP - 0xfe00), "outside"),
    ("2 GiB of bss", elf([segment(), segment(vaddr=BASE + 0x10000, filesz=0, memsz=2 << 30, flags=6)]), "memory"),
    ("100 TiB of bss", elf([segment(memsz=100 << 40)]), "memory|outside"),
    ("2^63 of bss", elf([segment(memsz=1 << 63)]), "memory|outside|wraps"),
    ("entry outside", elf(entry=0x10), "entry point"),
    ("entry in data", elf([segment(flags=6)]), "entry point.*executable"),
    ("a huge pie", elf([segment(vaddr=0, memsz=(1 << 47) - 0x1000)], kind=3, entry=0x200), "memory|outside"),
]


def program_file(path):
    """A file to be written that may be executed."""
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o755))


def refused(done, pattern, what):
    expect(done, FAILED, what)
    matches(r"^mayfly( \w+)?: [^\n]+\n$", done.err, f"{what}: one sentence")
    matches(pattern, done.err, what)
    check(done.out == b"", f"{what}: prints on stdout", done)
    check(not set(done.err) & (set(range(32)) - {10}), f"{what}: control characters", done)


@claim
def a_bad_image_is_refused_with_its_sentence():
    with folder() as root:
        path = os.path.join(root, "image")
        for what, content, pattern in IMAGES:
            with program_file(path) as file:
                file.write(content)
            refused(run(guest=path), pattern, what)


@claim
def the_table_starts_from_an_image_that_runs():
    with folder() as root:
        path = os.path.join(root, "image")
        for content in (elf(), two(BASE + 0x10000), elf([segment(memsz=0x100000)])):
            with program_file(path) as file:
                file.write(content)
            expect(run(guest=path), 0, "the image that is not spoilt")


@claim
def a_truncated_program_is_refused_or_dies_at_every_length():
    """Section headers are not loaded, so a tail may be missing; what is loaded may not."""
    with open(STATIC, "rb") as file:
        whole = file.read()
    phoff, = struct.unpack_from("<Q", whole, 32)
    phnum, = struct.unpack_from("<H", whole, 56)
    loaded = max(sum(struct.unpack_from("<Q", whole, phoff + 56 * i + at)[0] for at in (8, 32))
                 for i in range(phnum) if struct.unpack_from("<I", whole, phoff + 56 * i)[0] == LOAD)
    lengths = [*range(0, 80, 7), 119, 120, 121, 500, 4095, 4096, 4097, loaded // 2, loaded - 1]
    lengths += [random.Random(3).randrange(loaded) for _ in range(25)]
    with folder() as root:
        path = os.path.join(root, "image")
        for length in lengths:
            with program_file(path) as file:
                file.write(whole[:length])
            refused(run("exit", "0", guest=path), "truncated|empty|not an ELF|beyond the end", f"{length} bytes")
        with program_file(path) as file:
            file.write(whole[:loaded])
        expect(run("exit", "6", guest=path), 6, "without its section headers")


@claim
def a_program_with_bytes_changed_is_refused_or_runs_into_something_but_never_hurts_mayfly():
    with open(STATIC, "rb") as file:
        whole = file.read()
    dice = random.Random(4)
    with folder() as root:
        path = os.path.join(root, "image")
        for number in range(150):
            spoilt = bytearray(whole)
            for _ in range(dice.randrange(1, 5)):
                at = dice.randrange(64 + 56 * 10) if number % 2 else dice.randrange(len(spoilt))
                spoilt[at] = dice.choice((0, 1, 0x7f, 0x80, 0xff, dice.randrange(256)))
            with program_file(path) as file:
                file.write(spoilt)
            done = run("exit", "0", guest=path, options=["--deadline", "1s"], seconds=10)
            check(0 <= done.status <= 255, f"number {number}: mayfly itself died", done)
            if done.status == FAILED and done.err:
                refused(done, ".", f"number {number}")


@claim
def an_interpreter_that_is_missing_or_no_program_is_told():
    def with_interpreter(name):
        image = bytearray(elf([segment(kind=INTERP, offset=0x300, filesz=len(name) + 1), segment()], size=0x2000))
        image[0x300:0x301 + len(name)] = name + b"\0"
        return bytes(image)

    with folder() as root:
        path = os.path.join(root, "image")
        for name, sentence in ((b"/nowhere/ld.so", "there is no /nowhere/ld.so, which .*image needs"),
                               (b"/etc/passwd", "/etc/passwd may not be executed"),
                               (b"/tmp", "not a regular file"), (os.fsencode(path) + b".fixed", "cannot be moved"),
                               (os.fsencode(path) + b".text", "not an ELF program")):
            for end, content in (("", with_interpreter(name)), (".fixed", elf()), (".text", b"hello")):
                with program_file(path + end) as file:
                    file.write(content)
            refused(run(guest=path), sentence, name.decode())


@claim
def what_is_no_file_is_refused():
    with folder() as root:
        refused(run(guest=f"{root}/none"), "there is no file", "missing")
        refused(run(guest=root), "not a regular file", "folder")
        refused(run(guest="/dev/null"), "not a regular file", "device")
        os.mkfifo(f"{root}/pipe")
        refused(run(guest=f"{root}/pipe", seconds=5), "not a regular file", "pipe")
        refused(run(guest=f"{root}/none/deeper"), "there is no file|Not a directory", "missing folder")
        refused(run(guest=""), "program|file", "no name")
        os.symlink("self", f"{root}/self")
        refused(run(guest=f"{root}/self"), "symbolic links", "a link to itself")


@claim
def a_memory_that_is_too_small_is_told():
    done = expect(run("exit", "0", options=["--memory", "1M"]), 128 + 11, "1M: the C library dies of it")
    matches("refused memory: raise --memory", done.err, "1M")
    for memory in ("1", "1K", "0", "1023K"):
        refused(run("exit", "0", options=["--memory", memory]), "--memory", memory)
    for memory in ("65G", "99999999G", "18446744073709551616"):
        refused(run("exit", "0", options=["--memory", memory]), "--memory", memory)
    expect(run("exit", "4", options=["--memory", "8M"]), 4, "8M")


BAD = [
    (["--memory", "lots"], "--memory lots"), (["--memory", "-1"], "--memory -1"), (["--memory", "64MB"], "--memory 64MB"),
    (["--memory", ""], "--memory"), (["--memory"], "--memory needs a value"), (["--memory", "1.5G"], "--memory 1.5G"),
    (["--deadline", "0s"], "--deadline 0s"), (["--deadline", "5"], "--deadline 5"), (["--deadline", "x"], "--deadline x"),
    (["--deadline", "99999999999999999999s"], "--deadline"), (["--deadline", "-5s"], "--deadline -5s"),
    (["--env", "NOVALUE"], "--env NOVALUE"), (["--env", "=x"], "--env =x"), (["--cwd", "relative"], "--cwd relative"),
    (["--cwd", ""], "--cwd"), (["--output", "0"], "--output 0"), (["--nonsense"], "--nonsense"), (["-z"], "-z"),
    (["--deadline"], "--deadline needs a value"),
    (["--cwd", "/" + "x" * 5000], "working directory|--cwd"), (["--trace-syscalls=yes"], "--trace-syscalls"),
    (["--memory=0x10M"], "--memory 0x10M"), (["-xyz"], "-x"),
]
BAD_SERVE = [
    ([], "--listen"), (["--listen"], "--listen needs a value"), (["--listen", "nonsense"], "nonsense"),
    (["--listen", "127.0.0.1:99999"], "99999"), (["--listen", ":80"], "no host"), (["--listen", "unix:"], "unix:"),
    (["--listen", "unix:/not/there/x"], "/not/there/x"), (["--listen", "unix:" + "x" * 200], "200 bytes"),
    (["--listen", "::1:80"], "ambiguous"), (["--listen", "unix:/dev/null"], "not a socket"),
]
BAD_SERVE += [(["--listen", "127.0.0.1:0", *option], option[0]) for option in (
    ["--vms", "0"], ["--vms", "70000"], ["--vms", "many"], ["--workers", "0"], ["--workers", "65"], ["--queue", "0"],
    ["--connections", "0"], ["--deadline", "5"], ["--request-memory", "x"], ["--reset", "sometimes"],
    ["--drain", "never"], ["--boot-deadline", "soon"], ["--health"])]


@claim
def a_bad_option_is_named():
    for options, pattern in BAD:
        if options[-1].startswith("--") and pattern.endswith("needs a value"):
            done = command([MAYFLY, "run", *options])
        else:
            done = run("exit", "0", options=options)
        refused(done, pattern, str(options))
    for options, pattern in BAD_SERVE:
        end = [] if options and options[-1].startswith("--") else ["--", STATIC, "exit", "0"]
        refused(command([MAYFLY, "serve", *options, *end]), pattern, str(options))
    refused(command([MAYFLY, "run"]), "no program given", "run alone")
    refused(command([MAYFLY, "run", "--"]), "no program given", "run --")
    refused(command([MAYFLY, "fly"]), "no verb fly", "an unknown verb")
    done = expect(command([MAYFLY]), FAILED, "mayfly alone")
    matches("usage:", done.err)


@claim
def serving_what_cannot_be_served_is_told():
    serve = [MAYFLY, "serve", "--listen", "127.0.0.1:0", "--vms", "2", "--boot-deadline", "500ms", "--quiet", "--"]
    refused(command([*serve, STATIC, "exit", "3"]), "ended with status 3 before it was ready.*mf_wait", "it ends")
    refused(command([*serve, STATIC, "die", "segv"]), "died before it was ready", "it dies")
    refused(command([*serve, STATIC, "busy"]), "did not become ready in time.*--boot-deadline", "it never gets ready")
    refused(command([*serve, STATIC, "nap"]), "did not become ready in time", "it sleeps")
    refused(command([*serve, "/not/there"]), "there is no file", "no file")


@claim
def too_few_descriptors_are_told():
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    args = [MAYFLY, "serve", "--listen", "127.0.0.1:0", "--vms", "1000", "--", STATIC, "exit", "0"]
    refused(command(args, before=few), r"descriptors.*64.*ulimit.*--vms", "serve")
    expect(run("exit", "5", before=few), 5, "run needs few")

    def fewer():
        resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))

    done = run("exit", "5", before=fewer)
    check(done.status in (5, FAILED), "run with 6 descriptors", done)
    if done.status == FAILED:
        matches(r"^mayfly[^\n]*: [^\n]+\n$", done.err, "run with 6 descriptors")


@claim
def too_little_address_space_is_told():
    def little():
        resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 64 << 20))

    done = run("exit", "5", before=little)
    refused(done, r"memory|ulimit", "run with ulimit -v")


SETS = {
    "group kvm": "rm -f {0}/kvm && mknod {0}/kvm c 10 232 && chmod 600 {0}/kvm && mount --bind {0}/kvm /dev/kvm && "
                 "exec setpriv --reuid 65534 --regid 65534 --clear-groups ",
    "is not there.*modprobe": "mount -t tmpfs none /dev && exec ",
    "not a KVM device|Inappropriate|KVM": "mount --bind /dev/null /dev/kvm && exec ",
}


def reachable(arg):
    return for_everybody(arg) if arg == MAYFLY or arg == STATIC else arg


@claim
def an_unusable_kvm_is_told_with_its_mending():
    for pattern, way in SETS.items():
        with folder() as root:
            os.chmod(root, 0o755)
            script = way.format(root) + '"$0" "$@"'

            def there(*args):
                return command(["unshare", "-m", "/bin/sh", "-c", script, *map(reachable, [MAYFLY, *args])])

            for args in (["run"], ["serve", "--listen", "127.0.0.1:0"]):
                refused(there(*args, "--", STATIC, "exit", "0"), pattern, f"{args[0]} ({pattern})")
            done = there("doctor")
            expect(done, FAILED, f"doctor ({pattern})")
            matches(rf"/dev/kvm +cannot be used: .*({pattern})", done.out, "doctor")


main()
