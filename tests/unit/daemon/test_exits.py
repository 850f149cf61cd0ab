"""An exit is a fact: what follows from it is tried until it is done, where only time is in the way."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from sanbashi.containers.model import Container, MountPoint
from sanbashi.daemon import process
from sanbashi.daemon.exits import Ended
from sanbashi.daemon.process import Process
from sanbashi.daemon.removing import Removing
from sanbashi.daemon.state import State
from sanbashi.errors import Failed, SanbashiError, StepFailed, Unavailable
from sanbashi.host.monitor import Exit

from .town import World, a_container, daemon

SILENT, BROKEN = Unavailable("the keeper (process 7) does not answer: it is stopped"), Failed("no")


@pytest.mark.parametrize(
    ("met", "tried"),
    [([], 1), ([SILENT, SILENT], 3), ([BROKEN], 1), ([SILENT, BROKEN], 2)],
    ids=["done", "silent twice", "refused", "silent, then refused"],
)
def test_what_follows_from_an_exit(met: list[SanbashiError], tried: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SOONEST", 0.0)
    heard: list[tuple[str, int, bool, int]] = []
    failures = iter(met)

    async def on_exit(container_id: str, code: int, oom: bool, run: int) -> None:
        heard.append((container_id, code, oom, run))
        for failure in failures:
            raise failure

    one = cast(Any, SimpleNamespace(on_exit=on_exit, way_free=asyncio.Event()))
    asyncio.run(Process.hand_on(one, Exit("c" * 64, 137, True, 1), 2))
    assert heard == [("c" * 64, 137, True, 2)] * tried


def test_a_removal_that_finds_the_disk_full_is_made_when_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of --rm: by then the container is no longer running, and who waits for its removal is told nevertheless."""
    monkeypatch.setattr(process, "SOONEST", 0.0)

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await town.core.put(a_container("web", "bridge", auto_remove=True))
            await town.lifecycle.start("web")
            web, failures = town.container("web"), [OSError(errno.ENOSPC, "no room"), OSError(errno.EROFS, "no writes")]

            def remove_files(_: Container, whole: bool = False) -> None:
                if failures:
                    raise failures.pop()

            monkeypatch.setattr(town.lifecycle.removing, "remove_files", remove_files)
            removed = town.lifecycle.wait("web", "removed")
            one = cast(Any, SimpleNamespace(on_exit=town.lifecycle.exited, way_free=asyncio.Event()))
            await Process.hand_on(one, Exit(web.id, 3, False, 1), 1)
            assert await asyncio.wait_for(removed, 60) == Ended(3)
            assert web.id not in town.state.containers and not failures
            town.check()

    asyncio.run(work())


@pytest.mark.parametrize("adopted", [False, True])
def test_a_volume_is_given_back_once_however_often_that_is_tried(adopted: bool) -> None:
    """Of a container that was started here, and of one that an earlier daemon started."""
    told: list[tuple[str, str]] = []

    async def nobody() -> None:
        """No exit is heard."""

    async def on_exit(container_id: str, code: int, oom: bool, run: int) -> None:
        raise AssertionError

    async def work() -> None:
        web = a_container("web", "bridge")
        web = msgspec.structs.replace(
            web,
            state=msgspec.structs.replace(web.state, status="running"),
            mounts=(MountPoint(type="volume", name="kept", source="/kept", destination="/kept", driver="local"),),
        )
        core = SimpleNamespace(
            state=State().with_container(web) if adopted else State(),
            events=SimpleNamespace(tell=lambda kind, action, name, about: told.append((action, name))),
        )
        one = cast(Any, SimpleNamespace(core=core, mounted=set(), monitor=SimpleNamespace(open=lambda: None), listen=nobody))
        Process.open(one, on_exit)
        if not adopted:
            Process.tell_volumes(one, "mount", web)
        for _ in range(3):
            Process.tell_volumes(one, "unmount", web)

    asyncio.run(work())
    assert told == [("mount", "kept")] * (not adopted) + [("unmount", "kept")]


def test_an_exit_that_waits_is_dealt_with_as_soon_as_the_way_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new keeper, and going down, do not find it asleep."""
    monkeypatch.setattr(process, "SOONEST", 3600.0)
    tries: list[int] = []

    async def on_exit(container_id: str, code: int, oom: bool, run: int) -> None:
        tries.append(run)
        if len(tries) < 3:
            raise SILENT

    async def work() -> None:
        one = cast(Any, SimpleNamespace(on_exit=on_exit, way_free=asyncio.Event()))
        waiting = asyncio.create_task(Process.hand_on(one, Exit("c" * 64, 137, True, 1), 2))
        while not waiting.done():
            Process.try_again(one)
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(work(), 120))
    assert tries == [2] * 3


def test_who_waits_for_a_removal_is_told_when_it_fails(settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `rm` and of --rm, whose removal the next start of the daemon tries again; who waits for one that never ran to stop is told too."""
    words = "unable to remove filesystem: unlinkat /f: operation not permitted"

    def refuse(container: Container, whole: bool = False) -> None:
        raise Failed(words)

    async def work() -> None:
        async with daemon(settled.copy(tmp_path / "world"), monkeypatch) as town:
            await town.core.put(a_container("brief", "bridge", auto_remove=True))
            await town.lifecycle.start("brief")
            brief, waiting = town.container("brief"), [town.lifecycle.wait("web", condition) for condition in ("removed", "next-exit")]
            waiting.append(town.lifecycle.wait("brief", "removed"))
            with monkeypatch.context() as patch:
                patch.setattr(town.lifecycle.removing, "remove_files", refuse)
                with pytest.raises(Failed, match="unlinkat /f"):
                    await town.lifecycle.remove("web")
                one = cast(Any, SimpleNamespace(on_exit=town.lifecycle.exited, way_free=asyncio.Event()))
                await Process.hand_on(one, Exit(brief.id, 3, False, 1), 1)
            told = await asyncio.wait_for(asyncio.gather(*waiting), 60)
            assert told == [Ended(0, words), Ended(0, words), Ended(3, words)]
            assert town.lifecycle.wait("brief", "removed").result() == Ended(3, words)
            assert [(town.container(name).state.status, town.container(name).state.error) for name in ("web", "brief")] == [("dead", words)] * 2
            waiting = [town.lifecycle.wait("web", "next-exit")]
            await town.lifecycle.remove("web")
            assert await asyncio.wait_for(waiting[0], 60) == Ended(0)
        async with daemon(town.world, monkeypatch) as town:
            assert brief.id not in town.state.containers
            town.check()

    asyncio.run(work())


def test_rm_of_one_that_removes_itself_fails_where_that_does(settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rm -f` waits for the end's own removal."""

    def refuse(container: Container, whole: bool = False) -> None:
        raise Failed("unable to remove filesystem")

    async def work() -> None:
        async with daemon(settled.copy(tmp_path / "world"), monkeypatch) as town:
            await town.core.put(a_container("brief", "bridge", auto_remove=True))
            await town.lifecycle.start("brief")
            one, ends = cast(Any, SimpleNamespace(on_exit=town.lifecycle.exited, way_free=asyncio.Event())), []

            async def heard(container_id: str, code: int, oom: bool, run: int) -> None:
                """As the monitor has it: in a task of its own."""
                ends.append(asyncio.create_task(Process.hand_on(one, Exit(container_id, code, oom, 1), run)))

            monkeypatch.setattr(town.processes, "on_exit", heard)
            monkeypatch.setattr(town.lifecycle.removing, "remove_files", refuse)
            with pytest.raises(Failed, match="unable to remove filesystem"):
                await asyncio.wait_for(town.lifecycle.remove("brief", force=True), 60)
            await asyncio.gather(*ends)

    asyncio.run(work())


def test_a_removal_that_fails_half_way_leaves_the_layer_in_its_place(tmp_path: Path) -> None:
    """What is set aside by one try is not found by the next, and would stay until the daemon's next start."""
    did: list[str] = []
    snapshots = SimpleNamespace(unmount=lambda _: did.append("unmounted"), set_aside=lambda _: did.append("set aside"))
    folder = tmp_path / "container"
    folder.write_text("no folder")
    core = SimpleNamespace(snapshots=snapshots, container_dir=lambda _: folder, bundle_dir=lambda _: tmp_path / "bundle")
    removing = Removing(cast(Any, core), *[cast(Any, None)] * 4)
    with pytest.raises(Failed, match=r"unable to remove filesystem: unlinkat .*/container: not a directory"):
        removing.remove_files(a_container("web", "bridge"))
    assert did == ["unmounted"]
    folder.unlink()
    removing.remove_files(a_container("web", "bridge"))
    assert did == ["unmounted"] * 2 + ["set aside"]


def test_a_removal_that_fails_leaves_a_dead_container_whose_removal_may_be_repeated(
    settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(container: Container, whole: bool) -> None:
        assert whole
        raise Failed("unable to remove filesystem: unlinkat /f: operation not permitted")

    async def work() -> None:
        async with daemon(settled.copy(tmp_path / "world"), monkeypatch) as town:
            with monkeypatch.context() as patch:
                patch.setattr(town.lifecycle.removing, "remove_files", refuse)
                for name, force in (("web", False), ("db", True), ("web", True)):
                    with pytest.raises(Failed, match="unlinkat /f"):
                        await town.lifecycle.remove(name, force=force)
                    state = town.container(name).state
                    assert (state.status, state.dead, "unlinkat /f" in state.error) == ("dead", True, True)
                    for verb in (town.lifecycle.start, town.lifecycle.restart):
                        with pytest.raises(SanbashiError, match="marked for removal and cannot be started"):
                            await verb(name)
            town.check()
        # The next daemon does not know how much of it was to go: it leaves that to whoever asked.
        async with daemon(town.world, monkeypatch) as town:
            assert [town.container(name).state.status for name in ("web", "db")] == ["dead", "dead"]
            await town.lifecycle.remove("web")
            await town.lifecycle.remove("db")
            assert {c.name for c in town.state.containers.values()} == {"runner"}
            town.check()

    asyncio.run(work())


def test_a_container_has_ended_though_its_network_cannot_be_taken_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a stop would wait for ever for the end of what has long ended. What is left is taken away with it."""

    async def refuse(steps: object) -> None:
        raise StepFailed("remove link vsb1", errno=errno.EBUSY, stderr="Device or resource busy")

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await town.core.put(a_container("web", "bridge", ports={"80/tcp": "8080"}))
            await town.lifecycle.start("web")
            web, waiting = town.container("web"), town.lifecycle.wait("web")
            with monkeypatch.context() as patch:
                patch.setattr(town.networking.loop, "apply", refuse)
                town.world.processes.pop(web.id)
                with pytest.raises(StepFailed):
                    await town.lifecycle.exited(web.id, 3, False, 1)
            assert await asyncio.wait_for(waiting, 60) == Ended(3)
            left = town.container("web").state
            assert (left.status, left.exit_code, "resource busy" in left.error) == ("exited", 3, True)
            town.check()
            await town.lifecycle.start("web")
            town.check()
            await town.lifecycle.remove("web", force=True)
            assert not town.state.network.sandboxes
            town.check()

    asyncio.run(work())


def test_nothing_is_kept_of_those_who_waited_and_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await town.core.put(a_container("web", "bridge"))
            for _ in range(10):
                town.lifecycle.wait("web", "next-exit").cancel()
            last = town.lifecycle.wait("web", "next-exit")
            assert town.lifecycle.exits.stopped == {town.container("web").id: [last]}
            await town.lifecycle.remove("web")
            # As in Docker: there will be no next exit.
            assert await asyncio.wait_for(last, 60) == Ended(0) and not town.lifecycle.exits.stopped

    asyncio.run(work())
