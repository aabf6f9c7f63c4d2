#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What guests print while they are served: tagged, harmless for a terminal, bounded, and never in the engine's way."""
import fcntl
import os
import re
import subprocess
import time

from serving import Server, wait_until
from claims import check, claim, main, matches, same


def printed(server):
    """Lines of guests, without the engine's own."""
    return [line for line in server.log().split(b"\n") if line.startswith(b"[vm ")]


@claim
def lines_are_tagged_with_the_vm():
    with Server(vms=2) as server:
        server.ask("/print?4")
        wait_until(lambda: len(printed(server)) >= 4, "four lines")
        for i, line in enumerate(printed(server)):
            matches(rf"^\[vm [01]\] line {i} of the guest$", line)


@claim
def a_line_without_its_end_is_printed_at_the_end_of_the_request():
    with Server("--workers", "1", vms=1) as server:
        server.ask("/print-body", b"no end")
        server.ask("/print-body", b"of line")
        wait_until(lambda: len(printed(server)) == 2, "two lines")
        same(printed(server), [b"[vm 0] no end", b"[vm 0] of line"], "the lines")


@claim
def escapes_and_forged_tags_do_not_get_through():
    nasty = b"\x1b[2Jclear \x1b]0;title\x07 \x9b31m \x00\x08\x0b\x0c\x7f\r[vm 9] forged\xc2\x9b1m"
    for way in ("/print-body", "/print-body?1"):
        with Server("--workers", "1", vms=1) as server:
            same(server.ask(way, nasty.replace(b"\x00", b"") if way.endswith("1") else nasty).status, 200, "the request")
            wait_until(lambda: printed(server), "the line")
            log = server.log()
            bad = sorted(set(log) & (set(range(32)) - {10}) | set(log) & {0x7f})
            same(bad, [], f"{way}: control characters in the log", log)
            text = log.decode()  # well-formed UTF-8
            check(not any(0x80 <= ord(c) < 0xa0 for c in text), "C1 controls", log)
            same(sum(line.startswith(b"[vm 9]") for line in log.split(b"\n")), 0, "forged lines")


@claim
def what_is_no_character_becomes_dots():
    for broken, shown in ((b"a\xffb", "a.b"), (b"\xc0\x80", ".."), (b"\xe0\x80\x80", "..."), (b"\xed\xa0\x80", "..."),
                          (b"\xf4\x90\x80\x80", "...."), (b"\xf8\x88\x80\x80\x80", "....."), (b"\xe2\x82", ".."),
                          (b"\xc2\x9b", ".."), (b"\xc2\xa0|\xed\x9f\xbf|\xf4\x8f\xbf\xbf", "\u00a0|\ud7ff|\U0010ffff")):
        with Server(vms=1) as server:
            server.ask("/print-body", broken)
            wait_until(lambda: printed(server), "the line")
            same(printed(server)[0].split(b"] ", 1)[1], shown.encode(), str(broken))


@claim
def text_in_other_languages_gets_through():
    text = "Äpfel, Größe, Ā, Привет, 世界, €, 🦋"
    with Server(vms=1) as server:
        server.ask("/print-body", text.encode())
        wait_until(lambda: printed(server), "the line")
        same(printed(server)[0].split(b"] ", 1)[1].decode(errors="replace"), text, "the line")


@claim
def long_lines_are_cut_and_empty_ones_kept():
    with Server("--workers", "1", vms=1) as server:
        server.ask("/print-body", b"x" * 5000 + b"\n\nend\n")
        wait_until(lambda: any(line.endswith(b" end") for line in printed(server)), "the end")
        lines = printed(server)
        same(sum(line.count(b"x") for line in lines), 5000, "bytes of the long line")
        check(all(len(line) < 600 for line in lines), "a line is too long")


@claim
def output_is_limited_in_rate_and_what_is_dropped_is_told():
    with Server("--workers", "1", vms=1) as server:
        server.ask("/print?5000")
        time.sleep(1.1)
        server.ask("/print?1")

        def dropped():
            return sum(int(n) for n in re.findall(rb"(\d+) lines of guest output were dropped", server.log()))
        wait_until(lambda: dropped() + len(printed(server)) >= 5001, "all lines to be printed, or told to be dropped")
        check(150 < len(printed(server)) < 4500, f"{len(printed(server))} lines were printed")
        same(dropped() + len(printed(server)), 5001, "printed and dropped lines together")


@claim
def a_log_that_nobody_reads_stops_nothing():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
    with Server("--deadline", "2s", vms=2, stderr=writer) as server:
        os.close(writer)
        for _ in range(5):
            same(server.ask("/print?100").status, 200, "a request that prints")
        same(server.ask("/crash").status, 502, "a request that crashes")
        same(server.stop(), 0, "exit status")
    os.close(reader)


@claim
def a_log_whose_reader_is_gone_stops_nothing():
    reader, writer = os.pipe()
    with Server(vms=2, stderr=writer) as server:
        os.close(writer)
        os.close(reader)
        same(server.ask("/print?100").status, 200, "a request that prints")
        same(server.stop(), 0, "exit status")


@claim
def quiet_says_nothing_of_its_own():
    with Server("--quiet", vms=1) as server:
        server.ask("/count")
        same(server.stop(), 0, "exit status")
        same([line for line in server.log().split(b"\n") if line and b"booting" not in line], [], "the log")


main()
