# SPDX-License-Identifier: MIT
"""The runner of the script tests: functions marked @claim are run in order, each failure is told with what was
expected, and 'N passed, N failed' is the last line, as scripts/run-tests wants it."""
import os
import re
import sys
import time
import traceback

EMULATED = os.environ.get("MAYFLY_EMULATED") == "1"
LONG = os.environ.get("MAYFLY_TEST_LONG") == "1"
SANITIZED = os.environ.get("MAYFLY_TEST_SANITIZED") == "1"  # the lane, not the build
claims = []


class Failure(Exception):
    pass


def claim(function=None, *, emulated=False, long=False, sanitized=True):
    """A test; its name is what it claims. emulated: also runs in the emulated machine. long: only in the long lane.
    sanitized=False: it takes its time, and others let the sanitizers see the same code."""
    if function is None:
        return lambda function: claim(function, emulated=emulated, long=long, sanitized=sanitized)
    claims.append((function, emulated, long, sanitized))
    return function


def show(value):
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    text = text.encode("unicode_escape").decode().replace("\\n", "\n      ")
    return text if len(text) < 1500 else text[:1000] + " ... " + text[-400:]


def fail(why, *facts):
    raise Failure(why + "".join("\n      " + show(fact) for fact in facts))


def same(got, wanted, what="", *facts):
    if got != wanted:
        fail(f"{what}: is {show(got)}, should be {show(wanted)}", *facts)


def check(condition, what, *facts):
    if not condition:
        fail(what, *facts)


def matches(pattern, text, what=""):
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    if not re.search(pattern, text, re.S):
        fail(f"{what}: nothing like /{pattern}/ in", text)


def long_seconds(seconds):
    """How long a part of a long form may take."""
    return float(os.environ.get("MAYFLY_TEST_SECONDS") or seconds)


def rounds(most, seconds=300):
    """0, 1, ... below `most`; in the long form for no longer than so many seconds (MAYFLY_TEST_SECONDS), and how many it were is told."""
    began, done, limit = time.monotonic(), 0, long_seconds(seconds)
    while done < most and not (LONG and done and time.monotonic() > began + limit):
        yield done
        done += 1
    if LONG:
        print(f"      {done} of {most} rounds in {time.monotonic() - began:.0f} s", flush=True)


def main():
    """Runs the claims; an argument limits them to those whose names contain it."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    passed = failed = 0
    for function, emulated, long, sanitized in claims:
        if wanted not in function.__name__ or EMULATED and not emulated or long and not LONG or SANITIZED and not sanitized:
            continue
        began = time.monotonic()
        try:
            function()
            passed += 1
            verdict, why = "ok  ", ""
        except Failure as failure:
            failed += 1
            verdict, why = "FAIL", f"\n      {failure}"
        except Exception:
            failed += 1
            verdict, why = "FAIL", "\n      " + traceback.format_exc().replace("\n", "\n      ")
        print(f"  {verdict} {function.__name__} ({time.monotonic() - began:.1f} s){why}", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)
