"""Versions that meet: state of an older and of a newer daemon, a keeper of another: a clear sentence or no difference, nothing lost."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.e2e.audit import settled
from tests.harness import PROJECT, Engine, Kind, Machine, engine

from sanbashi.daemon.rows import decode
from sanbashi.daemon.saved import SCHEMA
from sanbashi.keeper import protocol

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


def older(kind: str, row: bytes) -> bytes:
    """The row as a version wrote it that did not know those of its fields which say nothing but their defaults."""
    thing, plain = decode(kind, row), json.loads(row)
    if isinstance(thing, msgspec.Struct):
        defaults = {f.encode_name: (getattr(thing, f.name), f.default) for f in msgspec.structs.fields(thing)}
    else:
        defaults = {f.name: (getattr(thing, f.name), f.default) for f in dataclasses.fields(thing)}
    return json.dumps({k: v for k, v in plain.items() if defaults[k][0] != defaults[k][1]}).encode()


@pytest.fixture
def daemon(where: Machine, images: str, engine_kind: Kind) -> Iterator[Engine]:
    """An engine with a container that runs, in a network, with a name and a port."""
    if engine_kind != "sanbashi":
        pytest.skip("our own state")
    with engine(where, name="versions", options=[f"--registry-mirror={images}"]) as made:
        made.pull("busybox")
        made.cli("network", "create", "app")
        made.cli("run", "-d", "--name", "web", "--network", "app", "-p", "8080:80", "busybox", "sleep", "1000")
        yield made
        if made.process is None:
            made.start()


def rows(on: Engine) -> sqlite3.Connection:
    return sqlite3.connect(on.machine.path(on.root / "data/state.db"), isolation_level=None)


def seen(on: Engine) -> Any:
    found = on.call("GET", "/containers/web/json")[1]
    return found["State"]["Pid"], found["NetworkSettings"]["Networks"]["app"]["IPAddress"], found["NetworkSettings"]["Ports"]


def refused(on: Engine) -> str:
    with pytest.raises(RuntimeError, match="ended with status 1 before it was ready"):
        on.start()
    on.end()
    return on.tail(3)


def links(where: Machine) -> set[tuple[int, str, str]]:
    """Number, name and label of every link; a link's state of operation follows its own clock."""
    return {(link["ifindex"], link["ifname"], link.get("ifalias", "")) for link in json.loads(where.run(["ip", "-j", "link"]).stdout)}


def works(on: Engine) -> None:
    assert settled(on) == []
    assert on.cli("run", "--rm", "--network", "app", "busybox", "ping", "-c1", "-W5", "web").exit == 0
    assert "Traceback" not in on.log.read_text(), on.tail(100)


def test_state_of_an_older_version(daemon: Engine) -> None:
    before = seen(daemon)
    daemon.kill()
    with contextlib.closing(rows(daemon)) as database:
        for kind, id_, value in database.execute("SELECT kind, id, value FROM objects").fetchall():
            shorter = older(kind, value)
            assert json.loads(shorter).keys() < json.loads(value).keys()
            database.execute("UPDATE objects SET value = ? WHERE kind = ? AND id = ?", (shorter, kind, id_))
        database.execute("PRAGMA user_version = 0")
    daemon.start()
    assert seen(daemon) == before
    works(daemon)
    daemon.kill()
    with contextlib.closing(rows(daemon)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_state_of_a_newer_version_is_left_alone(daemon: Engine) -> None:
    before, there_were = seen(daemon), links(daemon.machine)
    daemon.kill()
    with contextlib.closing(rows(daemon)) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
        there = database.execute("SELECT * FROM objects ORDER BY kind, id").fetchall()
    said = refused(daemon)
    assert f"was written by a newer version (schema {SCHEMA + 1}, this one knows {SCHEMA})" in said
    assert "hint: start the newer version, or use another --data-root" in said and "Traceback" not in said
    with contextlib.closing(rows(daemon)) as database:
        assert database.execute("SELECT * FROM objects ORDER BY kind, id").fetchall() == there
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA + 1,)
        database.execute(f"PRAGMA user_version = {SCHEMA}")
    assert links(daemon.machine) == there_were
    assert any("sleep 1000" in line for line in daemon.machine.processes().values())
    daemon.start()
    assert seen(daemon) == before
    works(daemon)


def test_a_state_that_is_damaged_is_left_alone(daemon: Engine) -> None:
    before = seen(daemon)
    daemon.kill()
    with contextlib.closing(rows(daemon)) as database:
        database.execute("INSERT INTO objects VALUES ('network', 'torn', 1, '{')")
    said = refused(daemon)
    assert "state.db is damaged" in said and "hint: put a copy of it there, or use another --data-root" in said and "Traceback" not in said
    with contextlib.closing(rows(daemon)) as database:
        database.execute("DELETE FROM objects WHERE id = 'torn'")
    daemon.start()
    assert seen(daemon) == before
    works(daemon)


def test_a_keeper_of_another_version(where: Machine, images: str, engine_kind: Kind) -> None:
    """The keeper that runs speaks another protocol: it goes on, the daemon says which process to end, and takes over once that is done."""
    if engine_kind != "sanbashi":
        pytest.skip("our own keeper")
    copy = where.scratch / "older"
    shutil.copytree(PROJECT / "src/sanbashi", copy / "sanbashi", ignore=shutil.ignore_patterns("__pycache__"))
    source = copy / "sanbashi/keeper/protocol.py"
    source.write_text(re.sub(r"^VERSIONS = .*", "VERSIONS = (0,)", source.read_text(), flags=re.MULTILINE))
    with engine(where, name="keepers", options=[f"--registry-mirror={images}"], environment={"PYTHONPATH": str(copy)}) as daemon:
        daemon.pull("busybox")
        daemon.cli("network", "create", "app")
        daemon.cli("run", "-d", "--name", "web", "--network", "app", "-p", "8080:80", "busybox", "sleep", "1000")
        before = seen(daemon)
        (keeper,) = (n for n, line in where.processes().items() if "keeper/__main__.py" in line and str(daemon.exec_root) in line)
        daemon.kill()
        daemon.environment.clear()
        said = refused(daemon)
        spoken = " or ".join(map(str, protocol.VERSIONS))
        assert f"the keeper that runs (process {keeper}) speaks protocol 0, and who asks speaks {spoken}" in said
        assert "hint: stop the keeper that runs (kill PID)" in said and "Traceback" not in said
        inside = ["nsenter", "--target", str(before[0]), "--net", sys.executable, "-m", "tests.e2e.companions", "ask", "web"]
        with where.popen(inside, stdin=-1, stdout=-1, text=True) as asker:
            assert asker.stdout.readline() == "asking\n"
            asked = vain = 0
            while asked < 5:
                asker.stdin.write("?\n")
                asker.stdin.flush()
                asked, vain = map(int, asker.stdout.readline().split()[:2])
                assert vain == 0, "names are answered on"
                time.sleep(0.02)
            asker.stdin.close()
        where.run(["kill", str(keeper)])
        daemon.start()
        assert seen(daemon) == before
        works(daemon)
