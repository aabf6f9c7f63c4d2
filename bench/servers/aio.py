# SPDX-License-Identifier: MIT
"""A server on asyncio's streams that keeps connections. Argument: HOST:PORT."""
import asyncio
import sys

served = 0


async def serve(reader, writer):
    global served
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            served += 1
            body = f"hello {served}\n".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    server = await asyncio.start_server(serve, host, int(port))
    await server.serve_forever()


asyncio.run(main())
