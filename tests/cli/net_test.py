#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What of the network a program reaches: nothing, unless an option allows it, by whatever call it tries."""
import os
import random
import socket
import threading

from mayfly import GUESTS, expect, folder, run
from claims import check, claim, main, matches, same

GUEST = os.path.join(GUESTS, "guest-net")


class Peers:
    """Natively: a TCP and a UDP socket of one port, and a Unix socket of each type. Who reached them is in .reached."""

    def __init__(self, root):
        self.path, self.datagrams = f"{root}/peer", f"{root}/datagrams"
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(self.path)
        self.unix.listen()
        for sock in (self.tcp, self.udp, self.unix):
            sock.setblocking(False)

    def reached(self):
        found = ""
        for name, take in (("tcp", self.tcp.accept), ("udp", lambda: self.udp.recv(10)), ("unix", self.unix.accept)):
            try:
                while True:
                    take()
                    found += name + " "
            except BlockingIOError:
                pass
        return found

    def run(self, what, *options, path=None):
        """errno of each call, in order, and what was reached."""
        done = expect(run(what, str(self.port), path or self.path, guest=GUEST, options=options), 0, what)
        return done.out.decode().split("\n")[:-1], self.reached(), done.err.decode()


def errnos(lines):
    return [line.split()[0] for line in lines]


def denied(lines):
    """All but those that Linux refuses anyone, and what reaches nobody."""
    return [line for line in lines if line.split()[0] != "EACCES"]


@claim(emulated=True)
def without_permission_no_call_reaches_out():
    with folder() as root:
        peers = Peers(root)
        lines, reached, _ = peers.run("families")
        same(errnos(lines), ["EACCES"] * 7 + ["EPERM", "EAFNOSUPPORT", "EAFNOSUPPORT"], "sockets")
        for files in ((), (f"--allow-read={root}", f"--allow-write={root}")):
            lines, reached, _ = peers.run("pairs", *files)
            same(denied(lines), ["0 socketpair(AF_UNIX, SOCK_DGRAM, 0, fds)"], "pairs")
            same(reached, "", "reached")
        same(os.listdir(root), ["peer"], "files that were made")


@claim(emulated=True)
def only_what_is_allowed_can_be_connected_to():
    with folder() as root:
        peers = Peers(root)
        lines, reached, _ = peers.run("streams", f"--allow-connect=127.0.0.1:{peers.port}")
        same(errnos(lines), ["0", "0", "EOPNOTSUPP", "EACCES", "EACCES"], "streams")
        same(reached, "tcp tcp ", "reached")
        lines, reached, _ = peers.run("datagrams", f"--allow-connect=127.0.0.1:{peers.port}")
        same(errnos(lines), ["0"] * 5 + ["EACCES"] + ["ENOPROTOOPT"] * 3 + ["0", "0"], "datagrams")
        same(reached, "udp " * 6, "reached")
        other = "--allow-connect=127.0.0.1:1,10.0.0.0/8"
        for what, wanted in (("streams", ["EACCES", "EACCES", "EOPNOTSUPP", "EACCES", "EACCES"]),
                             ("datagrams", ["EACCES"] * 6 + ["ENOPROTOOPT"] * 3 + ["EACCES"] * 2)):
            lines, reached, _ = peers.run(what, other)
            same(errnos(lines), wanted, what)
            same(reached, "", "reached")


@claim(emulated=True)
def to_listen_is_not_to_connect():
    with folder() as root:
        peers = Peers(root)
        lines, reached, _ = peers.run("streams", "--allow-listen=127.0.0.1")
        same(errnos(lines), ["EACCES", "EACCES", "EOPNOTSUPP", "0", "0"], "streams")
        same(reached, "", "reached")


@claim(emulated=True)
def a_unix_socket_needs_a_rule_and_its_path_read_and_written():
    with folder() as root:
        peers = Peers(root)
        files = (f"--allow-read={root}", f"--allow-write={root}")
        rule = f"--allow-net=unix:{peers.path}"
        for options, wanted, reached in (((rule,), ["EACCES"] * 4, ""), (files + ("--allow-net",), ["EBADF"] * 4, ""),
                                         ((rule, files[0]), ["EACCES"] * 4, ""),
                                         (files + (rule,), ["0"] + ["EACCES"] * 3, "unix "),
                                         (files + ("--allow-connect=unix:*",), ["0", "ECONNREFUSED", "EACCES", "EACCES"],
                                          "unix "),
                                         (files + (f"--allow-listen=unix:{root}/",), ["EACCES"] * 3 + ["0"], "")):
            lines, found, _ = peers.run("unix", *options)
            same((errnos(lines), found), (wanted, reached), str(options))


@claim(emulated=True)
def a_link_leads_only_where_a_rule_does():
    with folder() as root:
        peers = Peers(root)
        os.mkdir(f"{root}/own")
        os.symlink(peers.path, f"{root}/own/link")
        os.symlink("..", f"{root}/own/up")
        own = (f"--allow-read={root}/own", f"--allow-write={root}/own", f"--allow-net=unix:{root}/own/")
        for path in (f"{root}/own/link", f"{root}/own/up/peer", f"{root}/own/../peer", f"/proc/self/root{root}/peer"):
            lines, reached, _ = peers.run("unix", *own, path=path)
            check(errnos(lines)[0] in ("EACCES", "ENOENT"), path, *lines)
            same(reached, "", path)
        files = (f"--allow-read={root}", f"--allow-write={root}")
        lines, reached, _ = peers.run("unix", *files, f"--allow-net=unix:{root}/own/", path=f"{root}/own/link")
        same((errnos(lines)[0], reached), ("EACCES", ""), "a link to where no rule leads")
        lines, reached, _ = peers.run("unix", *files, f"--allow-net=unix:{root}/", path=f"{root}/own/link")
        same((errnos(lines)[0], reached), ("0", "unix "), "a link to where a rule leads")


@claim
def explain_says_which_option_would_allow_it():
    with folder() as root:
        peers = Peers(root)
        _, _, err = peers.run("families", "--explain")
        matches(r"--allow-net", err, "families")
        _, _, err = peers.run("streams", "--explain", "--allow-connect=127.0.0.1:1")
        matches(rf"127\.0\.0\.1:{peers.port}", err, "the address")


@claim(emulated=True)
def much_goes_through_a_connection_to_a_native_peer():
    seed = random.randrange(1 << 32)
    print(f"  seed {seed}")
    data = random.Random(seed).randbytes(4 << 20)
    with folder() as root:
        peers = Peers(root)
        back = bytearray()

        def serve():
            peers.tcp.setblocking(True)
            connection = peers.tcp.accept()[0]
            sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
            sender.start()
            while piece := connection.recv(1 << 16):
                back.extend(piece)
            sender.join()

        thread = threading.Thread(target=serve)
        thread.start()
        peers.tcp.settimeout(60)
        expect(run("echo", str(peers.port), root, guest=GUEST, options=[f"--allow-connect=127.0.0.1:{peers.port}"]), 0, "echo")
        thread.join()
        check(back == data, f"{len(back)} of {len(data)} bytes came back")


@claim
def localhost_is_looked_up():
    done = run("names", "1", "/", guest=GUEST + "-dynamic", options=["--allow-net", "--allow-read=/etc"])
    same(done.out, b"0\n", "getaddrinfo", done)


main()
