# SPDX-License-Identifier: MIT
"""A mayflyd of one's own on Unix sockets, and clients of its tenants. Used by the tests of this folder."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pool"))
sys.dont_write_bytecode = True
from serving import GUEST, PLAIN, Client, wait_until  # noqa: E402
from mayfly import BUILD, MAYFLY, SLOWER, command, end, expect  # noqa: E402
from claims import check, fail, same  # noqa: E402

MAYFLYD = os.environ.get("MAYFLYD_PROGRAM", os.path.join(BUILD, "supervisor/mayflyd"))
CACHE = os.path.join(BUILD, "examples/cache")
HELLO = os.path.join(BUILD, "examples/hello")


def tenant(name, program=GUEST, **keys):
    """A tenant's part of the file; _ in keys is -."""
    keys = {"program": program, "vms": 2, "workers": 1, **keys}
    lines = "".join(f"  {key.replace('_', '-')} = {json.dumps(value)};\n" for key, value in keys.items())
    return f" {name} = {{\n{lines} }};\n"


class Daemon:
    """With-statement: a mayflyd whose tenants serve; at the end all that it started has to be gone."""

    def __init__(self, *tenants, top="", wait=True, shared=True, prefix=(), env=None, pass_fds=()):
        self.folder = tempfile.TemporaryDirectory(prefix="mayflyd-")
        self.path, self.control = f"{self.folder.name}/web", f"{self.folder.name}/control"
        self.config, self.log_name = f"{self.folder.name}/mayfly.conf", f"{self.folder.name}/log"
        self.shared, self.top = shared, top
        os.mkdir(f"{self.folder.name}/run", 0o700)
        self.write(*tenants)
        with open(self.log_name, "wb") as log:
            self.process = subprocess.Popen([*prefix, MAYFLYD, "--config", self.config], stdin=subprocess.DEVNULL, stderr=log,
                                            stdout=log, env={**os.environ, **(env or {})}, pass_fds=pass_fds)
        if wait:
            self.wait_serving()

    def write(self, *tenants, top=None):
        listen = f'listen = "unix:{self.path}"\n' if self.shared else ""
        with open(self.config + ".new", "w") as file:
            file.write(f'{listen}control = "unix:{self.control}"\nruntime = "{self.folder.name}/run"\nlog = "json"\n'
                       f'restart-min = "20ms"\n{self.top if top is None else top}\ntenants = {{\n{"".join(tenants)}}};\n')
        os.rename(self.config + ".new", self.config)

    def ctl(self, *args, **more):
        return command([MAYFLY, "ctl", "--control", f"unix:{self.control}", *args], **more)

    def list(self):
        """name -> what is told of it; None when nobody answers yet."""
        done = self.ctl("list", "--json")
        return {row["name"]: row for row in json.loads(done.out)["tenants"]} if done.status == 0 else None

    def states(self):
        rows = self.list()
        return rows and {name: row["state"] for name, row in rows.items()}

    def wait_serving(self, *names):
        def serving():
            if self.process.poll() is not None:
                fail("mayflyd ended", self.log())
            states = self.states()
            return states is not None and all(state == "serving" for name, state in states.items() if not names or name in names)
        try:
            wait_until(serving, "tenants to serve", 60)
        except Exception:
            print(self.log().decode(errors="replace"))
            raise

    def wait_state(self, name, *wanted):
        """A tenant's state; None: there is none."""
        wait_until(lambda: (self.states() or {}).get(name) in wanted, f"{name} to be {wanted}", 60)

    def reload(self):
        before = len(self.events("reloaded", "reload-refused"))
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.events("reloaded", "reload-refused")) > before, "the configuration to be read", 20)

    def events(self, *names):
        """Lines of the log with one of these events."""
        found = []
        for line in self.log().splitlines():
            if line.startswith(b"{"):
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # not yet written in whole
                if not names or entry["event"] in names:
                    found.append(entry)
        return found

    def log(self):
        with open(self.log_name, "rb") as file:
            return file.read()

    def client(self, path=None, seconds=20):
        return Client(path or self.path, seconds)

    def ask(self, host, target, path=None, body=None, method=None, headers=()):
        """One request on a connection of its own."""
        client = self.client(path)
        try:
            return client.ask(target, body, method, {"Host": host, **dict(headers)})
        finally:
            client.close()

    def children(self):
        """Processes that it started and that live, however deep."""
        found, look = [], [self.process.pid]
        while look:
            parent = look.pop()
            for name in os.listdir("/proc"):
                if name.isdigit():
                    try:
                        with open(f"/proc/{name}/stat") as file:
                            state, above = file.read().rpartition(")")[2].split()[:2]
                    except OSError:
                        continue
                    if int(above) == parent and state != "Z":
                        found.append(int(name))
                        look.append(int(name))
        return found

    def stop(self, how=signal.SIGTERM, seconds=40):
        self.process.send_signal(how)
        try:
            return self.process.wait(seconds * SLOWER)
        except subprocess.TimeoutExpired:
            fail(f"mayflyd still runs {seconds} s after it was told to end", self.log())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        started = self.children() if self.process.poll() is None else []
        died = self.process.poll()
        if died is None:
            end(self.process)
        try:
            wait_until(lambda: not any(alive(pid) for pid in started), "what mayflyd started to end with it", 20)
            log = self.log()
            if kind is None:
                check(died is None or died >= 0, f"mayflyd died of signal {-(died or 0)}", log)
                check(b"Sanitizer" not in log and b"runtime error" not in log, "a sanitizer reported", log)
        finally:
            self.folder.cleanup()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Load:
    """Clients on threads that ask a tenant all the time; every failure is kept. `again`: who is cut off, or is told to come
    again, dials anew and asks again: both are counted. `body`: what each answer has to be."""

    def __init__(self, daemon, host, target="/count", clients=2, again=False, keep=True, body=None):
        self.served, self.cut, self.refused, self.failures, self.stopping = 0, 0, 0, [], threading.Event()
        self.daemon, self.host, self.target, self.again, self.keep, self.body = daemon, host, target, again, keep, body
        self.lock, self.clients = threading.Lock(), clients
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def ask(self, client, number):
        """Asks once: what was wrong with the answer, or None, and the answer."""
        answer = client.ask(self.target, headers={"Host": self.host})
        good = answer.status == 200 and self.body in (None, answer.body)
        return None if good else f"{answer.status} {answer.body[:80]}", answer

    def once(self, client, number):
        """The same, counted; returns whether it was served, and whether the connection is done."""
        try:
            why, answer = self.ask(client, number)
            closed = not self.keep or answer.headers.get("Connection") == "close"
        except (OSError, http.client.HTTPException) as error:
            why, answer, closed = repr(error), None, True
        with self.lock:
            if why is None:
                self.served += 1
            elif self.again and answer is None:
                self.cut += 1
            elif self.again and answer.status == 503:
                self.refused += 1
            else:
                self.failures.append(why)
        return why is None, closed

    def run(self, number):
        client = self.daemon.client()
        while not self.stopping.is_set():
            good, closed = self.once(client, number)
            if closed or not good:
                client.close()  # the next request dials
            if not good:
                time.sleep(0.02)
        client.close()

    def wait_served(self, more):
        until = self.served + more
        wait_until(lambda: self.served >= until, f"{more} more requests of {self.host} to be served", 60)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Writes(Load):
    """Clients that each count a key of a store up and read it back: what was acknowledged is there, and nothing that was
    never sent."""

    def __init__(self, *args, **more):
        self.sent, self.acknowledged = {}, {}
        super().__init__(*args, again=True, **more)

    def ask(self, client, number):
        where = f"/table/key-{number}"
        sent = self.sent[number] = self.sent.get(number, 0) + 1
        answer = client.ask(where, str(sent).encode(), "PUT", {"Host": self.host})
        if answer.status // 100 != 2:
            return f"PUT {answer.status} {answer.body[:80]}", answer
        self.acknowledged[number] = sent
        answer = client.ask(where, headers={"Host": self.host})
        if answer.status != 200 or answer.body == str(sent).encode():
            return None if answer.status == 200 else f"GET {answer.status}", answer
        self.failures.append(f"{where} is {answer.body[:80]}, {sent} was acknowledged")
        return None, answer

    def check(self):
        """Once nobody writes: each key is what was acknowledged last, or a later one that was cut off."""
        for number, sent in self.sent.items():
            answer = self.daemon.ask(self.host, f"/table/key-{number}")
            check(answer.status == 200 and self.acknowledged[number] <= int(answer.body) <= sent,
                  f"key-{number}: {self.acknowledged[number]} was acknowledged, {sent} sent", answer)
