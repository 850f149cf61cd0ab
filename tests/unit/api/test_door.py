"""The door of a unix socket: a ping is answered there, and everybody else comes in as before."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from sanbashi.api import door

from .conftest import Client

PING = "HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"


async def head_of(reader: asyncio.StreamReader) -> list[str]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    return [line for line in lines if not line.startswith("Date: ")]


def test_a_ping_at_the_door_is_answered_as_one_inside(run, monkeypatch):
    asked: list[str] = []

    async def scenario(client: Client) -> None:
        answer = client.server.answer

        async def counted(request):
            asked.append(request.path)
            return await answer(request)

        monkeypatch.setattr(client.server, "answer", counted)
        reader, writer = await client.raw(PING)
        at_the_door = await head_of(reader)
        writer.write(PING.encode())
        assert await head_of(reader) == at_the_door
        assert asked == ["/_ping"]  # the second alone
        writer.write(PING.replace("HEAD", "GET").replace("/_ping", "/v1.41/_ping").encode())
        assert [line for line in at_the_door if line] == [line for line in await head_of(reader) if line]
        assert await reader.readexactly(2) == b"OK"
        writer.write(b"GET /networks HTTP/1.1\r\nHost: d\r\n\r\n")
        assert "HTTP/1.1 200 OK" in await head_of(reader)
        writer.close()
        reader, writer = await client.raw(PING.replace("HEAD", "GET"))
        assert await head_of(reader) == at_the_door
        assert await reader.readexactly(2) == b"OK"
        writer.close()

    run(scenario)


def test_a_ping_in_pieces_and_two_at_once(run):
    async def scenario(client: Client) -> None:
        reader, writer = await client.raw(PING[:9])
        while not client.server.connections:
            await asyncio.sleep(0.001)
        writer.write(PING[9:].encode())
        assert (await head_of(reader))[0] == "HTTP/1.1 200 OK"
        writer.close()
        reader, writer = await client.raw(PING + PING)
        assert await head_of(reader) == await head_of(reader)
        writer.close()

    run(scenario)


def test_who_says_nothing_is_let_in_or_gone(run, monkeypatch):
    monkeypatch.setattr(door, "CROWD", 2)
    monkeypatch.setattr(door, "PATIENCE", 600.0)  # on a busy machine the second that they have is over at once

    async def scenario(client: Client) -> None:
        (entrance,) = client.server.listening
        silent = [await client.open() for _ in range(2)]
        while len(entrance.waiting) < 2:
            await asyncio.sleep(0.001)
        silent[0][1].close()
        while len(entrance.waiting) > 1:
            await asyncio.sleep(0.001)
        assert not client.server.connections
        silent += [await client.open() for _ in range(2)]
        while not client.server.connections:  # the longest there made room
            await asyncio.sleep(0.001)
        assert len(entrance.waiting) == 2
        monkeypatch.setattr(door, "PATIENCE", 0.001)
        silent.append(await client.open())
        while len(client.server.connections) < 2:
            await asyncio.sleep(0.001)
        reader, writer = silent[1]
        writer.write(PING.encode())
        assert (await head_of(reader))[0] == "HTTP/1.1 200 OK"
        await client.server.close()
        assert await silent[2][0].read() == b""  # it stood at the door till the end
        for _, writer in silent:
            writer.close()

    run(scenario)


@pytest.mark.parametrize("number", sorted(door.SHORT))
def test_where_descriptors_are_short_the_door_rests_and_opens_again(run, monkeypatch, caplog, number):
    monkeypatch.setattr(door, "PAUSE", 0.01)

    async def scenario(client: Client) -> None:
        (entrance,) = client.server.listening
        real, tried = entrance.sock, []

        class Short:
            """The socket, without descriptors for its first client."""

            def accept(self) -> tuple[socket.socket, object]:
                tried.append(1)
                if len(tried) == 1:
                    raise OSError(number, "short")
                return real.accept()

            def fileno(self) -> int:
                return real.fileno()

            def close(self) -> None:
                real.close()

        entrance.sock = Short()
        reader, writer = await client.raw(PING)
        assert (await head_of(reader))[0] == "HTTP/1.1 200 OK"
        assert len(tried) == 2 and caplog.text.count("no client is let in") == 1
        writer.close()

    assert errno.EMFILE in door.SHORT
    run(scenario)
