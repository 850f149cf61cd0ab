"""What a user sees when something fails: docker's sentence, our hint on the next line, docker's exit status."""

from typing import Any

import pytest
from tests.unit.cli.standin import StandIn

from sanbashi.cli.client import Daemon
from sanbashi.cli.main import answer

REFUSED = {"message": "driver failed: port is already allocated", "hint": "port 8080 is published by container web01"}


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    def refuse(method: str, path: str, body: Any) -> Any:
        return {"Id": "abc"} if path.startswith("containers/create") else ("500 Internal Server Error", REFUSED)

    daemon = StandIn(refuse)
    monkeypatch.setattr(Daemon, "connect", daemon.connect)
    monkeypatch.setattr("sanbashi.cli.client.Wire.send", lambda wire, data: wire.socket.sendall(data))
    return daemon


def test_the_hint_stands_on_the_next_line(refusing: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(["network", "connect", "n", "c"]) == 1
    assert capfd.readouterr().err == f"Error response from daemon: {REFUSED['message']}\n{REFUSED['hint']}\n"


def test_run_frames_the_message_and_prints_the_id_before_it_starts(refusing: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", "-d", "busybox"]) == 125
    printed = capfd.readouterr()
    assert printed.out == "abc\n"
    message = f"sanbashi: Error response from daemon: {REFUSED['message']}\n{REFUSED['hint']}\n\nRun 'sanbashi run --help' for more information\n"
    assert printed.err == message


@pytest.mark.parametrize(
    ("message", "status"),
    [("exec: x: executable file not found in $PATH", 127), ("exec: permission denied", 126), ("no such network", 125)],
)
def test_status_tells_what_could_not_run(message: str, status: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Daemon, "connect", StandIn(lambda *_: ("400 Bad Request", {"message": message})).connect)
    monkeypatch.setattr("sanbashi.cli.client.Wire.send", lambda wire, data: wire.socket.sendall(data))
    assert answer(["run", "-d", "busybox"]) == status
    assert message in capfd.readouterr().err


def test_several_failures_are_told_together(refusing: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(["stop", "a", "b"]) == 1
    assert capfd.readouterr().err.count("Error response from daemon") == 2


def test_no_daemon(capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(["-H", "unix:///nowhere/at/all.sock", "ps"]) == 1
    assert capfd.readouterr().err == "Cannot connect to the Sanbashi daemon at unix:///nowhere/at/all.sock. Is sanbashid running?\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["netwrk", "ls"], "sanbashi: unknown command: sanbashi netwrk\ndid you mean network?\n"),
        (["network", "lst"], "sanbashi: unknown command: sanbashi network lst\ndid you mean ls?\n"),
        (["network", "create", "--iprange", "x", "y"], "unknown flag: --iprange\ndid you mean --ip-range?\n"),
        (["run", "--gpus", "all", "x"], "GPUs are not supported"),
        (["compose", "up"], "sanbashi compose is not supported"),
        (["--context", "x", "ps"], "--context is not supported"),
        (["-H", "ssh://x", "ps"], "invalid bind address format: ssh://x"),
    ],
)
def test_mistakes_are_met_with_a_way_out(words: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(words) in (1, 125)
    assert message in capfd.readouterr().err
