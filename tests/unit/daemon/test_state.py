"""The indexes of names follow their objects, and a commit that the store refuses leaves nothing but what others did meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.daemon.core import age, new_id, now
from sanbashi.daemon.state import State
from sanbashi.errors import Invalid, NotFound, Unavailable
from sanbashi.images.model import Image
from sanbashi.network import commands
from sanbashi.volumes.model import Volume

from .town import World, a_container, daemon, number, settle_town

IDS, NAMES = st.sampled_from("abc"), st.sampled_from(("one", "two", "three"))


def image(id_: str, *tags: str, digests: tuple[str, ...] = ()) -> Image:
    return Image(id=id_, repo_tags=tags, repo_digests=digests)


def indexed(state: State) -> State:
    """The state with its indexes made anew."""
    return State(
        network=state.network,
        containers=state.containers,
        images=state.images,
        volumes=state.volumes,
        container_names=state.container_names.__class__({c.name: c.id for c in state.containers.values()}),
        image_names=state.image_names.__class__({n: i.id for i in state.images.values() for n in (*i.repo_tags, *i.repo_digests)}),
    )


@given(
    st.lists(
        st.tuples(IDS, st.none() | st.lists(NAMES, max_size=3, unique=True), st.lists(NAMES.map("{}@x".format), max_size=2, unique=True)), max_size=12
    )
)
def test_names_of_images(changes: list[tuple[str, list[str] | None, list[str]]]) -> None:
    state = State()
    for id_, tags, digests in changes:
        state = state.without_image(id_) if tags is None else state.with_image(image(id_, *tags, digests=tuple(digests)))
        assert state == indexed(state)


@given(st.lists(st.tuples(IDS, st.booleans()), max_size=12))
def test_names_of_containers(changes: list[tuple[str, bool]]) -> None:
    state = State()
    for n, (name, there) in enumerate(changes):
        container = a_container(name)
        state = state.with_container(msgspec.structs.replace(container, name=f"{name}{n}")) if there else state.without_container(container.id)
        assert state == indexed(state)


def test_a_tag_moves_to_the_image_that_takes_it() -> None:
    state = State().with_image(image("old", "web:1", "web:2")).with_image(image("new", "web:2"))
    assert state.images["old"].repo_tags == ("web:1",) and state.image_names["web:2"] == "new"


def test_moments() -> None:
    assert 0 <= age(now()) < 5
    assert age("2020-01-01T00:00:00.5Z") == pytest.approx(age("2020-01-01T00:00:00Z") - 0.5, abs=0.1)
    assert age("0001-01-01T00:00:00Z") > 0 and age("") == 0
    assert not new_id()[:12].isdigit()


def test_containers_are_found_as_docker_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            for name, id_ in (("web", "abc1" + "0" * 60), ("db", "abc2" + "0" * 60), ("abc1", number("other"))):
                await town.core.put(msgspec.structs.replace(a_container(name), id=id_))
            find = town.core.find_container
            assert [find(ref).name for ref in ("web", "/web", "abc2", "abc2" + "0" * 60)] == ["web", "web", "db", "db"]
            assert find("abc1").name == "abc1", "a name goes before a prefix"
            with pytest.raises(Invalid, match="Multiple IDs found with provided prefix: abc"):
                find("abc")
            for ref in ("", "x", "ABC2"):
                with pytest.raises(NotFound, match=f"No such container: {ref}"):
                    find(ref)

    asyncio.run(work())


def test_a_refused_commit_brings_back_the_old_values_and_leaves_those_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            await settle_town(town)
            core, before = town.core, town.state
            volume = Volume(name="v", created="", mountpoint="")
            runner = town.container("runner")
            closed = commands.close_sandbox(before.network, runner.sandbox_id)
            keys = [
                ("container", runner.id),
                ("sandbox", runner.sandbox_id),
                *(("endpoint", e) for e in before.network.sandbox_endpoints[runner.sandbox_id]),
            ]
            world.trouble = len(world.passed)
            renamed = msgspec.structs.replace(runner, name="walker")
            task = asyncio.create_task(core.commit(replace(before, network=closed).with_container(renamed), keys))
            await asyncio.sleep(0)
            await core.commit(core.state.with_volume(volume), [("volume", "v")])
            with pytest.raises(Unavailable):
                await task
            assert town.state == before.with_volume(volume)
            town.check()

    asyncio.run(work())


def test_a_fact_stands_and_is_saved_with_the_next_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            core = town.core
            ended = await core.put(a_container("web"))
            ended = msgspec.structs.replace(ended, state=msgspec.structs.replace(ended.state, status="exited", exit_code=7))
            world.trouble = len(world.passed)
            await core.commit(core.state.with_container(ended), [("container", ended.id)], fact=True)
            assert town.container("web").state.exit_code == 7 and core.owed
            assert core.store.peek().containers[ended.id].state.exit_code == 0
            await core.put(a_container("db"))
            assert not core.owed
            town.check()

    asyncio.run(work())
