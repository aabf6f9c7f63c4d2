#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly bench host as its user meets it, in its short form: what it prints, keeps and draws; exact counts; ^C. No time is judged."""
import os
import signal
import subprocess
import sys
from html.parser import HTMLParser

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cli"))
sys.path.insert(0, HERE)
from mayfly import FAILED, MAYFLY, SLOWER, command, expect, folder  # noqa: E402
from claims import EMULATED, check, claim, main, matches, same  # noqa: E402
from results import read  # noqa: E402

ALWAYS = {"host/exit", "host/call/stub", "host/call/jump", "host/fault", "host/fork", "host/reset/100", "host/ring/hand-off",
          "host/ring/wake", "host/memcpy", "host/fdatasync"}
TWO_CPUS = {"host/ring/poll", "host/wake"}
VOID = {"meta", "br", "path"}


class Page(HTMLParser):
    """Every element is closed, none fetches anything."""

    def __init__(self):
        super().__init__()
        self.open, self.plots, self.text = [], 0, ""

    def handle_starttag(self, tag, attributes):
        check(tag not in ("script", "link", "img", "iframe", "object"), f"<{tag}>")
        for name, value in attributes:
            check(name not in ("src", "href", "srcset", "style") and "url(" not in (value or ""), f"{tag} {name}={value}")
        self.plots += tag == "svg"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        same(self.open.pop() if self.open else None, tag, "what ends")

    def handle_data(self, data):
        self.text += data


@claim(emulated=True)
def a_machine_is_characterised_in_text_json_and_html():
    with folder() as root:
        done = command([MAYFLY, "bench", "host", "--quick", "--json", f"{root}/j", "--html", f"{root}/h"], seconds=100,
                       env={**os.environ, "TMPDIR": root})
        expect(done, 0, "bench host --quick")
        same(set(os.listdir(root)), {"j", "h"}, "what is left in TMPDIR")
        head, cases, end = read(f"{root}/j")
        text = done.out.decode()
        print(text)
        wanted = ALWAYS | (TWO_CPUS if len(os.sched_getaffinity(0)) > 1 else set())
        same(set(cases), wanted, "cases", done)
        same((end, head["machine"]["scaled_down"], head["machine"]["emulated"]), ("complete", True, bool(EMULATED)), "the head")
        same("emulated: counts are exact, times mean nothing" in text, bool(EMULATED), "the header")
        for name in cases:
            matches(rf"(?m)^{name} +ns ", text)
        for name in ("host/exit", "host/call/stub", "host/call/jump", "host/reset/100"):
            # One each; a kick that was meant for the round before would be one more, once.
            check(1 <= cases[name]["counts"]["user_exits"] < 1.1, f"user exits of {name}", cases[name]["counts"])
        check(cases["host/fault"]["counts"]["page_faults"] >= 1, "a page is a fault", cases["host/fault"]["counts"])
        check(cases["host/reset/100"]["counts"]["pages_copied"] >= 100, "pages", cases["host/reset/100"]["counts"])
        for name in ALWAYS - {"host/ring/hand-off", "host/ring/wake"}:
            check(cases[name]["warmup"] > 0 and cases[name]["yardstick"]["n"] == cases[name]["n"], f"pairs of {name}")
        compared = command([MAYFLY, "bench", "compare", f"{root}/j", f"{root}/j"])
        matches(r"0 better, 0 worse", expect(compared, 0, "with itself").out.decode())
        page = Page()
        with open(f"{root}/h") as file:
            page.feed(file.read())
        page.close()
        same((page.open, page.plots), ([], len(cases)), "elements, and a plot for each case")
        check(all(name in page.text for name in cases), "cases on the page")


def interrupted(*options):
    """bench host, ^C once its first case is told: status, output, errors."""
    process = subprocess.Popen([MAYFLY, "bench", "host", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL)
    text = b""
    while b"host/exit" not in text:
        line = process.stdout.readline()
        check(line, "it ended by itself", text, process.poll())
        text += line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60 * SLOWER)
    return process.returncode, text + out, err


@claim
def an_interrupt_prints_what_there_is():
    with folder() as root:
        status, out, err = interrupted("--json", f"{root}/j", "--html", f"{root}/h")
        same(status, 130, "status", out, err)
        check(b"interrupted" in out, "it says so", out)
        head, cases, end = read(f"{root}/j")
        check("host/exit" in cases and end == "interrupted", "what there was", list(cases), end)
        with open(f"{root}/h") as file:
            check("interrupted" in file.read(), "the page says so")


@claim
def what_cannot_be_done_is_said():
    for args, pattern in ((["--json", "/nowhere/file"], "/nowhere/file cannot be written"), (["more"], "more is too much"),
                          (["--jsn"], "--jsn")):
        done = expect(command([MAYFLY, "bench", "host", *args]), FAILED, args)
        matches(pattern, done.err.decode(), args)
    status, out, err = interrupted("--json", "/dev/full")
    same(status, FAILED, "a full disk", out, err)
    matches("/dev/full could not be written to its end", err.decode())


main()
