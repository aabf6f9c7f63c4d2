#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What mayflyd shows over HTTP: metrics of all tenants in one page, a page for people in a real browser, and what that draws."""
import html
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from tenants import CACHE, SLOWER, Daemon, Load, tenant, wait_until  # noqa: E402
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "control"))
from exposition import Exposition  # noqa: E402
from claims import check, claim, main, matches, same  # noqa: E402
import json  # noqa: E402

PARTS = ("queue", "turn", "run", "store", "calls", "client")
BROWSER = "/usr/bin/chromium"  # of the package; without it the test fails


class Shown(Daemon):
    """A mayflyd that shows itself on a port of its own."""

    def __init__(self, *tenants, **more):
        super().__init__(*tenants, top='metrics = "127.0.0.1:0"\n', **more)
        wait_until(lambda: self.events("metrics"), "its address", 20)
        self.port = int(self.events("metrics")[0]["text"].rpartition(":")[2])

    def get(self, target, status=200, method=None):
        client = self.client(self.port)
        answer = client.ask(target, method=method)
        client.close()
        same(answer.status, status, target)
        return answer

    def metrics(self, *names):
        """When these tenants answered in time: on a busy machine one may not, at once."""
        def take():
            now = Exposition(self.get("/metrics").body.decode())
            return all(now.get("mayfly_up", tenant=name) for name in names) and now
        return wait_until(take, f"{names} to answer", 60)


def spent(now, before, name):
    """What the requests of a tenant spent their time on meanwhile, by part."""
    return {part: now.get("mayfly_request_time_seconds_total", tenant=name, part=part) -
            before.get("mayfly_request_time_seconds_total", tenant=name, part=part) for part in PARTS}


def mean(now, before, name):
    """Seconds of a request, of those that ended meanwhile; None: none did."""
    total, count = (now.get(f"mayfly_request_duration_seconds_{what}", tenant=name) - before.get(f"mayfly_request_duration_seconds_{what}", tenant=name)
                    for what in ("sum", "count"))
    return total / count if count else None


@claim
def metrics_of_three_tenants_under_load_name_the_slow_one_and_why():
    with Shown(tenant("one", host=["one"]), tenant("two", host=["two"], vms=4, deadline="60s"), tenant("few", host=["few"], vms=1, queue=16, deadline="60s")) as daemon:
        same(daemon.metrics().tenants(), {"one", "two", "few"}, "all in one page")
        with Load(daemon, "one", clients=1):
            for slow, other, target, clients, part in (("two", "few", "/sleep?300", 2, "calls"), ("few", "two", "/sleep?100", 4, "queue")):
                with Load(daemon, slow, target, clients=clients), Load(daemon, other, clients=1):
                    before = daemon.metrics("one", "two", "few")

                    def named():
                        now = daemon.metrics("one", "two", "few")
                        means = {name: mean(now, before, name) for name in ("one", "two", "few")}
                        if None in means.values() or means[slow] < 4 * max(value for name, value in means.items() if name != slow):
                            return False
                        parts = spent(now, before, slow)
                        return parts[part] > sum(parts.values()) / 2
                    wait_until(named, f"{slow} to be slow for its {part}", 60)


@claim
def a_tenant_that_is_stuck_or_dead_is_told_and_holds_up_no_page():
    with Shown(tenant("one", host=["one"]), tenant("two", host=["two"])) as daemon:
        same(daemon.ask("one", "/count").status, 200, "one")
        pid = daemon.list()["two"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: daemon.metrics().get("mayfly_up", tenant="two") == 0, "two to be told as silent")
            now = daemon.metrics("one")
            same((now.get("mayfly_up", tenant="two"), now.get("mayfly_requests_total", tenant="one", outcome="ok")), (0, 1), "both")
        finally:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: daemon.metrics().get("mayfly_up", tenant="two") == 1, "two to be there again")
        same(daemon.metrics().get("mayfly_engine_restarts_total", tenant="two"), 1, "its restarts")


@claim
def what_the_page_draws_is_documented_json_of_a_version():
    with Shown(tenant("one", host=["one"])) as daemon:
        for _ in range(3):
            daemon.ask("one", "/count")
        same(daemon.get("/v1/tenants").headers["Content-Type"], "application/json", "its type")

        def take():
            told = json.loads(daemon.get("/v1/tenants").body)
            return told["tenants"][0]["answered"] and told["tenants"][0]["times"]["reset"]["count"] == 3 and told
        told = wait_until(take, "three resets")
        same((told["version"], len(told["tenants"])), (1, 1), "it")
        one = told["tenants"][0]
        same((one["name"], one["state"], one["answered"], one["restarts"]), ("one", "serving", True, 0), "one")
        same(one["status"]["requests"]["ok"], 3, "its requests")
        same(one["times"]["request"]["count"], 3, "their times")
        same(sum(one["times"]["request"]["buckets"][1::2]), 3, "in buckets")
        same(set(one["why"]), {"what", "behind", "part"}, "why")


@claim
def strangers_questions_are_answered_as_such_and_it_lives_on():
    with Shown(tenant("one", host=["one"])) as daemon:
        for target, status, method in (("/nowhere", 404, None), ("/metrics/", 404, None), ("//", 404, None), ("/metrics", 405, "POST"), ("/metrics?a=b", 200, None),
                                       ("/", 200, "HEAD"), ("/v1/tenants", 200, "HEAD"), ("/" + "a" * 9000, 414, None)):
            daemon.get(target, status, method)
        for _ in range(40):  # who goes before the answer
            client = daemon.client(daemon.port)
            client.request("GET", "/metrics")
            client.close()
        daemon.metrics()
        same(daemon.events("exporter-died"), [], "deaths")


@claim
def the_exporter_is_confined_and_comes_again_when_it_dies():
    with Shown(tenant("one", host=["one"])) as daemon:
        def exporters():
            return [pid for pid in daemon.children() if b"--exporter" in open(f"/proc/{pid}/cmdline", "rb").read()]
        daemon.metrics()
        pid, = exporters()
        with open(f"/proc/{pid}/status") as status:
            text = status.read()
        matches(r"NoNewPrivs:\s+1", text)
        matches(r"Seccomp:\s+2", text)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: exporters() not in ([], [pid]), "another one")
        daemon.metrics()


@claim
def metrics_without_a_control_socket_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        from tenants import MAYFLYD
        with open(f"{folder}/conf", "w") as file:
            file.write('metrics = "127.0.0.1:0";\ntenants = {};\n')
        done = subprocess.run([MAYFLYD, "--config", f"{folder}/conf"], capture_output=True, timeout=60 * SLOWER)
        check(done.returncode != 0 and b"metrics needs control" in done.stderr, "not refused", done.stderr)


def browse(daemon, *more):
    """The page as a browser has it some seconds later, and what it complained of."""
    with tempfile.TemporaryDirectory(prefix="mayfly-browser-") as home:
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={home}",
                               "--no-first-run", "--enable-logging=stderr", "--virtual-time-budget=9000", "--window-size=1200,1000", *more,
                               f"http://127.0.0.1:{daemon.port}/"], capture_output=True, timeout=120 * SLOWER, env={**os.environ, "HOME": home})
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    return done.stdout.decode(), said


def cells(page):
    """Rows of the tenants' table, by their first cell."""
    body = re.search(r'id="tenants".*?<tbody>(.*?)</tbody>', page, re.S)[1]
    rows = [[html.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in re.findall(r"<td.*?</td>", row, re.S)] for row in re.findall(r"<tr.*?</tr>", body, re.S)]
    return {row[0]: row[1:] for row in rows}


@claim
def a_browser_shows_the_tenants_and_nothing_comes_from_elsewhere():
    with Shown(tenant("one", host=["one"]), tenant("two", host=["two"], vms=4, deadline="60s"),
               tenant("kept", CACHE, host=["kept"], store="kept-store")) as daemon:
        answer = daemon.get("/")
        policy = answer.headers["Content-Security-Policy"]
        check("default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy, "its policy", policy)
        check(not re.search(rb"(src|href)\s*=|url\(|@import|https?:", answer.body), "a resource of elsewhere")
        with Load(daemon, "one", clients=1), Load(daemon, "two", "/sleep?50", clients=2):
            def seen():
                page, said = browse(daemon, "--dump-dom")
                same(said, [], "what the browser complains of")
                rows = cells(page)
                if set(rows) != {"one", "two", "kept"} or "3 tenants, all answer" not in page:
                    return False
                return rows["two"][-1].startswith("calls ") and rows["one"][2] not in ("–", "") and float(rows["one"][1].split()[0]) > 0
            wait_until(seen, "the slow one to be named in the page", 120)


if __name__ == "__main__":
    main()
