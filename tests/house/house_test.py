#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The house's rules that a machine can check: which folder may include which, who alone talks to KVM and to each
library, licence lines, sizes, no empty reminders, no paths of somebody's machine. A violation names file and line."""
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from claims import check, claim, fail, main, same

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PRODUCT = ("cli", "measure", "supervisor", "lib", "config", "tenant", "request-vm", "storage-vm", "engine", "ipc", "bpf", "guest", "include")
ENGINE = ["engine/kvm", "engine/mem", "engine/image", "engine/linux"]  # each may include those before it
ENGINE_BLOBS = re.compile(r"guest/(stub|vdso|fast)/\w+\.h$")
TENANT_BLOBS = re.compile(r"guest/store/blob\.h$")
MEASURE_BLOBS = re.compile(r"guest/measure/blob\.h$")

# folder -> what its files may include besides their own folder
MAY = {
    "cli": ["measure", "config", "lib", "tenant", "request-vm", "storage-vm", "engine", "ipc", "bpf", "include"],
    "measure": ["tenant", "request-vm", "storage-vm", "engine", "ipc", "include"],
    "supervisor": ["config", "tenant", "request-vm", "engine", "ipc", "include"],
    "config": ["tenant", "request-vm", "storage-vm", "engine", "ipc", "include"],
    "lib": ["tenant", "request-vm", "storage-vm", "engine", "ipc", "include"],
    "tenant": ["request-vm", "storage-vm", "engine", "ipc", "bpf", "include"],
    "request-vm": ["engine", "ipc", "include"],
    "storage-vm": ["engine", "ipc", "include"],
    "engine": ["include"],
    "ipc": ["include"],
    "bpf": ["include"],
    "guest": ["include/mayfly/abi"],
    "include": [],
}
# (what an include says, where alone it may stand)
DOORS = [
    (re.compile(r"(^|/)llhttp\.h$"), "request-vm/front/"),
    (re.compile(r"^seccomp\.h$"), "tenant/"),
    (re.compile(r"^curl/"), "request-vm/"),
    (re.compile(r"^nng/"), "ipc/control/"),
    (re.compile(r"^jansson\.h$"), ("ipc/control/", "cli/store_json.c", "measure/read.c")),
    (re.compile(r"^libconfig\.h$"), "config/"),
    (re.compile(r"^bpf/|^linux/bpf\.h$"), "bpf/"),
    (re.compile(r"^lmdb\.h$"), "guest/"),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
KVM_IOCTL = re.compile(r"\bioctl\s*\([^;]*\bKVM_[A-Z0-9_]+")
REMINDER = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\w)[:\s(]*(\S*)")
MACHINE = re.compile("/" + r"work/\w|/" + r"home/\w|/var/" + r"tmp/\w|/" + r"Users/\w|/" + r"root/\w")
SOURCES = (".c", ".h", ".S", ".lds", ".py", ".sh", ".build")
LINES_MAX = 900
GENERATED = {"engine/layout_digest.h"}  # by the build


def files_of(root):
    """Every file of the project below root, as a path from it; build folders and hidden ones are none of ours."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__" and
                            not name.startswith("build") and
                            not os.path.exists(os.path.join(folder, name, "meson-private")))
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(folder, name), root)


def text_of(root, path):
    with open(os.path.join(root, path), "rb") as file:
        data = file.read()
    return None if b"\0" in data else data.decode(errors="replace")


def is_source(path, text):
    return path.endswith(SOURCES) or os.path.basename(path) in ("meson_options.txt",) or text.startswith("#!")


def without_comments(text):
    """Comments and strings emptied, lines kept."""
    blank = lambda match: '""' if match[0][0] == '"' else re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', blank, text, flags=re.S)


def resolve(root, path, how, name):
    """The project's file that an include means, or None."""
    places = [os.path.dirname(path)] if how == '"' else []
    for place in places + ["", "include", "guest/sdk", "guest"]:
        found = os.path.normpath(os.path.join(place, name))
        if os.path.isfile(os.path.join(root, found)):
            return found
    return None


def arrow_error(path, target):
    """Why path may not include target, or None."""
    of, to = path.split("/")[0], target.split("/")[0]
    if of not in MAY:
        return None  # tests, bench and examples may look at everything
    if of == "tenant" and TENANT_BLOBS.match(target):
        return None
    if of == "measure" and MEASURE_BLOBS.match(target):
        return None
    if of == "engine":
        if ENGINE_BLOBS.match(target):
            return None
        if to == "engine":
            mine, theirs = ("/".join(p.split("/")[:2]) for p in (path, target))
            if mine in ENGINE and theirs in ENGINE and ENGINE.index(theirs) <= ENGINE.index(mine):
                return None
            return f"{mine} includes {target}: inside the engine only linux -> image -> mem -> kvm"
    if path.startswith("request-vm/front/") and not target.startswith(
            ("request-vm/front/", "ipc/socket/", "include/")):
        return f"the front door knows no VM and includes {target}"
    if to == of or any(target.startswith(folder + "/") for folder in MAY[of]):
        return None
    return f"{of} includes {target}"


def arrows(root, path, text):
    if not path.endswith((".c", ".h")):
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        how, name = match.groups()
        target = resolve(root, path, how, name)
        why = arrow_error(path, target) if target else None
        if how == '"' and not target and path.split("/")[0] in PRODUCT and "/" in name and name not in GENERATED:
            why = f"includes {name}, which is nowhere"
        if name == "uv.h" and path.startswith("engine/"):
            why = "the engine knows no event loop"
        for door, home in DOORS:
            if door.search(name) and not target and path.split("/")[0] in PRODUCT and not path.startswith(home):
                why = f"<{name}> belongs into {home} alone"
        if why:
            yield number, why


def kvm_calls(root, path, text):
    if not path.endswith((".c", ".h")) or path.split("/")[0] not in PRODUCT or path.startswith("engine/kvm/"):
        return
    code = without_comments(text)
    for match in KVM_IOCTL.finditer(code):
        yield code.count("\n", 0, match.start()) + 1, "a KVM ioctl outside engine/kvm"


def licences(root, path, text):
    if is_source(path, text) and not any("SPDX-License-Identifier: MIT" in line for line in text.splitlines()[:3]):
        yield 1, "no SPDX line in its first three lines"


def sizes(root, path, text):
    lines = text.count("\n")
    if is_source(path, text) and lines >= LINES_MAX:
        yield lines, f"{lines} lines; fewer than {LINES_MAX} are wanted"


def reminders(root, path, text):
    if path.startswith("tests/house/"):
        return
    for number, line in enumerate(text.splitlines(), 1):
        for match in REMINDER.finditer(line):
            if len(line[match.start():].split()) < 3:
                yield number, f"{match[1]} that does not say what"


def machine_paths(root, path, text):
    for number, line in enumerate(text.splitlines(), 1):
        for match in MACHINE.finditer(line):
            if line[max(0, match.start() - 4):match.start()] not in ("self", "read"):  # /proc/self/root/...
                before = line[:match.start()]
                if re.search(r"[\w.]$", before):  # the end of a longer path
                    continue
                yield number, f"a path of one machine: {match[0]}..."


RULES = {"arrows": arrows, "kvm_calls": kvm_calls, "licences": licences, "sizes": sizes, "reminders": reminders,
         "machine_paths": machine_paths}


def violations(root, rule):
    found = []
    for path in files_of(root):
        text = text_of(root, path)
        if text is not None:
            found += [f"{path}:{number}: {why}" for number, why in RULES[rule](root, path, text)]
    return found


def holds(rule):
    found = violations(ROOT, rule)
    if found:
        fail(f"{len(found)} violations", *found)


@claim
def every_include_follows_the_arrows():
    holds("arrows")


@claim
def only_engine_kvm_makes_kvm_ioctls():
    holds("kvm_calls")


@claim
def every_file_says_its_licence():
    holds("licences")


@claim
def no_file_is_too_long():
    holds("sizes")


@claim
def every_reminder_says_what():
    holds("reminders")


@claim
def nothing_names_a_path_of_one_machine():
    holds("machine_paths")


@claim
def the_rules_see_the_project():
    paths = list(files_of(ROOT))
    for folder in ("cli", "tenant", "request-vm", "engine", "ipc", "guest", "include", "tests"):
        check(any(path.startswith(folder + "/") for path in paths), f"no file of {folder} was looked at")
    counted = sum(1 for path in paths if path.endswith((".c", ".h"))
                  for line in text_of(ROOT, path).splitlines()
                  if (match := INCLUDE.match(line)) and resolve(ROOT, path, *match.groups()))
    check(counted > 200, f"only {counted} includes lead to a file of the project")


SPDX = "/* SPDX-License-Identifier: MIT */\n"
# (rule, file, content, whether it must be found)
PLANTED = [
    ("arrows", "engine/kvm/a.c", '#include "engine/mem/mem.h"\n', True),
    ("arrows", "engine/mem/a.c", '#include "engine/kvm/kvm.h"\n', False),
    ("arrows", "engine/image/a.c", '  #  include   "engine/linux/process.h"\n', True),
    ("arrows", "engine/mem/a.c", '#include "../image/image.h"\n', True),
    ("arrows", "engine/image/a.c", '#include "guest/stub/stub.h"\n', False),
    ("arrows", "engine/image/a.c", '#include "guest/sdk/mayfly/sdk.h"\n', True),
    ("arrows", "engine/image/a.c", "#include <mayfly/sdk.h>\n", True),
    ("arrows", "engine/linux/a.c", "#include <uv.h>\n", True),
    ("arrows", "engine/linux/a.c", '#include "request-vm/pool.h"\n', True),
    ("arrows", "request-vm/a.c", '#include "tenant/program.h"\n', True),
    ("arrows", "request-vm/a.c", '#include "storage-vm/storage.h"\n', True),
    ("arrows", "storage-vm/a.c", '#include "request-vm/pool.h"\n', True),
    ("arrows", "request-vm/front/a.c", '#include "engine/kvm/kvm.h"\n', True),
    ("arrows", "request-vm/front/a.c", '#include "request-vm/pool.h"\n', True),
    ("arrows", "request-vm/front/a.c", "#include <llhttp.h>\n", False),
    ("arrows", "request-vm/a.c", "#include <llhttp.h>\n", True),
    ("arrows", "engine/linux/a.c", "#include <seccomp.h>\n", True),
    ("arrows", "cli/a.c", "#include <seccomp.h>\n", True),
    ("arrows", "tenant/a.c", "#include <seccomp.h>\n", False),
    ("arrows", "tenant/a.c", '#include "cli/options.h"\n', True),
    ("arrows", "tenant/a.c", '#include "request-vm/pool.h"\n', False),
    ("arrows", "tenant/a.c", '#include "measure/samples.h"\n', True),
    ("arrows", "cli/a.c", '#include "measure/samples.h"\n', False),
    ("arrows", "measure/a.c", '#include "cli/options.h"\n', True),
    ("arrows", "measure/a.c", '#include "tenant/program.h"\n', False),
    ("arrows", "cli/a.c", '#include "engine/kvm/kvm.h"\n', False),
    ("arrows", "guest/a.c", "#include <mayfly/error.h>\n", True),
    ("arrows", "guest/a.c", "#include <mayfly/abi/call.h>\n", False),
    ("arrows", "bpf/a.c", '#include "engine/kvm/kvm.h"\n', True),
    ("arrows", "ipc/a.c", '#include "engine/kvm/kvm.h"\n', True),
    ("arrows", "ipc/a.c", '#include "request-vm/pool.h"\n', True),
    ("arrows", "ipc/a.c", "#include <mayfly/abi/call.h>\n", False),
    ("arrows", "request-vm/a.c", '#include "ipc/ring/area.h"\n', False),
    ("arrows", "engine/mem/a.c", '#include "ipc/ring/area.h"\n', True),
    ("arrows", "include/mayfly/a.h", '#include "engine/kvm/kvm.h"\n', True),
    ("arrows", "cli/a.c", '#include "engine/kvm/gone.h"\n', True),
    ("arrows", "tests/a.c", '#include "cli/options.h"\n', False),
    ("arrows", "ipc/a.c", "#include <lmdb.h>\n", True),
    ("arrows", "ipc/control/a.c", "#include <nng/nng.h>\n", False),
    ("arrows", "ipc/socket/a.c", "#include <nng/nng.h>\n", True),
    ("arrows", "tenant/a.c", "#include <nng/protocol/reqrep0/rep.h>\n", True),
    ("arrows", "ipc/control/a.c", "#include <jansson.h>\n", False),
    ("arrows", "cli/a.c", "#include <jansson.h>\n", True),
    ("arrows", "cli/store_json.c", "#include <jansson.h>\n", False),
    ("arrows", "request-vm/front/a.c", '#include "ipc/socket/file.h"\n', False),
    ("arrows", "request-vm/front/a.c", '#include "ipc/control/server.h"\n', True),
    ("arrows", "cli/a.c", "#include <bpf/libbpf.h>\n", True),
    ("arrows", "tenant/a.c", "#include <linux/bpf.h>\n", True),
    ("arrows", "bpf/a.c", "#include <bpf/libbpf.h>\n", False),
    ("arrows", "cli/a.c", '#include "bpf/probes.h"\n', False),
    ("arrows", "engine/mem/a.c", '#include "bpf/probes.h"\n', True),
    ("kvm_calls", "engine/image/a.c", "int f(void) { return ioctl(fd,\n\tKVM_RUN, 0); }\n", True),
    ("kvm_calls", "engine/kvm/a.c", "int f(void) { return ioctl(fd, KVM_RUN, 0); }\n", False),
    ("kvm_calls", "tenant/a.c", "/* ioctl(fd, KVM_RUN) */ int f(void) { return ioctl(fd, TCGETS, 0); }\n", False),
    ("licences", "cli/a.c", "int x;\n", True),
    ("licences", "scripts/tool", "#!/bin/sh\n", True),
    ("licences", "scripts/tool", "#!/bin/sh\n# SPDX-License-Identifier: MIT\n", False),
    ("licences", "cli/meson.build", "x = 1\n", True),
    ("licences", "docs/a.md", "# Words\n", False),
    ("sizes", "cli/a.c", SPDX + "int x;\n" * LINES_MAX, True),
    ("sizes", "cli/a.c", SPDX + "int x;\n" * (LINES_MAX - 2), False),
    ("reminders", "cli/a.c", SPDX + "/* TO" + "DO */\n", True),
    ("reminders", "cli/a.c", SPDX + "/* TO" + "DO: say what remains */\n", False),
    ("machine_paths", "cli/a.c", SPDX + 'char *p = "/' + 'work/main/x";\n', True),
    ("machine_paths", "docs/a.md", "see /" + "home/joe/x\n", True),
    ("machine_paths", "cli/a.c", SPDX + 'char *p = "/proc/self/' + 'root/etc";\n', False),
    ("machine_paths", "build/a.c", "/" + "work/x\n", False),
]


@claim
def a_planted_violation_is_found_and_an_allowed_line_is_not():
    headers = {}
    for rule, path, content, wanted in PLANTED:
        with tempfile.TemporaryDirectory(prefix="mayfly-house-") as root:
            for header in ("engine/kvm/kvm.h", "engine/mem/mem.h", "engine/image/image.h", "engine/linux/process.h",
                           "guest/stub/stub.h", "guest/sdk/mayfly/sdk.h", "request-vm/pool.h", "tenant/program.h",
                           "storage-vm/storage.h", "ipc/ring/area.h", "ipc/socket/file.h", "ipc/control/server.h",
                           "cli/options.h", "bpf/probes.h", "measure/samples.h", "include/mayfly/error.h",
                           "include/mayfly/abi/call.h", path):
                os.makedirs(os.path.dirname(os.path.join(root, header)), exist_ok=True)
                with open(os.path.join(root, header), "w") as file:
                    file.write(content if header == path else SPDX)
            found = violations(root, rule)
            same(bool(found), wanted, f"{rule} in {path}: {content.strip()[:60]}", *found)


main()
