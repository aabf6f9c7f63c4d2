#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Hundreds of hostile clients of a tenant: honest ones of its own, and its neighbours', see nothing of them."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pool"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from tenants import GUEST, PLAIN, Daemon, tenant  # noqa: E402
from hostile import REFUSED, Door, hostile_crowd_is_noticed_by_nobody  # noqa: E402
from claims import claim, main, same  # noqa: E402

ELSEWHERE = (404, 421)  # what the router, and an engine that it passed it to, say of a host that they do not find


def meets_a_hostile_crowd(program):
    more = {"deadline": "100s", "queue": 10000, "vms": 4}
    with Daemon(tenant("one", program, host="a", **more), tenant("calm", GUEST, host="calm", **more),
                tenant("plain", PLAIN, host="plain", **more)) as daemon:
        def dial():
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(daemon.path)
            return sock
        honest = [(lambda: daemon.client(seconds=100), host) for host in ("a", "calm", "plain")]
        hostile_crowd_is_noticed_by_nobody(Door(dial, REFUSED + ELSEWHERE), honest)
        same({name: row["restarts"] for name, row in daemon.list().items()}, {"one": 0, "calm": 0, "plain": 0}, "restarts")
        same(daemon.events("died"), [], "deaths")


@claim
def a_tenants_hostile_clients_are_noticed_by_nobody_else():
    meets_a_hostile_crowd(GUEST)


@claim
def nor_those_of_a_program_that_knows_nothing_of_mayfly():
    meets_a_hostile_crowd(PLAIN)


if __name__ == "__main__":
    main()
