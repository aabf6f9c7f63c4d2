#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Python's own tests, natively and in a VM: of those that pass natively at least 95 in 100 pass in the VM, too. Those
that start processes are told apart, for a program in a VM cannot; every other that fails is named."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "house"))
sys.dont_write_bytecode = True
from claims import LONG, check, claim, fail, main  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MAYFLY = os.path.abspath(os.path.join(os.environ.get("MAYFLY_BUILD", os.path.join(HERE, "../../build")), "mayfly"))
SCRATCH = tempfile.mkdtemp(prefix="mayfly-pythons-")
PYTHON = "/usr/bin/python3"
PROCESSES = re.compile(r"_posixsubprocess|os\.(fork|forkpty|posix_spawn|popen|system)|in (fork|_execute_child|Popen)\b|"
                       r"multiprocessing|assert_python_(ok|failure)|run_python_until_end|pty\.(fork|spawn)")
# test_sqlite3 is in no package of Debian 12. Sockets to a hypervisor: what they do depends on the machine.
LEFT_OUT = {"test_socket": ["*VSOCK*"]}
ALWAYS = ("json", "math", "struct", "zlib", "mmap", "re")
LONGER = ("threading", "socket", "asyncio", "signal", "select")


def outcomes(module, how):
    """{test: None or how it failed} of those that were not skipped."""
    report = os.path.join(SCRATCH, "report.xml")
    ignored = [word for pattern in LEFT_OUT.get(module, ()) for word in ("-i", pattern)]
    command = [*how, PYTHON, "-m", "test", "--junit-xml", report, *ignored, module]
    with subprocess.Popen(command, cwd=SCRATCH, env={"PATH": "/usr/bin:/bin", "HOME": SCRATCH, "LC_ALL": "C.UTF-8",
                          "TMPDIR": SCRATCH}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as process:
        try:
            out = process.communicate(timeout=500)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            fail(f"{module}: not done after 500 s", process.communicate()[0][-2000:])
    if not os.path.exists(report):
        fail(f"{module}: no report", out[-2000:])
    found = {}
    for case in xml.parse(report).getroot().iter("testcase"):
        if case.find("skipped") is None:
            bad = [part.text or "" for part in case if part.tag in ("error", "failure")]
            found[case.get("name")] = bad[0] if bad else None
    os.remove(report)
    return found


def module_test(name):
    def the_module():
        module = f"test_{name}"
        native = outcomes(module, [])
        inside = outcomes(module, [MAYFLY, "run", "--memory", "1G", "--allow-all", "--deadline", "480s", "--"])
        passing = [test for test, bad in native.items() if bad is None]
        bad = {test: inside.get(test, "was skipped or not run") for test in passing
               if inside.get(test, "was skipped or not run") is not None}
        apart = sorted(test for test, why in bad.items() if PROCESSES.search(why) or ".test_subprocess." in test)
        other = sorted(set(bad) - set(apart))
        print(f"      {module}: {len(passing)} pass natively, {len(passing) - len(bad)} of them in the VM; {len(apart)} "
              f"start processes; {len(other)} others")
        for test in other:
            print(f"        {test}: {(bad[test].strip().splitlines() or ['?'])[-1][:120]}")
        check(passing, f"{module}: nothing passes natively")
        check(len(other) <= 0.05 * (len(passing) - len(apart)), f"{module}: too many fail", *other[:20])

    the_module.__name__ = f"pythons_tests_of_{name}_pass_as_they_do_natively"
    claim(the_module, long=name in LONGER)


for module_name in ALWAYS + LONGER:
    module_test(module_name)
try:
    main()
finally:
    shutil.rmtree(SCRATCH, ignore_errors=True)
