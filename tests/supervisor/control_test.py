#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The control plane of mayflyd: its commands, its events, and what it refuses."""
import json
import os
import random
import socket
import stat
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "control"))
sys.dont_write_bytecode = True
from tenants import HELLO, MAYFLY, Daemon, tenant, wait_until  # noqa: E402
from mayfly import FAILED, SLOWER, command, end, expect  # noqa: E402
from claims import check, claim, main, matches, same  # noqa: E402

HELLO_REQ, HELLO_REP = b"\0SP\0\0\x30\0\0", b"\0SP\0\0\x31\0\0"
REFUSED = 1


def refused(done, why):
    expect(done, REFUSED, why)
    matches(why, done.err)


def take(sock, count):
    got = b""
    while len(got) < count and (more := sock.recv(count - len(got))):
        got += more
    return got


def dial(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20 * SLOWER)
    sock.connect(path)
    sock.sendall(HELLO_REQ)
    same(take(sock, 8), HELLO_REP, "its hello")
    return sock


def ask(sock, body):
    sock.sendall(b"\1" + struct.pack(">QI", len(body) + 4, 0x80000001) + body)
    _, length, _ = struct.unpack(">BQI", take(sock, 13))
    return json.loads(take(sock, length - 4))


@claim
def tenants_are_listed_for_people_and_as_json():
    with Daemon(tenant("one", host="one"), tenant("two", HELLO, host="two")) as daemon:
        told = json.loads(expect(daemon.ctl("list", "--json"), 0, "list").out)
        same((told["version"], told["ok"], [row["name"] for row in told["tenants"]]), (1, True, ["one", "two"]), "list")
        row = told["tenants"][1]
        same((row["state"], row["program"], row["restarts"], row["engines"], row["trouble"]), ("serving", HELLO, 0, 1, ""), "a tenant")
        check(os.path.exists(f"/proc/{row['pid']}"), "its process")
        lines = expect(daemon.ctl("list"), 0, "list").out.decode().splitlines()
        same([line.split()[:2] for line in lines], [["tenant", "state"], ["one", "serving"], ["two", "serving"]], "for people")
        same(json.loads(daemon.ctl("status", "two", "--json").out)["engine"]["pid"], row["pid"], "its engine answers")


@claim
def tenants_are_added_and_removed():
    with Daemon(tenant("one", host="one")) as daemon:
        more = f"{daemon.folder.name}/more.conf"
        own = f"{daemon.folder.name}/own"
        with open(more, "w") as file:
            file.write("tenants = {\n" + tenant("two", HELLO, host="two", listen=f"unix:{own}") + "};\n")
        expect(daemon.ctl("add", more), 0, "add")
        daemon.wait_serving("one", "two")
        same((daemon.ask("two", "/").status, daemon.ask("x", "/", path=own).status), (200, 200), "it serves")
        refused(daemon.ctl("add", more), "there is a tenant two already")
        daemon.reload()
        same(daemon.states(), {"one": "serving", "two": "serving"}, "a reload of the file leaves it")
        expect(daemon.ctl("remove", "two"), 0, "remove")
        daemon.wait_state("two", None)
        same(daemon.ask("two", "/").status, 404, "gone")
        check(not os.path.exists(own), "its address is gone")
        expect(daemon.ctl("add", more), 0, "again")
        daemon.wait_serving("one", "two")
        with open(more, "w") as file:
            file.write("tenants = {\n" + tenant("three", HELLO, host="two") + "};\n")
        refused(daemon.ctl("add", more), "the same host and path")
        for text, why in (("listen = \"unix:x\"", "listen stands in the file of mayflyd"), ("tenants = {};", "no tenant in what is added"),
                          ("tenants = { a = { program = \"x\"; vmss = 1 } }", "did you mean vms"), ("tenants", "syntax error"),
                          ("tenants = {" + tenant("four", HELLO, listen="unix:/nowhere/x") + "}", "/nowhere/x")):
            with open(more, "w") as file:
                file.write(text)
            refused(daemon.ctl("add", more), why)
        same(set(daemon.states()), {"one", "two"}, "what was refused changed nothing")


@claim
def a_drained_tenant_answers_503_until_it_is_reloaded():
    with Daemon(tenant("one", host="one"), tenant("two", HELLO, host="two")) as daemon:
        expect(daemon.ctl("drain", "one"), 0, "drain")
        daemon.wait_state("one", "drained")
        answer = daemon.ask("one", "/count")
        same((answer.status, answer.headers["Retry-After"]), (503, "1"), "drained")
        same(daemon.ask("two", "/").status, 200, "the other one")
        refused(daemon.ctl("status", "one"), "tenant one is drained")
        expect(daemon.ctl("reload", "one"), 0, "reload")
        daemon.wait_serving()
        same(daemon.ask("one", "/count").status, 200, "again")


@claim
def limits_change_while_it_runs():
    with Daemon(tenant("one", host="one", vms=2)) as daemon:
        def vms():
            return json.loads(daemon.ctl("status", "one", "--json").out or b"{}").get("vms", {}).get("total")
        same(vms(), 2, "before")
        expect(daemon.ctl("limits", "one", "vms=3", "rate=1000/s"), 0, "limits")
        wait_until(lambda: vms() == 3, "the new engine", 30)
        same(daemon.ask("one", "/count").status, 200, "it serves")
        for change, why in (("vmss=3", "did you mean vms"), ("vms=x", "vms x is not a number"), ("vms", "write KEY=VALUE"),
                            ("audit=maybe", "audit is true or false"), ("listen=unix:/nowhere/x", "/nowhere/x"),
                            ("memory-limit=1M", "memory-limit is less than")):
            refused(daemon.ctl("limits", "one", change), why)
        same((vms(), daemon.states()), (3, {"one": "serving"}), "what was refused changed nothing")


@claim
def events_are_told_as_they_happen():
    with Daemon(tenant("one", host="one")) as daemon:
        lines = []
        follower = subprocess.Popen([MAYFLY, "ctl", "--control", f"unix:{daemon.control}", "events", "--json"],
                                    stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)

        def read():
            for line in follower.stdout:
                lines.append(json.loads(line))
        reader = threading.Thread(target=read)
        reader.start()

        def told(event):
            # until the follower is there; never while one is on its way, which would end that
            if not any(line["event"] == event for line in lines) and daemon.states() == {"one": "serving"}:
                daemon.ctl("reload", "one")
            return any(line["event"] == event for line in lines)
        wait_until(lambda: told("replaced"), "an event", 30)
        expect(daemon.ctl("remove", "one"), 0, "remove")
        wait_until(lambda: any(line["event"] == "removed" and line["tenant"] == "one" for line in lines), "the removal", 30)
        check(all({"time", "level", "event", "text"} <= set(line) for line in lines), "members", lines)
        end(follower)
        reader.join()
    done = command([MAYFLY, "ctl", "--control", "unix:/nowhere", "events"])
    matches("nobody tells events", expect(done, FAILED, "no mayflyd").err)


@claim
def commands_for_nobody_are_refused():
    with Daemon(tenant("one", host="one")) as daemon:
        for name in ("status", "drain", "remove", "reload"):
            refused(daemon.ctl(name, "two"), "there is no tenant two")
        refused(daemon.ctl("limits", "two", "vms=1"), "there is no tenant two")
        for name in ("status", "drain"):
            refused(daemon.ctl(name), "which tenant")
        for args, why in ((["remove"], "wants a tenant"), (["add"], "wants a file"), (["limits", "one"], "KEY=VALUE"),
                          (["add", "/nowhere"], "cannot open /nowhere"), (["list", "x"], "too much"), (["fly"], "no command fly")):
            matches(why, expect(daemon.ctl(*args), FAILED, args).err)
        same(daemon.states(), {"one": "serving"}, "nothing happened")


@claim
def hostile_messages_are_refused_and_change_nothing():
    with Daemon(tenant("one", host="one")) as daemon:
        sock = dial(daemon.control)
        for body in (b"", b"{}", b"[]", b"\xff", b'{"version":2,"command":"list"}', b'{"version":1,"command":"fly"}',
                     b'{"version":1,"command":"list","more":1}', b'{"version":1,"command":"remove","tenant":5}',
                     b'{"version":1,"command":"remove","tenant":"' + b"x" * 5000 + b'"}', b'{"version":1,"command":5}',
                     b'{"version":1,"command":"remove","tenant":"one","tenant":"one"}', b'{"version":1,"command":"add"}',
                     b'{"version":1,"command":"add","text":[1]}', b'{"version":1,"command":"add","text":"tenants = {' + b"{" * 30000 + b'"}',
                     b'{"version":1,"command":"limits","tenant":"one","text":"' + b"vms=1\\n" * 100 + b'"}',
                     b"[" * 60000, b'{"version":1,"command":"status"}'):
            told = ask(sock, body)
            check(told["ok"] is False and told["error"], body[:80], told)
        sock.close()
        for data in (b"x" * 100, HELLO_REQ + b"\1" + b"\xff" * 8, HELLO_REQ + b"\1" + struct.pack(">Q", 1 << 20) + b"x" * 100,
                     HELLO_REQ + b"\2" + struct.pack(">QI", 10, 0x80000001) + b"x" * 6, HELLO_REQ[:5]):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(daemon.control)
            sock.sendall(data)
            sock.close()
        rng = random.Random(int(os.environ.get("MAYFLY_SEED", "7")))
        good = b'{"version":1,"command":"limits","tenant":"one","text":"vms=2"}'
        sock = dial(daemon.control)
        for _ in range(300):
            body = bytearray(good)
            for _ in range(rng.randrange(1, 6)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            told = ask(sock, bytes(body[:rng.randrange(len(body) + 1)]) if rng.randrange(2) else bytes(body))
            check(isinstance(told["ok"], bool), "an answer", told)
        sock.close()
        # somebody in the middle of a message does not keep others from being heard
        half = dial(daemon.control)
        half.sendall(b"\1" + struct.pack(">Q", 1000) + b"half")
        same(set(daemon.states()), {"one"}, "tenants")
        half.close()
        daemon.wait_serving()
        same(daemon.ask("one", "/count").status, 200, "it serves")


@claim
def its_sockets_are_its_owners_alone():
    with Daemon(tenant("one", host="one")) as daemon:
        for path in (daemon.control, daemon.control + ".events"):
            same(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)
        run = f"{daemon.folder.name}/run"
        for folder in (run, f"{run}/one"):
            same(stat.S_IMODE(os.stat(folder).st_mode), 0o700, folder)
        if os.getuid() == 0:
            os.chmod(daemon.folder.name, 0o755)
            done = command(["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c",
                            f"import socket; socket.socket(socket.AF_UNIX).connect({daemon.control!r})"])
            matches("Permission", done.err, "another user")


@claim
def a_tenants_program_cannot_reach_the_control_socket():
    """Even where it is allowed all Unix sockets."""
    with Daemon(tenant("one", host="one")) as daemon:
        with open(f"{daemon.folder.name}/reach.py", "w") as file:
            file.write("import socket, sys\n"
                       "for path in sys.argv[1:]:\n"
                       "    try:\n"
                       "        socket.socket(socket.AF_UNIX).connect(path)\n"
                       "        print('reached', path)\n"
                       "    except OSError as error:\n"
                       "        print(error.strerror)\n")
        sockets = [daemon.control, daemon.control + ".events"]
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{daemon.folder.name}/open")
        server.listen()
        with open(f"{daemon.folder.name}/more.conf", "w") as file:
            file.write("tenants = {" + tenant("two", "/usr/bin/python3", listen=f"unix:{daemon.folder.name}/two", quiet=False).replace(
                'program = "/usr/bin/python3"', "program = " + json.dumps(["/usr/bin/python3", "-S", f"{daemon.folder.name}/reach.py",
                                                                           *sockets, f"{daemon.folder.name}/open"]))
                .replace("vms", "allow-all = true;\n  vms") + "};")
        expect(daemon.ctl("add", f"{daemon.folder.name}/more.conf"), 0, "add")
        wait_until(lambda: len([e for e in daemon.events("output") if e.get("tenant") == "two"]) >= 3, "it to try", 60)
        said = [e["text"] for e in daemon.events("output") if e.get("tenant") == "two"]
        check(any("reached" in line and "/open" in line for line in said), "what is open is reached", *said)
        check(not any("reached" in line and "control" in line for line in said), "the control sockets are not", *said)
        server.close()


if __name__ == "__main__":
    main()
