"""A daemon in memory: answers requests of the CLI without a socket, and remembers them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sanbashi.cli.client import Daemon, Wire

Answer = Callable[[str, str, Any], Any]


class Link:
    """What the client takes for a connected socket."""

    def __init__(self, answer: Answer, requests: list[tuple[str, str, Any]]) -> None:
        self.decide = answer
        self.requests = requests
        self.pending = b""

    def sendall(self, data: bytes, flags: int = 0) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        path = path.partition("/v1.50/")[2]
        sent = json.loads(body) if body else None
        self.requests.append((method, path, sent))
        answer = self.decide(method, path, sent)
        status = "200 OK"
        if isinstance(answer, tuple):
            status, answer = answer
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.pending += f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text

    def recv(self, size: int) -> bytes:
        data, self.pending = self.pending[:size], self.pending[size:]
        return data

    def close(self) -> None:
        pass


class StandIn:
    """Give it to `Daemon.connect`: `StandIn(answer).connect`."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[tuple[str, str, Any]] = []

    def connect(self, *_: object) -> Wire:
        return Wire(Link(self.answer, self.requests))  # type: ignore[arg-type]

    def put_in_place(self, monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
        """Every client of this test speaks to it, with the configuration in that folder."""
        monkeypatch.setattr(Daemon, "connect", self.connect)
        monkeypatch.setattr("sanbashi.cli.client.Wire.send", lambda wire, data: wire.socket.sendall(data))
        monkeypatch.setenv("SANBASHI_CONFIG", str(config))
