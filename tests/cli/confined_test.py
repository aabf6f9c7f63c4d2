#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The engine process as it runs: without privileges, under seccomp, and as a user that has nothing but /dev/kvm."""
import os
import subprocess
import time

from mayfly import GROUP, MAYFLY, SOON, STATIC, accepts, as_nobody, command, end, expect, folder, status_line
from claims import check, claim, main, matches, same

SERVED = os.environ.get("MAYFLY_SERVED", os.path.join(os.path.dirname(os.path.dirname(STATIC)), "pool/pool-guest"))


def is_confined(pid, what):
    same(status_line(pid, "Seccomp"), "2", what)
    for task in os.listdir(f"/proc/{pid}/task"):
        name = status_line(f"{pid}/task/{task}", "Name")
        rules = status_line(f"{pid}/task/{task}", "NoNewPrivs"), status_line(f"{pid}/task/{task}", "Seccomp")
        if not name or None in rules or name.startswith("kvm-"):
            continue  # it has ended, or is the kernel's own
        same(rules, ("1", "2"), f"{what}, thread {name}")


def begun(pid):
    """Its threads are there, and it has confined itself; a thread that is not confined would still be found."""
    return len(os.listdir(f"/proc/{pid}/task")) > 1 and status_line(pid, "Seccomp") == "2"


def wait_until(condition, what, seconds=SOON):
    until = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < until, f"waited in vain: {what}")
        time.sleep(0.02)


@claim
def run_is_confined_while_the_guest_runs():
    for behaviour in ("busy", "nap"):
        process = subprocess.Popen([MAYFLY, "run", "--deadline", "20s", "--", STATIC, behaviour])
        try:
            wait_until(lambda: begun(process.pid), "its confinement")
            is_confined(process.pid, behaviour)
        finally:
            end(process)


@claim
def run_with_files_allowed_is_confined():
    process = subprocess.Popen([MAYFLY, "run", "--deadline", "20s", "--allow-read", "--allow-write", "--", STATIC, "nap"])
    try:
        wait_until(lambda: begun(process.pid), "its confinement")
        is_confined(process.pid, "nap")
    finally:
        end(process)


def serves_confined(*options):
    with folder() as root:
        process = subprocess.Popen([MAYFLY, "serve", "--listen", f"unix:{root}/s", "--health", f"unix:{root}/h",
                                    "--vms", "4", "--quiet", *[option.replace("ROOT", root) for option in options], "--", SERVED])
        try:
            wait_until(lambda: subprocess.run(["curl", "-fsS", "--unix-socket", f"{root}/h", "http://x/readyz"],
                                              capture_output=True).returncode == 0, "readiness")
            is_confined(process.pid, "serve")
        finally:
            end(process)


@claim
def serve_is_confined_in_all_its_threads():
    serves_confined()


@claim
def serve_with_a_store_is_confined_in_all_its_threads():
    serves_confined("--store", "ROOT/store")


@claim
def an_ordinary_user_of_the_devices_group_can_run():
    with folder() as root:
        os.chmod(root, 0o755)
        expect(command(as_nobody(root, [MAYFLY, "run", "--", STATIC, "exit", "17"])), 17, "run as nobody")
        done = expect(command(as_nobody(root, [MAYFLY, "doctor"])), 0, "doctor as nobody")
        matches("KVM family", done.out)
        with open(f"{root}/file", "w") as file:
            file.write("text")
        done = command(as_nobody(root, [MAYFLY, "run", f"--allow-read={root}/file", "--", STATIC, "show", f"{root}/file"]))
        same(done.out, b"text", f"a file read as nobody {done}")


@claim
def an_ordinary_user_of_the_devices_group_can_serve():
    with folder() as root:
        os.chmod(root, 0o755)
        os.mkdir(f"{root}/own")
        os.chown(f"{root}/own", 65534, GROUP)
        address = f"{root}/own/s"
        process = subprocess.Popen(as_nobody(root, [MAYFLY, "serve", "--listen", f"unix:{address}", "--vms", "4", "--quiet",
                                                    "--", SERVED]))
        try:
            wait_until(lambda: accepts(address), "the socket")
            done = command(["curl", "-sS", "--max-time", "10", "--unix-socket", address, "http://x/count"])
            same(done.out, b"1", f"the answer {done}")
            same(status_line(process.pid, "Uid").split()[0], "65534", "the server's user")
            same(int(status_line(process.pid, "CapBnd"), 16), 0, "its bounding set")
            is_confined(process.pid, "serve as nobody")
            process.terminate()
            same(process.wait(60), 0, "the server's end")
            check(not os.path.exists(address), "the socket is left")
        finally:
            end(process)


main()
