"""Who is meant by the two ends of a question "why": containers, the host, a neighbour, an address, a name."""

from __future__ import annotations

import functools
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from ..containers.model import Container
from ..errors import Invalid, NotFound
from ..host.asking import ask
from ..host.counts import Counts
from ..host.netlink import ROUTE, Netlink
from ..host.peeking import text
from ..host.routing import hop
from ..network.hostfiles import RESOLVER, parse_resolv_conf
from ..network.model import IPAddress
from ..network.publishing import endpoints_of
from ..network.why.asking import Target, as_address, spellings
from ..network.why.facts import NameAnswer, Party, Question
from ..records import dataclass
from .core import Core
from .sandboxes import Sandboxes

NO_LINKS = ("null", "host")  # drivers whose networks give containers no interface
HOST, OUTSIDE = "host", "outside"
NEIGHBOUR = "a neighbour of the host"


@dataclass
class Parties:
    """Finds them."""

    core: Core
    sandboxes: Sandboxes

    async def question(self, source: str, target: Target) -> tuple[Question, NameAnswer | None]:
        """The question with both ends found, and what the source is told of the target's name. NotFound and Invalid in Docker's words."""
        asking = self.source(source)
        base = Question(source=asking, target=asking, asked=target.name, protocol=target.protocol, port=target.port, address=target.address)
        if target.address is not None:
            return replace(base, target=await self.at_address(asking, target.address)), None
        if target.name == HOST:
            return replace(base, target=Party(kind="host", name="the host")), None
        found = self.known(target.name)
        if asking.kind != "container":
            if found is None:
                raise NotFound(f"No such container: {target.name}", hint=f"from {source} only containers can be asked for")
            return replace(base, target=self.party(found)), None
        party = self.party(found) if found is not None else None
        told = await self.told(asking, target.name, ours=party is not None)
        if party is not None:
            return replace(base, target=party), told
        if told is not None and told.addresses:
            address = told.addresses[0]
            party = replace(await self.at_address(asking, address), name=target.name)
            return replace(base, target=party, address=address), told
        return replace(base, target=Party(kind="address", name=target.name)), told

    def source(self, ref: str) -> Party:
        if ref == HOST:
            return Party(kind="host", name="the host")
        if ref == OUTSIDE:
            return Party(kind="outside", name=NEIGHBOUR)
        if as_address(ref) is not None:
            raise Invalid(f"invalid source: {ref}", hint="a source is a container, host, or outside")
        return self.party(self.core.find_container(ref))

    def known(self, ref: str) -> Container | None:
        """The container of this name or id, None for none."""
        try:
            return self.core.find_container(ref)
        except NotFound:
            return None

    def party(self, container: Container) -> Party:
        """A container, with what it has of the network; one in the host's network is the host, one that joined another shares what that has."""
        mode, status = container.host_config.network_mode, container.state.status
        if mode == "host" and container.state.running:
            return Party(kind="host", name=f"{container.name} (in the host's network)", container=container.id)
        joined, holder = "", container
        if mode.startswith("container:") and container.state.running:
            holder = self.sandboxes.shared_with(container)
            joined = holder.name
            if holder.host_config.network_mode == "host":
                return Party(kind="host", name=f"{container.name} (in the host's network)", container=container.id)
        sandbox = holder.sandbox_id if container.state.running else ""
        network = self.core.state.network
        endpoints = endpoints_of(network, sandbox) if sandbox in network.sandboxes else ()
        endpoints = tuple(e for e in endpoints if network.networks[e.network_id].driver not in NO_LINKS)
        return Party(
            kind="container",
            name=container.name,
            status=status,
            mode="none" if mode == "none" else "private",
            sandbox=sandbox,
            container=container.id,
            endpoints=endpoints,
            joined=joined,
        )

    async def at_address(self, asking: Party, address: IPAddress) -> Party:
        """Whose an address is: a container's, on the source's own networks first; the host's; else somebody's outside."""
        if address.is_loopback and asking.kind == "container":
            return asking
        network = self.core.state.network
        mine = [e.network_id for e in asking.endpoints]
        for network_id in dict.fromkeys([*mine, *network.networks]):
            holder = network.addresses.get((network_id, address), "")
            if (endpoint := network.endpoints.get(holder)) is not None:
                return self.party(self.core.state.containers[endpoint.container_id])
        if await self.core.on_host(is_local, address):
            return Party(kind="host", name="the host")
        if asking.kind != "container":
            raise Invalid(f"{address} is no address of a container or of the host", hint="one end of the question has to be a container")
        return Party(kind="address", name=str(address))

    async def told(self, asking: Party, name: str, *, ours: bool) -> NameAnswer | None:
        """What a container is told of a name, by its own files and its name servers; None where it does not run.

        Servers of others are not asked for what is a container's name here: they cannot know.
        """
        if not asking.runs or not asking.sandbox:
            return None
        folder = self.core.container_dir(asking.container)
        if found := in_hosts(text(folder / "hosts"), name):
            return NameAnswer(outcome="ok", addresses=found, by="/etc/hosts")
        conf = parse_resolv_conf(text(folder / "resolv.conf"))
        servers = tuple(s for s in conf.servers if not ours or s == RESOLVER)
        if not servers:
            return NameAnswer(
                outcome="nxdomain", by="nobody: it has no name server that knows containers" if ours else "nobody: it has no name server"
            )
        ndots = next((int(o.partition(":")[2]) for o in conf.options if o.partition(":")[0] == "ndots" and o.partition(":")[2].isdecimal()), 1)
        namespace = Path(self.core.kernel.namespace(asking.sandbox))
        return await self.core.on_host(functools.partial(ask, namespace, spellings(name, conf.search, ndots), servers))


def in_hosts(lines: str, name: str) -> tuple[IPAddress, ...]:
    """The addresses that /etc/hosts has for a name, IPv4 first."""
    found = []
    for line in lines.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and name.lower() in (w.lower() for w in words[1:]) and (address := as_address(words[0])) is not None:
            found.append(address)
    return tuple(sorted(found, key=lambda a: not isinstance(a, IPv4Address)))


def is_local(address: IPAddress) -> bool:
    """Whether an address is one of the host's own."""
    with Netlink(ROUTE, Counts()) as netlink:
        return hop(netlink, address).kind == "local"
