#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayflyd: tenants by host, path and address; engines that die, are replaced, drained and removed; nothing is left behind."""
import fcntl
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from tenants import (BUILD, CACHE, GUEST, HELLO, MAYFLY, MAYFLYD, PLAIN, Client, Daemon, Load, Writes, alive, tenant,  # noqa: E402
                     wait_until)
from mayfly import FAILED, SLOWER, command, expect  # noqa: E402
from claims import LONG, check, claim, main, matches, same  # noqa: E402

SEED = int(os.environ.get("MAYFLY_SEED", random.randrange(1 << 32)))


def raw(daemon, data, path=None):
    """What comes back for these bytes, to the end of the connection."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30 * SLOWER)
    sock.connect(path or daemon.path)
    sock.sendall(data)
    got = b""
    while more := sock.recv(65536):
        got += more
    sock.close()
    return got


def ended(daemon, data, answers):
    """The same, where the other side may end before all was sent, or keep the connection behind so many answers."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30 * SLOWER)
    sock.connect(daemon.path)
    got = b""
    try:
        sock.sendall(data)
    except OSError:
        pass
    try:
        while more := sock.recv(65536):
            got += more
            if got.count(b"HTTP/1.") >= answers:
                sock.settimeout(1)  # it may keep the connection: then that was all
    except OSError:
        pass
    sock.close()
    return got


@claim
def tenants_share_an_address_by_host_and_path():
    with Daemon(tenant("one", host="one.example"), tenant("two", HELLO, host="two.example"),
                tenant("below", host="two.example", path="/count"), tenant("rest", HELLO)) as daemon:
        hello = daemon.ask("two.example", "/").body
        check(hello and daemon.ask("one.example", "/count").body != hello, "different programs")
        same(daemon.ask("TWO.example:80", "/other").body[:5], hello[:5], "a host in another form")
        same(daemon.ask("two.example", "/count").status, 200, "a path of another tenant")
        check(daemon.ask("two.example", "/count").body[:5] != hello[:5], "it is another program's")
        same(daemon.ask("two.example", "/counts").body[:5], hello[:5], "a longer word is no deeper path")
        same(daemon.ask("nobody.example", "/").body[:5], hello[:5], "the rest is whose who names none")
    with Daemon(tenant("one", host="one.example", path="/count")) as daemon:
        same(daemon.ask("one.example", "/").status, 404, "a path of nobody")
        same(daemon.ask("x.example", "/count").status, 404, "a host of nobody")
        same(raw(daemon, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").split(b"\r\n\r\n")[1], b"", "HEAD has no body")
        same(daemon.ask("one.example", "/count").status, 200, "its own")


@claim
def a_tenant_has_addresses_of_its_own():
    with Daemon(tenant("one", host="one.example"), wait=False, shared=True) as daemon:
        daemon.wait_serving()
        own = f"{daemon.folder.name}/own"
        daemon.write(tenant("one", host="one.example"), tenant("two", HELLO, listen=f"unix:{own}"))
        daemon.reload()
        daemon.wait_serving("one", "two")
        same(daemon.ask("whatever", "/", path=own).status, 200, "any host")
        same(daemon.ask("two.example", "/").status, 404, "it has no part of the shared ones")


@claim
def anothers_request_on_a_connection_is_misdirected():
    with Daemon(tenant("one", host=["one.example"], path="/"), tenant("two", host="two.example"),
                tenant("below", host="one.example", path="/below")) as daemon:
        client = daemon.client()
        for host, target, status in (("one.example", "/count", 200), ("two.example", "/count", 421), ("one.example", "/below/count", 421),
                                     ("one.example", "/count", 200), ("one.example:81", "/count", 200), ("three.example", "/count", 421)):
            same(client.ask(target, headers={"Host": host}).status, status, (host, target))
        client.close()


@claim
def heads_arrive_in_any_pieces():
    with Daemon(tenant("one", host="one.example"), tenant("two", HELLO)) as daemon:
        request = b"\r\nGET /count HTTP/1.1\r\nX: y\r\nHost:one.example\r\nConnection: close\r\n\r\n"
        for cut in sorted(random.Random(SEED).sample(range(1, len(request)), 12)):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(30 * SLOWER)
            sock.connect(daemon.path)
            sock.sendall(request[:cut])
            sock.sendall(request[cut:])
            check(sock.recv(65536).startswith(b"HTTP/1.1 200"), f"cut at {cut}, seed {SEED}")
            sock.close()
        many = b"".join(b"GET /count HTTP/1.1\r\nHost: one.example\r\n\r\n" for _ in range(5))
        same(raw(daemon, many + request[2:]).count(b"HTTP/1.1 200"), 6, "pipelined ones")
        body = b"x" * 100000
        check(raw(daemon, b"POST /echo HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n" + body)
              .startswith(b"HTTP/1.1"), "a body behind the head")


@claim
def bad_heads_are_refused_and_slow_ones_end():
    with Daemon(tenant("one", host="one.example"), tenant("two", HELLO, host="two.example"),
                top='head-timeout = "1s"\nheads = 8\n') as daemon:
        for data, status in ((b"nonsense\r\n\r\n", b"404"), (b"GET / HTTP/1.1\r\nHost: one.example\r\nHost: two.example\r\n\r\n", b"400"),
                             (b"GET / HTTP/1.1\r\nHost : one.example\r\n\r\n", b"404"), (b"GET / HTTP/1.1\r\nX: " + b"y" * 20000, b"431"),
                             (b"GET / HTTP/1.1\r\nHost: " + b"y" * 5000 + b"\r\n\r\n", b"404"), (b"\x16\x03\x01\n\n", b"404"),
                             (b"GET / HTTP/1.1\r\n", b"408"), (b"GET http://one.example/ HTTP/1.1\r\nHost: two.example\r\n\r\n", b"400")):
            got = raw(daemon, data)
            check(got.startswith(b"HTTP/1.1 " + status), f"{data[:60]}: {status} is told", got[:200])
        same(raw(daemon, b""), b"", "who says nothing is let go")
        # more slow clients than there is room for: honest ones are served
        slow = []
        for _ in range(50):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(daemon.path)
            sock.sendall(b"GET / HTTP/1.1\r\nX-")
            slow.append(sock)
            same(daemon.ask("one.example", "/count").status, 200, "an honest client among slow ones")
        for sock in slow:
            sock.close()


def kill_at_random(daemon, victims, seconds, kills):
    """Engines of the victims, one at a time, for so long and so often at least; (how many died, of each victim)."""
    rng, until, killed = random.Random(SEED), time.monotonic() + seconds, {victim.host: set() for victim in victims}
    while time.monotonic() < until or sum(map(len, killed.values())) < kills:
        victim = rng.choice(victims)
        victim.wait_served(rng.randrange(1, 20))
        time.sleep(rng.random() * 0.01)
        row = daemon.list()[victim.host]
        # one that was killed already may be listed for a moment still
        if row["state"] == "serving" and row["pid"] not in killed[victim.host]:
            os.kill(row["pid"], rng.choice([signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV]))
            killed[victim.host].add(row["pid"])
    return {host: len(pids) for host, pids in killed.items()}


@claim
def an_engine_that_dies_is_started_again_and_the_neighbours_see_nothing():
    """Random kills under load, of tenants of every kind: neighbours lose nothing; a victim loses what was in flight, and
    nothing that was acknowledged; it is there again."""
    print(f"    seed {SEED}")
    with tempfile.TemporaryDirectory(prefix="mayfly-store-") as store:
        with Daemon(tenant("sdk", host="sdk"), tenant("plain", PLAIN, host="plain"), tenant("kept", CACHE, host="kept", store=store),
                    tenant("hello", HELLO, host="hello"), tenant("count", PLAIN, host="count", vms=4),
                    top='restart-max = "200ms"\n') as daemon:
            neighbours = [Load(daemon, "hello", "/"), Load(daemon, "count", body=b"1"), Load(daemon, "count", body=b"1", clients=1, keep=False)]
            victims = [Load(daemon, "sdk", again=True, body=b"1"), Load(daemon, "plain", again=True, body=b"1"), Writes(daemon, "kept")]
            try:
                deaths = kill_at_random(daemon, victims, 600 if LONG else 6, 1000 if LONG else 6)
                daemon.wait_serving()
                for load in victims + neighbours:
                    load.wait_served(5)
            finally:
                for load in victims + neighbours:
                    load.stop()
            for load in neighbours:
                same(load.failures, [], f"what {load.host} lost over {deaths}")
            for load in victims:
                print(f"    {load.host}: {deaths[load.host]} deaths, {load.served} served, {load.cut} cut off, {load.refused} told to come again")
                same(load.failures, [], f"other answers of {load.host}")
                # each of its clients has one request on its way; one that dials while the engine dies may meet that death twice
                check(load.cut <= 2 * load.clients * deaths[load.host], f"{load.host}: more was cut off than was in flight")
            victims[2].check()
            rows = daemon.list()
            same([rows[load.host]["restarts"] for load in neighbours], [0, 0, 0], "the neighbours' restarts")
            wait_until(lambda: all(daemon.list()[host]["restarts"] >= count for host, count in deaths.items()), "each death to be seen", 20)


@claim
def while_there_is_no_engine_clients_are_told_to_come_again():
    with Daemon(tenant("broken", "/bin/false-that-is-not-there", host="broken"), tenant("good", host="good"), wait=False,
                top='restart-max = "1s"\n') as daemon:
        daemon.wait_serving("good")
        answer = daemon.ask("broken", "/")
        same((answer.status, answer.headers["Retry-After"]), (503, "1"), "a tenant that never gets ready")
        same(daemon.ask("good", "/count").status, 200, "the other one")
        wait_until(lambda: (daemon.list()["broken"]["restarts"]) >= 4, "it to be tried again", 60)
        matches("before it was ready", daemon.list()["broken"]["trouble"])
        waits = [int(entry["text"].split()[-2]) for entry in daemon.events("restart") if entry["tenant"] == "broken"]
        check(waits[0] <= 26 and max(waits) <= 1250, "how long it waits", waits)
        check(all(later > earlier for earlier, later in zip(waits[:4], waits[1:4])), "each time longer", waits)


@claim
def an_engine_is_replaced_under_load_without_a_failed_request():
    with Daemon(tenant("one", host="one"), tenant("two", HELLO, host="two")) as daemon:
        with Load(daemon, "one", clients=3) as kept, Load(daemon, "one", clients=2, keep=False) as fresh:
            for change in range(10 if LONG else 3):
                before = daemon.list()["one"]["pid"]
                if change % 3 == 0:
                    expect(daemon.ctl("reload", "one"), 0, "reload")
                elif change % 3 == 1:
                    expect(daemon.ctl("limits", "one", "vms=3", "deadline=9s"), 0, "limits")
                else:
                    daemon.write(tenant("one", host="one", vms=4), tenant("two", HELLO, host="two"))
                    daemon.reload()
                wait_until(lambda: daemon.list()["one"]["pid"] not in (0, before) and daemon.states()["one"] == "serving",
                           "another engine", 30)
                kept.wait_served(20)
                fresh.wait_served(20)
                wait_until(lambda: daemon.list()["one"]["engines"] == 1, "the old one to end", 30)
        same(kept.failures + fresh.failures, [], "failed requests")
        same(daemon.list()["two"]["restarts"], 0, "the other tenant")
        same(len(daemon.events("died")), 0, "no engine died")


@claim
def a_connection_that_keeps_a_vm_ends_when_its_engine_is_replaced():
    with Daemon(tenant("one", host="one", reset="connection", vms=2)) as daemon:
        client, fresh = daemon.client(), daemon.client()
        for number in (1, 2):
            same(client.ask("/count", headers={"Host": "one"}).body, b"%d" % number, "the same VM")
        before = daemon.list()["one"]["pid"]
        expect(daemon.ctl("reload", "one"), 0, "reload")
        wait_until(lambda: daemon.list()["one"]["pid"] not in (0, before) and daemon.states()["one"] == "serving", "another engine", 30)
        same(client.sock.recv(1), b"", "the connection's end, between two answers")
        client.close()
        for number in (1, 2):
            same(fresh.ask("/count", headers={"Host": "one"}).body, b"%d" % number, "a VM of the next engine")
        fresh.close()
        wait_until(lambda: daemon.list()["one"]["engines"] == 1, "the old one to end", 30)


@claim
def a_tenant_with_a_store_is_replaced_and_clients_wait():
    """Its folder is one engine's at a time: who asks meanwhile is answered by the next one."""
    with tempfile.TemporaryDirectory(prefix="mayfly-store-") as store:
        with Daemon(tenant("kept", CACHE, host="kept", store=store, vms=2)) as daemon:
            same(daemon.ask("kept", "/table/a", body="value", method="PUT").status // 100, 2, "something is kept")
            with Load(daemon, "kept", "/table/a", clients=2) as kept, Load(daemon, "kept", "/table/a", clients=2, keep=False) as fresh:
                for change in range(3):
                    before = daemon.list()["kept"]["pid"]
                    expect(daemon.ctl("reload", "kept"), 0, "reload")
                    wait_until(lambda: daemon.list()["kept"]["pid"] not in (0, before) and daemon.states()["kept"] == "serving",
                               "another engine", 60)
                    kept.wait_served(5)
                    fresh.wait_served(5)
            same(kept.failures + fresh.failures, [], "failed requests")
            same(daemon.ask("kept", "/table/a").body, b"value", "what was kept")


@claim
def of_engines_that_end_at_once_the_next_one_is_started():
    """Two of a tenant drain, for one that has to have the store to itself; mayflyd hears of both deaths in one turn."""
    def one(**more):
        return tenant("one", host="one", deadline="10m", drain="10m", **more)

    def sleep(daemon):
        """In the engine that serves, which drains for as long then; its process."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(daemon.path)
        sock.sendall(b"GET /sleep HTTP/1.1\r\nHost: one\r\n\r\n")
        wait_until(lambda: json.loads(daemon.ctl("status", "one", "--json").out)["vms"]["busy"] == 1, "it to be at it")
        socks.append(sock)
        return daemon.list()["one"]["pid"]

    socks = []
    with tempfile.TemporaryDirectory(prefix="mayfly-store-") as store:
        with Daemon(one()) as daemon:
            first = sleep(daemon)
            daemon.write(one(store=store))
            daemon.reload()
            wait_until(lambda: daemon.list()["one"]["pid"] not in (0, first) and daemon.states()["one"] == "serving", "another engine", 60)
            second = sleep(daemon)
            expect(daemon.ctl("reload", "one"), 0, "reload")
            same((daemon.list()["one"]["engines"], daemon.states()["one"]), (2, "replacing"), "both drain")
            ends = [os.pidfd_open(pid) for pid in (first, second)]
            daemon.process.send_signal(signal.SIGSTOP)
            for pidfd in ends:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            wait_until(lambda: len(select.select(ends, [], [], 0)[0]) == 2, "both to die, with all of their threads")
            daemon.process.send_signal(signal.SIGCONT)
            daemon.wait_serving()
            same(daemon.ask("one", "/count").status, 200, "the next one")
        for sock in socks:
            sock.close()
        for pidfd in ends:
            os.close(pidfd)


@claim
def the_bounds_of_a_store_change_while_its_engine_runs():
    """By command and by the file, either way; the engine is the same one."""
    def fill(daemon, table):
        for number in range(60):
            answer = daemon.ask("kept", f"/table/{table}{number}", body="x" * 50000, method="PUT")
            if answer.status // 100 != 2:
                return answer.status
        return 200

    with tempfile.TemporaryDirectory(prefix="mayfly-store-") as store:
        def kept(**more):
            return tenant("kept", CACHE, host="kept", store=store, vms=2, store_size="64M", **more)

        with Daemon(kept(store_quota="1M")) as daemon:
            pid = daemon.list()["kept"]["pid"]
            same(fill(daemon, "a"), 507, "beyond the quota")
            done = daemon.ctl("limits", "kept", "store-quota=65M")
            check(done.status != 0 and b"larger than store-size" in done.err, "a quota beyond the size", str(done))
            expect(daemon.ctl("limits", "kept", "store-quota=16M"), 0, "limits")
            same(fill(daemon, "b"), 200, "a larger quota")
            daemon.write(kept(store_quota="1500K"))
            daemon.reload()
            same(fill(daemon, "c"), 507, "a smaller one, by the file")
            same((daemon.list()["kept"]["pid"], daemon.list()["kept"]["engines"]), (pid, 1), "its engine")


@claim
def programs_that_know_nothing_of_mayfly_are_tenants_too():
    with tempfile.TemporaryDirectory(prefix="mayfly-site-") as site:
        with open(f"{site}/index.html", "w") as file:
            file.write("an ordinary server")
        python = ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "8000", "--directory", site]
        with Daemon(tenant("python", python, host="python", allow_read=["/usr/lib/python3.11", "/usr/lib/python3", site, "/etc"]),
                    tenant("hello", HELLO, host="hello")) as daemon:
            client = daemon.client()
            for _ in range(3):
                answer = client.ask("/index.html", headers={"Host": "python"})
                same((answer.status, answer.body), (200, b"an ordinary server"), "its answer")
            client.close()
            # a body of another tenant's request is never taken for requests
            inner = b"GET /index.html HTTP/1.1\r\nHost: python\r\n\r\n"
            for head in (b"Content-Length: %d" % (len(inner) * 5000), b"Transfer-Encoding: chunked"):
                body = inner * 5000 if b"Length" in head else b"%x\r\n%s\r\n" % (len(inner) * 5000, inner * 5000) + b"0\r\n\r\n"
                got = ended(daemon, b"GET /index.html HTTP/1.1\r\nHost: python\r\n\r\n" +
                            b"POST / HTTP/1.1\r\nHost: hello\r\n" + head + b"\r\n\r\n" + body + b"GET /x HTTP/1.1\r\nHost: y\r\n\r\n", 2)
                statuses = re.findall(rb"HTTP/1\.[01] (\d+) ", got)
                check(statuses in ([b"200", b"421"], [b"200", b"421", b"421"]), f"what {head} meets", *statuses)
            with Load(daemon, "python", "/index.html") as load:
                before = daemon.list()["python"]["pid"]
                expect(daemon.ctl("reload", "python"), 0, "reload")
                wait_until(lambda: daemon.list()["python"]["pid"] not in (0, before) and daemon.states()["python"] == "serving",
                           "another engine", 60)
                load.wait_served(10)
            same(load.failures, [], "failed requests")
            same(daemon.ask("hello", "/").status, 200, "the neighbour")


@claim
def a_log_that_nobody_reads_stops_nothing():
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    with tempfile.TemporaryDirectory(prefix="mayflyd-") as folder:
        path, control = f"{folder}/web", f"{folder}/control"
        with open(f"{folder}/mayfly.conf", "w") as file:
            file.write(f'listen = "unix:{path}"; control = "unix:{control}";\ntenants = {{{tenant("one", host="one", deadline="300ms")}}};\n')
        process = subprocess.Popen([MAYFLYD, "--config", f"{folder}/mayfly.conf"], stderr=write, stdin=subprocess.DEVNULL)
        try:
            def ask(target):
                client = Client(path, 20)
                try:
                    return client.ask(target, headers={"Host": "one"}).status
                except OSError:
                    return None
                finally:
                    client.close()
            wait_until(lambda: ask("/count") == 200, "it to serve", 60)
            for _ in range(4):
                same(ask("/logs"), 504, "a request that prints without end")
            reload = [MAYFLY, "ctl", "--control", f"unix:{control}", "reload", "one"]
            for _ in range(20):
                expect(command(reload), 0, "a command")
            wait_until(lambda: ask("/count") == 200, "it to serve still", 60)
            os.set_blocking(read, False)
            check(len(os.read(read, 1 << 20)) > 0, "there was a log")
        finally:
            process.terminate()
            same(process.wait(60 * SLOWER), 0, "exit status")
            os.close(read)
            os.close(write)


@claim
def the_example_does_what_it_says():
    example = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/tenants/run")
    done = expect(command(["bash", example, BUILD], seconds=60), 0, "the example")
    for pattern in ("hello: +hello", "cache: +PUT 204", "private: +hello", "nobody: +404", "cache serving"):
        matches(pattern, done.out)


@claim
def a_replacement_that_does_not_get_ready_changes_nothing():
    with Daemon(tenant("one", host="one")) as daemon:
        before = daemon.list()["one"]["pid"]
        daemon.write(tenant("one", "/nowhere/program", host="one"))
        daemon.reload()
        wait_until(lambda: daemon.events("replace-failed"), "the attempt to fail", 30)
        same((daemon.list()["one"]["pid"], daemon.states()["one"]), (before, "serving"), "the old engine")
        same(daemon.ask("one", "/count").status, 200, "it serves")
        daemon.write(tenant("one", HELLO, host="one"))
        daemon.reload()
        wait_until(lambda: daemon.list()["one"]["pid"] != before and daemon.states()["one"] == "serving", "the next attempt", 30)


@claim
def a_broken_file_on_sighup_keeps_what_is_there():
    with Daemon(tenant("one", host="one")) as daemon:
        before = daemon.list()["one"]["pid"]
        good = open(daemon.config).read()
        for broken, why in (("listen = ", "syntax error"), (good.replace("vms", "vmss"), "did you mean vms"),
                            (good.replace(f"unix:{daemon.control}", "unix:/tmp/elsewhere"), "control cannot change"),
                            (good.replace(" one = {", f' two = {{ program = "x"; listen = "unix:/nowhere/x"; }};\n one = {{'), "/nowhere/x")):
            with open(daemon.config, "w") as file:
                file.write(broken)
            daemon.reload()
            matches(why, daemon.events("reload-refused")[-1]["text"])
            same({name: row["pid"] for name, row in daemon.list().items()}, {"one": before}, "what is there")
        same(daemon.ask("one", "/count").status, 200, "it serves")
        os.unlink(daemon.config)
        daemon.reload()
        same(daemon.ask("one", "/count").status, 200, "without a file")


@claim
def tenants_come_and_go_with_the_file():
    with Daemon(tenant("one", host="one")) as daemon:
        same(daemon.ask("two", "/").status, 404, "not there yet")
        daemon.write(tenant("one", host="one"), tenant("two", HELLO, host="two"))
        before = daemon.list()["one"]["pid"]
        daemon.reload()
        daemon.wait_serving("one", "two")
        same(daemon.ask("two", "/").status, 200, "there")
        same(daemon.list()["one"]["pid"], before, "what did not change goes on")
        daemon.write(tenant("two", HELLO, host=["two", "deux"]))
        before = daemon.list()["two"]["pid"]
        daemon.reload()
        daemon.wait_state("one", None)
        same(daemon.ask("one", "/").status, 404, "gone")
        same((daemon.ask("deux", "/").status, daemon.list()["two"]["pid"]), (200, before), "another host is no other engine")
        wait_until(lambda: len(daemon.children()) == 2, "an engine and the router, and nothing else")


@claim
def it_ends_in_order_and_leaves_nothing():
    with Daemon(tenant("one", host="one", deadline="5s"), tenant("two", HELLO, host="two"), tenant("bad", "/nowhere", host="bad"),
                wait=False) as daemon:
        daemon.wait_serving("one", "two")
        started = daemon.children()
        check(len(started) >= 3, "processes", started)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(daemon.ask("one", "/sleep").status))
        asking.start()
        wait_until(lambda: daemon.ctl("status", "one").out.decode().split("busy")[1].split()[0] == "1", "the request to run", 30)
        same(daemon.stop(), 0, "exit status")
        asking.join()
        check(answers and answers[0] in (200, 504), "what ran was answered", answers)
        same([pid for pid in started if alive(pid)], [], "processes that are left")
        check(not os.path.exists(daemon.path) and not os.path.exists(daemon.control), "sockets are removed")
        same(os.listdir(f"{daemon.folder.name}/run"), [], "what is left of its folder")


@claim
def a_second_signal_does_not_wait():
    with Daemon(tenant("one", host="one", deadline="10m", drain="10m")) as daemon:
        started = daemon.children()
        client = daemon.client(seconds=600)
        client.request("GET", "/sleep", headers={"Host": "one"})
        wait_until(lambda: daemon.ctl("status", "one").out.decode().split("busy")[1].split()[0] == "1", "the request to run", 30)
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: daemon.events("stopping"), "it to end", 30)
        same(daemon.process.poll(), None, "it waits for what runs")
        same(daemon.stop(), 0, "exit status")
        same([pid for pid in started if alive(pid)], [], "processes that are left")
        client.close()


@claim
def nothing_outlives_a_mayflyd_that_is_killed():
    with Daemon(tenant("one", host="one"), tenant("two", HELLO, host="two")) as daemon:
        started = daemon.children()
        check(len(started) >= 3, "processes", started)
        daemon.process.kill()
        daemon.process.wait()
        wait_until(lambda: not any(alive(pid) for pid in started), "orphans to end", 20)
        with open(daemon.log_name, "ab") as log:
            daemon.process = subprocess.Popen([MAYFLYD, "--config", daemon.config], stderr=log, stdin=subprocess.DEVNULL)
        daemon.wait_serving()
        same(daemon.ask("one", "/count").status, 200, "started again over what was left")


@claim
def a_router_that_dies_is_started_again():
    with Daemon(tenant("one", host="one")) as daemon:
        engine = daemon.list()["one"]["pid"]
        for _ in range(2):
            router = [pid for pid in daemon.children() if pid != engine]
            same(len(router), 1, "one router")
            kept = daemon.client()
            same(kept.ask("/count", headers={"Host": "one"}).status, 200, "a connection")
            os.kill(router[0], signal.SIGKILL)
            wait_until(lambda: [pid for pid in daemon.children() if pid not in (engine, router[0])], "another router", 20)
            same(kept.ask("/count", headers={"Host": "one"}).status, 200, "what was passed on already goes on")
            kept.close()
            wait_until(lambda: daemon.ask("one", "/count").status == 200, "new connections", 20)
        same(daemon.list()["one"]["pid"], engine, "the engine")


@claim
def bad_command_lines_and_files_are_told():
    for args, status, why in (([], FAILED, "no configuration"), (["--config", "/nowhere"], FAILED, "cannot open /nowhere"),
                              (["--confg", "x"], FAILED, "did you mean --config"), (["--help"], 0, "usage: mayflyd"),
                              (["--version"], 0, r"mayflyd \d"), (["--config", "x", "y"], FAILED, "y is too much")):
        done = expect(command([MAYFLYD, *args]), status, args)
        matches(why, done.out + done.err)
    with Daemon(tenant("one", host="one"), wait=False) as daemon:
        daemon.wait_serving()
        expect(command([MAYFLYD, "--check", "--config", daemon.config]), 0, "--check")
        with open(daemon.config, "a") as file:
            file.write("nonsense = 1\n")
        matches("unknown key nonsense", expect(command([MAYFLYD, "--config", daemon.config]), 1, "a bad file").err)


if __name__ == "__main__":
    main()
