"""The images that are here: found, listed, named, removed, and put into the state."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import platform as machine
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..errors import Invalid, NotFound
from ..host.room import in_room
from ..images.filters import LISTING, PRUNING, moment, parse_filters
from ..images.history import HistoryLine, history
from ..images.manifest import ARCHITECTURES, Platform
from ..images.model import Image
from ..images.reference import image_id, missing, parse_reference
from ..images.removal import Removal, names_of, remove
from .content import Content, Lease
from .events import Events
from .feed import apart
from .saved import Change
from .state import State, without_name

Report = Callable[[dict[str, Any]], None]
T = TypeVar("T")


class Images:
    """The service. Called on the loop's thread; blocking work goes to worker threads."""

    def __init__(
        self,
        data_root: Path,
        *,
        state: Callable[[], State],
        commit: Callable[[Sequence[Change]], Awaitable[None]],
        events: Events,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.state = state
        self.commit = commit
        self.events = events
        self.clock = clock
        self.host = Platform("linux", ARCHITECTURES.get(machine.machine(), machine.machine()))
        self.content = Content(data_root, state)

    async def sweep(self) -> None:
        """Remove what a death half way has left. For the start, once the state is loaded."""
        await asyncio.to_thread(in_room, self.content.sweep)

    # -- finding

    def find(self, reference: str) -> Image | None:
        """By full id, name, or unique prefix of the id; None where there is none."""
        state = self.state()
        if id_ := image_id(reference):
            return state.images.get(id_)
        named = state.image_names.get(parse_reference(reference).key)
        if named is not None:
            return state.images.get(named)
        prefix = reference.removeprefix("sha256:")
        found = [i for i in state.images if i.removeprefix("sha256:").startswith(prefix)]
        return state.images[found[0]] if prefix and len(found) == 1 else None

    def resolve(self, reference: str) -> Image:
        """As `find`; NotFound in Docker's words."""
        image = self.find(reference)
        if image is None:
            raise NotFound(f"No such image: {missing(reference)}")
        return image

    def list(self, filters: Mapping[str, Sequence[str]] = {}, *, all: bool = False) -> Sequence[Image]:
        """Images that suit the filters, the newest first, with the names that the reference filter takes."""
        wanted = parse_filters(filters, allowed=LISTING, now=self.clock() / 1e9, created=lambda ref: moment(self.resolve(ref).created))
        images = self.state().images
        parents = {i.parent for i in images.values()}
        suiting = [i for i in images.values() if wanted.takes(i) and (all or i.repo_tags or i.repo_digests or i.id not in parents)]
        suiting.sort(key=lambda i: moment(i.created), reverse=True)
        return [
            msgspec.structs.replace(
                i,
                repo_tags=tuple(filter(wanted.takes_name, i.repo_tags)),
                repo_digests=tuple(filter(wanted.takes_name, i.repo_digests)),
            )
            if wanted.references
            else i
            for i in suiting
        ]

    def history(self, reference: str) -> tuple[HistoryLine, ...]:
        """The lines of an image's history, the newest first."""
        return history(self.resolve(reference))

    # -- names and removal

    async def tag(self, source: str, target: str) -> None:
        """Give an image another name; whoever had the name loses it."""
        image = self.resolve(source)
        wish = parse_reference(target).tagged()
        if wish.digest:
            raise Invalid("refusing to create a tag with a digest reference")
        image = await self.store(image, [wish.key])
        self.tell("tag", image.id, wish.familiar, image)

    async def remove(self, reference: str, *, force: bool = False, noprune: bool = False) -> Sequence[dict[str, str]]:
        """`rmi`: {"Untagged": name} and {"Deleted": id} in order; Conflict in Docker's words."""
        image = self.resolve(reference)
        is_id = image.id.startswith(reference) or image.id.removeprefix("sha256:").startswith(reference)
        state = self.content.in_use()
        name = "" if is_id else parse_reference(reference).key
        removal = remove(state.images, state.containers.values(), image, name, given=reference, force=force, prune=not noprune)
        await self.apply(removal)
        return [{kind: text} for kind, text in removal.lines]

    async def prune(self, filters: Mapping[str, Sequence[str]] = {}) -> tuple[Sequence[dict[str, str]], int]:
        """Remove images that no container uses: untagged ones, or all with dangling=false; what went, and the bytes that it freed."""
        wanted = parse_filters(filters, allowed=PRUNING, now=self.clock() / 1e9, created=lambda ref: 0.0, dangling=True)
        if wanted.dangling is False:
            wanted = parse_filters(
                {k: v for k, v in filters.items() if k != "dangling"}, allowed=PRUNING, now=self.clock() / 1e9, created=lambda ref: 0.0
            )
        lines: collections.deque[dict[str, str]] = collections.deque()
        freed = 0
        # An image that others were made from is free when they have gone.
        left = collections.deque(self.state().images)
        while left:
            state = self.content.in_use()
            image = state.images.get(left.popleft())
            used = {i for c in state.containers.values() for i, _ in c.stands_on} | {i.parent for i in state.images.values()}
            if image is None or image.id in used or not wanted.takes(image):
                continue
            removal = remove(state.images, state.containers.values(), image, "", force=True)
            freed += await self.apply(removal)
            lines += [{kind: text} for kind, text in removal.lines]
            left.extend(each.parent for each in removal.deleted)  # nameless ones went with it
        self.events.tell("image", "prune", "", {"reclaimed": str(freed)})
        return tuple(lines), freed

    async def apply(self, removal: Removal) -> int:
        """Carry a removal out: the state first, then what is left on the disk; the bytes freed."""
        gone = {image.id for image in removal.deleted}
        changes = [Change("image", id_, removal.images[id_]) for id_ in dict.fromkeys(removal.touched) if id_ not in gone]
        await self.commit([*changes, *(Change("image", id_, None) for id_ in gone)])
        for kind, text in removal.lines:
            owner = removal.touched[0] if removal.touched else text
            if kind == "Untagged":
                self.events.tell("image", "untag", owner, {"name": owner})
            elif text in gone:
                self.events.tell("image", "delete", text, {"name": text})
        return await asyncio.to_thread(in_room, self.content.collect, removal.deleted)

    # -- the state

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Hold what is being brought until it is in the state; what does not get there goes again, but for what can be resumed."""
        try:
            with self.content.lease() as lease:
                yield lease
        except BaseException:
            await asyncio.shield(asyncio.to_thread(in_room, self.content.drop, lease.digests))
            raise

    async def store(self, image: Image, names: Sequence[str]) -> Image:
        """Put an image into the state under further names; those who had them are saved without."""
        state = self.state()
        image = state.images.get(image.id, image)
        tags = [n for n in names if "@" not in n]
        digests = [n for n in names if "@" in n]
        new = msgspec.structs.replace(
            image,
            repo_tags=tuple(dict.fromkeys((*image.repo_tags, *tags))),
            repo_digests=tuple(dict.fromkeys((*image.repo_digests, *digests))),
            last_tagged=self.now() if tags else image.last_tagged,
        )
        losers: dict[str, Image] = {}
        for name in names:
            holder = state.image_names.get(name)
            if holder is not None and holder != image.id and holder in state.images:
                losers[holder] = without_name(losers.get(holder, state.images[holder]), name)
        await self.commit([*(Change("image", id_, loser) for id_, loser in losers.items()), Change("image", new.id, new)])
        return new

    def names_now(self, id_: str) -> set[str]:
        image = self.state().images.get(id_)
        return set(names_of(image)) if image is not None else set()

    def now(self) -> str:
        """This moment as RFC 3339 with nanoseconds, UTC."""
        seconds, nanoseconds = divmod(self.clock(), 10**9)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"

    def tell(self, action: str, id_: str, name: str, image: Image) -> None:
        """Announce something that happened to an image, with its labels."""
        self.events.tell("image", action, id_, {**(image.config.labels or {}), "name": name})

    async def work(self, stopped: threading.Event, call: Callable[[], T], wake: Callable[[], None] = lambda: None) -> T:
        """Run blocking work in a thread of its own; when the one who asked goes away it is stopped and waited for."""
        task = apart(call)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stopped.set()
            wake()
            await asyncio.wait([task])
            raise
