"""What a network, an endpoint, a sandbox and a port binding are; all frozen, all saved as they stand.

Terms are libnetwork's: a *sandbox* is a container's network namespace with its files and resolver, an *endpoint* joins one sandbox
to one network. `wish` is what the user asked for and is kept over stop and start; an Endpoint exists only while its sandbox does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Literal

import immutables

from ..records import dataclass
from .lease import Lease

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network
Protocol = Literal["tcp", "udp", "sctp"]
Integers = immutables.Map[tuple[int, int], int]  # a sparse set of integers: network/integers.py

MAX_INTERFACE_NAME = 15  # IFNAMSIZ - 1, linux/if.h
LEAST_MTU, LARGEST_MTU = 68, 65535  # of a bridge: ETH_MIN_MTU, ETH_MAX_MTU
LEAST_MTU_OF_IPV6 = 1280  # IPV6_MIN_MTU: below it Linux takes IPv6 off a link, with its settings
PREDEFINED = ("bridge", "host", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetRequest:
    """One entry of IPAM.Config as asked for; `subnet` None means "choose one", 0.0.0.0/24 or ::/96 one of that size.

    `subnet_word` and `range_word`: as they were written, where that was with host bits, which no network may have.
    """

    subnet: IPNetwork | None = None
    ip_range: IPNetwork | None = None
    gateway: IPAddress | None = None
    auxiliary: Mapping[str, IPAddress] = field(default_factory=dict)
    subnet_word: str = ""
    range_word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet that a network holds; `gateway` is None where the bridge has no address on it."""

    subnet: IPNetwork
    gateway: IPAddress | None = None
    ip_range: IPNetwork | None = None
    auxiliary: Mapping[str, IPAddress] = field(default_factory=dict)

    @property
    def version(self) -> int:
        return self.subnet.version


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """`POST /networks/create`, parsed. `enable_ipv4`/`enable_ipv6` None means the daemon's default."""

    name: str
    driver: str = "bridge"
    scope: str = ""
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    subnets: tuple[SubnetRequest, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network as it stands. `bridge` is the host interface ("" for host and null). `created` is RFC 3339 with nanoseconds, UTC."""

    id: str
    name: str
    driver: str
    created: str
    scope: str = "local"
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    subnets: tuple[Subnet, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    bridge: str = ""
    adopted: bool = False  # the bridge, or the parent link, existed before us and is left when the network goes
    found: tuple[IPInterface, ...] = ()  # addresses that an adopted bridge had already

    def subnets_of(self, version: int) -> tuple[Subnet, ...]:
        """The subnets of a family, in order."""
        return tuple(s for s in self.subnets if s.version == version)

    @property
    def subnet4(self) -> Subnet | None:
        return next((s for s in self.subnets if s.version == 4), None)

    @property
    def subnet6(self) -> Subnet | None:
        return next((s for s in self.subnets if s.version == 6), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointWish:
    """How a container asked to join one network (EndpointSettings in); kept in the container over stop and start.

    `network` is what the user typed (name, id or prefix); `network_id` is filled when it is first resolved.
    `links` are the user's "name:alias" words on user-defined networks.
    """

    network: str
    network_id: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None
    link_local: tuple[IPAddress, ...] = ()
    mac: str = ""
    driver_options: Mapping[str, str] = field(default_factory=dict)
    gateway_priority: int = 0
    has_ipam: bool = False  # IPAMConfig was given (inspect prints {} or null accordingly)
    has_aliases: bool = False  # Aliases was given, be it empty ([] or null)
    has_driver_options: bool = False  # DriverOpts was given, be it empty ({} or null)


@dataclass(frozen=True, slots=True, order=True)
class PortSpec:
    """One wished publication, from HostConfig.PortBindings: `host_port` 0 is ephemeral, `host_port_end` > 0 the end of a range to pick from.

    `host_ip` None means every address of both families. `count`: how many ports it is, each number one more than the last; only of one with a host
    port of its own.
    """

    container_port: int
    protocol: Protocol = "tcp"
    host_ip: IPAddress | None = None
    host_port: int = 0
    host_port_end: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class PortBinding:
    """A publication as it stands: `host_ip`:`host_port` -> `container_port` (host_ip 0.0.0.0 or :: means every address of that family).

    `count`: how many ports it is, each number one more than the last, so that a range costs what one port does; 1 where `host_port` is 0.
    """

    protocol: Protocol
    host_ip: IPAddress
    host_port: int
    container_port: int
    count: int = 1

    @property
    def host_ports(self) -> range:
        """The numbers on the host's side."""
        return range(self.host_port, self.host_port + self.count)

    def each(self) -> Iterator[PortBinding]:
        """Every port by itself."""
        for n in range(self.count):
            yield PortBinding(self.protocol, self.host_ip, self.host_port + n, self.container_port + n)


@dataclass(frozen=True, slots=True)
class HeldPorts:
    """The ports of one protocol that are held on one address of the host.

    `numbers` has a bit for each, `firsts` one for the first of each publication, and `holders` says whose that is.
    """

    numbers: int = field(default=0, repr=False)  # too long to print
    firsts: int = field(default=0, repr=False)
    holders: immutables.Map[int, str] = immutables.Map()  # first port -> endpoint id

    def holder(self, port: int) -> str:
        """The endpoint whose publication a held port belongs to."""
        return self.holders[(self.firsts & ((2 << port) - 1)).bit_length() - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A sandbox joined to a network. `names` are the DNS names in Docker's order: name, aliases, short id, hostname.

    `links`: resolved links of this endpoint, (alias, target container id). `gateway4`/`gateway6`: what it would use as default gateway
    (None on internal networks). `ports` are non-empty only on the endpoint that is the sandbox's gateway for that family.

    On a network whose addresses are leased: `asked4` is what the DHCP server is asked for, and `insists` that no other will do; `lease` is what
    it gave, from which `ipv4` and `gateway4` follow; None while there is none.
    """

    id: str
    network_id: str
    sandbox_id: str
    container_id: str
    container_name: str
    names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    mac: str = ""
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    link_local: tuple[IPAddress, ...] = ()  # --link-local-ip
    gateway4: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    interface: str = ""  # inside the container: eth0
    host_interface: str = ""  # veth1a2b3c4
    gateway_priority: int = 0
    driver_options: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PortBinding, ...] = ()
    order: int = 0  # order of joining the sandbox
    asked4: IPv4Address | None = None
    insists: bool = False
    lease: Lease | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A container's network: mode is "private" (own namespace), "host", "none" (own namespace, only lo) or "container:<id>".

    `dns`, `dns_search`, `dns_options`: what the user asked for, () where not. `resolver_port`: high port of 127.0.0.11 in the namespace,
    the same for UDP and TCP, 0 before the resolver runs there. `host_servers`: upstreams to be asked from the host's namespace.
    """

    id: str
    container_id: str
    mode: str = "private"
    hostname: str = ""
    domainname: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    resolver_port: int = 0
    ports: tuple[PortSpec, ...] = ()  # wished publications, applied to the gateway endpoint
    exposed: tuple[tuple[int, Protocol], ...] = ()
    ipv6: bool = True  # whether it speaks it at all: a container's own sysctls may take it away
    host_links: tuple[tuple[str, str], ...] = ()  # --link on the default bridge: (alias, target container id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """All networks, sandboxes and endpoints, with the indexes that keep a change's cost independent of how many there are.

    Every index can be computed from the first three maps; `network/indexes.py` rebuilds them and tests compare.
    """

    networks: immutables.Map[str, Network] = immutables.Map()  # by id
    sandboxes: immutables.Map[str, Sandbox] = immutables.Map()  # by id
    endpoints: immutables.Map[str, Endpoint] = immutables.Map()  # by id
    # indexes
    network_names: immutables.Map[str, str] = immutables.Map()  # name -> network id
    network_endpoints: immutables.Map[str, immutables.Map[str, str]] = immutables.Map()  # network id -> container id -> endpoint id
    sandbox_endpoints: immutables.Map[str, tuple[str, ...]] = immutables.Map()  # sandbox id -> endpoint ids, in order
    addresses: immutables.Map[tuple[str, IPAddress], str] = immutables.Map()  # (network id, address) -> holder (endpoint id, "gateway", ...)
    taken: immutables.Map[tuple[str, int], Integers] = immutables.Map()  # (network id, 4 or 6) -> offsets in the subnet that are held
    subnet_networks: immutables.Map[IPNetwork, tuple[str, ...]] = immutables.Map()  # subnet -> ids of the networks that have it
    blocks: immutables.Map[tuple[int, int, int], bool] = immutables.Map()  # the tree of subnets held, for ipam.choose_subnet
    host_ports: immutables.Map[tuple[Protocol, IPAddress], HeldPorts] = immutables.Map()  # (proto, host ip) -> what is held there
    linked: immutables.Map[str, tuple[str, ...]] = immutables.Map()  # container id -> endpoint/sandbox ids whose links point at it
    container_sandboxes: immutables.Map[str, str] = immutables.Map()  # container id -> sandbox id


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """What commands need to know of the host and the daemon's settings; plain values, probed at the edge.

    `pools`: default address pools (base, size). `avoid`: on-link routes and name servers' addresses that a chosen subnet must not touch, each
    with the name of what holds it. `ephemeral`: first and last port of ip_local_port_range. `ula`: the host's own /48.
    """

    pools: tuple[tuple[IPNetwork, int], ...]
    avoid: tuple[tuple[IPNetwork, str], ...] = ()
    ephemeral: tuple[int, int] = (32768, 60999)
    reserved_ports: frozenset[int] = frozenset()
    ula: IPv6Network | None = None
    default_ip: IPAddress | None = None  # --ip: host address of publications that name none
    icc: bool = True
    ipv6: bool = False  # --ipv6: default of enable_ipv6 on the default network only
    ip6_available: bool = True  # the host has IPv6 at all
    mtu: int = 0  # 0: leave the kernel's default (1500)
    br_netfilter: bool = False  # bridged packets pass the IP hooks, so that self-access needs hairpin on the port
    br_netfilter6: bool = False  # those of IPv6 do, so that an answer translated back to ::1 would be dropped (lent6 in table.nft)
    links_present: frozenset[str] = frozenset()  # interface names on the host that are not ours
    links_ours: frozenset[str] = frozenset()  # of the interfaces that a request names, those that are there and bear our alias
    addresses: Mapping[str, tuple[IPInterface, ...]] = field(default_factory=dict)  # of interfaces that are not ours
    missing_links: frozenset[str] = frozenset()  # kinds of link that the kernel cannot make, of those that were tried
    direct_routing: bool = False  # --allow-direct-routing: containers may be reached by their own addresses from outside
    default_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # default-network-opts, by driver
    host_gateways: tuple[IPAddress, ...] = ()  # --host-gateway-ip: where containers find the host
    host_resolver: tuple[IPAddress, int] | None = None  # --host-resolver: where the host asks for names of containers
    host_input: bool = False  # published ports pass the host's own input policy, where a network does not say otherwise


def carries_ipv6(mtu: int) -> bool:
    """Whether a link of this MTU speaks IPv6 at all; 0 leaves the MTU to the kernel."""
    return mtu == 0 or mtu >= LEAST_MTU_OF_IPV6
