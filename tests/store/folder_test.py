#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Folders that a store cannot use are refused with one clear sentence; a disk that fills up is survived."""
import ctypes
import os
import struct
import subprocess

from storing import BUILD, GUEST, MAYFLY, Client, StoreServer, command, delete, get, one, put, refused, store_folder, wait_until
from mayfly import GROUP, SOON, accepts, as_nobody
from claims import check, claim, fail, main, matches, same

NOT_SHARED = os.path.join(BUILD, "tests/store/not-shared.so")


def says(done, why, what, guest_lines=0):
    """One sentence of the engine's, and how many of the storage program."""
    same(done.status, 125, f"{what}: exit status", str(done))
    lines = done.err.decode().splitlines()
    own = [line for line in lines if not line.startswith("[store] ")]
    same(len(own), 1, f"{what}: sentences", str(done))
    matches(why, done.err, what)
    matches("^mayfly serve: ", own[0])
    same(len(lines) - len(own), guest_lines, f"{what}: lines of the storage program", str(done))


def no_folder(folder):
    check(not os.path.lexists(folder), f"{folder} was made")


@claim
def a_folder_that_is_not_there_is_made_and_its_parent_is_not():
    with store_folder() as folder:
        with StoreServer(vms=1, store=folder) as server:
            same(os.stat(folder).st_mode & 0o777, 0o700, "its mode")
            same(sorted(os.listdir(folder)), ["data.mdb", "epoch", "store.sock"], "what is in it")
            same(os.stat(f"{folder}/data.mdb").st_mode & 0o777, 0o600, "the mode of the data")
    with store_folder() as folder:
        says(refused("--store", f"{folder}/deeper"), "the folder above .* does not exist; make it first", "a missing parent")
        no_folder(folder)


@claim
def what_is_no_folder_is_refused():
    with store_folder() as folder:
        open(folder, "w").close()
        says(refused("--store", folder), "is no folder; --store takes one", "a file")
        says(refused("--store", f"{folder}/deeper"), "no folder|not a directory", "beneath a file")
        same(os.path.getsize(folder), 0, "the file")
        os.unlink(folder)
        os.symlink("nowhere", folder)
        says(refused("--store", folder), folder, "a dangling link")
        says(refused("--store", ""), "folder|is empty", "nothing")
        says(refused("--store", "/dev/null"), "is no folder", "a device")
        says(refused("--store", folder + "x" * 300), "File name too long", "a long name")


@claim
def a_link_and_a_relative_path_are_followed():
    with store_folder() as folder:
        real = folder + "-real"
        os.mkdir(real)
        os.symlink(real, folder)
        with StoreServer(vms=1, store=folder) as server:
            same(server.codes(put(b"t", b"k", b"v")), [0], "a put")
        check(os.path.exists(f"{real}/data.mdb"), "the data")
        with StoreServer(vms=1, store="store", before=lambda: os.chdir(os.path.dirname(folder))) as server:
            same(server.one(get(b"t", b"k")), b"v", "the same store")


@claim
def a_folder_in_use_is_left_alone():
    with store_folder() as folder:
        server = StoreServer(vms=1, store=folder)
        try:
            same(server.codes(put(b"t", b"k", b"v")), [0], "a put")
            for _ in range(3):
                says(refused("--store", folder), "is in use by another engine", "a second engine")
            same(server.one(get(b"t", b"k")), b"v", "the first one")
            server.process.kill()
            server.process.wait()
        finally:
            server.__exit__(Exception, None, None)
        with StoreServer(vms=1, store=folder) as after:
            same(after.one(get(b"t", b"k")), b"v", "after the first one was killed")
            same(after.stop(), 0, "exit status")


def mounted(options, line, folder):
    """The prefix of a command that has a mount of its own."""
    return ["unshare", "-m", "/bin/sh", "-c", f"mount {options} {folder} && {line} exec \"$0\" \"$@\""]


@claim
def a_read_only_mount_is_refused():
    with store_folder() as folder:
        os.mkdir(folder)
        done = refused("--store", folder, prefix=mounted("-t tmpfs -o ro none", "", folder))
        says(done, "cannot be written: Read-only file system; mend its permissions or its mount", "a read-only mount")
        done = refused("--store", f"{folder}/new", prefix=mounted("-t tmpfs -o ro none", "", folder))
        says(done, "Read-only file system", "a folder to be made on a read-only mount")
        same(os.listdir(folder), [], "the folder")


@claim
def folders_without_permission_are_refused_to_an_ordinary_user():
    with store_folder() as folder:
        root = os.path.dirname(folder)
        os.chmod(root, 0o777)
        for mode in (0o555, 0o500, 0o000, 0o444, 0o300):
            os.mkdir(folder)
            os.chown(folder, 65534, GROUP)
            os.chmod(folder, mode)
            done = command(as_nobody(root, [MAYFLY, "serve", "--listen", f"unix:{root}/s", "--vms", "1", "--store", folder, "--", GUEST]))
            same(os.listdir(folder), [], f"mode {mode:o}")
            says(done, "Permission denied", f"mode {mode:o}")
            os.chmod(folder, 0o700)
            os.rmdir(folder)
        os.chmod(root, 0o755)
        done = command(as_nobody(root, [MAYFLY, "serve", "--listen", "127.0.0.1:0", "--vms", "1", "--store", folder, "--", GUEST]))
        says(done, "Permission denied", "a parent that cannot be written")
        os.mkdir(folder)
        os.chown(folder, 65534, GROUP)
        with open(f"{folder}/data.mdb", "w") as file:
            file.write("root's own")
        os.chmod(f"{folder}/data.mdb", 0o600)
        done = command(as_nobody(root, [MAYFLY, "serve", "--listen", f"unix:{folder}/s", "--vms", "1", "--store", folder, "--", GUEST]))
        says(done, "data.mdb", "data of another user", 1)


@claim
def an_ordinary_user_has_a_store():
    with store_folder() as folder:
        root = os.path.dirname(folder)
        os.chmod(root, 0o777)
        process = subprocess.Popen(as_nobody(root, [MAYFLY, "serve", "--listen", f"unix:{root}/s", "--vms", "1", "--quiet",
                                                    "--store", folder, "--", GUEST]))
        try:
            wait_until(lambda: accepts(f"{root}/s"), "the socket")
            client = Client(f"{root}/s")
            same(one(client, put(b"t", b"k", b"v")), b"", "a put")
            same(os.stat(f"{folder}/data.mdb").st_uid, 65534, "whose data")
            client.close()
            process.terminate()
            same(process.wait(SOON), 0, "exit status")
        finally:
            process.kill()
            process.wait()


# ---- data that is not ours

def make_store(folder):
    with StoreServer(vms=1, store=folder) as server:
        same(server.codes(put(b"t", b"k", b"v" * 10000), put(b"u", b"k", b"v")), [0, 0], "puts")
        server.stop()


def refuses_data(change, why, what):
    with store_folder() as folder:
        make_store(folder)
        name = f"{folder}/data.mdb"
        change(name)
        with open(name, "rb") as file:
            before = file.read()
        done = refused("--store", folder)
        says(done, why, what, 1)
        with open(name, "rb") as file:
            same(file.read() == before, True, f"{what}: the file is as it was")
        same(sorted(os.listdir(folder)), ["data.mdb", "epoch"], f"{what}: the folder")


def write_at(offset, data):
    def change(name):
        with open(name, "r+b") as file:
            file.seek(offset)
            file.write(data)
    return change


def overwrite(data):
    def change(name):
        with open(name, "wb") as file:
            file.write(data)
    return change


@claim
def data_that_is_no_store_is_refused_and_left_as_it_is():
    refuses_data(overwrite(b"garbage" * 2000), "data.mdb is no LMDB database", "garbage")
    refuses_data(overwrite(b"short"), "data.mdb is no LMDB database", "a few bytes")
    refuses_data(overwrite(b"\0" * 8192), "data.mdb is no LMDB database", "zeros")
    refuses_data(write_at(16 + 4, struct.pack("<I", 2)), "data.mdb is of another version of LMDB", "another version")
    refuses_data(lambda name: os.truncate(name, 5000), "data.mdb ends .* bytes before its last page; was it cut", "cut to a page")
    refuses_data(lambda name: os.truncate(name, 12288), "data.mdb ends .* bytes before its last page; was it cut", "cut to three pages")


@claim
def data_that_is_a_folder_or_a_link_is_refused():
    for make, why in ((lambda path: os.mkdir(path), "Is a directory"), (lambda path: os.symlink("/etc/passwd", path), "denied|data.mdb"),
                      (lambda path: os.mkfifo(path), "data.mdb|Invalid|denied")):
        with store_folder() as folder:
            os.mkdir(folder)
            make(f"{folder}/data.mdb")
            says(refused("--store", folder), why, why, 1)


class Lmdb:
    """One write transaction in an LMDB database, by the library itself."""

    def __init__(self, folder):
        self.lib = ctypes.CDLL("liblmdb.so.0")
        self.env, self.txn = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("mdb_env_create", ctypes.byref(self.env))
        self.call("mdb_env_set_maxdbs", self.env, 10)
        self.call("mdb_env_open", self.env, folder.encode(), 0x400000, 0o600)  # MDB_NOLOCK
        self.call("mdb_txn_begin", self.env, None, 0, ctypes.byref(self.txn))

    def call(self, name, *args):
        code = getattr(self.lib, name)(*args)
        check(not code, f"{name}: {code}")

    def put(self, table, key, value):
        class Val(ctypes.Structure):
            _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_char_p)]
        dbi = ctypes.c_uint()
        self.call("mdb_dbi_open", self.txn, table, 0x40000 if table else 0, ctypes.byref(dbi))  # MDB_CREATE
        self.call("mdb_put", self.txn, dbi, ctypes.byref(Val(len(key), key)), ctypes.byref(Val(len(value), value)), 0)

    def close(self):
        self.call("mdb_txn_commit", self.txn)
        self.lib.mdb_env_close(self.env)


def edit(folder, *puts):
    database = Lmdb(folder)
    for table, key, value in puts:
        database.put(table, key, value)
    database.close()


@claim
def databases_of_others_and_of_the_future_are_refused():
    for puts, why in (([(None, b"some", b"record")], "this is an LMDB database, but no store of Mayfly's"),
                      ([(b"users", b"some", b"record")], "this is an LMDB database, but no store of Mayfly's"),
                      ([(None, b".mayfly", b"record")], "this is an LMDB database, but no store of Mayfly's")):
        with store_folder() as folder:
            os.mkdir(folder)
            edit(folder, *puts)
            with open(f"{folder}/data.mdb", "rb") as file:
                before = file.read()
            says(refused("--store", folder), why, str(puts), 1)
            with open(f"{folder}/data.mdb", "rb") as file:
                check(file.read() == before, f"{puts}: the file was changed")
    for number in (0, 3, 2**63):
        refuses_data(lambda name: edit(os.path.dirname(name), (b".mayfly", b"format", struct.pack("<Q", number))),
                     f"the store has format {number}, this version knows 1 to 2 only", f"format {number}")


@claim
def an_empty_database_becomes_a_store_and_foreign_records_stay_out_of_reach():
    with store_folder() as folder:
        os.mkdir(folder)
        Lmdb(folder).close()
        with StoreServer(vms=1, store=folder) as server:
            same(server.codes(put(b"t", b"k", b"v")), [0], "a put")
            server.stop()
        edit(folder, (None, b"plain", b"a record among the tables"))
        with StoreServer(vms=1, store=folder) as server:
            same(server.one(get(b"t", b"k")), b"v", "what was there")
            same([server.codes(op)[0] for op in (get(b"plain", b"k"), put(b"plain", b"k", b"v"), put(b"t", b"k2", b"v"))], ["ENOENT", "EIO", 0],
                 "a table that is none")


# ---- a disk that fills up

@claim
def a_full_disk_is_enospc_and_works_again_after_space_is_made():
    with store_folder() as folder:
        os.mkdir(folder)
        prefix = mounted("-t tmpfs -o size=3M,mode=700 none", "", folder)
        with StoreServer("--deadline", "3s", vms=2, store=folder, prefix=prefix) as server:
            client = server.client()
            same(one(client, put(b"t", b"kept", b"v" * 1000)), b"", "a put")
            codes = [one(client, put(b"t", b"%d" % i, b"v" * 100000)) for i in range(40)]
            same(set(codes), {b"", "ENOSPC"}, "puts on a disk that fills up", server.log()[-600:])
            same(one(client, get(b"t", b"kept")), b"v" * 1000, "a get")
            same(one(client, put(b"t", b"0", b"v" * 100000)) in (b"", "ENOSPC"), True, "a put")
            same(server.log().count(b"died"), 0, "deaths", server.log())
            deleted = [one(client, delete(b"t", b"%d" % i)) for i in range(codes.count(b""))]
            same(set(deleted) - {b"", "ENOSPC"}, set(), "deletes")
            same(subprocess.run(["nsenter", "-t", str(server.process.pid), "-m", "-r", "mount", "-o", "remount,size=40M", folder]).returncode, 0,
                 "space is made")
            codes = [one(client, put(b"t", b"%d" % i, b"w" * 100000)) for i in range(40)]
            same(set(codes), {b""}, "puts after space was made")
            same(one(client, get(b"t", b"39")), b"w" * 100000, "a get")
            same(server.stop(), 0, "exit status")


@claim
def a_disk_that_is_full_at_the_start_is_refused_with_a_sentence():
    with store_folder() as folder:
        os.mkdir(folder)
        done = refused("--store", folder, prefix=mounted("-t tmpfs -o size=4K,mode=700 none", "", folder))
        says(done, "No space left on device", "a disk of one page", 1)
        line = (f"mount -t tmpfs -o size=4K,mode=700 none {folder} && {{ {MAYFLY} serve --listen 127.0.0.1:0 --store {folder} -- {GUEST}; "
                f"mount -o remount,size=9M {folder}; exec \"$0\" \"$@\"; }}")
        with StoreServer(vms=1, store=folder, prefix=["unshare", "-m", "/bin/sh", "-c", line]) as server:
            matches("No space left", server.log())
            same(server.codes(put(b"t", b"k", b"v" * 1000)), [0], "a put once there is space")


@claim
def a_file_system_without_shared_mappings_is_refused_with_a_sentence():
    with store_folder() as folder:
        done = refused("--store", folder, env={**os.environ, "LD_PRELOAD": NOT_SHARED})
        says(done, "shared|mapped", "no shared mappings", 1)


main()
