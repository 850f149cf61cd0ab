"""Docker's own CLI, recorded (tests/e2e/record_cli.py): the same flags give the same requests and messages, the same templates the same text."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.record_cli import CREATED, pruned
from tests.unit.cli.standin import StandIn

from sanbashi.cli.main import answer

GOLDEN = Path(__file__).parents[2] / "golden" / "cli"
COMMANDS = json.loads((GOLDEN / "commands.json").read_text())
TEMPLATES = json.loads((GOLDEN / "templates.json").read_text())
INSPECTED = (GOLDEN / "inspected.json").read_bytes()


def daemon_says(method: str, path: str, body: Any) -> Any:
    if method == "GET":
        return INSPECTED
    return CREATED.get(path.partition("?")[0], {})


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    daemon = StandIn(daemon_says)
    daemon.put_in_place(monkeypatch, tmp_path)
    monkeypatch.setenv("FOO", "bar")
    monkeypatch.delenv("SANBASHI_API_VERSION", raising=False)
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)
    monkeypatch.setattr("sanbashi.cli.output.lookup", lambda name: {"FOO": "bar"}.get(name))
    monkeypatch.setattr("sanbashi.cli.values.lookup", lambda name: {"FOO": "bar"}.get(name))
    monkeypatch.chdir("/")
    return daemon


def ours(text: str) -> str:
    return text.replace("docker: ", "sanbashi: ").replace("docker ", "sanbashi ")


def hints_gone(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("did you mean"))


@pytest.mark.parametrize("case", COMMANDS, ids=[case["command"][:70] for case in COMMANDS])
def test_command(case: dict[str, Any], stand_in: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    status = answer(shlex.split(case["command"]))
    assert hints_gone(capfd.readouterr().err) == ours(case["stderr"])
    assert status == case["exit"]
    sent = [[method, path, pruned(body)] for method, path, body in stand_in.requests if method != "GET"]
    assert sorted(json.dumps(each, sort_keys=True) for each in sent) == sorted(json.dumps(each, sort_keys=True) for each in case["requests"])


@pytest.mark.parametrize("case", TEMPLATES, ids=[case["template"][:70] for case in TEMPLATES])
def test_template(case: dict[str, Any], stand_in: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    status = answer(["container", "inspect", "--format", case["template"], "x"])
    printed = capfd.readouterr()
    assert (printed.out, printed.err, status) == (case["stdout"], case["stderr"], case["exit"])


def test_networks_are_sent_in_the_order_of_the_request(stand_in: StandIn) -> None:
    """Docker's CLI sends them by name, so that eth1 is not the second that was asked for."""
    assert answer(["create", "--network", "zeta", "--network", "name=mid,alias=m", "--network", "alpha", "busybox"]) == 0
    [body] = [body for method, path, body in stand_in.requests if "containers/create" in path]
    assert list(body["NetworkingConfig"]["EndpointsConfig"]) == ["zeta", "mid", "alpha"]
