#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The table of system calls: docs/linux.md says what the engine has, a case stands behind each call that is done, and
what is not there fails as it is said to."""
import importlib.machinery
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "cli"))
sys.dont_write_bytecode = True
from mayfly import BUILD, MAYFLY, command, expect  # noqa: E402
from claims import check, claim, fail, main, same  # noqa: E402

loader = importlib.machinery.SourceFileLoader("linux_table", os.path.join(TOP, "scripts/linux-table"))
table = importlib.util.module_from_spec(importlib.util.spec_from_loader("linux_table", loader))
loader.exec_module(table)
ROWS, SHOWN = table.read_table(BUILD), table.read_cases(BUILD)


@claim
def every_call_is_what_its_row_says():
    found = list(table.faults(ROWS, SHOWN))
    if found:
        fail(f"{len(found)} rows are wrong", *found)
    check(len(ROWS) > 380, f"the table has only {len(ROWS)} rows")


@claim
def the_page_is_what_the_table_prints():
    with open(os.path.join(TOP, "docs/linux.md")) as file:
        page = file.read()
    if page != table.page(ROWS):
        fail("docs/linux.md is not what the table says: ./dev docs writes it")


@claim(emulated=True)
def what_is_refused_or_missing_fails_as_it_says():
    wanted = [(number, error) for number, _, state, error, _, _ in ROWS if state in ("refused", "ENOSYS")]
    known = {row[0] for row in ROWS}
    wanted += [(number, "ENOSYS") for number in [*range(600), 2 ** 31 - 1, -1] if number not in known]
    done = expect(command([MAYFLY, "run", "--", table_program(), "--numbers", *(str(n) for n, _ in wanted)]), 0, "the program")
    same(done.out.decode().split(), [f"{number}:{error}" for number, error in wanted], "what they fail with")


def table_program():
    return os.path.join(BUILD, "tests/linux/differential/cases")


main()
