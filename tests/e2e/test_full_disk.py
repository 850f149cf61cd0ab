"""A full disk: every verb says so in a sentence, what was there stays, what was begun is gone, and with room again everything works."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from tests.e2e.audit import settled
from tests.harness import Engine, Kind, Machine, engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

FULL = ("no space left on device", "database or disk is full", "has room")


@pytest.fixture
def small(where: Machine, images: str, engine_kind: Kind) -> Iterator[Engine]:
    """An engine on a small disk, with an image, a network, a container that runs and one that does not."""
    if engine_kind != "sanbashi":
        pytest.skip("ours to fill")
    made = Engine(where, name="small", options=[f"--registry-mirror={images}"])
    where.run(["mount", "--mkdir", "-t", "tmpfs", "-o", "size=48m,mode=711", "tmpfs", f"{made.root}/data"])
    try:
        with engine(where, name="small", options=[f"--registry-mirror={images}"]) as made:
            made.pull("busybox")
            made.cli("network", "create", "app")
            made.cli("volume", "create", "store")
            made.cli("run", "-d", "--name", "runs", "--network", "app", "-p", "8080:80", "busybox", "sleep", "1000")
            made.cli("create", "--name", "rests", "--network", "app", "-v", "store:/store", "busybox", "echo", "hello")
            yield made
            empty(made)
    finally:
        where.run(["umount", "-l", f"{made.root}/data"])


def fill(on: Engine) -> None:
    """Not a byte more goes onto the disk."""
    filler = on.machine.path(on.root / "data/filler")
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                continue


def empty(on: Engine) -> None:
    on.machine.path(on.root / "data/filler").unlink(missing_ok=True)


def refused(on: Engine, method: str, path: str, body: object = None) -> None:
    """A request that has no room says so, with a status that is none of an accident."""
    status, said = on.call(method, path, body)
    assert status in (200, 500, 503), said
    text = said if isinstance(said, str) else json.dumps(said)
    assert any(words in text for words in FULL), f"{method} {path}: {status} {text}"


def seen(on: Engine) -> dict[str, object]:
    """What there is, in a form that can be compared."""
    return {
        "containers": {c["Names"][0]: (c["State"], c["Id"]) for c in on.call("GET", "/containers/json?all=1")[1]},
        "networks": sorted(n["Name"] for n in on.call("GET", "/networks")[1]),
        "images": sorted(i["Id"] for i in on.call("GET", "/images/json")[1]),
        "volumes": sorted(v["Name"] for v in on.call("GET", "/volumes")[1]["Volumes"]),
        "pid": on.call("GET", "/containers/runs/json")[1].get("State", {}).get("Pid"),
    }


CONTAINER = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "app"}}


def test_every_verb_says_so_and_nothing_is_lost(small: Engine) -> None:
    small.cli("exec", "runs", "sh", "-c", "head -c 3000000 /dev/zero > /written")
    before = seen(small)
    fill(small)
    refused(small, "POST", "/images/create?fromImage=httpd&tag=2.4")
    refused(small, "POST", "/containers/create?name=new", CONTAINER)
    refused(small, "POST", "/containers/rests/start")
    refused(small, "POST", "/networks/create", {"Name": "more"})
    refused(small, "POST", "/networks/bridge/connect", {"Container": "rests"})
    refused(small, "POST", "/volumes/create", {"Name": "more"})
    refused(small, "POST", "/commit?container=runs&repo=made")
    refused(small, "POST", "/containers/runs/rename?name=other")
    assert small.call("GET", "/containers/runs/json")[1]["State"]["Running"]
    assert small.cli("exec", "runs", "echo", "alive").stdout == "alive\n"
    assert seen(small) == before, "nothing came, nothing went"
    assert settled(small) == []

    small.kill()
    small.start()
    assert seen(small) == before and settled(small) == [], "the same after a restart on the full disk"

    empty(small)
    assert not list(small.machine.path(small.root / "data/blobs/ingest").iterdir()), "what filled the disk goes on filling it"
    small.cli("start", "-a", "rests")
    assert small.cli("run", "--rm", "--name", "new", "--network", "app", "busybox", "echo", "next").stdout == "next\n"
    small.cli("network", "create", "more")
    small.cli("volume", "create", "more")
    small.cli("commit", "runs", "made")
    small.cli("rename", "runs", "other")
    assert "Traceback" not in small.log.read_text(), small.tail(100)
    assert settled(small) == []
    left = [p.name for folder in ("layers", "snapshots") for p in small.machine.path(small.root / "data" / folder).rglob(".new-*")]
    assert not left, f"begun and not gone: {left}"


def test_what_runs_can_be_stopped_and_removed(small: Engine) -> None:
    """The way out of a full disk is to remove something."""
    fill(small)
    assert small.call("POST", "/containers/runs/stop?t=0")[0] == 204
    assert settled(small) == []
    assert small.call("DELETE", "/containers/runs")[0] == 204
    assert small.call("DELETE", "/containers/rests")[0] == 204
    assert small.call("DELETE", "/images/busybox")[0] == 200
    small.kill()
    small.start()
    assert seen(small)["containers"] == {} and seen(small)["images"] == []
    assert "Traceback" not in small.log.read_text(), small.tail(100)
