# SPDX-License-Identifier: MIT
"""An asyncio server on loopback and clients of it, in one process; timers, cancellation, an executor."""
import asyncio
import hashlib


async def serve(reader, writer):
    while data := await reader.readexactly(1024):
        writer.write(data[::-1])
        await writer.drain()
        if data[:1] == b"\xff":
            break
    writer.close()


async def talk(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    digest = hashlib.sha256()
    for turn in range(20):
        data = bytes([0xFF if turn == 19 else number]) + bytes(1023)
        writer.write(data)
        digest.update(await reader.readexactly(1024))
    writer.close()
    return digest.hexdigest()[:8]


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(*await asyncio.gather(*(talk(port, number) for number in range(8))))
    server.close()
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError:
        print("timed out")
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, sum, range(1000)))
    task = asyncio.create_task(asyncio.sleep(10))
    await asyncio.sleep(0)
    task.cancel()
    print("cancelled", (await asyncio.gather(task, return_exceptions=True))[0].__class__.__name__)


asyncio.run(main())
