"""The page that `why` prints: the cause's command first, evidence on request, colours where they are seen alone."""

from __future__ import annotations

from typing import Any

import pytest

from sanbashi.cli.commands import why
from sanbashi.cli.completion import kind_of


def stage(name: str, verdict: str, sentence: str, code: str = "", fix: str = "", **evidence: str) -> dict[str, Any]:
    told = {"Model": "", "Kernel": "", "Probe": ""} | evidence
    return {"Stage": name, "Verdict": verdict, "Code": code, "Sentence": sentence, "Object": "db", "Owner": "", "Fix": fix, "Evidence": told}


def answer(result: str, *stages: dict[str, Any], asked: str = "db", also: tuple[str, ...] = ()) -> dict[str, Any]:
    cause = next((s for s in stages if s["Verdict"] == "stop"), None)
    return {
        "From": "web01",
        "To": "db",
        "Asked": asked,
        "Protocol": "tcp",
        "Port": 80,
        "Result": result,
        "Cause": cause,
        "Also": list(also),
        "Stages": list(stages),
    }


GOOD = stage("route", "ok", "web01: dev eth0", Kernel="dev eth0")
ISOLATED = stage("network", "stop", "two networks", "NETWORK_ISOLATED", "sanbashi network connect data web01", Model="app, data")
SILENT = stage("listen", "stop", "nobody listens", "NOT_LISTENING", "ss -tlnp")
BEYOND = stage("beyond", "skipped", "cannot be seen", "NOT_EVALUATED")


def test_blocked() -> None:
    printed = why.page(answer("blocked", GOOD, ISOLATED, SILENT, also=("NOT_LISTENING",)), verbose=False, colours=False)
    assert printed.splitlines() == [
        "web01 -> db:80/tcp   NOT REACHABLE   [checked 3 stages]",
        " ok    route    web01: dev eth0",
        " STOP  network  two networks   NETWORK_ISOLATED",
        " STOP  listen   nobody listens   NOT_LISTENING",
        " fix   sanbashi network connect data web01",
        " then  ss -tlnp",
        " also  NOT_LISTENING: to be mended as well",
    ]


def test_evidence() -> None:
    printed = why.page(answer("blocked", GOOD, ISOLATED), verbose=True, colours=False).splitlines()
    assert printed[1:3] == [" ok    route    web01: dev eth0", "                object: db (nobody here)"]
    assert printed[3].strip() == "kernel: dev eth0" and printed[6].strip() == "model: app, data"


def test_what_lies_beyond_is_said() -> None:
    assert why.page(answer("reachable", GOOD, BEYOND), verbose=False, colours=False).startswith(
        "web01 -> db:80/tcp   REACHABLE as far as this host sees "
    )
    probed = stage("probe", "ok", "answered", Probe="answered")
    assert why.page(answer("reachable", GOOD, BEYOND, probed), verbose=False, colours=False).startswith("web01 -> db:80/tcp   REACHABLE   [")
    assert why.page(answer("reachable", GOOD, asked="fd00::1"), verbose=False, colours=False).startswith("web01 -> [fd00::1]:80/tcp ")


@pytest.mark.parametrize(
    ("terminal", "variables", "expected"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_colours(monkeypatch: pytest.MonkeyPatch, terminal: bool, variables: dict[str, str], expected: bool) -> None:
    monkeypatch.setattr(why, "is_terminal", lambda fd: terminal)
    monkeypatch.setattr(why, "environment", lambda name: variables.get(name, ""))
    assert why.coloured() is expected
    assert ("\x1b[31mSTOP\x1b[0m" in why.page(answer("blocked", ISOLATED), verbose=False, colours=why.coloured())) is expected


def test_completion_offers_containers() -> None:
    assert kind_of("sanbashi why") == "container"
