"""The whole chain in small: command -> state -> wanted -> plan -> apply, as the daemon does it, without store, runtime and images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface, ip_network

from tests.kernel.world import KernelAt

from sanbashi.network import commands
from sanbashi.network.indexes import with_endpoint
from sanbashi.network.model import Endpoint, EndpointWish, Network, NetworkFacts, NetworkRequest, NetworkState, PortSpec, Sandbox, SubnetRequest
from sanbashi.network.names import mac_address
from sanbashi.network.picture import Picture
from sanbashi.network.plan import plan
from sanbashi.network.wanted import everything, wanted

CREATED = "2026-01-01T00:00:00.000000000Z"


def an_id(word: str) -> str:
    """64 hex digits that follow from a word."""
    return hashlib.sha256(word.encode()).hexdigest()


def port(words: str) -> PortSpec:
    """127.0.0.1:8080:80/udp, [::1]:8080:80, 8080:80"""
    words, _, protocol = words.partition("/")
    rest, _, inner = words.rpartition(":")
    host, _, outer = rest.rpartition(":")
    address = ip_address(host.strip("[]")) if host else None
    return PortSpec(int(inner), protocol or "tcp", address, int(outer))  # type: ignore[arg-type]


@dataclass
class Chain:
    """A daemon's network half. Containers go by their names."""

    kernel: KernelAt
    facts: NetworkFacts
    state: NetworkState = field(default_factory=NetworkState)
    removed: set[str] = field(default_factory=set)

    def change(self, new: NetworkState, *, networks: Iterable[str] = (), sandboxes: Iterable[str] = ()) -> None:
        """Bring the kernel from the present state to the next."""
        networks, sandboxes = tuple(networks), tuple(sandboxes)
        have = wanted(self.state, self.facts, networks=networks, sandboxes=sandboxes)
        want = wanted(new, self.facts, networks=networks, sandboxes=sandboxes)
        self.kernel.apply(plan(have, want))
        self.state = new

    def everything(self) -> Picture:
        return everything(self.state, self.facts)

    # -- networks

    def create(
        self,
        name: str,
        subnet4: str = "",
        subnet6: str = "",
        *,
        internal: bool = False,
        options: Mapping[str, str] | None = None,
        driver: str = "bridge",
        gateway: str = "",
        first: int = 0,
    ) -> Network:
        """A network; `first`: how far into its subnets it begins to give out addresses, a multiple of 64."""
        request = NetworkRequest(
            name=name,
            driver=driver,
            internal=internal,
            enable_ipv4=bool(subnet4),
            enable_ipv6=bool(subnet6),
            subnets=tuple(request_for(s, gateway, first) for s in (subnet4, subnet6) if s),
            options=options or {},
        )
        state, network, warnings = commands.create_network(self.state, request, self.facts, id=an_id(f"network {name}"), created=CREATED)
        assert warnings == ()
        self.change(state, networks=[network.id])
        return network

    def remove(self, name: str) -> None:
        network = commands.find_network(self.state, name)
        self.change(commands.remove_network(self.state, network.id), networks=[network.id])

    # -- containers

    def run(
        self,
        name: str,
        *networks: str,
        ports: Iterable[str] = (),
        exposed: tuple[int, ...] = (),
        links: Iterable[str] = (),
    ) -> str:
        """Start a container without processes; the path of its namespace's file."""
        sandbox = Sandbox(
            id=an_id(f"sandbox {name}"),
            container_id=an_id(f"container {name}"),
            hostname=name,
            resolver_port=40053,
            ports=tuple(port(p) for p in ports),
            exposed=tuple((number, "tcp") for number in exposed),
        )
        state = commands.open_sandbox(self.state, sandbox)
        for network in networks:
            state = self.joined(state, name, network, links)
        state = commands.publish(state, sandbox.id, self.facts)
        self.change(state, sandboxes=[sandbox.id])
        return str(self.kernel.namespace(sandbox.id))

    def joined(self, state: NetworkState, name: str, network: str, links: Iterable[str] = ()) -> NetworkState:
        digest = an_id(f"{name} on {network}")
        state, _ = commands.join(
            state,
            an_id(f"sandbox {name}"),
            commands.find_network(state, network).id,
            EndpointWish(network=network),
            self.facts,
            endpoint_id=an_id(f"endpoint {name} {network}"),
            container_name=name,
            short_id=an_id(f"container {name}")[:12],
            hostname=name,
            mac=mac_address(bytes.fromhex(digest[:12])),
            host_interface=f"veth{digest[12:19]}",
            links=tuple((target, an_id(f"container {target}")) for target in links),
        )
        return state

    def connect(self, network: str, name: str) -> None:
        sandbox = an_id(f"sandbox {name}")
        self.change(commands.publish(self.joined(self.state, name, network), sandbox, self.facts), sandboxes=[sandbox])

    def disconnect(self, network: str, name: str) -> None:
        sandbox = an_id(f"sandbox {name}")
        state = commands.leave(self.state, self.endpoint(name, network).id)
        self.change(commands.publish(state, sandbox, self.facts), sandboxes=[sandbox])

    def stop(self, name: str) -> None:
        sandbox = an_id(f"sandbox {name}")
        self.change(commands.close_sandbox(self.state, sandbox), sandboxes=[sandbox])

    def endpoint(self, name: str, network: str = "") -> Endpoint:
        """A container's endpoint on a network, or its only one."""
        ids = self.state.sandbox_endpoints[an_id(f"sandbox {name}")]
        found = [self.state.endpoints[i] for i in ids]
        return next(e for e in found if not network or self.state.networks[e.network_id].name == network)

    def unguard(self, name: str) -> None:
        """Switch anti-spoofing off for a container, as the endpoint's option does."""
        endpoint = self.endpoint(name)
        state = with_endpoint(self.state, replace(endpoint, driver_options={"io.sanbashi.anti_spoofing": "false"}))
        self.change(state, sandboxes=[endpoint.sandbox_id])


def request_for(subnet: str, gateway: str, first: int) -> SubnetRequest:
    """A subnet, with the gateway where that is in it."""
    network = ip_network(subnet)
    chosen = ip_address(gateway) if gateway else None
    span = ip_network(f"{network.network_address + first}/{network.max_prefixlen - 6}") if first else None
    return SubnetRequest(subnet=network, gateway=chosen if chosen is not None and chosen in network else None, ip_range=span)


def facts(*, br_netfilter: bool) -> NetworkFacts:
    return NetworkFacts(pools=((ip_network("172.17.0.0/16"), 16),), br_netfilter=br_netfilter, br_netfilter6=br_netfilter)


def address(text: str) -> str:
    return str(ip_interface(text).ip)
