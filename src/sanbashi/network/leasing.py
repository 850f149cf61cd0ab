"""Networks whose addresses come from a DHCP server outside: what they may be, who a container is to the server, endpoints and their leases."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ..errors import Failed, Invalid
from .indexes import with_endpoint
from .ipam import holder_name
from .lease import Lease
from .model import Endpoint, Network, NetworkRequest, NetworkState
from .names import mac_address
from .options import NAME_SERVERS, PREFIX
from .parents import has_parent, parent_options

DHCP = "dhcp"
TIMEOUT = "timeout"  # an option of the IPAM driver: seconds until a start without an answer fails
PATIENCE, SHORTEST, LONGEST = 15, 1, 600
# What the host would do to what passes it: on somebody else's network nothing passes it.
MEANINGLESS = (
    "bridge.enable_ip_masquerade",
    "bridge.gateway_mode_ipv4",
    "bridge.gateway_mode_ipv6",
    "bridge.inhibit_ipv4",
    "bridge.trusted_host_interfaces",
    "bridge.enable_icc",
    "host_ipv4",
    "host_ipv6",
)
OURS = ("io.sanbashi.inbound", "io.sanbashi.routes")


def has_leases(network: Network) -> bool:
    """Whether the network's addresses are leased."""
    return network.ipam_driver == DHCP


def uplink(network: Network) -> str:
    """The interface of the host that leads to the server."""
    return parent_options(network).parent if has_parent(network) else network.bridge


def patience(network: Network) -> int:
    """How many seconds a start waits for a server."""
    return int((network.ipam_options or {}).get(TIMEOUT, PATIENCE))


# -- creation


def check_request(request: NetworkRequest) -> None:
    """Invalid, with what to do instead, where a request asks for what the server decides or DHCP for IPv4 does not give."""
    if request.driver not in ("bridge", "macvlan"):
        because = "its containers share one MAC address, by which a server tells them apart" if request.driver == "ipvlan" else "it has no addresses"
        raise Invalid(f"the {request.driver} driver cannot be used with the dhcp IPAM driver: {because}", hint="take macvlan, or an existing bridge")
    if request.subnets:
        raise Invalid("the dhcp IPAM driver takes no subnet, range or gateway: the DHCP server decides them", hint="leave --subnet out")
    if request.enable_ipv6:
        # All of it in the sentence: docker's own CLI does not show hints.
        instead = "leave --ipv6 out, and for IPv6 connect the containers to a second network, made with --ipv6 --subnet"
        raise Invalid(f"the dhcp IPAM driver gives IPv4 addresses alone (neither DHCPv6 nor SLAAC): {instead}")
    if not request.enable_ipv4:
        raise Invalid("the dhcp IPAM driver needs IPv4")
    if request.internal:
        raise Invalid("a network with the dhcp IPAM driver cannot be internal: who is on it is on the network outside")
    check_options(request.ipam_options or {})
    if request.driver == "bridge" and not request.options.get(PREFIX + "bridge.name"):
        hint = f"name it: -o {PREFIX}bridge.name=br0"
        raise Invalid("the dhcp IPAM driver needs an existing bridge that leads to the network of the DHCP server", hint=hint)
    if request.driver == "macvlan" and not request.options.get("parent"):
        raise Invalid("the dhcp IPAM driver needs a parent that leads to the network of the DHCP server", hint="name it: -o parent=eth0")


def check_options(options: Mapping[str, str]) -> None:
    """Invalid for an option of the IPAM driver that there is not, or that says nothing."""
    for key, value in sorted(options.items()):
        if key != TIMEOUT:
            raise Invalid(f"the dhcp IPAM driver has no option {key}", hint=f"it has one: {TIMEOUT}")
        if not value.isdecimal() or not SHORTEST <= int(value) <= LONGEST:
            raise Invalid(f"invalid {TIMEOUT} of the dhcp IPAM driver: {value}", hint=f"whole seconds from {SHORTEST} to {LONGEST}")


def check_network(network: Network) -> None:
    """Invalid for an option that has no meaning where the host does not stand between the network and the world."""
    for key in sorted(network.options):
        if key in OURS or key.removeprefix(PREFIX) in MEANINGLESS:
            raise Invalid(
                f"option {key} has no meaning with the dhcp IPAM driver: the network is the one outside, and nothing of it passes the host",
                hint="leave it out",
            )


def check_place(network: Network) -> None:
    """Invalid where the bridge is not there: one of our own would lead to no server."""
    if network.driver == "bridge" and not network.adopted:
        hint = f"make it first, with the link that leads out as a port: ip link add {network.bridge} type bridge"
        raise Invalid(f"there is no bridge {network.bridge} on this host, and the dhcp IPAM driver needs an existing one", hint=hint)


# -- who a container is to a server


def identity(container_id: str, network_id: str) -> str:
    """The client identifier as hex, the same for a container's whole life: type 255, an IAID of the network, a DUID of the container (RFC 4361)."""
    duid = b"\0\4" + hashlib.sha256(b"sanbashi container " + container_id.encode()).digest()[:16]  # DUID-UUID, RFC 6355
    return (b"\xff" + hashlib.sha256(b"sanbashi network " + network_id.encode()).digest()[:4] + duid).hex()


def lasting_mac(container_id: str, network_id: str) -> str:
    """A MAC address that is the same after every start: there are servers that go by nothing else."""
    return mac_address(hashlib.sha256(f"sanbashi mac {container_id} {network_id}".encode()).digest()[:6])


# -- endpoints


def leaseless(state: NetworkState, sandbox_id: str) -> Iterator[Endpoint]:
    """A sandbox's endpoints that still have to get an address."""
    for endpoint_id in state.sandbox_endpoints.get(sandbox_id, ()):
        endpoint = state.endpoints[endpoint_id]
        if has_leases(state.networks[endpoint.network_id]) and endpoint.ipv4 is None:
            yield endpoint


def with_lease(state: NetworkState, endpoint_id: str, lease: Lease) -> NetworkState:
    """The state in which an endpoint has what was leased. Failed where another endpoint of the network has that address already."""
    endpoint = state.endpoints[endpoint_id]
    holder = state.addresses.get((endpoint.network_id, lease.address.ip), endpoint_id)
    if holder != endpoint_id:
        raise Failed(
            f"the DHCP server {lease.server} gave {lease.address.ip} to {endpoint.container_name}, and {holder_name(state, holder)} has it",
            hint="the server does not tell its clients apart, or another server gives the same addresses",
        )
    return with_endpoint(state, replace(endpoint, ipv4=lease.address, gateway4=lease.router, lease=lease))


def without_lease(state: NetworkState, endpoint_id: str) -> NetworkState:
    """The state in which an endpoint has lost its address; its published ports stay held for the next one."""
    return with_endpoint(state, replace(state.endpoints[endpoint_id], ipv4=None, gateway4=None, lease=None))


def leased_servers(state: NetworkState, endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
    """The name servers that came with a lease, of the first endpoint that has some; none where its network names its own."""
    for endpoint in endpoints:
        if endpoint.lease is not None and endpoint.lease.dns and NAME_SERVERS not in state.networks[endpoint.network_id].options:
            return tuple(map(str, endpoint.lease.dns))
    return ()


def leased_domains(endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
    """The search list that came with a lease, of the first endpoint that has one."""
    return next((e.lease.domains for e in endpoints if e.lease is not None and e.lease.domains), ())
