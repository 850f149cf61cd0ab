"""Drift: what others change of ours is noticed through the kernel's notifications and mended; what they change of theirs is looked at anew."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
from dataclasses import field
from ipaddress import ip_address
from typing import Any

from ..errors import SanbashiError
from ..host.watching import Noticed, Watch
from ..network.integers import members
from ..network.model import NetworkState
from ..network.picture import Element, Picture
from ..records import dataclass
from .core import Core, now
from .loop import Shape, Slice
from .networking import Networking
from .others import JUDGING, look_at_others, take_back
from .settings import Settings

log = logging.getLogger("sanbashi.drift")

GATHER = 0.02  # seconds in which what belongs together comes in
BURST, REFILL = 30, 1.0  # so many repairs at once, then one a second: somebody fights for the same rules
FOREIGN_REST = 0.5  # seconds between two looks at the tables of others
REMEMBERED = 20


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair that was made: when (RFC 3339), what for, and what it took in words."""

    time: str
    cause: str
    done: str

    def __str__(self) -> str:
        return f"{self.time} {self.cause}: {self.done}"


@dataclass
class Drift:
    """Watches the daemon's namespace. `repairs` counts all, `latest` holds the last of them."""

    core: Core
    networking: Networking
    watch: Watch | None = None
    settings: Settings = field(init=False)
    repairs: int = 0
    latest: deque[Repair] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    waiting: set[Noticed] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    working: bool = False
    looking: bool = False
    look_again: bool = False
    tokens: float = BURST
    filled: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.settings = Settings(self.core, self.networking.bridge_filter, self.begin)

    # -- hearing

    async def open(self) -> None:
        """Begin to watch, and look at the tables of others."""
        try:
            self.watch = Watch(lambda: self.core.kernel.ports)
        except OSError as error:
            log.warning("changes by others will not be noticed: %s", error.strerror)
        else:
            loop = asyncio.get_running_loop()
            loop.add_reader(self.watch.rules.fileno(), self.hear, self.watch.noticed_rules)
            loop.add_reader(self.watch.routes.fileno(), self.gather, self.watch)
        self.settings.open()
        if not self.core.config.foreign_accept:
            # What a daemon left that had the setting and was killed.
            await take_back(self.core)
        await look_at_others(self.core)

    async def close(self) -> None:
        """Watch no more, and take our rules out of the tables of others."""
        if self.watch is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self.watch.rules)
            loop.remove_reader(self.watch.routes)
            self.watch.close()
            self.watch = None
        self.settings.close()
        # A thread goes on where its task is cancelled, so a look under way comes to its end first; the others await the lock.
        async with self.core.locked(JUDGING):
            for task in self.tasks:
                task.cancel()
            if self.core.config.foreign_accept:
                await take_back(self.core)

    def gather(self, watch: Watch) -> None:
        """Links, addresses and routes are mended a moment later anyway; till then a change of our own is not held up by what is told of it."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(watch.routes)
        loop.call_later(GATHER, self.hear_links, watch)

    def hear_links(self, watch: Watch) -> None:
        """What has come in, and whatever comes next; nothing where we watch no more."""
        if self.watch is watch:
            asyncio.get_running_loop().add_reader(watch.routes.fileno(), self.gather, watch)
            self.hear(watch.noticed_links)
            self.settings.follow()

    def hear(self, noticed: Callable[[], Iterator[Noticed]]) -> None:
        """Something can be read."""
        falling = self.core.kernel.falling
        for one in noticed():
            if one.what == "others' rules":
                self.look_again = True
                if not self.looking:
                    self.looking = True
                    self.spawn(self.look_soon())
            elif one.what in ("link", "neighbour") and one.word in falling:
                if one.gone:
                    falling.discard(one.word)
            else:
                self.waiting.add(one)
        self.begin()

    def begin(self, *noticed: Noticed) -> None:
        """Mend what waits, and this."""
        self.waiting.update(noticed)
        if self.waiting and not self.working:
            self.working = True
            self.spawn(self.work())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # -- mending

    async def work(self) -> None:
        """Mend until nothing waits; rules first and at once, for nothing passes while they are gone."""
        try:
            while self.waiting:
                await self.pace()
                noticed, self.waiting = self.waiting, set()
                try:
                    await self.mend(noticed)
                except SanbashiError as error:
                    log.error("what somebody changed could not be mended: %s", error.message)
                    if any(one.what == "rules" for one in noticed):
                        self.tokens = min(self.tokens, 0.0)
                        self.waiting |= noticed
        finally:
            self.working = False

    async def pace(self) -> None:
        """Wait where there were many repairs in a short time."""
        moment = time.monotonic()
        self.tokens = min(BURST, self.tokens + (moment - self.filled) / REFILL)
        self.filled = moment
        if self.tokens < 1:
            await asyncio.sleep(REFILL * (1 - self.tokens))
            self.filled = time.monotonic()
            self.tokens = 1.0
        self.tokens -= 1

    async def mend(self, noticed: Collection[Noticed]) -> None:
        """Mend what was noticed, at the cost of what it touches."""
        self.networking.bridge_filter.look(both=True)
        what = {one.what for one in noticed}
        if "lost" in what:
            await self.repair("more changed at once than could be told")
            return
        if "rules" in what:
            await self.restore("somebody changed our firewall tables")
        if Noticed("forwarding") in noticed:
            said = await self.core.on_host(lambda: tuple(self.core.kernel.prepare_forwarding()))
            if said:
                self.note("somebody turned forwarding off", "; ".join(said))
        for one in noticed:
            # Our own renaming is told as well: away from a name that the state does not know.
            if one.what == "renamed" and self.knows(one.link) and await self.core.on_host(self.core.kernel.rename, one.now, one.link):
                self.note(f"somebody renamed {one.link}", f"there is no {one.now} any more")
        still = {one.link for one in noticed if one.what == "forwarding"}
        for id_ in [n.id for n in self.core.state.network.networks.values() if n.bridge in still]:
            async with self.core.locked(id_):
                await self.connect([id_], "somebody turned forwarding off")
        links = {one.link for one in noticed if one.what in ("link", "renamed")}
        if links:
            await self.mend_links(links)
        await self.mend_neighbours({(one.link, one.address) for one in noticed if one.what == "neighbour" and one.link not in links})

    async def repair(self, cause: str = "asked for") -> None:
        """Everything: the tables with all their elements, forwarding, then each network and each sandbox under its lock."""
        await self.restore(cause)
        await self.core.on_host(lambda: tuple(self.core.kernel.prepare_forwarding()))
        state = self.core.state.network
        for id_ in state.networks:
            await self.mend_locked(id_, Slice(networks=[id_]), cause)
        for sandbox in state.sandboxes.values():
            await self.mend_locked(sandbox.container_id, Slice(sandboxes=[sandbox.id]), cause)

    async def restore(self, cause: str) -> None:
        """The tables anew in one transaction, from what the state says at the moment of the transaction."""
        core, loop = self.core, self.networking.loop
        seen: list[tuple[NetworkState, Shape]] = []

        def elements() -> Iterator[Element]:
            seen[:] = [loop.moment()]
            state, shape = seen[0]
            return (i for i in loop.picture(state, Slice(state.networks, state.sandboxes), shape) if isinstance(i, Element))

        count = await core.on_host(core.kernel.restore, elements)
        before, shape = seen[0]
        # Who was behind and is no more may have been looked at before its elements were back.
        caught_up = [before.sandboxes[i].container_id for i in shape.behind if i in before.sandboxes and i not in loop.behind]
        busy = dict.fromkeys([*core.locks, *caught_up])
        stuck = {(protocol, port) for (protocol, _), held in before.host_ports.items() if protocol != "tcp" for port in members(held.numbers)}
        if stuck:
            await core.on_host(core.kernel.forget_untranslated, stuck)
        self.note(cause, f"put the tables back with {count} elements")
        # What was being changed just then may have had its elements put back although it goes, or not yet as it becomes.
        for id_ in busy:
            sandbox = before.container_sandboxes.get(id_)
            part = Slice(networks=[id_] if id_ in before.networks else [], sandboxes=[sandbox] if sandbox else [])
            self.spawn(self.mend_locked(id_, part, cause, loop.picture(before, part, shape)))

    def knows(self, link: str) -> bool:
        """Whether a link of ours is to have this name."""
        state = self.core.state.network
        return any(n.bridge == link for n in state.networks.values()) or any(e.host_interface == link for e in state.endpoints.values())

    async def mend_links(self, names: set[str]) -> None:
        """The networks and sandboxes that these links belong to."""
        state = self.core.state.network
        cause = f"somebody changed {', '.join(sorted(names))}"
        networks = [n.id for n in state.networks.values() if n.bridge in names]
        sandboxes = {e.sandbox_id: e.container_id for e in state.endpoints.values() if e.host_interface in names or e.network_id in networks}
        for id_ in networks:
            await self.mend_locked(id_, Slice(networks=[id_]), cause)
        self.settings.made_anew([state.networks[i].bridge for i in networks])
        for sandbox, container in sandboxes.items():
            await self.mend_locked(container, Slice(sandboxes=[sandbox]), cause)

    async def mend_neighbours(self, places: Collection[tuple[str, str]]) -> None:
        """The sandboxes of the endpoints that have these addresses behind these bridges; of addresses that nobody has there is nothing to mend."""
        for bridge, address in sorted(places):
            state = self.core.state.network
            holders = {state.addresses.get((n.id, ip_address(address)), "") for n in state.networks.values() if n.bridge == bridge}
            for endpoint in [state.endpoints[id_] for id_ in holders if id_ in state.endpoints]:
                await self.mend_locked(
                    endpoint.container_id, Slice(sandboxes=[endpoint.sandbox_id]), f"somebody changed the neighbour {address} on {bridge}"
                )

    async def mend_locked(self, id_: str, part: Slice, cause: str, *pictures: Picture) -> None:
        """What is there of a slice, and of these pictures of it, to what the state says, while nobody else changes it; a failure is logged."""
        core = self.core
        async with core.locked(id_):
            try:
                steps = await self.networking.loop.mend(part, *pictures)
                await self.connect(part.networks, cause)
            except SanbashiError as error:
                log.error("what somebody changed could not be mended: %s", error.message)
                return
        if steps:
            self.note(cause, f"{len(steps)} steps, the first: {steps[0]}")

    async def connect(self, networks: Iterable[str], cause: str) -> None:
        """Routes to the subnets of our bridges, and their forwarding, where somebody took them."""
        known = self.core.state.network.networks
        bridges = [n.bridge for n in (known[i] for i in networks if i in known) if n.bridge and not n.adopted]
        if bridges and (done := await self.core.on_host(self.core.kernel.connect, bridges)):
            self.note(cause, f"put back {', '.join(done)}")

    def note(self, cause: str, done: str) -> None:
        """Remember and log a repair."""
        self.repairs += 1
        self.latest.append(Repair(now(), cause, done))
        log.warning("%s: %s", cause, done)

    # -- the tables of others

    async def look_soon(self) -> None:
        """Look at them when they have come to rest, and again where they went on changing."""
        try:
            while self.look_again:
                self.look_again = False
                await asyncio.sleep(FOREIGN_REST if self.core.network_facts.host_input else GATHER)
                self.networking.bridge_filter.look(both=True)
                await look_at_others(self.core)
                await asyncio.sleep(FOREIGN_REST)
        finally:
            self.looking = False
