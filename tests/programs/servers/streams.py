# SPDX-License-Identifier: MIT
"""asyncio: an event loop, connections that are kept, a pause in each answer."""
import asyncio

served = 0


async def serve(reader, writer):
    global served
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            served += 1
            body = str(served).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            await asyncio.sleep(0.001)
            writer.write(body)
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 8000)
    await server.serve_forever()


asyncio.run(main())
