"""The store: one row an object in SQLite, written by a thread of its own.

WAL with synchronous=NORMAL: safe against kill -9; after a power loss the last commits may be missing, but then so is the kernel's state.
The seam to a distributed store is `load` and `commit` with expected revisions; a conflict shows there, before anything is live.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

import immutables

from ..errors import Conflict, Failed, NotFound, Unavailable
from ..network.model import NetworkState
from ..records import dataclass
from .rows import decode, encode
from .state import State

log = logging.getLogger("sanbashi")

SCHEMA = 2  # since 2 one publication stands for ports that follow each other
RESERVE = 1 << 20  # bytes that are kept for the commits of a full disk
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """A row to write, or to delete where `value` is None. `kind` is one of rows.KINDS."""

    kind: str
    id: str
    value: object | None


@dataclass
class Work:
    """One commit on its way to the thread."""

    rows: list[tuple[str, str, bytes | None]]
    expected: Mapping[Key, int]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[int]
    urgent: bool = False


@dataclass
class Store:
    """The embedded store. `statements` counts the SQL statements since it was opened, for the test that a start's cost does not grow."""

    path: Path
    statements: int = 0
    revision: int = 0
    work: queue.SimpleQueue[Work | None] = field(default_factory=queue.SimpleQueue)
    thread: threading.Thread | None = None
    saving: bool = False  # the reserve is there

    def load(self) -> State:
        """The saved state, indexes still missing in its network part; Failed where the file is from a newer version or damaged."""
        try:
            return self.load_once()
        except Unavailable:
            if not self.spend():
                raise
        return self.load_once()

    def load_once(self) -> State:
        with self.reading():
            self.path.touch(mode=0o600)  # containers' environments hold passwords
        with self.reading(), contextlib.closing(self.connect()) as database:
            prepare(database, self.path)
            self.revision = database.execute("SELECT coalesce(max(revision), 0) FROM objects").fetchone()[0]
            return read(database)

    def peek(self) -> State:
        """The saved state as `load` gives it, while a daemon may have the file open and without touching anything; NotFound, Failed."""
        with self.reading():
            if not self.path.exists():
                raise NotFound(f"no state is saved in {self.path}")
            # Without a log nobody has it open; then SQLite need not make one to read it.
            how = "mode=ro" if self.path.with_name(f"{self.path.name}-wal").exists() else "immutable=1"
            with contextlib.closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?{how}", uri=True)) as database:
                check_version(database, self.path)
                return read(database)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """What goes wrong while the file is read, in our words."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise Unavailable(
                f"cannot read the state from {self.path}: {error}", hint=f"see that {self.path.parent} has room and can be written"
            ) from error
        except (sqlite3.DatabaseError, ValueError) as error:
            raise Failed(f"{self.path} is damaged: {error}", hint="put a copy of it there, or use another --data-root") from error

    def connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        return database

    def start(self) -> None:
        """Begin taking commits."""
        self.thread = threading.Thread(target=self.write, name="store", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Write what was handed in and end the thread."""
        if self.thread is not None:
            self.work.put(None)
            self.thread.join()
            self.thread = None

    # Who wants to make room must be able to write that down: a file of our own is given up for it, and made again when there is room.

    @property
    def reserve(self) -> Path:
        return self.path.with_name("reserve")

    def spend(self) -> bool:
        """Give the reserve up; False where there is none."""
        try:
            self.reserve.unlink()
        except OSError:
            return False
        log.warning("the disk of %s is full: its reserve is used", self.path.parent)
        self.saving = False
        return True

    def save_up(self) -> None:
        """Have a reserve, as soon as there is room for it."""
        try:
            with self.reserve.open("ab") as file:  # it may be there, and not whole where its making was cut
                os.posix_fallocate(file.fileno(), 0, RESERVE)
        except OSError:
            self.reserve.unlink(missing_ok=True)
        else:
            self.saving = True

    async def commit(self, changes: Sequence[Change], expected: Mapping[Key, int] | None = None, *, urgent: bool = False) -> int:
        """Write all changes or none; the new revision. Conflict where an expected revision is not the row's; Unavailable where the disk refuses.

        What is `urgent` may use the reserve of a full disk.
        """
        loop = asyncio.get_running_loop()
        rows = [(c.kind, c.id, None if c.value is None else encode(c.value)) for c in changes]
        work = Work(rows, expected or {}, loop, loop.create_future(), urgent)
        self.work.put(work)
        return await work.done

    def write(self) -> None:
        """The thread: commits that wait together share one transaction."""
        database = self.connect()
        self.save_up()
        with contextlib.closing(database):
            while (first := self.work.get()) is not None:
                batch, last = [first], False
                with contextlib.suppress(queue.Empty):
                    while True:
                        more = self.work.get_nowait()
                        if more is None:
                            last = True
                            break
                        batch.append(more)
                self.write_batch(database, batch)
                if not self.saving:
                    self.save_up()
                if last:
                    return

    def write_batch(self, database: sqlite3.Connection, batch: list[Work]) -> None:
        try:
            database.execute("BEGIN IMMEDIATE")
            results: list[int | Exception] = [self.write_one(database, work) for work in batch]
            database.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            urgent = [work for work in batch if work.urgent]
            if urgent and isinstance(error, sqlite3.OperationalError) and self.spend():
                self.write_batch(database, urgent)
                batch = [work for work in batch if not work.urgent]
            hint = f"see that {self.path.parent} has room and can be written"
            results = [Unavailable(f"cannot write the state to {self.path}: {error}", hint=hint)] * len(batch)
        for work, result in zip(batch, results, strict=True):
            work.loop.call_soon_threadsafe(settle, work.done, result)

    def write_one(self, database: sqlite3.Connection, work: Work) -> int | Exception:
        for (kind, id_), revision in work.expected.items():
            row = database.execute("SELECT revision FROM objects WHERE kind = ? AND id = ?", (kind, id_)).fetchone()
            self.statements += 1
            if (row[0] if row else 0) != revision:
                return Conflict(f"{kind} {id_} was changed by another writer")
        self.revision += 1
        for kind, id_, value in work.rows:
            self.statements += 1
            if value is None:
                database.execute("DELETE FROM objects WHERE kind = ? AND id = ?", (kind, id_))
            else:
                database.execute("INSERT OR REPLACE INTO objects (kind, id, revision, value) VALUES (?, ?, ?, ?)", (kind, id_, self.revision, value))
        return self.revision


def settle(done: asyncio.Future[int], result: int | Exception) -> None:
    """Hand a result to the waiter, if it still waits."""
    if done.done():
        return
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)


def prepare(database: sqlite3.Connection, path: Path) -> None:
    """Make the table where there is none; Failed where the file was written by a newer version."""
    check_version(database, path)
    database.execute(
        "CREATE TABLE IF NOT EXISTS objects "
        "(kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID"
    )
    if database.execute("PRAGMA user_version").fetchone()[0] != SCHEMA:  # a start on a full disk writes nothing
        database.execute(f"PRAGMA user_version = {SCHEMA}")


def check_version(database: sqlite3.Connection, path: Path) -> None:
    """Failed where the file was written by a newer version."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise Failed(
            f"{path} was written by a newer version (schema {version}, this one knows {SCHEMA})",
            hint="start the newer version, or use another --data-root",
        )


def read(database: sqlite3.Connection) -> State:
    """All rows as a state, indexes still missing in its network part."""
    state = State()
    networks, sandboxes, endpoints = {}, {}, {}
    for kind, id_, value in database.execute("SELECT kind, id, value FROM objects"):
        thing = decode(kind, value)
        match kind:
            case "network":
                networks[id_] = thing
            case "sandbox":
                sandboxes[id_] = thing
            case "endpoint":
                endpoints[id_] = thing
            case _:
                state = changed(state, [Change(kind, id_, thing)])
    network = NetworkState(networks=immutables.Map(networks), sandboxes=immutables.Map(sandboxes), endpoints=immutables.Map(endpoints))
    return replace(state, network=network)


def changed(state: State, changes: Sequence[Change]) -> State:
    """The state after changes of containers, images and volumes (the network's part is changed by its own commands)."""
    for change in changes:
        match change.kind:
            case "container":
                state = state.with_container(change.value) if change.value is not None else state.without_container(change.id)  # type: ignore[arg-type]
            case "image":
                state = state.with_image(change.value) if change.value is not None else state.without_image(change.id)  # type: ignore[arg-type]
            case "volume":
                state = state.with_volume(change.value) if change.value is not None else state.without_volume(change.id)  # type: ignore[arg-type]
            case _:
                raise ValueError(f"{change.kind} is not changed this way")
    return state


def value_of(state: State, key: Key) -> object | None:
    """The object of a key in a state, None where it is not there."""
    kind, id_ = key
    match kind:
        case "network":
            return state.network.networks.get(id_)
        case "sandbox":
            return state.network.sandboxes.get(id_)
        case "endpoint":
            return state.network.endpoints.get(id_)
        case "container":
            return state.containers.get(id_)
        case "image":
            return state.images.get(id_)
        case "volume":
            return state.volumes.get(id_)
    raise ValueError(f"unknown kind {kind}")


def changes_between(old: State, new: State, keys: Sequence[Key]) -> Iterator[Change]:
    """What a commit must write so that the store says `new` for these keys."""
    for key in dict.fromkeys(keys):
        before, after = value_of(old, key), value_of(new, key)
        if before is not after:
            yield Change(key[0], key[1], after)
