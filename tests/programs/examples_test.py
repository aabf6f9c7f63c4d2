#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The examples do in a VM what they do natively, and proxies before Mayfly pass on, each by its one command."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "house"))
sys.dont_write_bytecode = True
from claims import check, claim, main, same  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MAYFLY = os.path.join(os.environ.get("MAYFLY_BUILD", os.path.join(ROOT, "build")), "mayfly")


def output(language, *how):
    done = subprocess.run([os.path.join(ROOT, "examples", language, "run"), *how], env={**os.environ, "MAYFLY": MAYFLY},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=170)
    same(done.returncode, 0, f"{language} {' '.join(how)}", done.stderr)
    check(done.stdout, f"{language} prints nothing")
    return done.stdout


def example(language):
    def the_example():
        same(output(language), output(language, "--native"), language)

    the_example.__name__ = f"the_{language}_example_does_the_same"
    claim(the_example)


def front(proxy):
    def the_proxy():
        same(output(f"{proxy}-front"), b"hello\nHTTP/2 200\n", proxy)

    the_proxy.__name__ = f"{proxy}_takes_tls_and_http2_and_passes_on"
    claim(the_proxy)


@claim
def react_renders_each_page_in_a_fresh_vm():
    page = "<h1>Hello, {}</h1>\nvisit {}\n50 rows\n"
    names = ("Ada", "Grace", "Edsger")
    same(output("react-ssr"), "".join(page.format(name, 21) for name in names).encode(), "20 visits of the image's and one")
    same(output("react-ssr", "--native"), "".join(page.format(name, i + 2) for i, name in enumerate(names)).encode(), "natively")


@claim
def a_store_in_python_keeps_notes_from_request_to_request():
    same(output("store-python"), b'1\n2\n["buy milk", "sow peas"]\n', "notes")


for name in ("nginx", "haproxy"):
    front(name)
for name in ("python", "node", "lua", "go", "rust", "c"):
    example(name)
main()
