"""The daemon's end of the keeper: starts or adopts it, tells it what to keep, and gives it the sockets opened inside namespaces."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sanbashi.errors import Failed, SanbashiError, Unavailable
from sanbashi.keeper import protocol
from sanbashi.network.lease import Lease, LeaseReport, report_of
from sanbashi.network.picture import Forwarder, HeldPort, HostResolver, Item, Leasing, Picture, Resolver, singly, take_out, together

from ..records import dataclass
from .keeperline import Line, join, reach, runs, wait_for_end
from .keeperprocess import PATIENCE, Silent
from .listening import PathOf, handed, needs_sockets
from .taken import HostResolverTaken, PortTaken

log = logging.getLogger("sanbashi.keeper")

UNKNOWN = -1  # revision
RESOLVERS = protocol.MAX_DESCRIPTORS // 3  # in one frame

Result = TypeVar("Result")


class Stale(Exception):
    """The keeper is at another revision than we thought: another daemon changed it."""


@dataclass(frozen=True, slots=True)
class Loss:
    """An item that a new keeper could not take over from the one that died."""

    item: Item
    error: SanbashiError


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame of a change whose reply is still to be read."""

    line: Line
    remove: Sequence[Item]
    stand: list[Item]
    whole: bool


class KeeperClient:
    """One keeper's client; calls may come from any thread. What was acknowledged is remembered, and given to a new keeper when one dies.

    `on_lost` is called, from a thread of our own, as soon as the keeper is gone; `ensure` then starts the next one. `on_lease` is called likewise
    with how it stands with each lease, and again at each change.
    """

    def __init__(
        self,
        exec_root: Path,
        *,
        namespaces: PathOf | None = None,
        on_lost: Callable[[], None] | None = None,
        on_lease: Callable[[LeaseReport], None] | None = None,
        resolv_conf: Path = Path("/etc/resolv.conf"),
    ) -> None:
        self._root, self._resolv_conf, self._on_lost, self._on_lease = exec_root, resolv_conf, on_lost, on_lease
        self._leases: dict[str, Lease | None] = {}  # by endpoint, as the keeper told last
        self._path_of: PathOf = namespaces or (lambda sandbox: exec_root / "netns" / sandbox[:12])
        self._lock = threading.RLock()
        self._line: Line | None = None
        self._keeper = ""  # the one whose items we know
        self._revision = 0
        self._learnt = UNKNOWN  # the revision at which it was asked for all that it keeps
        self._items: dict[tuple[object, ...], Item] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._watch: tuple[Line, threading.Thread] | None = None
        self._losses: list[Loss] = []

    def __enter__(self) -> Self:
        self.ensure()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The keeper's process, 0 while there is no line to one."""
        line = self._line
        return line.pid if line else 0

    def ensure(self) -> tuple[Loss, ...]:
        """Have a keeper: the one that runs, or a new one with everything that the last was known to keep. What could not be kept; Unavailable."""
        with self._lock:
            self._repeat(lambda line: line.request({"status": True}))
            losses, self._losses = tuple(self._losses), []
            return losses

    def change(self, remove: Sequence[Item], add: Sequence[Item], *, namespaces: PathOf | None = None) -> tuple[Item, ...]:
        """Keep other items from now on, all of them or none. The added items as they stand: a resolver with the port that it got.

        PortTaken where a port cannot be bound, Failed where a namespace cannot be entered, Unavailable.
        """
        with self._lock:
            path_of = namespaces or self._path_of
            return self._repeat(lambda line: self._change(line, remove, add, path_of, whole=True))

    @contextlib.contextmanager
    def changing(self, remove: Sequence[Item], add: Sequence[Item], *, namespaces: PathOf | None = None) -> Iterator[Callable[[], tuple[Item, ...]]]:
        """A change that the keeper carries out while the block does something else: what is given waits for it, and is as `change`.

        Nobody asks the keeper for anything else within the block. One that is left without waiting leaves open whether the change happened.
        """
        with self._lock:
            path_of = namespaces or self._path_of
            begun: list[Sent] = []
            if len(add) <= RESOLVERS:
                begun.append(self._repeat(lambda line: self._send(line, remove, add, path_of, whole=True)))

            def finish() -> tuple[Item, ...]:
                def work(line: Line) -> tuple[Item, ...]:
                    if begun and begun[0].line is line:
                        return tuple(self._hear(begun.pop()))
                    begun.clear()  # it went with its line
                    return self._change(line, remove, add, path_of, whole=True)

                return self._repeat(work)

            try:
                yield finish
            finally:
                if begun:
                    with contextlib.suppress(SanbashiError):  # why the caller does not wait is what matters
                        finish()

    def items(self) -> Picture:
        """What the keeper keeps. Unavailable."""
        with self._lock:
            self._repeat(self._catch_up)
            return Picture.of(singly(self._items.values()))

    def status(self) -> dict[str, int]:
        """The keeper's own counts: revision, items, questions being asked of others, answers kept."""
        with self._lock:
            return {**self._repeat(lambda line: line.request({"status": True})), "pid": self.pid}

    def end(self, *, ask: bool = True) -> None:
        """End the keeper that runs, if one does: everything it holds goes. One that does not answer need not be asked."""
        with self._lock:
            if runs(self._root):
                if self._watch is not None:
                    self._watch[0].left = True  # this end is no loss
                if ask:
                    with contextlib.suppress(ConnectionError, Unavailable):  # it may be gone before its answer is read, or never answer
                        with contextlib.closing(join(self._root)) as line:
                            line.request({"end": True})
                wait_for_end(self._root, at_once=not ask)
            if self._child is not None:
                self._child.wait()
            self._items, self._keeper = {}, ""
        self.close()

    def close(self) -> None:
        """Leave the keeper; it stays as long as it has something to keep."""
        with self._lock:
            watch, self._watch = self._watch, None
            self._drop()
        if watch is not None:
            watch[0].close()
            if watch[1] is not threading.current_thread():
                watch[1].join(PATIENCE)  # a keeper that closed its line and has not ended yet is nothing to wait for

    def _repeat(self, work: Callable[[Line], Result]) -> Result:
        """Do the work with a keeper, with the next one where it dies of old age or is killed in the middle."""
        deaths = 0
        while deaths < 3:
            try:
                line = self._line or self._connect()
                if self._revision == UNKNOWN:
                    self._learn(line)
                return work(line)
            except Stale:
                self._revision = UNKNOWN  # another daemon was at it
            except ConnectionError:
                self._drop()
                deaths += 1
            except Silent:
                self._drop()  # what it says later is the answer to nothing that is asked then
                raise
        raise Unavailable("the keeper ends again and again", hint=f"see {self._root / protocol.LOG}")

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _connect(self) -> Line:
        line, child = reach(self._root, self._resolv_conf)
        try:
            self._adopt(line, child)
        except BaseException:
            line.close()  # the next call comes here again, and finishes what this one began
            raise
        self._line = line
        return line

    def _adopt(self, line: Line, child: subprocess.Popen[bytes] | None) -> None:
        """Watch over a keeper, and have it keep what the last one did."""
        if child is not None:
            self._child = child
        if self._watch is not None and line.keeper == self._watch[0].keeper:
            self._watch[0].close()  # of a line that was given up, not of a keeper that died
        watched = join(self._root)
        thread = threading.Thread(target=self._watch_over, args=(watched, child), name="keeper", daemon=True)
        self._watch = (watched, thread)
        thread.start()
        if not self._keeper:
            self._learn(line)
        elif line.keeper != self._keeper:
            self._restore(line)
        elif line.revision != self._revision:
            self._learn(line)
        self._keeper = line.keeper  # not before it has everything: else what is missing would be forgotten

    def _watch_over(self, line: Line, child: subprocess.Popen[bytes] | None) -> None:
        """Notice the keeper's end at once, and hear of leases: a connection that is only listened to."""
        line.listen(self._heard)
        if line.left:
            return
        line.close()
        if child is not None:
            child.wait()
        if self._on_lost is not None:
            self._on_lost()

    def _heard(self, frame: protocol.Frame) -> None:
        """Reports on leases."""
        for words in frame.get("leases", ()):
            report = report_of(words)
            self._leases[report.endpoint] = report.lease
            if self._on_lease is not None:
                self._on_lease(report)

    def _with_lease(self, item: Item) -> Item:
        """A lease's item with what is known of the lease, for a keeper that does not know."""
        if isinstance(item, Leasing) and item.endpoint in self._leases:
            return replace(item, lease=self._leases[item.endpoint])
        return item

    def _learn(self, line: Line) -> None:
        """Take over what the keeper keeps as what we know."""
        reply = line.request({"items": True})
        self._items = {item.key: item for item in together(map(protocol.item_of, reply["items"]))}
        self._revision = self._learnt = reply["revision"]

    def _catch_up(self, line: Line) -> None:
        """Know what the keeper keeps; at a start it was asked a moment ago, and thousands of items need not be told again."""
        if line.request({"status": True})["revision"] != self._learnt:
            self._learn(line)

    def _restore(self, line: Line) -> None:
        """Give a new keeper what the last one kept; what it cannot have (a port taken meanwhile, a namespace gone) is a loss.

        Where this is cut short (it dies, it is silent, another daemon was at it) all is known as before, for the next attempt.
        """
        known, losses = self._items, tuple(self._losses)
        try:
            self._learn(line)
            there = {item.key: item for item in singly(self._items.values())}
            missing = [self._with_lease(item) for item in together(i for i in singly(known.values()) if there.get(i.key) != i)]
            self._change(line, (), missing, self._path_of, whole=False)
        except BaseException:
            self._items, self._losses = known, list(losses)
            raise

    def _change(self, line: Line, remove: Sequence[Item], add: Sequence[Item], path_of: PathOf, *, whole: bool) -> tuple[Item, ...]:
        """One change, in as many frames as its descriptors need; what can fail in the keeper is all in the first."""
        fresh: list[Item] = []
        rest: list[Item] = []
        for item in add:
            new = isinstance(item, Leasing) or (isinstance(item, Resolver) and needs_sockets(item, self._items.get(item.key)))
            (fresh if new else rest).append(item)
        stand: list[Item] = []
        batches: list[list[Item]] = [[*rest, *fresh[:RESOLVERS]]]
        batches += [fresh[place : place + RESOLVERS] for place in range(RESOLVERS, len(fresh), RESOLVERS)]
        for batch in batches:
            stand += self._hear(self._send(line, remove, batch, path_of, whole=whole))
            remove = ()
        return tuple(stand)

    def _send(self, line: Line, remove: Sequence[Item], add: Sequence[Item], path_of: PathOf, *, whole: bool) -> Sent:
        """Send one frame of a change, with the sockets that go with it."""
        if line.version < protocol.RANGES:
            remove, add = list(singly(remove)), list(singly(add))
        with ExitStack() as opened:
            stand: list[Item] = []
            descriptors: list[list[int]] = []
            for item in add:
                if isinstance(item, HeldPort | Forwarder):
                    stand.append(item)
                    descriptors.append([])
                    continue
                try:
                    self._check_known(line, item)
                    stands, mine = handed(item, self._items.get(item.key), path_of, opened)
                except Failed as error:
                    if whole:
                        raise
                    self._losses.append(Loss(item, error))
                    continue
                stand.append(stands)
                descriptors.append(mine)
            frame: protocol.Frame = {
                "change": self._revision,
                "remove": protocol.plain_all(remove),
                "add": protocol.plain_all(stand),
                "sockets": [len(mine) for mine in descriptors],
                "whole": whole,
            }
            line.send(frame, [descriptor for mine in descriptors for descriptor in mine])
        return Sent(line, remove, stand, whole)

    def _hear(self, sent: Sent) -> list[Item]:
        """Read the reply to a frame of a change: what the keeper keeps of it now."""
        remove, stand, whole = sent.remove, sent.stand, sent.whole
        reply = sent.line.read()
        if "stale" in reply:
            raise Stale
        if "refused" in reply:
            raise Unavailable(reply["refused"])
        self._revision = reply["revision"]
        lost = [(protocol.item_of(words), code) for words, code in reply.get("lost", ())]
        for item, code in lost:
            take_out(self._items, item)
            log.error("the keeper lost %s: %s", item, self._failure(item, code).message)
        if reply["failed"] or lost:
            stand = list(singly(stand))
        failed = {place: self._failure(stand[place], code) for place, code in reply["failed"]}
        if failed and whole:
            raise next(iter(failed.values()))
        self._losses += [Loss(stand[place], error) for place, error in failed.items()]
        for item in remove:
            take_out(self._items, item)
            if isinstance(item, Leasing):
                self._leases.pop(item.endpoint, None)
        gone = {item.key for item, _ in lost}
        kept = [item for place, item in enumerate(stand) if place not in failed and item.key not in gone]
        self._items.update((item.key, item) for item in kept)
        return kept

    @staticmethod
    def _check_known(line: Line, item: Item) -> None:
        """Failed where the keeper is of an older Sanbashi, which does not know such items."""
        if line.version < protocol.SINCE.get(type(item), 0):
            raise Failed(f"{item}: the keeper that runs is of an older Sanbashi", hint=f"kill {line.pid}: the daemon starts its own in its place")

    def _failure(self, item: Item, code: int) -> Failed:
        """What an item's errno in the keeper means to the user."""
        if isinstance(item, HeldPort | Forwarder):
            return PortTaken(item, code, self._items.values())
        if isinstance(item, HostResolver):
            return HostResolverTaken(item, code)
        return Failed(f"{item}: {protocol.reason(code)}")
