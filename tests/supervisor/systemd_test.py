#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""mayflyd as a unit of systemd: its sockets, readiness, reload and watchdog. The test is systemd."""
import os
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from tenants import BUILD, HELLO, MAYFLYD, Daemon, tenant, wait_until  # noqa: E402
from mayfly import SLOWER  # noqa: E402
from claims import check, claim, main, matches, same  # noqa: E402

# systemd says whose the sockets are: the shell's process becomes mayflyd's.
AS_UNIT = ["/bin/sh", "-c", 'LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"']


class Manager:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, folder):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(f"{folder}/manager")
        self.sock.settimeout(30 * SLOWER)
        self.path = f"{folder}/manager"

    def hears(self, wanted):
        """The next one that is not about the watchdog."""
        while (text := self.sock.recv(1000).decode()) == "WATCHDOG=1" != wanted:
            pass
        same(text, wanted, "what systemd is told")


@claim
def readiness_reload_watchdog_and_end_are_told():
    with tempfile.TemporaryDirectory(prefix="mayflyd-systemd-") as folder:
        manager = Manager(folder)
        with Daemon(tenant("one", HELLO, host="one"), wait=False, prefix=AS_UNIT,
                    env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"}) as daemon:
            manager.hears("READY=1")
            daemon.wait_serving()
            manager.hears("WATCHDOG=1")
            daemon.process.send_signal(signal.SIGHUP)
            manager.hears("RELOADING=1")
            manager.hears("READY=1")
            same(daemon.stop(), 0, "exit status")
            manager.hears("STOPPING=1")
        manager.sock.close()


@claim
def sockets_that_systemd_opened_are_served():
    with tempfile.TemporaryDirectory(prefix="mayflyd-systemd-") as folder:
        servers = []
        for name in ("shared", "own"):
            server = socket.socket(socket.AF_UNIX)
            server.bind(f"{folder}/{name}")
            server.listen()
            servers.append(server)
        config = f"{folder}/mayfly.conf"
        with open(config, "w") as file:
            file.write('listen = "systemd:web"\ntenants = {' + tenant("one", HELLO, host="one") +
                       tenant("two", HELLO, listen="systemd:two") + "};\n")

        def place():
            """As descriptors 3 and 4."""
            for at, server in enumerate(servers):
                os.dup2(server.fileno(), 10 + at)
            for at in range(2):
                os.dup2(10 + at, 3 + at)
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen([*AS_UNIT, MAYFLYD, "--config", config], stderr=log, stdin=subprocess.DEVNULL, preexec_fn=place,
                                       close_fds=False, env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:two"})
        try:
            from tenants import Client

            def status(path, host):
                client = Client(path, 20)
                try:
                    return client.ask("/", headers={"Host": host}).status
                except OSError:
                    return None
                finally:
                    client.close()
            wait_until(lambda: status(f"{folder}/shared", "one") == 200, "the shared one", 60)
            wait_until(lambda: status(f"{folder}/own", "any") == 200, "its own", 60)
            same(status(f"{folder}/shared", "any"), 404, "two has no part of the shared one")
            process.terminate()
            same(process.wait(40 * SLOWER), 0, "exit status")
            check(os.path.exists(f"{folder}/shared"), "systemd's sockets are systemd's")
        finally:
            process.kill()
            process.wait()
            for server in servers:
                server.close()


@claim
def a_socket_that_systemd_did_not_give_is_told():
    with tempfile.TemporaryDirectory(prefix="mayflyd-systemd-") as folder:
        with open(f"{folder}/mayfly.conf", "w") as file:
            file.write('listen = "systemd"\ntenants = {' + tenant("one", HELLO) + "};\n")
        done = subprocess.run([MAYFLYD, "--config", f"{folder}/mayfly.conf"], capture_output=True, timeout=60 * SLOWER)
        check(done.returncode != 0, "it ends", done.stderr)
        matches("systemd gave no such socket", done.stderr)


@claim
def the_unit_is_installed_with_what_it_names():
    with open(f"{BUILD}/deploy/mayflyd.service") as file:
        unit = file.read()
    check("@" not in unit, "all places are filled in", unit)
    matches(r"Type=notify.*ExecStart=/\S+/mayflyd --config /\S+/mayfly.conf", unit)


if __name__ == "__main__":
    main()
