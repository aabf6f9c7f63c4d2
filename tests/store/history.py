# SPDX-License-Identifier: MIT
"""Judges a recorded history of transactions from outside, by what clients sent and were told alone: is there an order in which
they could have been made one after the other, that keeps to who had his answer before whom began?

Each written value is unique, and who writes a key has read it: so each key's versions are a chain. A transaction comes after
the writers of what it read, before the writers of what came next, and after all whose answer was there before it began; what
must come before itself is an anomaly (Adya, Weak Consistency, 1999; Kingsbury and Alvaro, Elle, 2020)."""
import collections


class Transaction:
    """One that was told to be done. Times are of one clock; reads and writes are {key: value}, None: there is none."""

    def __init__(self, begin, end, reads, writes):
        self.begin, self.end, self.reads, self.writes = begin, end, reads, writes

    def __str__(self):
        return f"{{{self.begin:.4f}..{self.end:.4f} read {self.reads} wrote {self.writes}}}"


def chains(done):
    """({(key, version): who wrote it}, {(key, version): who wrote the next}, what cannot be)"""
    writer, successor, wrong = {}, {}, []
    for one in done:
        for key, value in one.writes.items():
            writer[key, value] = one
            before = successor.setdefault((key, one.reads[key]), one)
            if before is not one:
                wrong.append(f"lost update of {key}: {before} and {one}")
    for one in done:
        wrong += [f"{key} had {value}, which nobody wrote who was told so: {one}" for key, value in one.reads.items()
                  if value is not None and (key, value) not in writer]
    return writer, successor, wrong


def edges(done):
    """{node: those that come after it}: transactions, and points in time, each of which is before the next."""
    writer, successor, wrong = chains(done)
    after = collections.defaultdict(set)
    for one in done:
        for version in one.reads.items():
            for first, then in ((writer.get(version), one), (one, successor.get(version))):
                if first and then and first is not then:
                    after[first].add(then)
    # Who has ended is before the next point in time; who begins is behind the last one.
    last = None
    events = [(one.end, 1, one) for one in done] + [(one.begin, 0, one) for one in done]  # at one time: a begin first
    for _, is_end, one in sorted(events, key=lambda event: event[:2]):
        if not is_end:
            if last is not None:
                after[last].add(one)
            continue
        point = (last or 0) + 1
        after[one].add(point)
        if last is not None:
            after[last].add(point)
        last = point
    return after, wrong


def judge(done):
    """What is wrong with it, in words; nothing: it could have been one after the other."""
    after, wrong = edges(done)
    left = collections.Counter(then for first in after for then in after[first])
    ready = [node for node in list(after) if not left[node]]
    while ready:
        node = ready.pop()
        for then in after.get(node, ()):
            left[then] -= 1
            if not left[then]:
                ready.append(then)
    stuck = [node for node, count in left.items() if count and isinstance(node, Transaction)]
    if stuck:
        wrong.append(f"{len(stuck)} transactions come before themselves or behind such: " + ", ".join(map(str, stuck[:6])))
    return wrong
