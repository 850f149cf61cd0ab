"""`why`: the question, what model, kernel, resolver and perhaps a real packet say to it, and the answer; nothing is changed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from ..host.probing import probe
from ..host.wayfinding import Looking, look
from ..network.picture import Element, Forwarder, HeldPort, HostResolver, Leasing, Names, Picture, Resolver, Zone
from ..network.plan import Add, plan
from ..network.why.asking import parse_target
from ..network.why.barriers import suspects
from ..network.why.facts import Facts, Listener, Probe
from ..network.why.judge import explain
from ..network.why.path import Kind, Path
from ..network.why.pathfinding import find_path
from ..network.why.stage import Answer
from ..network.why.ways import end_of
from ..records import dataclass
from .core import Core
from .loop import Slice
from .networking import Networking
from .parties import Parties

# What the keeper holds is judged by asking it, as a container does; to list it would cost what the host holds.
KEPT = (Zone, Names, Resolver, HostResolver, HeldPort, Forwarder, Leasing)
LOOPBACK = IPv4Address("127.0.0.1")
FORWARDED = (Kind.ROUTED, Kind.TRANSLATED, Kind.OUT, Kind.FROM_OUTSIDE, Kind.DIRECT)


@dataclass
class Why:
    """Answers questions; each costs what its two ends hold."""

    core: Core
    networking: Networking

    async def answer(self, source: str, target: str, *, probing: bool = False) -> Answer:
        """Why does, or does not, the one reach the other. NotFound, Invalid; StepFailed where the kernel cannot be asked."""
        question, told = await Parties(self.core, self.networking.sandboxes).question(source, parse_target(target))
        core = self.core
        self.networking.bridge_filter.look(both=True)
        path = find_path(core.state.network, core.network_facts, question)
        if not (question.source.runs and question.target.runs):
            return explain(path, Facts(name=told))
        found = await self.seen(path)
        if probing:
            found["probe"] = await self.probed(path, found.get("listeners") or ())
        return explain(path, Facts(name=told, **found))

    async def seen(self, path: Path) -> dict[str, Any]:
        """What the kernel has: of this way, and of what we put there for its two ends."""
        core = self.core
        found = await core.on_host(look, self.looking(path), core.kernel.counts)
        found["filters_bridges"] = core.facts.br_netfilter if path.version == 4 else core.facts.br_netfilter6
        wanted = self.wanted(path)
        more = Picture.of(e for e in suspects(path) if e.key not in {i.key for i in wanted})
        there = await core.on_host(core.kernel.observe, wanted | more) if wanted or more else Picture()
        # What the next mending would put there; not what a wish leaves open.
        lacking = {i.key for i in Picture.of(s.item for s in plan(there, wanted) if isinstance(s, Add)).each()}
        found["missing"] = tuple(i for i in wanted.each() if i not in there.items and i.key in lacking)
        found["unwanted"] = tuple(i for i in more.items & there.items if isinstance(i, Element))
        found["fixed"] = await core.on_host(core.kernel.fixed_as_ours)
        return found

    def wanted(self, path: Path) -> Picture:
        """What should stand for the networks and sandboxes of a way, the keeper's part left out."""
        part = Slice(networks=[n.id for n in path.networks], sandboxes=path.sandboxes)
        return Picture.of(i for i in self.networking.loop.picture(path.state, part) if not isinstance(i, KEPT))

    def looking(self, path: Path) -> Looking:
        """What is looked at for a way."""
        question, come, go = path.question, path.come, path.go
        source, target = question.source, question.target
        ends_here = target.kind != "address"
        holder = target.container
        if path.kind is Kind.TRANSLATED and go is not None:
            holder = go.container_id
        sandbox = go.sandbox_id if go is not None else target.sandbox
        inside = path.kind is Kind.INSIDE and target.kind == "container"
        container = self.core.state.containers.get(holder) if go is not None or inside else None
        bridges = {n.bridge for n in path.networks if n.driver == "bridge"}
        return Looking(
            version=path.version,
            source=self.core.kernel.namespace(source.sandbox) if source.sandbox else None,
            target=self.core.kernel.namespace(sandbox) if sandbox else None,
            from_container=bool(source.sandbox),
            to_container=bool(sandbox),
            from_outside=source.kind == "outside",
            asked=path.asked,
            address=path.address,
            origin=path.origin,
            source_bridge=path.source_network.bridge if path.source_network is not None and path.source_network.driver == "bridge" else "",
            target_bridge=path.target_network.bridge if path.target_network is not None and path.target_network.driver == "bridge" else "",
            source_link=(come.interface, end_of(come)) if come is not None else ("", ""),
            target_link=(go.interface, end_of(go)) if go is not None else ("", ""),
            forwarded=path.kind in FORWARDED and path.bridged,
            listens=(question.protocol, path.port) if ends_here or path.kind is Kind.TRANSLATED else None,
            process=(container.id, container.state.pid) if container is not None else None,
            ours=frozenset(bridges),
        )

    async def probed(self, path: Path, listeners: Sequence[Listener]) -> Probe:
        """A real packet from where the source is; a neighbour's cannot be sent from here."""
        question = path.question
        if question.source.kind == "outside":
            return Probe(outcome="failed", words="a neighbour's packet cannot be sent from this host")
        address = path.asked
        if address is None and path.kind is Kind.INSIDE:  # any of its own addresses will do
            own = next((one.address for one in listeners), LOOPBACK)
            address = LOOPBACK if own.is_unspecified else own
        if address is None:
            return Probe(outcome="failed", words="there is no address to send it to")
        if question.protocol == "sctp":
            return Probe(outcome="failed", words="sctp is not tried")
        namespace = self.core.kernel.namespace(question.source.sandbox) if question.source.sandbox else None
        return await self.core.on_host(functools.partial(probe, namespace, question.protocol, address, path.asked_port))
