#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The demo's page and its packages, and that the demo cleans up. What the scenes claim, they check themselves; here
some of them are run."""
import glob
import html.parser
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pool"))
sys.dont_write_bytecode = True
from serving import BUILD, SLOWER, Server  # noqa: E402
from claims import check, claim, main, matches, same  # noqa: E402

DEMO = os.path.join(BUILD, "examples/demo")
STANZA = os.path.join(DEMO, "stanza")
HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


class Demo(Server):
    """The demo's program with a store."""

    def __init__(self, *options, **more):
        self.kept = tempfile.TemporaryDirectory(prefix="mayfly-demo-test-")
        super().__init__("--store", self.kept.name, *options, guest=STANZA, **more)

    def __exit__(self, *why):
        super().__exit__(*why)
        self.kept.cleanup()

    def page(self, target="/"):
        answer = self.ask(target, headers=HTML)
        same(answer.status, 200, "status of the page", answer)
        return answer


class Links(html.parser.HTMLParser):
    """Elements, and wherever they lead."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.targets = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.add(tag)
        self.targets += [value for name, value in attributes if name in ("href", "action", "src", "style", "srcset")]


def visits(answer):
    matches(r"counts them: <b>\d+</b>", answer.body)
    return int(re.search(rb"counts them: <b>(\d+)</b>", answer.body)[1])


@claim(emulated=True)
def the_page_comes_from_a_machine_that_serves_its_first_request():
    with Demo() as server:
        first, second = server.page(), server.page()
        for page in (first, second):
            check(b"served by this machine: <b>1</b>" in page.body, "the machine's own counter", page.body)
        same(visits(second), visits(first) + 1, "visits")
        matches("^text/html", first.headers["Content-Type"])


@claim
def the_page_needs_nothing_from_elsewhere():
    with Demo() as server:
        links = Links(server.page().body.decode())
        same(links.elements & {"script", "link", "img", "iframe", "object"}, set(), "elements")
        same([target for target in links.targets if not re.match(r"/(?!/)", target)], [], "targets elsewhere")
        check({"form", "button"} <= links.elements, "no forms", *links.elements)


@claim
def text_clients_and_servers_without_a_store_get_the_greeting():
    hello = b"Hello! Requests served by this machine: 1\n"
    with Demo() as server:
        check(server.ask("/").body.startswith(hello), "with a store")
    with Server(guest=STANZA) as server:
        same(server.ask("/", headers=HTML).body, hello, "without")
        same(server.ask("/package/a", b"Package: a\n", method="PUT").status, 503, "no store")


@claim(emulated=True)
def a_package_comes_back_as_it_was_sent():
    with Demo() as server:
        for size in (0, 1, 65000, 66000, 900000):
            stanza = b"Package: some\nDescription: x\n " + b"\xe9<&>\"" * (size // 5) + b"\n"
            same(server.ask("/package/some:amd64", stanza, method="PUT").status, 204, f"{size} bytes kept")
            check(server.ask("/package/some:amd64").body == stanza, f"{size} bytes differ")


@claim
def only_the_stanza_of_that_package_is_kept():
    with Demo() as server:
        for body in (b"", b"Package: b\n", b"Package: a\nno colon\n", b"Package: a\n\nPackage: b\n", b"Version: 1\n", b"\0"):
            same(server.ask("/package/a", body, method="PUT").status, 400, show_body(body))
        for name in ("", "a/b", "%61", "a" * 201):
            same(server.ask(f"/package/{name}", b"Package: a\n", method="PUT").status, 400, name)
        same(server.ask("/package/a").status, 404, "nothing was kept")
        same(server.ask("/package/a", method="DELETE").status, 405, "DELETE")


def show_body(body):
    return body.decode(errors="backslashreplace")


@claim
def what_comes_from_outside_is_escaped_on_the_page():
    evil = "<b>\"'&"
    attack = [os.path.join(DEMO, "attack"), STANZA, "plant", "<script>"]
    planted = subprocess.run(attack, stdout=subprocess.PIPE, check=True).stdout
    with Demo("--reset", "never", vms=1) as server:
        same(server.ask(f"/package/{evil}", f"Package: {evil}\n".encode(), method="PUT").status, 204, "kept")
        same(server.ask("/stanza", planted).status, 200, "planted")
        body = server.page("/?after=<i>").body
        for raw in (b"<b>\"", b"<script", b"<i>"):
            check(raw not in body, f"{raw} stands in the page", body)
        for escaped in (b"&#60;b&#62;&#34;&#39;&#38;", b"&#60;script&#62;"):
            check(escaped in body, f"{escaped} does not", body)


@claim(emulated=True)
def every_button_of_the_page_does_what_stands_beside_it():
    with Demo("--deadline", f"{SLOWER}s", "--audit", "--request-memory", "16M") as server:
        rows = re.findall(rb'action="/attack/(\w+)">.*?</td><td>(.*?)</td><td>(.*?)</td>', server.page().body)
        check(len(rows) >= 9, "too few buttons", rows)
        for name, does, then in rows:
            answer = server.ask(f"/attack/{name.decode()}", method="POST")
            if answer.status == 303:
                check(b"back here" in then, f"{name} came back", then)
                body = server.page(answer.headers["Location"]).body
                check(b"You come from <b>" + name in body and does in body, f"no word about {name}", body)
            else:
                check(str(answer.status).encode() in then, f"{name}: {answer}", then)
        same(server.ask("/attack/nothing", method="POST").status, 404, "an unknown one")
        same(server.ask("/attack/crash").status, 404, "a GET")
        server.stop()
        matches(r"audits, 0 unclean", server.log())


def tour(*args, folder):
    return subprocess.Popen([os.path.join(DEMO, "tour"), BUILD, "--no-wait", *args], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": folder})


@claim
def the_scenes_with_a_store_hold_and_leave_no_file():
    with tempfile.TemporaryDirectory(prefix="mayfly-demo-test-") as folder:
        process = tour("5", "7", "8", "9", folder=folder)
        out = process.communicate(timeout=90 * SLOWER)[0]
        same(process.returncode, 0, "status", out)
        matches("4 scenes, 0 failed", out)
        same(os.listdir(folder), [], "left")


def processes_with(word):
    """Command lines that have it."""
    lines = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                lines.append(file.read().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass
    return [line for line in lines if word in line]


@claim
def an_interrupted_demo_leaves_no_file_and_no_process():
    with tempfile.TemporaryDirectory(prefix="mayfly-demo-test-") as folder:
        process = tour("7", folder=folder)
        until = time.monotonic() + 60 * SLOWER
        while not glob.glob(f"{folder}/*/data.mdb"):
            check(process.poll() is None and time.monotonic() < until, "no store was made")
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30 * SLOWER)
        same(process.returncode, 130, "status")
        same(os.listdir(folder), [], "left")
        same(processes_with(folder), [], "processes")


main()
