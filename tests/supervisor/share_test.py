#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Fair sharing: everything that the configuration says has an effect; a noisy tenant does not silence its neighbour."""
import json
import os
import socket
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from tenants import HELLO, Daemon, Load, tenant, wait_until  # noqa: E402
from mayfly import SLOWER, as_nice_as_usual, status_line, threads  # noqa: E402
from claims import check, claim, main, matches, same  # noqa: E402


def nice_of(pid):
    """Of its main thread and of all the others."""
    return {int(fields[16]) for _, fields in threads(pid)}


@claim
def a_smaller_share_is_a_lower_priority():
    with Daemon(tenant("large", host="large", cpu_share=400), tenant("usual", host="usual"), tenant("small", host="small", cpu_share=25)) as daemon:
        rows = daemon.list()
        wait_until(lambda: [nice_of(rows[name]["pid"]) for name in ("large", "usual", "small")] == [{0}, {6}, {12}], "nice of all threads")


def standing(pid):
    """(nice, policy) of the thread that runs its requests."""
    return next(((int(fields[16]), int(fields[38])) for name, fields in threads(pid) if name == "worker 0"), None)


@claim
def who_computes_gives_way_until_it_waits_again():
    """Its thread is lowered while it computes: by its slices, and where it may raise that again by its priority."""
    with Daemon(tenant("noisy", host="noisy", deadline="60s")) as daemon:
        pid = daemon.list()["noisy"]["pid"]
        wait_until(lambda: standing(pid) == (0, 0), "its thread to stand as all others")
        client = daemon.client(seconds=60)
        client.request("GET", "/busy", headers={"Host": "noisy"})
        wait_until(lambda: standing(pid) in ((5, 3), (0, 3)), "its thread to be lowered")
        same(daemon.ask("noisy", "/count").status, 200, "another request of it")
        client.close()
        wait_until(lambda: standing(pid) == (0, 0), "its thread to be raised again")


@claim
def without_a_right_to_raise_it_again_a_thread_gives_way_by_its_slices():
    drop = ["setpriv", "--bounding-set=-sys_nice,-sys_resource", "--inh-caps=-sys_nice,-sys_resource"]
    if os.geteuid() or os.system("prlimit --nice=0:0 " + " ".join(drop) + " true 2>/dev/null"):
        print("    SKIP rights cannot be dropped here: the claim before this one holds without them")
        return
    with Daemon(tenant("noisy", host="noisy", deadline="60s"), prefix=["prlimit", "--nice=0:0", *drop]) as daemon:
        pid = daemon.list()["noisy"]["pid"]
        client = daemon.client(seconds=60)
        client.request("GET", "/busy", headers={"Host": "noisy"})
        wait_until(lambda: standing(pid) == (0, 3), "its thread to be lowered")
        client.close()
        wait_until(lambda: standing(pid) == (0, 0), "its thread to be raised again")


@claim
def a_delegated_cgroup_gets_the_shares():
    """A folder stands in for the kernel's where there is none that may be used."""
    with tempfile.TemporaryDirectory(prefix="mayfly-cgroup-") as fake:
        for name in ("one", "two"):
            os.mkdir(f"{fake}/{name}")
            for file in ("cpu.weight", "cpu.shares", "memory.max", "cgroup.procs"):
                open(f"{fake}/{name}/{file}", "w").close()
        with Daemon(tenant("one", host="one", cpu_share=300, memory_limit="1G"), tenant("two", host="two"),
                    top=f'cgroup = "{fake}"\n') as daemon:
            def read(path):
                with open(f"{fake}/{path}") as file:
                    return file.read()
            same((read("one/cpu.weight"), read("one/cpu.shares"), read("one/memory.max")), ("300", "3072", str(1 << 30)), "one")
            same((read("two/cpu.weight"), read("two/memory.max")), ("100", ""), "two")
            same(read("one/cgroup.procs"), "0", "its engine enters by itself")
            same(nice_of(daemon.list()["two"]["pid"]), {0}, "then its priority is left alone")


@claim
def a_real_cgroup_holds_the_engine():
    root = "/sys/fs/cgroup/cpu"
    if not os.access(f"{root}/cgroup.procs", os.W_OK):
        root = "/sys/fs/cgroup"
    group = f"{root}/mayfly-test-{os.getpid()}"
    try:
        os.mkdir(group)
    except OSError as error:
        print(f"    SKIP no cgroup can be made here: {error.strerror}")
        return
    try:
        with Daemon(tenant("one", host="one", cpu_share=50), top=f'cgroup = "{group}"\n') as daemon:
            with open(f"/proc/{daemon.list()['one']['pid']}/cgroup") as file:
                check(f"{os.path.basename(group)}/one" in file.read(), "the engine is in its group")
            for name, value in (("cpu.shares", "512"), ("cpu.weight", "50")):
                if os.path.exists(f"{group}/one/{name}"):
                    with open(f"{group}/one/{name}") as file:
                        same(file.read().strip(), value, name)
            expect_gone = daemon.stop()
            same(expect_gone, 0, "exit status")
            check(not os.path.exists(f"{group}/one"), "its group is removed")
    finally:
        for inner in ("one", "mayflyd"):
            if os.path.isdir(f"{group}/{inner}"):
                os.rmdir(f"{group}/{inner}")
        os.rmdir(group)


@claim
def rate_queue_and_vms_are_each_tenants_own():
    with Daemon(tenant("slow", host="slow", rate="1/m", burst=2), tenant("full", host="full", vms=1, queue=1, deadline="5s"),
                tenant("free", HELLO, host="free")) as daemon:
        statuses = [daemon.ask("slow", "/count").status for _ in range(4)]
        same(statuses[:2] + statuses[-1:], [200, 200, 429], "over its rate")
        clients = [daemon.client(seconds=60) for _ in range(4)]
        for client in clients:
            client.request("GET", "/sleep", headers={"Host": "full"})
        answers = [client.getresponse().status for client in clients]
        same((answers.count(503) >= 2, answers.count(504) >= 1, len(answers)), (True, True, 4), f"one runs, one waits: {answers}")
        for client in clients:
            client.close()
        same([daemon.ask("free", "/").status for _ in range(5)], [200] * 5, "the neighbour")
        same(json.loads(daemon.ctl("status", "full", "--json").out)["vms"]["total"], 1, "VMs")


def ended(sock):
    """Who is let go before all that it sent was read hears of a reset."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@claim
def a_flood_of_slow_clients_ends_those_of_its_own_address_alone():
    with tempfile.TemporaryDirectory(prefix="mayflyd-") as folder:
        one, other = f"{folder}/one", f"{folder}/other"
        with Daemon(tenant("any"), shared=False, top=f'listen = ["unix:{one}", "unix:{other}"]\nheads = 10\nhead-timeout = "10m"\n'):
            def dial(path):
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(30 * SLOWER)
                sock.connect(path)
                sock.sendall(b"GET /count HTTP/1.1\r\nHo")
                return sock
            slow = [dial(other) for _ in range(3)]
            flood = [dial(one) for _ in range(60)]
            same([ended(sock) for sock in flood[:50]], [True] * 50, "the oldest of the flood")
            for sock in slow:
                sock.sendall(b"st: any\r\n\r\n")
                check(sock.recv(100).startswith(b"HTTP/1.1 200"), "a slow client of the other address")
            for sock in (*slow, *flood):
                sock.close()


@claim
def noise_of_a_tenant_fails_no_request_of_its_neighbour():
    """It computes without end, fills its memory, prints, opens connections: the neighbour is slower perhaps, and loses nothing."""
    with Daemon(tenant("noisy", host="noisy", vms=4, deadline="500ms", connections=64, queue=8, cpu_share=10),
                tenant("calm", HELLO, host="calm", deadline="60s")) as daemon:
        with Load(daemon, "calm", "/", clients=2) as calm:
            socks = []
            for _ in range(200):
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(30 * SLOWER)
                sock.connect(daemon.path)
                sock.sendall(b"GET /count HTTP/1.1\r\nHost: noisy\r\n\r\n")
                socks.append(sock)
            for target in ("/busy", "/eat", "/logs", "/crash?0", "/large"):
                with Load(daemon, "noisy", target, clients=3, again=True, keep=False):
                    calm.wait_served(15)
            calm.wait_served(10)
            for sock in socks:
                sock.close()
        same(calm.failures, [], "what the neighbour lost")
        rows = daemon.list()
        same((rows["calm"]["restarts"], rows["noisy"]["restarts"]), (0, 0), "no engine died of it")


@claim
def an_engine_may_do_no_more_than_one_by_itself():
    with Daemon(tenant("one", host="one")) as daemon:
        same(daemon.ask("one", "/count").status, 200, "both are at work")
        pids = daemon.children()
        check(len(pids) == 2, "an engine and the router", pids)
        for pid in pids:
            same((status_line(pid, "NoNewPrivs"), status_line(pid, "Seccomp")), ("1", "2"), f"process {pid} is confined")


if __name__ == "__main__":
    as_nice_as_usual()
    main()
