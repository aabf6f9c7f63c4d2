#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""More requests than can be served: those who are too many hear it at once, nobody is lost, nothing grows, and then it is over."""
import json
import signal
import socket
import subprocess
import tempfile

from serving import BUILD, SLOWER, Server, one_answer, request, resident, wait_until
from mayfly import threads
from claims import check, claim, main, same

CLIENTS = 100
GROWTH = 4 << 20  # bytes; answers that wait to be written, and the allocator's own


def dial(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60 * SLOWER)
    sock.connect(path)
    return sock


def send(sock, target):
    sock.sendall(request(target))


def state_of(pid):
    """Of all its threads."""
    return {fields[0] for _, fields in threads(pid)}


def ask_at_once(server, socks, target):
    """All of them have asked before the server looks again."""
    server.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: state_of(server.process.pid) == {"T"}, "the server to stand still")
    for sock in socks:
        send(sock, target)
    server.process.send_signal(signal.SIGCONT)
    return [one_answer(sock) for sock in socks]


@claim
def who_is_too_many_hears_it_before_the_others_are_served():
    """Requests that could each have a VM are counted like those that wait for one: none waits unread in its socket."""
    with Server("--workers", "1", "--queue", "3", "--deadline", "60s", vms=2) as server:
        socks = [dial(server.path) for _ in range(CLIENTS)]
        for sock in socks:
            send(sock, "/count")
            same(one_answer(sock), 200, "one after the other")
        before = None
        for round in range(20):
            answers = ask_at_once(server, socks, "/count")
            served = answers.count(200)
            # the first is over before the second is looked at, unless this machine lets it wait for longer than its slice
            check(served in (5, 6), "VMs and queue have room for five", served)
            same(answers.count(503), CLIENTS - served, "the others are refused")
            if round == 2:
                before = resident(server.process.pid)
        after = resident(server.process.pid)
        check(after - before < GROWTH, f"memory grew from {before} to {after} bytes")
        for sock in socks:
            send(sock, "/count")
            same(one_answer(sock), 200, "afterwards")
            sock.close()


@claim
def nobody_is_lost_when_all_dial_at_once():
    with Server("--workers", "2", "--connections", str(CLIENTS), "--deadline", "60s", vms=4) as server:
        for target in ("/count", "/busy?3", "/touch?500"):
            socks = [dial(server.path) for _ in range(3 * CLIENTS)]
            for sock in socks:
                send(sock, target)
            answers = []
            for sock in socks:
                answers.append(one_answer(sock))
                sock.close()
            same(answers.count(200) + answers.count(503), len(socks), f"answers to {target}")
            check(answers.count(200) >= 4, "some are served", answers.count(200))
            same(server.ask("/count").status, 200, "afterwards")


@claim(long=True)
def a_minute_at_ten_times_the_capacity_loses_nothing_and_grows_nothing():
    """Times are told (docs/performance.md), not judged: this machine may have other work."""
    with tempfile.NamedTemporaryFile(mode="r", suffix=".json") as out:
        subprocess.run([f"{BUILD}/bench/bench-overload", "--only", "overload", "--json", out.name], check=True, timeout=900)
        cases = {case["case"]: case for case in map(json.loads, out) if "case" in case}
    for name in ("overload/kept", "overload/dials"):
        counts = cases[name]["counts"]
        print(f"    {name}: {cases[name]}")
        same((counts["lost"], counts["others"]), (0, 0), "requests that were neither served nor refused")
        same(cases[name]["n"] + cases[f"{name}/refused"]["n"], counts["sent"], "all that was sent")
        check((counts["resident_kib_peak"] - counts["resident_kib_before"]) * 1024 < GROWTH, "memory grew", counts)


if __name__ == "__main__":
    main()
