"""A container's hosts, hostname and resolv.conf: written in place as long as they are ours, never once somebody has edited them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from sanbashi.daemon.files import NAMES, follow, write_files, write_those_unless_edited
from sanbashi.errors import SanbashiError, Unavailable
from sanbashi.network.model import EndpointWish

from .town import World, a_container, daemon, settle_town

NONE = frozenset[str]()


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "hosts", tmp_path / "written.json"


def test_a_file_is_written_in_place(place: tuple[Path, Path]) -> None:
    path, sidecar = place
    write_those_unless_edited({path: "one\n"}, sidecar, anew=NONE)
    inode = path.stat().st_ino
    write_those_unless_edited({path: "two\n"}, sidecar, anew=NONE)
    assert (path.read_text(), path.stat().st_ino, path.stat().st_mode & 0o777) == ("two\n", inode, 0o644)


def test_an_edited_file_is_never_rewritten(place: tuple[Path, Path]) -> None:
    path, sidecar = place
    write_those_unless_edited({path: "ours\n"}, sidecar, anew=NONE)
    path.write_text("ours\nand theirs\n")
    for text in ("ours, later\n", "ours\n"):
        write_those_unless_edited({path: text}, sidecar, anew=NONE)
        assert path.read_text() == "ours\nand theirs\n"


def test_an_edit_to_what_we_would_write_is_no_edit(place: tuple[Path, Path]) -> None:
    path, sidecar = place
    write_those_unless_edited({path: "one\n"}, sidecar, anew=NONE)
    path.write_text("two\n")
    write_those_unless_edited({path: "two\n"}, sidecar, anew=NONE)
    assert path.read_text() == "two\n"


def test_one_edited_file_does_not_hold_up_the_others(tmp_path: Path) -> None:
    sidecar = tmp_path / "written.json"
    for name in ("hosts", "resolv.conf"):
        write_those_unless_edited({tmp_path / name: "ours\n"}, sidecar, anew=NONE)
    (tmp_path / "hosts").write_text("theirs\n")
    for name in ("hosts", "resolv.conf"):
        write_those_unless_edited({tmp_path / name: "ours, later\n"}, sidecar, anew=NONE)
    assert [(tmp_path / n).read_text() for n in ("hosts", "resolv.conf")] == ["theirs\n", "ours, later\n"]


def test_in_an_edited_file_our_lines_follow_and_the_users_stay(place: tuple[Path, Path]) -> None:
    path, sidecar = place
    write_those_unless_edited({path: "127.0.0.1 localhost\n172.17.0.2 box\n"}, sidecar, anew=NONE)
    path.write_text("127.0.0.1 localhost\n10.1.1.1 mine\n172.17.0.2 box\n")
    for text in ("127.0.0.1 localhost\n172.17.0.2 box\n172.18.0.2 box\n", "127.0.0.1 localhost\n172.18.0.2 box\n"):
        assert write_those_unless_edited({path: text}, sidecar, anew=NONE) == {path}
        follow(path, text, sidecar)
    assert path.read_text() == "127.0.0.1 localhost\n10.1.1.1 mine\n172.18.0.2 box\n"


def test_a_start_writes_an_edited_file_anew(place: tuple[Path, Path]) -> None:
    path, sidecar = place
    write_those_unless_edited({path: "172.17.0.2 box\n"}, sidecar, anew=NONE)
    path.write_text("172.17.0.2 box\n10.1.1.1 mine\n")
    assert not write_those_unless_edited({path: "172.17.0.3 box\n"}, sidecar, anew=frozenset({"hosts"}))
    assert path.read_text() == "172.17.0.3 box\n"


def test_the_note_is_read_again_whether_it_became_longer_or_shorter(place: tuple[Path, Path]) -> None:
    path, sidecar = place
    for lines in (1, 50, 2, 1000, 3, 1000, 50):
        text = "172.17.0.2 box\n" * lines
        assert not write_those_unless_edited({path: text}, sidecar, anew=NONE)
        assert path.read_text() == text
    path.write_text("theirs\n")
    assert write_those_unless_edited({path: "ours\n"}, sidecar, anew=NONE) == {path}


@pytest.mark.parametrize("text", ["a longer text\n", "short\n"])
def test_a_daemon_that_dies_while_it_writes_does_not_take_its_own_text_for_an_edit(text: str, place: tuple[Path, Path]) -> None:
    path, sidecar = place
    write_those_unless_edited({path: "the first\n"}, sidecar, anew=NONE)
    dead = sidecar.read_bytes()
    write_those_unless_edited({path: text}, sidecar, anew=NONE)
    after = sidecar.read_bytes()
    # What may be found: the note of the old text or the new one, and the file before, in between and after.
    for note, content in ((dead, "the first\n"), (after, "the first\n"), (after, text + "the first\n"[len(text) :]), (after, text)):
        sidecar.write_bytes(note)
        path.write_text(content)
        write_those_unless_edited({path: "the last\n"}, sidecar, anew=NONE)
        assert path.read_text() == "the last\n"


def test_the_files_follow_connect_and_disconnect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await settle_town(town)
            folder = town.core.container_dir(town.container("db").id)

            def addresses() -> list[str]:
                state, sandbox = town.state.network, town.container("db").sandbox_id
                return [str(state.endpoints[e].ipv4).partition("/")[0] for e in state.sandbox_endpoints[sandbox]]

            assert (folder / "hostname").read_text() == f"{town.container('db').config.hostname}\n"
            before = (folder / "hosts").read_text()
            await town.networking.connect("app", "db", EndpointWish(network="app"))
            assert len(addresses()) == 2 and all(a in (folder / "hosts").read_text() for a in addresses())
            assert "127.0.0.11" in (folder / "resolv.conf").read_text()
            await town.networking.disconnect("app", "db", False)
            assert (folder / "hosts").read_text() == before
            (folder / "hosts").write_text("theirs\n")
            await town.networking.connect("app", "db", EndpointWish(network="app"))
            assert (folder / "hosts").read_text().splitlines()[0] == "theirs"
            await town.networking.disconnect("app", "db", False)
            assert (folder / "hosts").read_text() == "theirs\n"

    asyncio.run(work())


def test_a_folder_that_cannot_be_written_fails_the_start_and_undoes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await settle_town(town)
            folder = town.core.container_dir(town.container("web").id)
            folder.parent.mkdir(exist_ok=True)
            folder.write_text("a file where the folder should be")
            with pytest.raises(Unavailable, match="cannot write the files of web"):
                await town.lifecycle.start("web")
            town.check()
            folder.unlink()
            await town.lifecycle.start("web")
            town.check()

    asyncio.run(work())


def test_the_runtime_finds_all_files_and_one_that_was_lost_is_no_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await settle_town(town)
            folder = town.core.container_dir(town.container("web").id)
            found: list[dict[str, int]] = []
            boundary = town.world.boundary

            def look(what: str, *failure: SanbashiError) -> None:
                if what == "create":
                    found.append({name: (folder / name).stat().st_ino for name in NAMES})
                boundary(what, *failure)

            monkeypatch.setattr(town.world, "boundary", look)
            for lost in ((), ("resolv.conf",), NAMES):
                for name in lost:
                    (folder / name).unlink()
                await town.lifecycle.start("web")
                assert found[-1] == {name: (folder / name).stat().st_ino for name in NAMES}, "what was bound is what is written"
                assert "127.0.0.11" in (folder / "resolv.conf").read_text()
                assert town.container("web").config.hostname in (folder / "hosts").read_text()
                await town.lifecycle.stop("web", 1)
            town.check()

    asyncio.run(work())


def test_on_the_hosts_network_they_are_the_hosts_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await town.core.put(a_container("web", "host"))
            await town.lifecycle.start("web")
            folder = town.core.container_dir(town.container("web").id)
            assert (folder / "hosts").read_text() == Path("/etc/hosts").read_text()
            await town.lifecycle.stop("web", 1)
            os.utime(folder / "hosts", (1, 1))
            await town.core.on_host(write_files, town.core, town.container("web"))
            assert (folder / "hosts").stat().st_mtime == 1, "without a sandbox there is nothing to write"
            town.check()

    asyncio.run(work())


def test_a_file_that_a_container_has_made_as_long_as_it_can_is_left_alone(place: tuple[Path, Path]) -> None:
    """And not read: a hole of a terabyte costs it nothing, and would cost the daemon its memory."""
    path, sidecar = place
    write_those_unless_edited({path: "172.17.0.2 box\n"}, sidecar, anew=NONE)
    os.truncate(path, 1 << 40)
    assert write_those_unless_edited({path: "172.17.0.3 box\n"}, sidecar, anew=NONE) == {path}
    follow(path, "172.17.0.3 box\n", sidecar)
    assert path.stat().st_size == 1 << 40
    # The next start writes it anew.
    assert not write_those_unless_edited({path: "172.17.0.4 box\n"}, sidecar, anew=frozenset({"hosts"}))
    assert path.read_text() == "172.17.0.4 box\n"
