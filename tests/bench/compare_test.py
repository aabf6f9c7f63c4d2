#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayfly bench compare on files that are made up, so that the answer is known; on runs that may not be compared; and on
files that are not what they say."""
import copy
import json
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cli"))
sys.path.insert(0, HERE)
from mayfly import FAILED, MAYFLY, command, expect, folder  # noqa: E402
from claims import check, claim, main, matches, same  # noqa: E402
from results import PERCENTILES, read  # noqa: E402

SEED = int(os.environ.get("SEED", "7"))
WORSE = 1
MACHINE = {"cpu": "A CPU", "architecture": "x86_64", "kernel": "6.1", "kvm": "hardware", "virtualisation": "none",
           "governor": "performance", "clock": "tsc", "cpus": 4, "memory_gib": 16.0, "load": 0.1, "emulated": False,
           "scaled_down": False}
HEAD = {"format": "mayfly-bench", "version": 1, "made": "2026-01-01T00:00:00Z", "revision": "abc", "command": "made up",
        "machine": MACHINE}
END = {"end": "complete"}


def figures(values):
    ordered, n = sorted(values), len(values)
    blocks = 10 if n >= 100 else 1
    told = {name: ordered[min(int(fraction * n), n - 1)] for name, fraction in PERCENTILES.items()}
    parts = [values[n * i // blocks:n * (i + 1) // blocks] for i in range(blocks)]
    return {"n": n, **told, "max": ordered[-1],
            "few": [name for name, fraction in PERCENTILES.items() if n * (1 - fraction) < 10 - 1e-6],
            "samples": {"digits": 4, "blocks": [[[value, part.count(value)] for value in sorted(set(part))]
                                                for part in parts]}}


def case(name, values, unit="ns", **counts):
    return {"case": name, "unit": unit, "cpu": 1, "warmup": 10, **figures(values), "counts": counts}


def spread(middle, count=2000, seed=SEED):
    """Whole numbers of at most four digits around one."""
    source = random.Random(seed)
    return [round(source.gauss(middle, middle * 0.05)) for _ in range(count)]


def write(path, lines):
    with open(path, "w") as file:
        file.write(lines if isinstance(lines, str) else "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    return path


def compare(a, b, *options, status=0):
    with folder() as root:
        done = command([MAYFLY, "bench", "compare", write(f"{root}/a", a), write(f"{root}/b", b), *options])
        return expect(done, status, "bench compare")


def told(a, b, *options, status=0):
    return json.loads(compare([HEAD, *a, END], [HEAD, *b, END], "--json", *options, status=status).out)


def refused(a, b, pattern, what=""):
    done = compare(a, b, status=FAILED)
    same(done.out, b"", f"{what}: output beside a refusal")
    matches(pattern, done.err.decode(), what)


@claim
def made_up_files_are_as_the_format_says():
    with folder() as root:
        read(write(f"{root}/a", [HEAD, case("x", spread(1000)), case("y", [5]), END]))


@claim
def differences_that_are_known_are_told():
    print(f"    seed {SEED}")
    a = [case("slower", spread(1000)), case("faster", spread(1000)), case("same", spread(1000)), case("one", [5.5]),
         case("none", [0] * 200), case("only a", [1])]
    b = [case("slower", spread(1200, seed=SEED + 1)), case("faster", spread(800, seed=SEED + 2)),
         case("same", spread(1000, seed=SEED + 3)), case("one", [6.5]), case("none", [1] * 200), case("only b", [1])]
    report = told(a, b, status=WORSE)
    found = {row["case"]: row for row in report["cases"]}
    same(list(found), ["slower", "faster", "same", "one", "none"], "cases in both")
    same([found[name]["p50"]["verdict"] for name in found], ["worse", "better", "no difference", "open", "open"], "medians")
    same([found[name]["p99"]["verdict"] for name in ("slower", "faster", "one")], ["worse", "better", "open"], "p99")
    for name, least, most in (("slower", 0.18, 0.22), ("faster", -0.22, -0.18)):
        row = found[name]["p50"]
        check(least < row["low"] <= row["change"] <= row["high"] < most, f"the interval of {name}", row)
    check(found["same"]["p50"]["low"] <= 0 <= found["same"]["p50"]["high"] or abs(found["same"]["p50"]["change"]) < 0.01,
          "an interval around nothing", found["same"])
    same((report["only_a"], report["only_b"]), (["only a"], ["only b"]), "cases of one alone")
    check("change" not in found["none"]["p50"], "nothing is no base", found["none"])


@claim
def the_same_seed_gives_the_same_intervals_and_another_gives_others():
    a, b = [case("x", spread(1000))], [case("x", spread(1050, seed=SEED + 1))]
    first, again = (told(a, b, "--seed", "3", status=WORSE) for _ in range(2))
    other = told(a, b, "--seed", "4", status=WORSE)
    same(first, again, "the same seed")
    same(first["seed"], 3, "it is told")
    pick = lambda report: [report["cases"][0][name][end] for name in ("p50", "p99") for end in ("low", "high")]
    check(pick(first) != pick(other), "another seed gives other draws", first, other)
    beside = told([case("before", spread(500)), *a], [case("before", spread(500)), *b], "--seed", "3", status=WORSE)
    same(beside["cases"][1], first["cases"][0], "another case before it changes nothing")


@claim
def a_drift_within_a_run_widens_the_interval():
    steady, drifting = spread(1000), sorted(spread(1000))
    of = lambda values: told([case("x", values)], [case("x", values)])["cases"][0]["p50"]
    width = lambda row: row["high"] - row["low"]
    check(width(of(drifting)) > 3 * width(of(steady)), "intervals", of(drifting), of(steady))


@claim
def a_difference_below_the_threshold_is_none():
    a, b = [case("x", spread(1000))], [case("x", spread(1200, seed=SEED + 1))]
    same(told(a, b, "--threshold", "50")["cases"][0]["p50"]["verdict"], "no difference", "of 20 %")


@claim
def text_tells_counts_that_changed_and_what_to_think_of():
    other = copy.deepcopy(HEAD)
    other["machine"].update(kernel="6.2", load=9.0)
    done = compare([HEAD, case("x", spread(1000), user_exits=1, faults=0, part_p50=7), END],
                   [other, case("x", spread(1000), user_exits=2, faults=0, part_p50=8), {"end": "interrupted"}])
    text = done.out.decode()
    matches(r"seed 1\b", text)
    matches(r"user_exits: 1, then 2", text)
    check("faults" not in text and "part_p50" not in text, "what did not change, or is no count", text)
    matches(r"note: the kernel is another: 6\.1 in A, 6\.2 in B", text)
    matches(r"note: B was measured under load", text)
    matches(r"note: B was interrupted", text)


@claim
def emulated_times_are_not_judged_and_counts_are():
    head = copy.deepcopy(HEAD)
    head["machine"]["emulated"] = True
    done = compare([head, case("x", spread(1000), user_exits=1), END], [head, case("x", spread(3000), user_exits=2), END])
    matches(r"times mean nothing[\s\S]*user_exits: 1, then 2[\s\S]*0 better, 0 worse", done.out.decode())


@claim
def what_is_not_comparable_is_refused_in_a_sentence():
    def changed(**what):
        head = copy.deepcopy(HEAD)
        head["machine"].update(what)
        return head
    x = case("x", [1])
    for what, pattern in (({"cpu": "B"}, r"different machines \(CPU: A CPU, B\)"), ({"cpus": 8}, "4 CPUs, 8 CPUs"),
                          ({"kvm": "software"}, "KVM: hardware, software"), ({"virtualisation": "KVMKVMKVM"}, "hypervisor"),
                          ({"architecture": "i686"}, "architecture"), ({"memory_gib": 32.0}, "memory"),
                          ({"emulated": True}, "emulated machine"), ({"scaled_down": True}, "scaled down")):
        refused([HEAD, x, END], [changed(**what), x, END], pattern, what)
    refused([HEAD, x, END], [{**HEAD, "version": 2, "more": 1}, x, END], "b:1: the format's version is 2")
    refused([HEAD, x, END], [HEAD, case("x", [1], unit="bytes"), END], "x is told in ns and in bytes")
    refused([HEAD, x, END], [HEAD, case("y", [1]), END], "no case in common")
    refused([HEAD, END], [HEAD, END], "no case in common")


def edited(record, path, value):
    record = copy.deepcopy(record)
    at = record
    for name in path[:-1]:
        at = at[name]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return record


@claim
def files_that_are_not_as_the_format_says_are_refused_by_line():
    good, x = spread(1000, 300), case("x", spread(1000, 300))
    yard = {**x, "yardstick": {"name": "y", **figures(good)}}
    blocks = ["samples", "blocks"]
    bad = [(["n"], 299), (["n"], 0), (["n"], -300), (["n"], 300.0), (["n"], "300"), (["n"], None), (["n"], 1 << 62),
           (["p50"], -1), (["p50"], "1"), (["p50"], True), (["p50"], None), (["p50"], 1e9), (["max"], 1),
           (["few"], []), (["few"], {}), (["few"], ["p50", "p99", "p999", "p9999"]), (["few"], ["p99", "p999", "p9999", "p9"]),
           (["samples"], []), (["samples", "digits"], 5), (["samples", "digits"], 0), (["samples", "more"], 1),
           (blocks, []), (blocks, {}), (blocks, [[[1, 300]]]), ([*blocks, 3], []), ([*blocks, 3], 5),
           ([*blocks, 3, 0], [1, -1]), ([*blocks, 3, 0], [1, 0]), ([*blocks, 3, 0], [-1, 1]), ([*blocks, 3, 0], [1]),
           ([*blocks, 3, 0], ["1", 1]), ([*blocks, 3, 0], [1, 1.5]), ([*blocks, 3, 0], [9999, 1]), ([*blocks, 3, 0, 1], 1 << 63 - 1),
           (["case"], ""), (["case"], "n" * 128), (["case"], "a\nb"), (["case"], "\u00e9"), (["case"], 5), (["unit"], "s"),
           (["unit"], ""), (["cpu"], -2), (["cpu"], 1.0), (["warmup"], -1), (["more"], 1), (["counts"], []),
           (["counts"], {"a": "1"}), (["counts"], {"": 1}), (["counts"], {f"c{i}": i for i in range(65)}),
           (["yardstick"], {}), (["yardstick"], 5), (["yardstick", "n"], 5), (["yardstick", "name"], "")]
    for path, value in bad:
        record = edited(yard, path, value)
        refused([HEAD, x, record, END], [HEAD, x, END], r"a:3: \S", f"{path} = {value!r}")
    for path, value in ((["format"], "another"), (["format"], None), (["version"], "1"), (["version"], 0), (["made"], 5),
                        (["machine"], []), (["machine", "cpus"], 0), (["machine", "load"], -2), (["machine", "kvm"], None),
                        (["machine", "emulated"], 0), (["machine", "more"], 1), (["command"], "c" * 5000), (["more"], 1)):
        refused([edited(HEAD, path, value), x, END], [HEAD, x, END], r"a:1: \S", f"head: {path} = {value!r}")
    refused([HEAD, x, x, END], [HEAD, x, END], "a:3: the case x is there twice", "a case twice")
    refused([HEAD, x, {"end": "soon"}], [HEAD, x, END], "a:3: ", "another end")
    refused([HEAD, x, END, x], [HEAD, x, END], "a:4: there is more behind the last line", "more")
    refused([HEAD, HEAD, END], [HEAD, x, END], "a:2: ", "two heads")


@claim
def text_that_is_no_such_json_is_refused():
    x = json.dumps(case("x", [5]))
    lines = [json.dumps(HEAD), x, json.dumps(END)]
    good = "\n".join(lines) + "\n"
    compare(good, good)
    for what, text in (("nothing", ""), ("cut within a line", good[:len(lines[0]) + 40]), ("cut at a line", good[:len(lines[0]) + 1]),
                       ("cut before the last line", "\n".join(lines[:2]) + "\n"), ("cut before the last line feed", good[:-1]),
                       ("NaN", good.replace('"p50": 5', '"p50": NaN')), ("infinity", good.replace('"p50": 5', '"p50": Infinity')),
                       ("too large a number", good.replace('"p50": 5', '"p50": 1e999')),
                       ("a member twice", good.replace('"unit": "ns"', '"unit": "ns", "unit": "ns"')),
                       ("a NUL", good.replace('"ns"', '"n\\u0000s"')), ("no UTF-8", good.replace("made up", "\udcff")),
                       ("an empty line", good.replace("\n", "\n\n", 1)), ("an array", "[]\n" + good), ("nested", "[" * 100000 + "\n"),
                       ("a long line", json.dumps({"x": "y" * (1 << 20)}) + "\n"), ("words", "hello\n")):
        with folder() as root:
            with open(f"{root}/a", "w", errors="surrogateescape") as file:
                file.write(text)
            write(f"{root}/b", good)
            for pair in ((f"{root}/a", f"{root}/b"), (f"{root}/b", f"{root}/a")):
                done = expect(command([MAYFLY, "bench", "compare", *pair]), FAILED, what)
                matches(r"mayfly bench compare: .*/a:(\d+:)? ", done.err.decode(), what)
                same(done.out, b"", what)


@claim
def files_that_cannot_be_read_and_too_many_are_said():
    with folder() as root:
        write(f"{root}/a", [HEAD, case("x", [5]), END])
        for args, pattern in (((f"{root}/a", f"{root}/none"), "none: it cannot be read: No such file"),
                              ((f"{root}/a", root), "cannot be read: Is a directory"), ((f"{root}/a",), "two files are wanted"),
                              ((f"{root}/a",) * 3, "two files are wanted"), ((f"{root}/a", "/dev/zero"), "more than 64 MiB"),
                              ((f"{root}/a", f"{root}/a", "--seed", "x"), "--seed"),
                              ((f"{root}/a", f"{root}/a", "--threshold", "-1"), "--threshold")):
            done = expect(command([MAYFLY, "bench", "compare", *args]), FAILED, args)
            matches(pattern, done.err.decode(), args)
        done = expect(command([MAYFLY, "bench", "other"]), FAILED, "another word")
        matches("there is no other; there are host and compare", done.err.decode())


@claim
def random_damage_is_refused_or_harmless():
    source = random.Random(SEED)
    good = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in (HEAD, case("x", spread(1000, 150)), END))
    print(f"    seed {SEED}")
    with folder() as root:
        write(f"{root}/b", good)
        for _ in range(60):
            data = bytearray(good.encode())
            for _ in range(source.randint(1, 3)):
                at = source.randrange(len(data))
                data[at:at + source.randint(0, 3)] = bytes(source.choice(b'0-9.eE+"{}[],:\n\x00\xff') for _ in range(source.randint(0, 3)))
            with open(f"{root}/a", "wb") as file:
                file.write(data)
            done = command([MAYFLY, "bench", "compare", f"{root}/a", f"{root}/b"])
            check(done.status in (0, WORSE, FAILED), "how it ended", done, bytes(data[:300]))
            check(done.status != FAILED or done.err.startswith(b"mayfly bench compare: "), "a sentence", done)


main()
