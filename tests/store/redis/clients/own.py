# SPDX-License-Identifier: MIT
"""A program that listens at the store's port itself: who connects there within it reaches it, and not the store."""
import socket
import threading

listener = socket.create_server(("127.0.0.1", 6379))


def serve_own():
    one, _ = listener.accept()
    one.sendall(b"mine\n")
    one.close()


door = socket.create_server(("127.0.0.1", 8000))
while True:
    client, _ = door.accept()
    while b"\r\n\r\n" not in client.recv(65536):
        pass
    thread = threading.Thread(target=serve_own)
    thread.start()
    said = socket.create_connection(("127.0.0.1", 6379)).recv(100)
    thread.join()
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
    client.close()
