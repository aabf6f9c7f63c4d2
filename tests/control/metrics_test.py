#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The metrics of `mayfly serve`: what the engine counts itself, in Prometheus' text format, exactly."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pool"))
sys.dont_write_bytecode = True
from serving import Client, Server, wait_until  # noqa: E402
from exposition import Exposition  # noqa: E402
from claims import Failure, check, claim, fail, main, same  # noqa: E402

PARTS = ("queue", "turn", "run", "store", "calls", "client")


def metrics(server):
    """When all workers told theirs in time: on a busy machine one may not, at once."""
    def take():
        client = Client(server.health, 30)
        answer = client.ask("/metrics")
        client.close()
        same(answer.status, 200, "/metrics")
        same(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", "its type")
        now = Exposition(answer.body.decode())
        return now.get("mayfly_workers_answering") == now.get("mayfly_workers") and now
    return wait_until(take, "all workers to answer", 60)


def spent(now, part):
    return now.get("mayfly_request_time_seconds_total", part=part)


@claim
def the_reader_of_this_test_is_strict():
    good = "# HELP mayfly_a_total A.\n# TYPE mayfly_a_total counter\nmayfly_a_total{tenant=\"x\"} 1\n"
    same(Exposition(good).get("mayfly_a_total", tenant="x"), 1, "what is good")
    for old, new in (('="x"', '="x'), ('="x"', '="\\q"'), (" 1\n", " 1"), (" 1\n", " -\n"), (" 1\n", " 1\nmayfly_b 2\n"), ("counter", "gauge"),
                     ("# HELP mayfly_a_total A.\n", ""), (" 1\n", ' 1\nmayfly_a_total{tenant="x"} 1\n'), ("counter", "count"),
                     ('{tenant="x"}', '{tenant="x",tenant="x"}'), ("mayfly_a_total{", "mayfly-a_total{"), (" 1\n", " 1\r\n")):
        check(old in good, "the case is one", old)
        try:
            Exposition(good.replace(old, new))
        except (Failure, KeyError, IndexError):
            continue
        fail("it takes what is none", new)


@claim
def each_request_is_counted_once_by_its_outcome_and_in_each_histogram():
    with Server("--workers", "2", "--deadline", "60s", vms=4) as server:
        before = metrics(server)
        same([before.get("mayfly_requests_total", outcome=o) for o in ("ok", "crash")], [0, 0], "at first")
        for _ in range(20):
            same(server.ask("/count").status, 200, "an answer")
        same(server.ask("/crash").status, 502, "a crash")
        wait_until(lambda: metrics(server).get("mayfly_resets_total") == 21, "all to be reset")
        now = metrics(server)
        same(now.get("mayfly_requests_total", outcome="ok"), 20, "answered")
        same(now.get("mayfly_requests_total", outcome="crash"), 1, "crashed")
        for name in ("request", "queue", "run", "reset"):
            same(now.get(f"mayfly_{name}_duration_seconds_count"), 21, name)
        same(now.get("mayfly_store_duration_seconds_count"), 0, "there is no store")
        # what the step is of takes no less than the step; the sum of one is what the parts of all say
        check(now.get("mayfly_request_duration_seconds_sum") >= now.get("mayfly_run_duration_seconds_sum"), "run is a part of a request")
        check(sum(spent(now, part) for part in PARTS) > 0, "no time was spent")
        same(now.get("mayfly_user_exits_total") >= 21, True, "user exits")
        same(now.get("mayfly_vms", state="busy"), 0, "busy now")
        same(now.get("mayfly_workers_answering"), 2, "workers")


@claim
def a_request_that_waits_is_seen_while_it_waits():
    """One VM, which sleeps: what it does is a call, what the next does is the queue; both before either has ended."""
    with Server("--workers", "1", "--queue", "8", "--deadline", "600s", vms=1) as server:
        socks = [server.send_only("/sleep") for _ in range(2)]
        wait_until(lambda: metrics(server).get("mayfly_queue_length") == 1, "one to sleep and one to wait")
        first = metrics(server)
        wait_until(lambda: all(spent(metrics(server), part) > spent(first, part) for part in ("queue", "calls")), "both to be counted")
        now = metrics(server)
        same(now.get("mayfly_request_duration_seconds_count"), 0, "none has ended")
        same(now.get("mayfly_vms", state="busy"), 1, "busy")
        for sock in socks:
            sock.close()
        wait_until(lambda: metrics(server).get("mayfly_queue_duration_seconds_count") == 2 and metrics(server).get("mayfly_vms", state="busy") == 0, "both to be over")
        check(all(spent(metrics(server), part) >= spent(now, part) for part in PARTS), "time goes back")


@claim
def only_metrics_are_metrics():
    with Server(vms=1) as server:
        client = Client(server.health, 30)
        same([client.ask(target, method=method).status for target, method in
              (("/metrics", "GET"), ("/metrics?x=y", "GET"), ("/metrics", "HEAD"), ("/metrics/", "GET"), ("/metricsx", "GET"), ("/metrics", "DELETE"))],
             [200, 200, 200, 404, 404, 405], "answers")
        client.close()


if __name__ == "__main__":
    main()
