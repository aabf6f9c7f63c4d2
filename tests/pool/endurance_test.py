#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Many honest and hostile requests mixed: the server neither grows nor loses VMs, and every reset passes the audit."""
import random
import re
import threading
import time

from serving import EMULATED, LONG, Server, wait_until
from claims import check, claim, fail, main, matches, same

REQUESTS = 100000 if LONG else 60 if EMULATED else 1000
CLIENTS = 2 if EMULATED else 8
DEADLINE = 10 if EMULATED else 2  # seconds
HONEST = [("/count", 200, b"1"), ("/recall", 200, b"nothing"), ("/sleep?3", 200, b"slept"), ("/busy?1", 200, b"worked"),
          ("/touch?50", 200, b"touched"), ("/large?50000", 200, b"b" * 50000), ("/after?5", 200, b"done")]
HOSTILE = [("/crash?0", 502), ("/crash?1", 502), ("/crash?2", 502), ("/crash?3", 502), ("/crash?4", 502), ("/crash?5", 502),
           ("/crash?6", 502), ("/crash?7", 502), ("/exit?0", 502), ("/none", 502), ("/touch?2000", 502),
           ("/crash-after?0", 200), ("/print?20", 200)]
RARE = [("/sleep", 504), ("/busy", 504), ("/eat", 502), ("/after", 200)]


class Crowd:
    """Clients that ask until so many requests are done; notes what was not as it should be."""

    def __init__(self, server, requests, seed):
        self.server, self.left, self.wrong, self.late, self.lock = server, requests, [], 0, threading.Lock()
        threads = [threading.Thread(target=self.client, args=(random.Random(f"{seed} {i}"),)) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def take(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def one(self, client, dice):
        kind = dice.random()
        if kind < 0.02:
            sock = self.server.send_only(dice.choice(("/sleep", "/busy", "/count", "/after?50")))
            time.sleep(dice.random() * 0.02)
            sock.close()
            return
        if kind < 0.024:
            target, status = dice.choice(RARE)
            body = None
        elif kind < 0.4:
            target, status = dice.choice(HOSTILE)
            body = None
        else:
            target, status, body = dice.choice(HONEST)
        began = time.monotonic()
        answer = client.ask(target)
        if target == "/eat" and answer.body == b"ENOMEM":
            return
        if answer.status == 504 and time.monotonic() - began >= DEADLINE:
            self.late += status != 504  # on a machine so busy that it was late
            return
        if answer.status != status or body is not None and answer.body != body:
            self.wrong.append(f"{target}: {answer}")

    def client(self, dice):
        client = self.server.client(60)
        while self.take():
            try:
                self.one(client, dice)
            except Exception as error:
                self.wrong.append(repr(error))
                client.close()
                client = self.server.client(60)
            if dice.random() < 0.1:
                client.close()
        client.close()


@claim(emulated=True)
def a_mixed_crowd_leaves_the_server_as_it_was():
    with Server("--audit", "--deadline", f"{DEADLINE}s", "--request-memory", "4M", "--memory", "48M", "--queue", "200", vms=8) as server:
        Crowd(server, max(REQUESTS // 4, 20), "warm")
        time.sleep(1.5)  # the kernel's threads of VMs that were given up end a little later
        before = server.footprint()
        crowd = Crowd(server, REQUESTS, "real")
        after = server.calm(before)
        if crowd.wrong:
            fail(f"{len(crowd.wrong)} of {REQUESTS} requests were not answered as they should", *crowd.wrong[:10])
        print(f"      {REQUESTS} requests, {crowd.late} late: (KiB, descriptors, threads) {before} -> {after}")
        check(after[0] < before[0] * 1.1 + 4096, f"memory grew: {before[0]} -> {after[0]} KiB")
        for answer in server.ask_all(["/count"] * 32):
            check(not isinstance(answer, Exception) and answer.body == b"1", f"afterwards: {answer}")
        same(server.stop(), 0, "exit status")
        matches(r"audits, 0 unclean", server.log())
        audits = int(re.search(rb"(\d+) audits", server.log())[1])
        check(audits >= REQUESTS * 0.9, f"only {audits} audits")


main()
