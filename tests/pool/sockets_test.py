#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sockets of a served program: those of its image are each fork's own; those of a request are gone with it."""
import os
import tempfile
import time

from serving import BUILD, SLOWER, SOON, Server, wait_until
from claims import check, claim, main, matches, same

GUEST = os.environ.get("MAYFLY_SOCKETS", os.path.join(BUILD, "tests/pool/socket-guest"))
NET = "--allow-net=127.0.0.1"


def serving(*options, **more):
    return Server(NET, *options, guest=GUEST, **more)


@claim(emulated=True)
def a_pair_of_the_image_is_empty_in_each_request():
    with serving(vms=2) as server:
        for _ in range(3):
            for answer in server.ask_all(["/pairs"] * 4):
                same(answer.body, b"-1 -1 1 ", "found in the stream, in the packets, by epoll")


@claim(emulated=True)
def a_pair_that_a_request_closes_is_whole_in_the_next():
    with serving(vms=1) as server:
        for _ in range(3):
            same(server.ask("/close").body, b"0 0 0 ", "its end")
            same(server.ask("/halve").body, b"0 0 0 ", "its end, of one direction")
            same(server.ask("/pairs").body, b"-1 -1 1 ", "whole again")


@claim(emulated=True)
def each_fork_has_the_listening_socket_of_its_image():
    with serving(vms=4) as server:
        for answer in server.ask_all(["/connect"] * 8):
            matches(r"^8 1 1 $", answer.body, "bytes, accepted")


@claim
def what_a_request_does_to_a_listening_socket_is_gone_with_it():
    with serving(vms=2) as server:
        for _ in range(3):
            same(server.ask("/spoil").body, b"3 0 2 ", "what was done to it")
            same(server.ask("/connect").body, b"8 1 1 ", "it listens")


@claim(emulated=True)
def sockets_of_a_request_are_closed_with_it():
    with serving(vms=1) as server:
        first = server.ask("/leak").body
        server.ask("/pairs")
        descriptors = server.footprint()[1]
        for _ in range(20):
            same(server.ask("/leak").body, first, "descriptor numbers")
            server.ask("/pairs")
        wait_until(lambda: server.footprint()[1] <= descriptors, f"more than {descriptors} descriptors stay open")


@claim(emulated=True)
def the_engines_own_sockets_are_out_of_reach():
    with tempfile.TemporaryDirectory(prefix="mayfly-own-") as root:
        os.chmod(root, 0o755)
        control = f"{root}/control"
        with serving("--control", f"unix:{control}", f"--allow-read={root}", f"--allow-write={root}", "--allow-net=unix:*",
                     vms=1) as server:
            answer = server.ask("/reach", control.encode())
            same(answer.body, b"-1 13 0 ", "connecting to the control socket (13: EACCES)")


@claim(emulated=True)
def a_deadline_ends_a_wait_for_a_socket():
    with serving("--deadline", f"{1000 * SLOWER}ms", vms=1) as server:
        began = time.monotonic()
        same(server.ask("/wait").status, 504, "status")
        check(time.monotonic() - began < SOON, "it took too long")
        same(server.ask("/pairs").body, b"-1 -1 1 ", "afterwards")


@claim(emulated=True)
def what_no_fork_can_have_is_refused_with_its_number():
    for what, number, why in (("full", 3, "something in it"), ("half", 4, "pair is closed"),
                              ("sent", 5, "something in it"), ("talks", 9, "that is connected")):
        with serving(vms=1, wait=False, args=(what,)) as server:
            check(server.wait() not in (0, None), f"{what}: it serves", server.log())
            matches(rf"socket.*descriptor {number}\b", server.log(), what)
            matches(why, server.log(), what)


@claim
def sockets_that_were_only_made_are_each_forks_own():
    with serving(vms=2, args=("fresh",)) as server:
        for _ in range(3):
            same(server.ask("/fresh").body, b"9 -1 -1 ", "what worked; what would change the socket of all")


@claim
def shared_memory_that_nothing_names_any_more_is_each_forks_own():
    with serving("--audit", vms=2, args=("fresh",)) as server:
        for _ in range(3):
            same(server.ask("/shared").body, b"42 0 -1 ", "a number and a semaphore in shared memory")


@claim
def a_connection_within_the_vm_is_each_forks_own():
    with serving(vms=2, args=("connected",)) as server:
        for _ in range(3):
            same(server.ask("/spoil").body, b"3 0 2 ", "the listening socket, with who waits there")
            same(server.ask("/first").body, b"5 1 0 ", "who waits in the image, and what he says")


main()
