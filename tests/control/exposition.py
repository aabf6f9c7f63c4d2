# SPDX-License-Identifier: MIT
"""A strict reader of Prometheus' text format, version 0.0.4: what the format does not allow, or only discourages, is a failure."""
import math
import re

from claims import check, fail

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
VALUE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?|\+Inf|NaN)")
TYPES = {"counter", "gauge", "histogram"}
BUCKETS_MAX = 64


def unescape(text):
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def labels_of(text, line):
    """Of "{...}", as a dictionary."""
    found, at = {}, 1
    while text[at] != "}":
        label = LABEL.match(text, at)
        check(label, "a label that is none", line)
        check(label[1] not in found, "a label twice", line)
        found[label[1]] = unescape(label[2])
        at = label.end()
        check(text[at] in ",}", "what follows a label", line)
        at += text[at] == ","
    return found, at + 1


def sample_of(line):
    name = NAME.match(line)
    check(name, "a name that is none", line)
    at, labels = name.end(), {}
    if line[at] == "{":
        labels, more = labels_of(line[at:], line)
        at += more
    check(line[at] == " " and VALUE.fullmatch(line[at + 1:]), "a value that is none", line)
    return name[0], labels, float(line[at + 1:])


class Exposition:
    """Families by name: their type, and samples as (name, labels, value)."""

    def __init__(self, text):
        self.types, self.samples = {}, {}
        check(text.endswith("\n") and "\r" not in text, "the last line has no end, or another one has a strange one")
        family, seen, helped = None, set(), None
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                helped = line.split(" ", 3)[2]
                check(len(line.split(" ", 3)) == 4 and line.split(" ", 3)[3], "help without a word", line)
            elif line.startswith("# TYPE "):
                _, _, family, kind = line.split(" ")
                check(family == helped, "a type without help before it", line)
                check(kind in TYPES and family not in self.types, "a type that is none, or stands twice", line)
                self.types[family], self.samples[family] = kind, []
            else:
                check(not line.startswith("#") and line, "a line of no kind", line)
                name, labels, value = sample_of(line)
                suffix = re.fullmatch(r"_(bucket|sum|count)", name[len(family):]) if self.types[family] == "histogram" else None
                check(name == family or (name.startswith(family) and suffix), "a sample apart from its family", (family, line))
                check(not (self.types[family] == "histogram" and name == family), "a histogram's sample without a suffix", line)
                key = (name, tuple(sorted(labels.items())))
                check(key not in seen, "a sample twice", line)
                seen.add(key)
                self.samples[family].append((name, labels, value))
        for family, kind in self.types.items():
            self.judge(family, kind)

    def judge(self, family, kind):
        check(family.startswith("mayfly_") and re.fullmatch(r"[a-z0-9_]+", family), "a name against the convention", family)
        check(family.endswith("_total") == (kind == "counter"), "_total is for counters, and for all of them", family)
        check(not re.search(r"_(ms|us|ns|milliseconds|microseconds|kb|pages_bytes)(_|$)", family), "no base unit", family)
        if kind == "histogram":
            for labels in {tuple(sorted((k, v) for k, v in labels.items() if k != "le")) for _, labels, _ in self.samples[family]}:
                self.judge_histogram(family, dict(labels))

    def judge_histogram(self, family, labels):
        buckets = [(float(more["le"].replace("+Inf", "inf")), value) for name, more, value in self.samples[family]
                   if name == family + "_bucket" and {k: v for k, v in more.items() if k != "le"} == labels]
        check(2 < len(buckets) <= BUCKETS_MAX, "too few or too many buckets", family, len(buckets))
        check(buckets == sorted(buckets) and len({le for le, _ in buckets}) == len(buckets), "buckets that are not in order", buckets)
        check([v for _, v in buckets] == sorted(v for _, v in buckets), "buckets that do not add up", buckets)
        check(buckets[-1][0] == math.inf, "no last bucket", family)
        check(buckets[-1][1] == self.get(family + "_count", **labels), "the count is not the last bucket", family)
        check(self.get(family + "_sum", **labels) >= 0, "a sum below zero", family)

    def get(self, sample, **labels):
        """The value of one sample."""
        for samples in self.samples.values():
            for name, more, value in samples:
                if name == sample and more == labels:
                    return value
        fail("there is no such sample", sample, labels)

    def tenants(self):
        return {labels.get("tenant") for _, labels, _ in self.samples["mayfly_up"]}
