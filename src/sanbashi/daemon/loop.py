"""The loop for the network: new state -> reserve -> wanted -> plan -> apply, or back; it costs what the change touches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field, replace

from ..containers.model import Container
from ..errors import unforeseen, words
from ..host.crash import crash_point
from ..network.links import linking_to
from ..network.model import NetworkFacts, NetworkState
from ..network.picture import Picture
from ..network.plan import Step, plan
from ..network.wanted import wanted
from ..records import dataclass
from .core import Core
from .saved import Key

log = logging.getLogger("sanbashi.network")


@dataclass
class Slice:
    """The part of the network's state that one change touches."""

    networks: Collection[str] = ()
    sandboxes: Collection[str] = ()

    def keys(self, *states: NetworkState) -> list[Key]:
        """The rows that can have changed."""
        found: list[Key] = [("network", n) for n in self.networks] + [("sandbox", s) for s in self.sandboxes]
        for state in states:
            found += [("endpoint", e) for s in self.sandboxes for e in state.sandbox_endpoints.get(s, ())]
        return found


def touched(state: NetworkState, sandbox_id: str) -> Slice:
    """A sandbox and those that link to its container."""
    sandbox = state.sandboxes.get(sandbox_id)
    linking = linking_to(state, sandbox) if sandbox else ()
    others = {state.endpoints[i].sandbox_id if i in state.endpoints else i for i in linking}
    return Slice(sandboxes=(sandbox_id, *sorted(others - {sandbox_id})))


@dataclass(frozen=True, slots=True)
class Shape:
    """How sandboxes are made: by these facts, but for those that still stand as br_netfilter was when they were made: (for IPv4, for IPv6)."""

    facts: NetworkFacts
    behind: Mapping[str, tuple[bool, bool]]


def nothing_else() -> None:
    """Most changes are done when the kernel is as wanted."""


@dataclass
class Loop:
    """Makes the kernel what a new state says."""

    core: Core
    behind: dict[str, tuple[bool, bool]] = field(default_factory=dict)  # as in Shape

    def picture(self, state: NetworkState, part: Slice, shape: Shape | None = None) -> Picture:
        """What the kernel should hold for a slice of a state; in the present shape, or as it was at another moment."""
        shape = shape or Shape(self.core.network_facts, self.behind)
        networks = [n for n in part.networks if n in state.networks]
        sandboxes = [s for s in part.sandboxes if s in state.sandboxes]
        found = wanted(state, shape.facts, networks=networks, sandboxes=[s for s in sandboxes if s not in shape.behind])
        # By what they were made for, of which there are four at most: of a thousand sandboxes each would cost what all hold.
        behind = [(s, shape.behind[s]) for s in sandboxes if s in shape.behind]
        for four, six in sorted({made for _, made in behind}):
            facts = replace(shape.facts, br_netfilter=four, br_netfilter6=six)
            found |= wanted(state, facts, sandboxes=[s for s, made in behind if made == (four, six)])
        return found

    def moment(self) -> tuple[NetworkState, Shape]:
        """The state and the shape that belong together, from any thread."""
        while True:
            facts = self.core.network_facts
            shape, state = Shape(facts, dict(self.behind)), self.core.state.network
            if self.core.network_facts is facts:
                return state, shape

    def steps(self, old: NetworkState, new: NetworkState, part: Slice) -> tuple[Step, ...]:
        """From what we last wrote to what is wanted now."""
        return plan(self.picture(old, part), self.picture(new, part))

    async def apply(self, steps: Iterable[Step], also: Callable[[], None] = nothing_else) -> None:
        """Carry steps out on a worker thread, and what else is to be done there when they are."""
        steps = tuple(steps)

        def work() -> None:
            self.core.kernel.apply(steps)
            also()

        if steps or also is not nothing_else:
            if log.isEnabledFor(logging.DEBUG):
                for step in steps:
                    log.debug("%s", step)
            await self.core.on_host(work)

    async def mend(self, part: Slice, *pictures: Picture) -> tuple[Step, ...]:
        """Make the kernel what the saved state says for a slice, whatever is there now of that and of these pictures: the steps it took."""
        scope = self.picture(self.core.state.network, part)
        for picture in pictures:
            scope |= picture
        have = await self.core.on_host(self.core.kernel.observe, scope)
        steps = plan(have, self.picture(self.core.state.network, part))
        await self.apply(steps)
        return steps

    async def change(self, new: NetworkState, part: Slice, container: Container | None = None, *, also: Callable[[], None] = nothing_else) -> None:
        """Reserve, apply, and on failure go back: one change of the network from the present state to `new`.

        `also`: what the same worker thread does once the kernel is as wanted; it must not fail.
        """
        core, old = self.core, self.core.state
        keys = part.keys(old.network, new)
        state = replace(old, network=new)
        if container is not None:
            state = state.with_container(container)
            keys.append(("container", container.id))
        crash_point("before reserve")
        await core.commit(state, keys)
        crash_point("reserved")
        try:
            await self.apply(self.steps(old.network, new, part), also)
        except Exception as error:  # what nobody foresaw takes the same way back
            back = core.with_old(old, keys)
            if back is None:
                log.warning("%s; others hold by now what was given up, so the change stands", words(error), exc_info=unforeseen(error))
                await self.mend(part, self.picture(old.network, part), self.picture(new, part))
            else:
                try:
                    await core.commit(back, keys)
                finally:
                    # Where the store refuses even that, the change stands, and then all of it.
                    await self.mend(part, self.picture(old.network, part), self.picture(new, part))
                raise
        crash_point("applied")
