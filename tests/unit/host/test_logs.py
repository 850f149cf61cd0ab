"""conmon's log as lines."""

from __future__ import annotations

import asyncio
import errno
import gzip
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sanbashi.errors import StepFailed
from sanbashi.host import logs
from sanbashi.host.logparts import Part, open_part, pack
from sanbashi.host.logs import BLOCK, MARGIN, Joiner, Line, Reader, normal_time, read_log
from sanbashi.host.rotating import rotate

T = "2026-11-23T20:02:{:02}.{:09}+00:00"


def write(path: Path, entries: list[tuple[str, str, str]]) -> None:
    path.write_text("".join(f"{T.format(i // 60 % 60, i)} {stream} {tag} {text}\n" for i, (stream, tag, text) in enumerate(entries)))


def read(path: Path, **options: object) -> list[Line]:
    async def collect() -> list[Line]:
        return [line async for line in read_log(path, **options)]  # type: ignore[arg-type]

    return asyncio.run(collect())


def test_times() -> None:
    assert normal_time("2026-11-23T20:02:36.178008012+00:00") == "2026-11-23T20:02:36.178008012Z"
    assert normal_time("2026-11-23T20:02:36.5Z") == "2026-11-23T20:02:36.500000000Z"
    assert normal_time("2026-11-24T05:02:36.178008012+09:00") == "2026-11-23T20:02:36.178008012Z"


def test_pieces_are_put_together_each_stream_apart(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, [("stdout", "P", "a"), ("stderr", "P", "x"), ("stdout", "F", "b"), ("stderr", "F", "y"), ("stdout", "P", "end")])
    assert [(stream, text) for _, stream, text in read(log)] == [(1, b"ab\n"), (2, b"xy\n"), (1, b"end")]


def test_a_long_line_comes_in_pieces_of_16_kib() -> None:
    joiner = Joiner()
    raw = [f"{T.format(0, 0)} stdout P {'x' * 8192}".encode()] * 3 + [f"{T.format(0, 0)} stdout F z".encode()]
    assert [len(text) for line in raw for _, _, text in joiner.add(line)] == [16384, 8194]


@pytest.mark.parametrize("tail", [0, 1, 2, 7, 5000, 10**12])
def test_tail_reads_the_last_lines_and_no_more_of_the_file_than_they_need(tmp_path: Path, tail: int) -> None:
    log = tmp_path / "log"
    write(log, [("stdout", "F", f"{i} {'x' * 90}") for i in range(5000)])
    assert log.stat().st_size > 8 * BLOCK
    texts = [int(text.split()[0]) for _, _, text in read(log, tail=tail)]
    assert texts == list(range(5000))[max(0, 5000 - tail) :]


def far_from_its_end(kinds: list[tuple[str, str]], place: int) -> bool:
    """Whether so many other lines end before this one does that a tail does not look back for its beginning."""
    stream, rest = kinds[place][0], kinds[place + 1 :]
    end = next((n for n, kind in enumerate(rest) if kind == (stream, "F")), len(rest))
    return sum(tag == "F" for _, tag in rest[:end]) >= MARGIN


@given(st.lists(st.sampled_from([("stdout", "F"), ("stdout", "P"), ("stderr", "F"), ("stderr", "P")]), max_size=40), st.integers(0, 12))
def test_tail_is_the_end_of_the_whole(tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[str, str]], tail: int) -> None:
    assume(not any(far_from_its_end(kinds, place) for place, (_, tag) in enumerate(kinds) if tag == "P"))
    log = tmp_path_factory.mktemp("logs") / "log"
    write(log, [(stream, tag, str(i)) for i, (stream, tag) in enumerate(kinds)])
    whole = read(log)
    assert read(log, tail=tail) == whole[max(0, len(whole) - tail) :]


def test_since_and_until(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, [("stdout", "F", str(i)) for i in range(10)])
    since, until = T.format(0, 3).replace("+00:00", "Z"), T.format(0, 5).replace("+00:00", "Z")
    assert [text for _, _, text in read(log, since=since, until=until)] == [b"3\n", b"4\n", b"5\n"]


def test_damaged_lines_and_no_file_are_no_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read(log) == []
    log.write_text("nonsense\n\n2026 stdout X a\n")
    assert read(log) == []


def test_following_ends_when_the_container_has(tmp_path: Path) -> None:
    log = tmp_path / "log"

    async def follow() -> list[bytes]:
        alive = True
        found: list[bytes] = []

        async def collect() -> None:
            async for _, _, text in read_log(log, follow=True, running=lambda: alive):
                found.append(text)

        task = asyncio.create_task(collect())
        await asyncio.sleep(0)
        with log.open("a") as file:
            for i in range(3):
                file.write(f"{T.format(0, i)} stdout F {i}\n")
                file.flush()
                await asyncio.sleep(0)
            file.write(f"{T.format(0, 4)} stdout P end\n")
        alive = False
        await task
        return found

    assert asyncio.run(follow()) == [b"0\n", b"1\n", b"2\n", b"end"]


def test_a_log_that_starts_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, [("stdout", "F", "a long first line")])

    async def follow() -> list[bytes]:
        alive = True
        found: list[bytes] = []
        first = asyncio.Event()

        async def collect() -> None:
            async for _, _, text in read_log(log, follow=True, running=lambda: alive):
                found.append(text)
                first.set()

        task = asyncio.create_task(collect())
        await first.wait()
        write(log, [("stdout", "F", "new")])
        alive = False
        await task
        return found

    assert asyncio.run(follow()) == [b"a long first line\n", b"new\n"]


@pytest.mark.parametrize("tail", [None, 0, 1, 3, 4, 7, 50])
def test_parts_put_aside_are_read_first(tmp_path: Path, tail: int | None) -> None:
    log = tmp_path / "log"
    for name, first in (("log.2", 0), ("log.1", 3), ("log", 6)):
        write(tmp_path / name, [("stdout", "F", str(n)) for n in range(first, first + 3)])
    texts = [int(text) for _, _, text in read(log, tail=tail)]
    assert texts == list(range(9))[0 if tail is None else max(0, 9 - tail) :]


def test_a_reader_follows_files_that_are_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "log"
    entry = f"{T.format(0, 0)} stdout F {{}}\n"
    reader = Reader(log)

    def said() -> list[int]:
        return [int(line.split()[-1]) for line in reader.lines()]

    assert said() == []
    log.write_text(entry.format(0))
    assert said() == [0]
    with log.open("a") as old:  # conmon goes on in the file that it has open, whatever it is called
        rotate(log, 1, 3, tmp_path / "nobody")
        old.write(entry.format(1))
        old.flush()
        assert said() == [1]
        old.write(entry.format(2))
    log.write_text(entry.format(3))
    rotate(log, 1, 3, tmp_path / "nobody")
    log.write_text(entry.format(4))
    assert said() == [2, 3, 4]
    for number in (5, 6, 7):  # more than is kept, while nobody reads
        rotate(log, 1, 3, tmp_path / "nobody")
        log.write_text(entry.format(number))
    assert said() == [5, 6, 7]
    reader.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1", "log.2"]


def test_rotating_waits_for_the_size(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 9)
    assert not rotate(log, 10, 2, tmp_path / "nobody") and log.exists()
    log.write_text("x" * 10)
    assert rotate(log, 10, 2, tmp_path / "nobody") and not log.exists()
    assert rotate(log, 10, 2, tmp_path / "nobody")  # nobody was told yet: again


def numbered(path: Path, numbers: range) -> None:
    """A log as conmon writes it: no two files begin at one moment."""
    path.write_text("".join(f"{T.format(n % 60, n)} stdout F {n}\n" for n in numbers))


@pytest.mark.parametrize("tail", [None, 0, 1, 3, 4, 7, 9, 50])
def test_packed_parts_are_read_as_what_they_were(tmp_path: Path, tail: int | None) -> None:
    log = tmp_path / "log"
    for name, first in (("log.3", 0), ("log.2", 3), ("log.1", 6), ("log", 9)):
        numbered(tmp_path / name, range(first, first + 3))
    assert pack(log, 4, threading.Event())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1.gz", "log.2.gz", "log.3.gz"]
    assert gzip.decompress((tmp_path / "log.3.gz").read_bytes()).endswith(b"stdout F 2\n")
    texts = [int(text) for _, _, text in read(log, tail=tail)]
    assert texts == list(range(12))[0 if tail is None else max(0, 12 - tail) :]
    log.unlink()  # conmon has not begun it yet
    assert [int(text) for _, _, text in read(log, tail=2)] == [7, 8]


def test_packing_waits_for_the_next_file_and_stops_when_told(tmp_path: Path) -> None:
    log, told = tmp_path / "log", threading.Event()
    numbered(tmp_path / "log.1", range(3))
    assert not pack(log, 3, told) and (tmp_path / "log.1").exists()
    numbered(log, range(3, 6))
    told.set()
    assert not pack(log, 3, told)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1"]
    told.clear()
    # A death after the packed one was there and before the plain one went.
    assert pack(log, 3, told)
    numbered(tmp_path / "log.1", range(3))
    assert [int(text) for _, _, text in read(log)] == list(range(6))
    rotate(log, 1, 3, tmp_path / "nobody")
    numbered(log, range(6, 9))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1", "log.2.gz"]
    assert [int(text) for _, _, text in read(log)] == list(range(9))


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_packed_file_is_as_open_as_the_log(tmp_path: Path, mode: int) -> None:
    log = tmp_path / "log"
    for path, lines in ((tmp_path / "log.1", range(3)), (log, range(3, 6))):
        numbered(path, lines)
        path.chmod(mode)
    assert pack(log, 3, threading.Event())
    assert [stat.S_IMODE(path.stat().st_mode) for path in (log, tmp_path / "log.1.gz")] == [mode, mode]


def test_a_packed_file_that_was_cut_is_no_more_than_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    numbered(tmp_path / "log.1", range(2000))
    numbered(log, range(2000, 2003))
    assert pack(log, 2, threading.Event())
    packed = tmp_path / "log.1.gz"
    packed.write_bytes(packed.read_bytes()[:-1000])
    texts = [int(text) for _, _, text in read(log)]
    assert texts[-3:] == [2000, 2001, 2002] and texts[:10] == list(range(10))
    packed.write_bytes(b"no gzip at all")
    assert [int(text) for _, _, text in read(log)] == [2000, 2001, 2002]


@settings(max_examples=60, deadline=None)
@given(moves=st.lists(st.sampled_from(["write", "rotate", "pack", "read"]), min_size=5, max_size=40), files=st.integers(2, 4))
def test_a_follower_reads_every_line_once_whatever_is_done(tmp_path_factory: pytest.TempPathFactory, moves: list[str], files: int) -> None:
    """Writing, putting aside and packing in any order; a follower that looks often enough misses nothing and reads nothing twice."""
    folder = tmp_path_factory.mktemp("follow")
    log, seen, written, aside = folder / "log", [], 0, 0
    numbered(log, range(0))
    reader = Reader(log)

    def look() -> None:
        seen.extend(int(line.split()[-1]) for line in reader.lines())

    for move in moves:
        if move == "write":
            with log.open("a") as out:
                out.write(f"{T.format(written % 60, written)} stdout F {written}\n")
            written += 1
        elif move == "rotate":
            aside += rotate(log, 1, files, folder / "nobody")
            log.touch()
            if aside == files - 1:  # before the oldest unread one goes
                look()
                aside = 0
        elif move == "pack":
            assert pack(log, files, threading.Event())
        else:
            look()
            aside = 0
    look()
    reader.close()
    assert seen == list(range(written))


@pytest.mark.parametrize("damage", [b"\0\0\0\0", b"2026\x00 stdout F a\n", b"x" * 500, b"caf\xc3\xa9,3 stdout F a\n"])
def test_a_part_that_a_power_loss_has_damaged_is_packed_as_it_is(tmp_path: Path, damage: bytes) -> None:
    """What stands where a time should be comes into no header, whose end a NUL would be."""
    log, plain = tmp_path / "log", tmp_path / "log.1"
    numbered(plain, range(3))
    whole = damage + plain.read_bytes()
    plain.write_bytes(whole)
    log.touch()
    assert pack(log, 2, threading.Event()) and not plain.exists()
    assert gzip.decompress((tmp_path / "log.1.gz").read_bytes()) == whole
    part = open_part(log, 1)
    assert part is not None and (part.key, part.lines) == (b"", whole.count(b" F ")) and part.read() == whole
    part.close()


@pytest.mark.parametrize("options", [{"since": "2027-01-01T00:00:00Z"}, {"tail": 1}, {}])
def test_a_long_log_leaves_others_their_turn(tmp_path: Path, options: dict[str, object]) -> None:
    """However little of it is wanted, and however quickly it is taken."""
    log = tmp_path / "log"
    write(log, [("stdout", "P" if "tail" in options else "F", "x" * 100) for _ in range(20_000)] + [("stdout", "F", "the last")])
    assert log.stat().st_size > 30 * BLOCK

    async def work() -> tuple[int, int]:
        turns = taken = 0
        over = asyncio.Event()

        async def count() -> None:
            nonlocal turns
            while not over.is_set():
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        async for _ in read_log(log, **options):  # type: ignore[arg-type]
            taken += 1
        over.set()
        await counting
        return turns, taken

    turns, taken = asyncio.run(work())
    assert turns > 20
    assert taken == {"since": 0, "tail": 1}.get(next(iter(options), ""), 20_001)


def test_a_follower_that_comes_back_late_takes_what_is_new_a_little_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have written more meanwhile than there is memory."""
    log, runs, reads = tmp_path / "log", True, list[Part]()
    read_part = Part.read

    def counted(part: Part) -> bytes:
        reads.append(part)
        return read_part(part)

    monkeypatch.setattr(Part, "read", counted)

    async def work() -> None:
        nonlocal runs
        write(log, [("stdout", "F", "first")])
        lines = read_log(log, follow=True, running=lambda: runs)
        assert (await anext(lines))[2] == b"first\n"
        coming = asyncio.ensure_future(anext(lines))
        while len(reads) < 3:  # it has read to the end twice, and waits
            await asyncio.sleep(0.001)
        reads.clear()
        with log.open("a") as more:
            more.writelines(f"{T.format(1, n)} stdout F {'x' * 100}\n" for n in range(20_000))
        runs = False
        assert len((await coming)[2]) == 101
        assert len(reads) < 10
        assert len([line async for line in lines]) == 19_999

    asyncio.run(work())


def test_a_follower_without_a_watch_looks_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host lets a user have 128 of them, mostly, and others need some."""

    def refuse(*words: object, **named: object) -> None:
        raise StepFailed("watch", errno=errno.EMFILE, stderr="Too many open files")

    monkeypatch.setattr(logs, "Watch", refuse)
    monkeypatch.setattr(logs, "AGAIN", 0.01)
    log, runs = tmp_path / "log", True

    async def work() -> None:
        nonlocal runs
        write(log, [("stdout", "F", "first")])
        lines = read_log(log, follow=True, running=lambda: runs)
        assert (await anext(lines))[2] == b"first\n"
        coming = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0)
        with log.open("a") as more:
            more.write(f"{T.format(1, 1)} stdout F second\n")
        assert (await asyncio.wait_for(coming, 60))[2] == b"second\n"
        runs = False
        assert [line async for line in lines] == []

    asyncio.run(work())
