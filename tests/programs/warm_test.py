#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Python and Node frozen where they wait, warm, in image files: request after request in VMs that are reset and
audited. Every one finds the program as it was, and nothing grows."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "house"))
sys.dont_write_bytecode = True
from claims import LONG, check, claim, fail, main, same  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MAYFLY = os.path.abspath(os.path.join(os.environ.get("MAYFLY_BUILD", os.path.join(ROOT, "build")), "mayfly"))
FOLDER = tempfile.mkdtemp(prefix="mayfly-warm-")
REQUESTS = 1000 if LONG else 200
WARM_UP = 20


class Client(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(os.path.join(FOLDER, "s"))


def status():
    done = subprocess.run([MAYFLY, "ctl", "--control", f"unix:{FOLDER}/c", "--json", "status"], stdout=subprocess.PIPE,
                          check=True, timeout=60)
    return json.loads(done.stdout)


def held(pid):
    """Descriptors and resident KiB of the engine."""
    with open(f"/proc/{pid}/status") as file:
        resident = [int(line.split()[1]) for line in file if line.startswith("VmRSS")][0]
    return len(os.listdir(f"/proc/{pid}/fd")), resident


def ask(client, number):
    client.request("POST", f"/{number % 7}", b"x" * (number % 7 * 50))
    return client.getresponse().read()


def start(image, options):
    server = subprocess.Popen([MAYFLY, "serve", "--listen", f"unix:{FOLDER}/s", "--control", f"unix:{FOLDER}/c", "--workers",
                               "1", "--vms", "1", "--audit", *options, "--", image], stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            client = Client("x")
            client.connect()
            return server, client
        except OSError:
            time.sleep(0.05)
    server.kill()
    fail("the server did not become ready", server.communicate()[1])


def served_warm(name, options, program):
    image = os.path.join(FOLDER, name + ".img")
    subprocess.run([MAYFLY, "image", "build", "-o", image, "--warmup", f"POST:/warm*{WARM_UP}", *options, "--", *program],
                   check=True, timeout=100)
    server, client = start(image, [option for option in options if option.startswith("--allow")])
    try:
        expected = {number: ask(client, number) for number in range(7)}
        for answer in expected.values():
            same(json.loads(answer)["visits"], WARM_UP + 1, f"visits behind {WARM_UP} of the image's")
        for number in range(40):
            ask(client, number)
        held_before, before = held(server.pid), status()
        for number in range(REQUESTS):
            same(ask(client, number), expected[number % 7], f"answer {number}")
        until = time.monotonic() + 60  # the engine closes its end of a command's connection when it hears of the other's
        while (held_after := held(server.pid))[0] > held_before[0] and time.monotonic() < until:
            time.sleep(0.02)
        after = status()
    finally:
        server.terminate()
        server.communicate(timeout=60)
    counts = {key: after[key.split(".")[0]][key.split(".")[1]] - before[key.split(".")[0]][key.split(".")[1]]
              for key in ("resets.audits", "resets.audit_failures", "costs.user_exits", "costs.page_faults")}
    print(f"      {name}: {REQUESTS} requests, {counts}; descriptors {held_before[0]} -> {held_after[0]}, resident "
          f"{held_before[1]} -> {held_after[1]} KiB")
    same((counts["resets.audits"], counts["resets.audit_failures"]), (REQUESTS, 0), "audits")
    # One each; one more whenever the machine is so busy that a request outlives its worker's slice.
    check(REQUESTS <= counts["costs.user_exits"] < REQUESTS * 5 // 4, "more than an exit a request", counts)
    check(counts["costs.page_faults"] <= REQUESTS, "more than a fault a request", counts)
    check(held_after[0] <= held_before[0], "descriptors of the engine", held_before, held_after)
    check(held_after[1] < held_before[1] + 2048, "memory grew", held_before, held_after)


@claim
def a_warmed_python_is_the_same_for_every_request():
    served_warm("python", ["--allow-read", "--env", "PYTHONDONTWRITEBYTECODE=1"],
                ["/usr/bin/python3", os.path.join(ROOT, "examples/python/visits.py")])


@claim
def a_warmed_node_is_the_same_for_every_request():
    addon = os.path.join(FOLDER, "mayfly.node")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-I", os.path.join(ROOT, "include"),
                    os.path.join(ROOT, "examples/node/mayfly.c"), "-o", addon], check=True)
    served_warm("node", ["--allow-read", "--memory", "1G"],
                ["/usr/bin/node", os.path.join(ROOT, "examples/node/visits.js"), addon])


try:
    main()
finally:
    shutil.rmtree(FOLDER, ignore_errors=True)
