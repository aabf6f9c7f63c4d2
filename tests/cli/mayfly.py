# SPDX-License-Identifier: MIT
"""Running the command line: build/cli/mayfly with guests of this folder. Used by the script tests."""
import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "house"))
sys.dont_write_bytecode = True
from claims import EMULATED, fail  # noqa: E402

BUILD = os.environ.get("MAYFLY_BUILD", os.path.join(os.path.dirname(os.path.dirname(HERE)), "build"))
MAYFLY = os.environ.get("MAYFLY_PROGRAM", os.path.join(BUILD, "cli/mayfly"))
GUESTS = os.environ.get("MAYFLY_GUESTS", os.path.join(BUILD, "tests/cli"))
SLOWER = 10 if EMULATED else 1
# More than anything takes that waits for nothing, on a busy machine too: what must not be waited for takes far longer.
SOON = 15 * SLOWER
STATIC = os.path.join(GUESTS, "guest-static")
FLAVOURS = [path for path in (STATIC, STATIC + "-pie", os.path.join(GUESTS, "guest-musl")) if os.path.exists(path)]
FAILED = 125
DEADLINE = 124


class Run:
    """How a process ended: status (negative: a signal), out, err."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __str__(self):
        return f"status {self.status}\nstdout: {self.out[:600]}\nstderr: {self.err.decode(errors='replace')[:1500]}"


def command(args, stdin=b"", seconds=60, env=None, before=None):
    """Runs a command to its end. stdin: bytes, or a descriptor. It is ended, and the test fails, after some time."""
    given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    try:
        done = subprocess.run(args, capture_output=True, timeout=seconds * SLOWER, env=env, preexec_fn=before, **given)
    except subprocess.TimeoutExpired as late:
        fail(f"still runs after {seconds * SLOWER} s: {' '.join(map(str, args))}", late.stdout or b"", late.stderr or b"")
    return Run(done.returncode, done.stdout, done.stderr)


def run(*args, guest=STATIC, options=(), **more):
    """mayfly run [options] -- guest args"""
    return command([MAYFLY, "run", *options, "--", guest, *args], **more)


def expect(done, status, what):
    if done.status != status:
        fail(f"{what}: status {done.status}, should be {status}", done)
    return done


def folder():
    return tempfile.TemporaryDirectory(prefix="mayfly-cli-")


@functools.lru_cache(maxsize=None)
def for_everybody(path):
    """A program of the build where an ordinary user finds it: a checkout in a home that is closed to others has a copy."""
    above = os.path.dirname(os.path.abspath(path))
    while above != "/" and os.stat(above).st_mode & 0o001:
        above = os.path.dirname(above)
    if above == "/":
        return path
    copies = tempfile.mkdtemp(prefix="mayfly-everybody-")
    atexit.register(shutil.rmtree, copies, True)
    os.chmod(copies, 0o755)
    return shutil.copy(path, copies)


GROUP = 64999  # of an ordinary user's /dev/kvm; its own: the machine's groups stay as they are
NOBODY = f"setpriv --reuid 65534 --regid {GROUP} --clear-groups --bounding-set=-all --inh-caps=-all"


def as_nobody(root, args):
    """The command that runs args as a user whose only right is group access to a /dev/kvm of its own."""
    node = f"{root}/kvm"
    args = [for_everybody(arg) if arg.startswith(BUILD) and os.path.isfile(arg) else arg for arg in args]
    return ["unshare", "-m", "/bin/sh", "-c",
            f"rm -f {node} && mknod {node} c 10 232 && chown 0:{GROUP} {node} && chmod 660 {node} && "
            f"mount --bind {node} /dev/kvm && exec {NOBODY} \"$0\" \"$@\"", *args]


def accepts(path):
    """Does somebody listen at this Unix socket? Its file is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as dialled:
        return dialled.connect_ex(path) == 0


def children_of(pid):
    """Processes whose parent is pid."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    if int(file.read().rpartition(")")[2].split()[1]) == pid:
                        found.append(int(name))
            except OSError:
                pass
    return found


def status_line(pid, name):
    """One line of /proc/PID/status; None: there is no such process or thread, or no such line."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return line.split(":", 1)[1].strip()
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def threads(pid):
    """What /proc/PID/task/ID/stat says of each: (name, the fields behind it). One that ends meanwhile is not among them."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/stat") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield name, rest.split()


def open_files(pid):
    """What its descriptors are of. One that is closed meanwhile is not among them."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
    return names


def end(process, how=signal.SIGKILL):
    if process.poll() is None:
        process.send_signal(how)
    process.wait()


def as_nice_as_usual():
    """Where this may be had. Niceness is inherited, and a VM's program is told of 0 at its start."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def hold_a_vm():
    """The first VM and the last one make the kernel patch its own code (static keys of KVM), which under QEMU's TCG
    with more than one processor now and then never ends (soft lockup in text_poke). With a VM that stays, it does so
    only twice."""
    holder = subprocess.Popen([MAYFLY, "run", "--", STATIC, "nap"], stdin=subprocess.DEVNULL)
    atexit.register(end, holder)
    time.sleep(3)


if EMULATED:
    hold_a_vm()
