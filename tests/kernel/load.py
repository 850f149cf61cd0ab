"""A neighbour's load on an engine, until its stdin ends: `python load.py HOST PORT DIRECT DIRECT_PORT LISTEN [PATIENCE]`, run in its namespace.

One stream of numbered lines through the published port, echoed; a fresh connection there every 10 ms; a knock at an unpublished port of the
container itself every 10 ms; and a listener for what containers send out by UDP. What it saw is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections import Counter

PATIENCE = 0.25  # seconds in which a fresh connection must be answered; the kernel sends a lost SYN again after one


class Datagrams(asyncio.DatagramProtocol):
    """Counts what comes by its text, and notes from whom."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.seen[f"{data.decode().strip()} from {address[0]}"] += 1


async def stream(host: str, port: int, seen: dict[str, object]) -> None:
    """Numbered lines, one each 5 ms, each of which must come back in its turn."""
    reader, writer = await asyncio.open_connection(host, port)
    number = 0
    try:
        while True:
            writer.write(b"%d\n" % number)
            async with asyncio.timeout(10):  # wait_for of Python 3.11 loses a cancellation that comes with the line, and then there is no end
                line = await reader.readline()
            if line != b"%d\n" % number:
                raise ConnectionError(f"{line!r} for {number}")
            number += 1
            await asyncio.sleep(0.005)
    except (OSError, TimeoutError) as error:
        seen["error"] = f"{type(error).__name__}: {error}"
    finally:
        seen["echoed"] = number
        writer.close()


async def knock(host: str, port: int, found: list[tuple[float, bool]], patience: float) -> None:
    """One fresh connection, and whether it was answered."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"hello\n")
                answered = await reader.readline() == b"hello\n"
            finally:
                writer.close()
    except (OSError, TimeoutError):
        answered = False
    found.append((begun, answered))


async def knock_on(host: str, port: int, found: list[tuple[float, bool]], patience: float) -> None:
    """A fresh connection every 10 ms."""
    tasks: set[asyncio.Task[None]] = set()
    try:
        while True:
            task = asyncio.create_task(knock(host, port, found, patience))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.01)
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)


async def main(host: str, port: int, direct: str, direct_port: int, listen: int, patience: float = PATIENCE) -> None:
    streamed: dict[str, object] = {"error": ""}
    fresh: list[tuple[float, bool]] = []
    unpublished: list[tuple[float, bool]] = []
    loop = asyncio.get_running_loop()
    _, datagrams = await loop.create_datagram_endpoint(Datagrams, local_addr=("0.0.0.0", listen), family=socket.AF_INET)
    tasks = [
        asyncio.create_task(stream(host, port, streamed)),
        asyncio.create_task(knock_on(host, port, fresh, patience)),
        asyncio.create_task(knock_on(direct, direct_port, unpublished, patience)),
    ]
    print("begun", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if fresh and not sorted(fresh)[-1][1]:
        await knock(host, port, fresh, 10 * patience)  # the last may have been slow, as those before it that others followed
    print(
        json.dumps(
            {
                "stream": streamed,
                "fresh": sorted(fresh),
                "through": sum(answered for _, answered in unpublished),
                "knocks": len(unpublished),
                "datagrams": datagrams.seen,
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), *map(float, sys.argv[6:])))
