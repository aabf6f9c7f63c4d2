# SPDX-License-Identifier: MIT
"""A strict reader of docs/formats/bench.md, by its words alone: for tests of what writes such files."""
import json
import math

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}
TEXTS = ["cpu", "architecture", "kernel", "kvm", "virtualisation", "governor", "clock"]


class Wrong(Exception):
    pass


def want(good, what):
    if not good:
        raise Wrong(what)


def pairs_to_object(pairs):
    want(len(dict(pairs)) == len(pairs), f"a member twice: {pairs}")
    return dict(pairs)


def parse(line):
    def constant(text):
        raise Wrong(f"{text} is no JSON")
    want(line.isascii() and len(line) < 1 << 20, "a line is not ASCII, or too long")
    return json.loads(line, object_pairs_hook=pairs_to_object, parse_constant=constant)


def number(value, least=0):
    want(type(value) in (int, float) and math.isfinite(value) and value >= least, f"{value!r} is no such number")
    return value


def whole(value, least=0):
    want(type(value) is int and value >= least, f"{value!r} is no such integer")
    return value


def check_samples(samples, n, figures):
    want(list(samples) == ["digits", "blocks"], samples.keys())
    digits, blocks = whole(samples["digits"], 1), samples["blocks"]
    want(digits <= 4 and len(blocks) == (10 if n >= 100 else 1), f"{digits} digits, {len(blocks)} blocks")
    want(sum(map(len, blocks)) <= 4096 or digits == 1, "too many pairs")
    sizes = [sum(whole(count, 1) for _, count in block) for block in blocks]
    want(sum(sizes) == n and max(sizes) - min(sizes) <= 1, f"blocks of {sizes} for {n}")
    for block in blocks:
        values = [number(value) for value, _ in block]
        want(values == sorted(set(values)), "a block does not ascend")
        for value in values:
            want(float(f"%.{digits - 1}e" % value) == value, f"{value} has more than {digits} digits")
    everything = sorted(pair for block in blocks for pair in block)
    for name, fraction in PERCENTILES.items():
        rank, seen = min(int(fraction * n), n - 1), 0
        for value, count in everything:
            seen += count
            if seen > rank:
                break
        # Rounded more than once: a unit of the last digit; and what three decimals round.
        want(abs(value - figures[name]) <= 10 ** (1 - digits) * value + 0.001, f"{name}: {figures[name]}, samples {value}")


def check_figures(record):
    n = whole(record["n"], 1)
    told = [number(record[name]) for name in (*PERCENTILES, "max")]
    want(told == sorted(told), f"percentiles {told}")
    few = [name for name, fraction in PERCENTILES.items() if n * (1 - fraction) < 10 - 1e-6]
    want(record["few"] == few, f"few: {record['few']}, {few}")
    check_samples(record["samples"], n, record)


FIGURES = ["n", *PERCENTILES, "max", "few", "samples"]


def check_case(record):
    names = ["case", "unit", "cpu", "warmup", *FIGURES, "yardstick", "counts"]
    if "yardstick" not in record:
        names.remove("yardstick")
    want(list(record) == names, f"members {list(record)}")
    want(0 < len(record["case"]) < 128 and record["unit"] in ("ns", "bytes", "ratio"), record["case"])
    whole(record["cpu"], -1), whole(record["warmup"])
    check_figures(record)
    if "yardstick" in record:
        want(list(record["yardstick"]) == ["name", *FIGURES] and type(record["yardstick"]["name"]) is str, "yardstick")
        check_figures(record["yardstick"])
    for value in record["counts"].values():
        number(value, -math.inf)


def check_head(head):
    want(list(head) == ["format", "version", "made", "revision", "command", "machine"], f"members {list(head)}")
    want(head["format"] == "mayfly-bench" and head["version"] == 1, "another format")
    machine = head["machine"]
    want(list(machine) == [*TEXTS, "cpus", "memory_gib", "load", "emulated", "scaled_down"], f"members {list(machine)}")
    for name in TEXTS:
        want(type(machine[name]) is str and machine[name], name)
    whole(machine["cpus"], 1), number(machine["memory_gib"]), number(machine["load"], -1)
    want(type(machine["emulated"]) is bool and type(machine["scaled_down"]) is bool, "booleans")


def read(path):
    """(head, {name: case}, end) of a file that is as the format says, or Wrong."""
    with open(path, newline="") as file:
        text = file.read()
    want(text.endswith("\n") and "\r" not in text, "no line feed at the end")
    head, *records, end = map(parse, text[:-1].split("\n"))
    check_head(head)
    want(list(end) == ["end"] and end["end"] in ("complete", "interrupted"), end)
    for record in records:
        check_case(record)
    cases = {record["case"]: record for record in records}
    want(len(cases) == len(records), "a case twice")
    return head, cases, end["end"]
