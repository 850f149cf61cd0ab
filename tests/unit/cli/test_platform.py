"""--platform reaches the daemon with every verb that takes it and asks the daemon: what is not sent is dropped in silence."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.unit.cli.standin import StandIn

from sanbashi.cli.client import Daemon
from sanbashi.cli.main import answer


@pytest.mark.parametrize("verb", [["save", "-o", "OUT", "busybox"], ["history", "busybox"], ["image", "inspect", "busybox"]])
def test_the_platform_is_sent(verb: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def reply(method: str, path: str, body: Any) -> Any:
        return [] if "history" in path else {} if path.endswith("json") or "/json?" in path else b"tar"

    daemon = StandIn(reply)
    monkeypatch.setattr(Daemon, "connect", daemon.connect)
    monkeypatch.setattr("sanbashi.cli.client.Wire.send", lambda wire, data: wire.socket.sendall(data))
    words = [str(tmp_path / "out.tar") if word == "OUT" else word for word in verb]
    assert answer([*words, "--platform", "linux/arm64/v8"]) == 0
    sent = parse_qs(urlsplit(daemon.requests[-1][1]).query)
    assert json.loads(sent["platform"][0]) == {"os": "linux", "architecture": "arm64", "variant": "v8"}
