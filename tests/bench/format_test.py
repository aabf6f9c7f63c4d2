#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the benchmarks write is what docs/formats/bench.md says, whatever they measured."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "house"))
sys.path.insert(0, HERE)
from claims import check, claim, main, same  # noqa: E402
from results import read  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("MAYFLY_BUILD", os.path.join(ROOT, "build"))


@claim
def results_of_the_benchmarks_are_as_their_format_says():
    with tempfile.NamedTemporaryFile() as file:
        for name, cases in (("exit", {"exit/log", "exit/request"}),
                            ("reset/0/16M", {"reset/0/16M", "reset/0/16M/over-memcpy+15us"})):
            done = subprocess.run(["bash", f"{ROOT}/bench/run", BUILD, name, "--quick", "--json", file.name],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)
            same(done.returncode, 0, "bench/run", done.stdout, done.stderr)
            head, found, end = read(file.name)
            same(set(found), cases, "cases")
            same(end, "complete", "end")
            check(head["machine"]["scaled_down"] and name in head["command"], "the head", head)
        same(found["reset/0/16M"]["yardstick"]["name"], "memcpy", "yardstick")
        check(1 <= found["reset/0/16M"]["counts"]["user_exits"] < 1.5, "user exits", found["reset/0/16M"]["counts"])
        check(found["reset/0/16M"]["warmup"] > 0, "rounds were warm-up", found["reset/0/16M"]["warmup"])


main()
