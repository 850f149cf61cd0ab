"""What the parts of the daemon share: the state and its one writer, the host's hands, locks and clock."""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..containers.model import Container
from ..errors import Invalid, NotFound, unforeseen, words
from ..host.facts import HostFacts
from ..host.keeper import KeeperClient
from ..host.kernel import Kernel
from ..host.passing import Way
from ..host.room import in_room
from ..host.snapshots import Snapshots
from ..network.holdings import contradiction
from ..network.indexes import reindex
from ..network.model import Network, NetworkFacts
from ..records import dataclass
from .config import DaemonConfig
from .events import Events
from .saved import Change, Key, Store, changed, changes_between, value_of
from .state import State

log = logging.getLogger("sanbashi")

HANDS = 16  # worker threads; the kernel's own locks make more of them useless
P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


def now() -> str:
    """This moment as Docker writes it: RFC 3339 with nanoseconds, UTC."""
    ns = time.time_ns()
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09d}Z"


def age(moment: str) -> float:
    """Seconds since a moment that `now` wrote; 0 for one that never was."""
    try:
        then = datetime.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return max(0.0, time.time() - then.timestamp() - float(f"0.{moment[20:29].rstrip('Z') or 0}"))


def new_id() -> str:
    """64 hex digits; never one that looks like a number, which docker refuses as a host name."""
    while (id_ := secrets.token_hex(32))[:12].isdigit():
        pass
    return id_


Method = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


def whole(method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]]) -> Method[S, P, T]:
    """A method that runs to its end even when the request that asked for it goes away."""

    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.get_running_loop().create_task(method(self, *args, **kwargs))
        task.add_done_callback(lambda t: None if t.cancelled() else t.exception())
        return await asyncio.shield(task)

    functools.update_wrapper(run, method)
    return run


@dataclass
class Core:
    """The daemon's heart. `state` is an immutable snapshot, replaced on the loop's thread only."""

    config: DaemonConfig
    facts: HostFacts
    network_facts: NetworkFacts
    store: Store
    kernel: Kernel
    keeper: KeeperClient
    snapshots: Snapshots
    events: Events = field(default_factory=Events)
    state: State = field(default_factory=State)
    owed: set[Key] = field(default_factory=set)  # rows in which the store is behind the state
    locks: dict[str, Lock] = field(default_factory=dict)
    hands: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(HANDS, thread_name_prefix="hand"))
    boot_id: str = ""
    runtimes: Mapping[str, Path] = field(default_factory=dict)  # name -> program
    default_runtime: str = ""
    judged: tuple[Way, ...] = ()  # the ways on which `facts.foreign_drops` says who drops
    problems: tuple[str, ...] = ()  # what was asked for and cannot be had, a sentence each

    # -- the one writer

    async def commit(self, new: State, keys: Iterable[Key], *, fact: bool = False) -> None:
        """Make `new` the state and save what `keys` name; the old values come back where the store refuses.

        `new` must have been made from `self.state` with nothing awaited between, so no update is lost. A `fact` (a process has ended, its
        network is gone) stays true whatever the store says, and is saved with the next commit.
        """
        old, keys = self.state, list(keys)
        changes = {(c.kind, c.id): c for c in changes_between(old, new, keys)}
        if not changes:
            self.state = new
            return
        self.state = new
        owed = {key: Change(*key, value_of(new, key)) for key in self.owed if key not in changes}
        try:
            # That something goes is written on a full disk too: it is the way out of that.
            urgent = any(change.value is None for change in changes.values())
            await self.store.commit([*owed.values(), *changes.values()], urgent=urgent)
        except Exception as error:
            # Where others have built on the change meanwhile it cannot be taken back: then it is a fact.
            back = None if fact else self.with_old(old, keys)
            if back is not None:
                self.state = back
                raise
            self.owed |= changes.keys()
            log.error("not saved yet: %s", words(error), exc_info=unforeseen(error))
        else:
            self.owed -= owed.keys() | changes.keys()

    def with_old(self, old: State, keys: Sequence[Key]) -> State | None:
        """The present state with the values that `keys` had in `old`; None where others hold by now what those held."""
        state, network = self.state, self.state.network
        maps = {"network": network.networks, "sandbox": network.sandboxes, "endpoint": network.endpoints}
        for key in dict.fromkeys(keys):
            kind, id_ = key
            value = value_of(old, key)
            if kind == "container" and isinstance(value, Container) and state.container_names.get(value.name, id_) != id_:
                return None
            if kind not in maps:
                state = changed(state, [Change(kind, id_, value)])
            elif value is not None:
                maps[kind] = maps[kind].set(id_, value)
            elif id_ in maps[kind]:
                maps[kind] = maps[kind].delete(id_)
        network = replace(network, networks=maps["network"], sandboxes=maps["sandbox"], endpoints=maps["endpoint"])  # type: ignore[arg-type]
        return None if contradiction(network) else replace(state, network=reindex(network))

    async def commit_changes(self, changes: Sequence[Change]) -> None:
        """Commit changes of images, volumes and containers."""
        await self.commit(changed(self.state, changes), [(c.kind, c.id) for c in changes])

    async def put(self, container: Container, *more: Key, state: State | None = None, fact: bool = False) -> Container:
        """Save a container as it is now; `fact` as in `commit`."""
        await self.commit((state or self.state).with_container(container), [("container", container.id), *more], fact=fact)
        return container

    # -- hands and locks

    async def on_host(self, work: Callable[..., T], *args: Any) -> T:
        """Run blocking work on a worker thread; Unavailable where it finds the disk full."""
        return await asyncio.get_running_loop().run_in_executor(self.hands, in_room, work, *args)

    def locked(self, id_: str) -> AbstractAsyncContextManager[None]:
        """One change of one object at a time; a lock lives as long as somebody holds or awaits it."""
        return Held(self, id_)

    # -- finding

    def find_container(self, ref: str) -> Container:
        """By full id, name, unique prefix of the id or the name that a link gives it; NotFound and Invalid in Docker's words."""
        state = self.state
        found = state.containers.get(ref)
        if found is None and (id_ := state.container_names.get(ref.removeprefix("/"))) is not None:
            found = state.containers[id_]
        if found is None and ref and all(c in "0123456789abcdef" for c in ref):
            matches = [c for i, c in state.containers.items() if i.startswith(ref)]
            if len(matches) > 1:
                raise Invalid(f"Multiple IDs found with provided prefix: {ref}")
            found = matches[0] if matches else None
        found = found or state.linked(ref)
        if found is None:
            raise NotFound(f"No such container: {ref}")
        return found

    def container_dir(self, container_id: str) -> Path:
        """Where a container's files are kept: hostname, hosts, resolv.conf, its log."""
        return self.config.data_root / "containers" / container_id

    def bundle_dir(self, container_id: str) -> Path:
        """Where a container's OCI bundle is, gone after a reboot."""
        return self.config.exec_root / "containers" / container_id

    def tell_container(self, action: str, container: Container, **attributes: str) -> None:
        """Announce an event of a container with Docker's attributes."""
        self.events.tell(
            "container",
            action,
            container.id,
            {**container.config.labels, "image": container.config.image, "name": container.name, **attributes},
        )

    def tell_network(self, action: str, network: Network, **attributes: str) -> None:
        """Announce an event of a network with Docker's attributes."""
        self.events.tell("network", action, network.id, {"name": network.name, "type": network.driver, **attributes})


@dataclass
class Lock:
    """A lock and how many hold or await it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


@dataclass
class Held(AbstractAsyncContextManager[None]):
    """The lock of one object, taken."""

    core: Core
    id: str

    async def __aenter__(self) -> None:
        entry = self.core.locks.setdefault(self.id, Lock())
        entry.users += 1
        try:
            await entry.lock.acquire()
        except BaseException:
            self.leave(entry)
            raise

    async def __aexit__(self, *_: object) -> None:
        entry = self.core.locks[self.id]
        entry.lock.release()
        self.leave(entry)

    def leave(self, entry: Lock) -> None:
        entry.users -= 1
        if not entry.users:
            self.core.locks.pop(self.id, None)


async def both(*awaitables: Awaitable[Any]) -> list[Any]:
    """All of them to their end, then the first failure: nothing is left running behind an error."""
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
