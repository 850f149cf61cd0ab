"""Recordings of Docker, replayed against our engine through every docker CLI found and through our own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.conformance.player import Difference, known, play
from tests.harness import Engine, Kind, Machine, Space, docker_clis, engine, machine, registry, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

# What the recorded host was: bridges of somebody else held 172.18, 172.19 and 172.21, programs the ports 8088 and 8089, its name server knew no name.
HOST = """
for bridge in br-ae4caef21397=172.18.0.1/16 br-9fc8313c6254=172.19.0.1/16 other0=172.21.0.1/16; do
    ip link add ${bridge%=*} type bridge
    ip addr add ${bridge#*=} dev ${bridge%=*}
    ip link set ${bridge%=*} up
    ip link add port0 type veth peer port1
    ip link set port0 master ${bridge%=*} up
    ip link del port0
done
"""
HELD = "import socket, sys; held = [socket.create_server(('', port)) for port in (8088, 8089)]; print('ready', flush=True); sys.stdin.read()"
# The recordings were made with this CLI; bytes are compared with it and with ours, with an older one the engine's own words.
RECORDED_WITH = "28."
RECORDINGS = ("tutorial", "network", "isolation")


@pytest.fixture
def recorded_host() -> Iterator[Machine]:
    with machine(resolv_conf="nameserver 192.0.2.53\n", set_up=HOST) as where:
        where.outside.run(["ip", "addr", "add", "192.0.2.53/32", "dev", "host0"])
        with serving(where.outside, "-m", "tests.nameserver", "192.0.2.53"), serving(where, "-c", HELD):
            yield where


@contextlib.contextmanager
def serving(where: Space, *words: str) -> Iterator[None]:
    """A program of Python's that has said that it is ready; it ends with its input, or where its namespaces do."""
    with where.popen([sys.executable, *words], stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


@pytest.fixture
def recorded(recorded_host: Machine, engine_kind: Kind) -> Iterator[Engine]:
    with (
        registry(recorded_host, "recordings") as url,
        engine(recorded_host, engine_kind, options=[f"--registry-mirror={url}"]) as running,
    ):
        running.pull("busybox", "httpd:2.4", "ubuntu")
        yield running


def programs() -> list[tuple[str, str]]:
    return [(f"docker-{version}", path) for path, version in docker_clis().items()] + [("sanbashi", sanbashi_cli())]


@pytest.mark.parametrize("recording", RECORDINGS)
@pytest.mark.parametrize(("name", "cli"), programs(), ids=[name for name, _ in programs()])
def test_replay(recorded: Engine, recording: str, name: str, cli: str) -> None:
    """Exit codes and output as recorded; what differs is in known.toml with its reason, and what no longer differs is not."""
    exact = name == "sanbashi" or name.startswith(f"docker-{RECORDED_WITH}")
    rows = [row for row in known() if row.recording == recording and (not row.cli or name.startswith(row.cli))]
    excused = {row.command for row in rows}
    found: list[Difference] = list(play(recorded, recording, cli, exact=exact))
    unexpected = [str(difference) for difference in found if difference.case.command not in excused]
    assert not unexpected, f"{len(unexpected)} differences:\n" + "\n".join(unexpected)
    if exact:
        gone = {row.command for row in rows if not row.chance} - {difference.case.command for difference in found}
        assert not gone, f"no longer different, take them off known.toml: {sorted(gone)}"


@pytest.mark.skipif(any(v.startswith(RECORDED_WITH) for v in docker_clis().values()), reason="the docker CLI of the recordings is here")
def test_recorded_cli_is_absent() -> None:
    pytest.skip(f"no docker CLI {RECORDED_WITH}x on the PATH: output was compared byte by byte through sanbashi alone")
