#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly run with programs that work: exit status, signals, deadlines, streams, arguments, environment."""
import errno
import os
import pty
import random
import resource
import select
import signal
import subprocess
import sys
import threading
import time

from mayfly import DEADLINE, FAILED, FLAVOURS, MAYFLY, SLOWER, SOON, STATIC, children_of, command, end, expect, folder, run
from claims import EMULATED, check, claim, fail, main, matches, same


@claim(emulated=True)
def the_exit_status_is_the_programs():
    for status in (0, 42, 255) if EMULATED else range(0, 256, 5):
        done = expect(run("exit", str(status)), status, f"exit({status})")
        same(done.out + done.err, b"", f"what exit({status}) prints")


@claim(emulated=True)
def every_flavour_of_static_program_runs():
    check(len(FLAVOURS) >= 2, f"too few guests were built: {FLAVOURS}")
    for guest in FLAVOURS:
        expect(run("exit", "7", guest=guest), 7, guest)
        done = expect(run("args", "one", guest=guest), 0, guest)
        same(done.out, f"{guest}\0args\0one\0".encode(), guest)


@claim
def exit_status_is_cut_to_a_byte():
    for status in (256, 257, -1, 1000):
        expect(run("_exit", str(status)), status & 255, f"_exit({status})")


@claim(emulated=True)
def death_by_a_signal_is_128_and_its_number():
    deaths = {"segv": 11, "abrt": 6, "fpe": 8, "ill": 4, "bus": 7, "int3": 5, "stack": 11, "9": 9, "15": 15, "6": 6}
    if EMULATED:
        deaths = {how: deaths[how] for how in ("segv", "abrt", "fpe", "ill")}
    for guest in FLAVOURS[:1] if EMULATED else FLAVOURS:
        for how, number in deaths.items():
            done = expect(run("die", how, guest=guest), 128 + number, f"{guest} {how}")
            matches(r"^mayfly run: \S+ died: .+\n$", done.err, how)


@claim(emulated=True)
def privileged_instructions_are_a_death_too():
    for how in ("hlt", "in"):
        done = run("die", how)
        check(done.status in (128 + 4, 128 + 11), f"{how}: {done.status}", done)
        matches(r"died: ", done.err, how)


def ended_at_deadline(what, began, done, seconds):
    took = time.monotonic() - began
    expect(done, DEADLINE, what)
    matches(r"ended at its deadline", done.err, what)
    check(seconds * 0.9 <= took < SOON, f"{what}: took {took:.2f} s")


@claim(emulated=True)
def the_deadline_ends_a_busy_loop():
    began = time.monotonic()
    ended_at_deadline("busy", began, run("busy", options=["--deadline", "300ms"]), 0.3)


@claim(emulated=True)
def cpu_time_is_bounded_and_waiting_is_none():
    began = time.monotonic()
    done = expect(run("busy", options=["--cpu-time", "300ms"]), 128 + 9, "busy")
    matches(r"CPU time is used up", done.err, "busy")
    check(0.27 <= time.monotonic() - began < SOON, "it took another time")
    done = run("nap", options=["--cpu-time", f"{400 * SLOWER}ms", "--deadline", f"{900 * SLOWER}ms"])
    expect(done, DEADLINE, "a sleep until the deadline, past the limit of CPU time")


@claim
def what_others_compute_is_not_its_cpu_time():
    """On one CPU with somebody else, the program is told of no more than its engine has used."""
    own = os.sched_getaffinity(0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    other = None
    try:
        os.sched_setaffinity(0, {min(own)})
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        done = expect(command([MAYFLY, "run", "--allow-all", "--", "/bin/bash", "-c",
                               "for ((i = 0; i < 200000; i++)); do :; done; times"]), 0, "bash")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        os.sched_setaffinity(0, own)
        if other:
            other.kill()
            other.wait()
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    matches(r"^\d+m[\d.]+s", done.out, "times")
    minutes, seconds = done.out.split()[0].rstrip(b"s").split(b"m")
    told = int(minutes) * 60 + float(seconds)
    check(0 < told <= used + 0.01, f"it was told {told} s of CPU time, and all of the engine has used {used} s")


@claim(emulated=True)
def the_deadline_ends_a_sleep():
    began = time.monotonic()
    ended_at_deadline("nap", began, run("nap", options=["--deadline", "300ms"]), 0.3)


@claim(emulated=True)
def the_deadline_ends_a_read_from_an_empty_pipe():
    reader, writer = os.pipe()
    began = time.monotonic()
    ended_at_deadline("read", began, run("copy", "1", options=["--deadline", "300ms"], stdin=reader), 0.3)
    os.close(reader)
    os.close(writer)


@claim
def the_deadline_ends_a_write_to_a_full_pipe():
    for fd in (1, 2):
        began = time.monotonic()
        process = subprocess.Popen([MAYFLY, "run", "--deadline", "300ms", "--", STATIC, "flood", str(fd)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            try:
                process.wait(SOON)
            except subprocess.TimeoutExpired:
                fail(f"descriptor {fd}: still writes to a pipe that nobody reads")
            same(process.returncode, DEADLINE, f"descriptor {fd}")
        finally:
            end(process)
            process.stdout.close()
            process.stderr.close()


@claim
def the_deadline_ends_a_trace_that_nobody_reads():
    process = subprocess.Popen([MAYFLY, "run", "--deadline", "300ms", "--trace-syscalls", "--", STATIC, "flood", "1"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        same(process.wait(SOON), DEADLINE, "status")
    except subprocess.TimeoutExpired:
        fail("still runs")
    finally:
        end(process)
        process.stderr.close()


@claim
def the_deadline_ends_a_write_to_a_full_socket_and_a_terminal():
    master, slave = pty.openpty()
    process = subprocess.Popen([MAYFLY, "run", "--deadline", "300ms", "--", STATIC, "flood", "1"],
                               stdout=slave, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        same(process.wait(SOON), DEADLINE, "a terminal that nobody reads")
    except subprocess.TimeoutExpired:
        fail("still writes to a terminal that nobody reads")
    finally:
        end(process)
        os.close(master)
        os.close(slave)


@claim
def a_deadline_that_is_not_reached_changes_nothing():
    expect(run("exit", "3", options=["--deadline", "10s"]), 3, "exit")


@claim
def output_to_a_reader_that_went_away_is_an_error_inside():
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([MAYFLY, "run", "--deadline", "5s", "--", STATIC, "flood", "1"], stdout=writer,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.close(writer)
    err = process.communicate(timeout=60)[1]
    # EPIPE, or the death by SIGPIPE that Linux would give
    check(process.returncode in (32, 128 + 13), f"status {process.returncode}: {err}")


@claim(emulated=True)
def ten_mebibytes_pass_through_unchanged():
    data = random.Random(1).randbytes((1 if EMULATED else 10) << 20)
    for guest in FLAVOURS[:1] if EMULATED else FLAVOURS:
        for fd in (1, 2):
            done = expect(run("copy", str(fd), guest=guest, stdin=data), 0, guest)
            got, other = (done.out, done.err) if fd == 1 else (done.err, done.out)
            check(got == data, f"descriptor {fd}: {len(got)} bytes came of {len(data)}")
            same(other, b"", "the other stream")


@claim
def a_file_as_standard_input_and_output_passes_through():
    data = random.Random(2).randbytes(3 << 20)
    with open("/dev/null") as null, os.fdopen(os.memfd_create("in"), "w+b") as source, \
            os.fdopen(os.memfd_create("out"), "w+b") as target:
        source.write(data)
        source.seek(0)
        process = subprocess.run([MAYFLY, "run", "--", STATIC, "copy", "1"], stdin=source, stdout=target,
                                 stderr=null, timeout=60)
        same(process.returncode, 0, "status")
        target.seek(0)
        check(target.read() == data, "the file differs")


@claim
def slow_input_is_waited_for():
    process = subprocess.Popen([MAYFLY, "run", "--", STATIC, "copy", "1"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        for piece in (b"one ", b"two ", b"three"):
            time.sleep(0.1)
            process.stdin.write(piece)
            process.stdin.flush()
        same(process.communicate(timeout=SOON)[0], b"one two three", "what came through")
    finally:
        end(process)


@claim
def waiting_for_input_costs_no_processor_time():
    process = subprocess.Popen([MAYFLY, "run", "--", STATIC, "copy", "1"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        time.sleep(1)
        with open(f"/proc/{process.pid}/stat") as file:
            ticks = sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        check(ticks < 30, f"{ticks} ticks of processor time in a second of waiting")
    finally:
        end(process)
        process.stdout.close()
        process.stdin.close()


@claim
def arguments_arrive_exactly():
    args = ["", " ", "a b", "--help", "-x", "\udcff\udcfe", "ü", "x" * 10000, "$HOME", "\n", "%s"]
    done = expect(run("args", *args), 0, "args")
    wanted = b"".join(os.fsencode(arg) + b"\0" for arg in [STATIC, "args", *args])
    check(done.out == wanted, "arguments differ", done)


@claim(emulated=True)
def the_environment_holds_what_was_given_and_nothing_else():
    surroundings = {**os.environ, "SECRET": "leaked", "LD_PRELOAD": "", "GLIBC_TUNABLES": ""}
    same(expect(run("env", env=surroundings), 0, "env").out, b"", "the environment")
    options = ["--env", "A=1", "--env", "B=two words", "--env", "C==", "--env", "D="]
    done = expect(run("env", options=options, env=surroundings), 0, "env")
    same(done.out, b"A=1\0B=two words\0C==\0D=\0", "the environment")


@claim
def many_arguments_and_variables_fit():
    expect(run("args", *["x"] * 500), 0, "500 arguments")
    done = expect(run("env", options=[word for i in range(300) for word in ("--env", f"V{i}=1")]), 0, "env")
    same(done.out, b"".join(b"V%d=1\0" % i for i in range(300)), "300 variables")


@claim
def at_random_differs_between_runs():
    seen = {bytes(run("random").out) for _ in range(5)}
    same(len(seen), 5, f"different values among 5: {seen}")
    check(all(len(value) == 32 and value != b"0" * 32 for value in seen), f"odd values: {seen}")


@claim
def the_working_directory_is_the_root_or_what_was_given():
    same(run("cwd").out, b"/\n", "without --cwd")
    same(run("cwd", options=["--cwd", "/some/where"]).out, b"/some/where\n", "with --cwd")


@claim(emulated=True)
def trace_syscalls_prints_a_line_a_call():
    done = expect(run("exit", "5", options=["--trace-syscalls"]), 5, "exit")
    matches(r"exit_group\(5\) = \?\n", done.err, "the trace")
    same(done.out, b"", "stdout")
    done = run("nap", options=["--trace-syscalls", "--deadline", "200ms"])
    matches(r"nanosleep\(.*waits", done.err, "the trace of a sleep")


@claim
def a_trace_holds_no_terminal_escapes_of_the_guest():
    done = expect(run("open-escapes", options=["--trace-syscalls"]), 0, "open")
    matches(r"\\x1b\[2J", done.err, "the trace")
    check(not set(done.err) & (set(range(32)) - {10}), "control characters in the trace", done.err)


@claim
def output_of_the_program_is_not_changed():
    """run is a filter like any other: escapes of the program are its own affair."""
    text = b"\x1b[31mred\x1b[0m\x00\x07\xff\r\n"
    same(run("copy", "1", stdin=text).out, text, "stdout")


@claim
def isatty_tells_the_truth():
    expect(run("tty", "1"), 1, "a pipe")
    master, slave = pty.openpty()
    try:
        done = subprocess.run([MAYFLY, "run", "--", STATIC, "tty", "1"], stdout=slave, timeout=60)
        same(done.returncode, 0, "a terminal")
    finally:
        os.close(master)
        os.close(slave)


@claim
def closed_standard_streams_do_no_harm():
    """No descriptor of the engine may be what the guest reads or writes as 0, 1 or 2."""
    for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
        done = command(["/bin/sh", "-c", f'exec "$0" run --deadline 5s -- "$1" exit 9 {closed}', MAYFLY, STATIC])
        expect(done, 9, closed)
    done = command(["/bin/sh", "-c", '"$0" run --deadline 5s -- "$1" copy 1 0<&-; echo $?', MAYFLY, STATIC])
    check(done.out in (b"0\n", b"2\n"), "reading a closed stdin: end of file or an error", done)
    done = command(["/bin/sh", "-c", 'exec "$0" run --deadline 2s -- "$1" flood 1 1>&-', MAYFLY, STATIC])
    check(done.status != 128 + 11 and done.status >= 0, "writing to a closed stdout", done)


@claim
def a_signal_ends_it_and_nothing_is_left():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        for behaviour in ("busy", "nap"):
            process = subprocess.Popen([MAYFLY, "run", "--", STATIC, behaviour], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, start_new_session=True)
            try:
                time.sleep(0.1)
                same(children_of(process.pid), [], "child processes")
                process.send_signal(number)
                try:
                    process.wait(SOON)
                except subprocess.TimeoutExpired:
                    fail(f"{behaviour} lives after {number.name}")
                check(process.returncode in (-number, 128 + number), f"{number.name}: status {process.returncode}")
                try:
                    os.killpg(process.pid, 0)
                    fail("something is left of its process group")
                except ProcessLookupError:
                    pass
            finally:
                end(process)
                process.stdout.close()
                process.stderr.close()


@claim(emulated=True)
def files_limits_descriptors_of_every_kind():
    EMFILE = str(errno.EMFILE)
    for option, limit in ((), 1024), (("--files", "3"), 3), (("--files", "100"), 100), (("--files", "4096"), 4096):
        for guest in FLAVOURS[:1] if EMULATED else FLAVOURS:
            got = expect(run("files", guest=guest, options=option), 0, str(option)).out.decode().split()
            ways, limits, end = got[:8], got[8:10], got[10:]
            if limit == 3:  # nothing was ever opened
                same(ways, ["0", EMFILE] * 4, "with the standard streams alone")
            else:
                pipes = int(ways[6])
                same(ways[:6], [str(limit), EMFILE] * 3, f"{option}: dup, eventfd, epoll_create1")
                check(limit - 1 <= pipes <= limit and ways[7] == EMFILE, f"{option}: pipes gave {pipes} {ways[7]}")
            same(limits, [str(limit)] * 2, f"{option}: RLIMIT_NOFILE")
            same(end, [str(errno.EPERM), str(errno.EBADF)], f"{option}: raising it, and a number beyond it")


@claim
def a_number_of_files_that_cannot_be_is_refused():
    for number in ("0", "2", "4097", "many", "-1", "1k"):
        done = expect(run("exit", "0", options=["--files", number]), FAILED, number)
        matches(r"--files " + number, done.err, number)


@claim
def memory_is_bounded_and_used():
    for mib in (32, 256):
        done = expect(run("eat", options=["--memory", f"{mib}M"]), 0, f"{mib}M")
        got, why = done.out.split()
        same(why, b"ENOMEM", "the error at the end")
        check(mib * 0.8 <= int(got) <= mib, f"--memory {mib}M gave {got} MiB")


@claim
def output_is_bounded():
    done = run("flood", "1", options=["--output", "100K", "--deadline", "5s"])
    check(len(done.out) <= 100 << 10, f"{len(done.out)} bytes came through --output 100K")
    check(len(done.out) > 90 << 10, f"only {len(done.out)} bytes came through --output 100K")
    check(done.status not in (FAILED, DEADLINE), "how it ended", done)


@claim
def every_way_to_print_counts_for_the_output_limit():
    with folder() as root:
        with open(f"{root}/file", "wb") as file:
            file.write(b"x" * 5000)
        for way in ("write", "writev", "pwritev2", "sendfile", "splice", "dup", "stderr", "/dev/stdout", "/proc/self/fd/1",
                    "/dev/fd/2"):
            done = expect(run("flood-by", way, f"{root}/file", options=["--output", "100K", f"--allow-read={root}"]), 28, way)
            same(len(done.out) + len(done.err), 100 << 10, f"printed by {way}")


@claim
def a_hundred_at_once_work():
    results = []

    def one(number):
        results.append((number, run("exit", str(number), seconds=60).status))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(sorted(results), [(number, number) for number in range(100)], "statuses")


@claim
def help_and_version_work_without_kvm():
    for args, pattern in ((["--help"], "usage: mayfly VERB"), (["run", "--help"], "usage: mayfly run"),
                          (["serve", "--help"], "usage: mayfly serve"), (["--version"], r"^mayfly \d+\.\d+"),
                          (["run", "-h"], "--deadline"), (["doctor", "--help"], "usage: mayfly doctor")):
        done = expect(command([MAYFLY, *args]), 0, " ".join(args))
        matches(pattern, done.out, " ".join(args))


main()
