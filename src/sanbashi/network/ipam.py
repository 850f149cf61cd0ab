"""Subnets and addresses: which are chosen, and why; no choice costs more where more is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from ..errors import Failed, Forbidden, Invalid
from ..records import dataclass
from . import blocks, integers
from .indexes import first_address, held_subnets
from .model import Integers, IPAddress, IPNetwork, Network, NetworkFacts, NetworkState, Subnet, SubnetRequest
from .options import bridge_options
from .shared import holder_of, may_share

# Keys of auxiliary addresses that are the containers' default gateway in place of the bridge's own address.
DEFAULT_GATEWAY = {4: "DefaultGatewayIPv4", 6: "DefaultGatewayIPv6"}
NO_SUCH_SIZE = "invalid address pool"
EXHAUSTED = "all predefined address pools have been fully subnetted"
OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"
IN_USE = "Address already in use"


@dataclass(frozen=True, slots=True)
class Choice:
    """A subnet and the reason for it: "lowest free of 172.18.0.0/16", and what was passed over for whom."""

    subnet: IPNetwork
    because: str


# -- subnets


def choose_subnet(tree: blocks.Tree, version: int, facts: NetworkFacts, *, size: int | None = None) -> Choice:
    """The lowest free subnet of the pools (of `size` bits where given) that touches nothing in use on the host; Invalid when there is none."""
    avoid = [(block, holder) for block, holder in facts.avoid if block.version == version and block.prefixlen]
    passed: list[str] = []
    pools = [(base, length if size is None else size) for base, length in pools_of(version, facts)]
    if pools and all(wanted < base.prefixlen for base, wanted in pools):
        raise Invalid(NO_SUCH_SIZE, hint=f"no pool of the daemon's holds a /{size}: --default-address-pool")
    for base, wanted in pools:
        if wanted < base.prefixlen:
            continue
        start = 0
        while (block := blocks.lowest_free(tree, base, wanted, start)) is not None:
            clash = next(((b, holder) for b, holder in avoid if block.overlaps(b)), None)
            if clash is None:
                return Choice(block, f"lowest free of {base}" + (f"; passed over {', '.join(passed)}" if passed else ""))
            passed.append(f"{block} ({clash[0]}: {clash[1]})")
            start = max(int(block.broadcast_address), int(clash[0].broadcast_address)) + 1
    hint = "remove a network, or give the daemon more pools: --default-address-pool base=10.0.0.0/8,size=24"
    raise Invalid(EXHAUSTED, hint=hint + (f"; not chosen: {', '.join(passed)}" if passed else ""))


def pools_of(version: int, facts: NetworkFacts) -> Iterable[tuple[IPNetwork, int]]:
    """The pools of a family; the host's own ULA prefix, split in /64s, where none is set for IPv6."""
    pools = [(base, size) for base, size in facts.pools if base.version == version]
    return pools if pools or version == 4 or facts.ula is None else [(facts.ula, 64)]


def subnets_for(
    state: NetworkState, requests: Sequence[SubnetRequest], versions: Sequence[int], facts: NetworkFacts, *, on_parent: bool = False
) -> tuple[tuple[Choice, SubnetRequest], ...]:
    """A subnet for each request, in order, and one for each family of `versions` that no request is for.

    `on_parent`: it is for a network on a link of the host's, which may have a part of a subnet that others there have parts of.
    """
    tree, found = state.blocks, list[tuple[Choice, SubnetRequest]]()
    left = list(versions)
    for request in (*requests, *(SubnetRequest() for _ in versions)):
        asked = request.subnet
        if asked is None and not left:
            break
        version = asked.version if asked is not None else left[0]
        if version in left:
            left.remove(version)
        if asked is None or not int(asked.network_address):
            choice = choose_subnet(tree, version, facts, size=(asked.prefixlen or None) if asked else None)
        elif blocks.overlaps(tree, asked) and not (on_parent and may_share(state, asked, request) and all(c.subnet != asked for c, _ in found)):
            raise Forbidden(OVERLAP, hint=overlap_hint(state, asked))
        else:
            choice = Choice(asked, "asked for")
        tree = blocks.with_block(tree, choice.subnet)
        found.append((choice, request))
    return tuple(found)


def overlap_hint(state: NetworkState, asked: IPNetwork) -> str:
    """Which network is in the way."""
    held = [(n.name, s.subnet) for n in state.networks.values() for s in held_subnets(n) if s.version == asked.version]
    return "; ".join(f"{subnet} belongs to network {name}" for name, subnet in held if subnet.overlaps(asked))


def overlap_warnings(asked: Iterable[IPNetwork], facts: NetworkFacts) -> tuple[str, ...]:
    """A sentence for each asked-for subnet that something else on the host uses."""
    return tuple(
        f"subnet {subnet} overlaps {block} ({holder}) on this host"
        for subnet in asked
        for block, holder in facts.avoid
        if block.version == subnet.version and block.prefixlen and block.overlaps(subnet)
    )


def check_subnets(requests: Iterable[SubnetRequest], *, ipv6: bool = True) -> None:
    """Invalid, with Docker's words for everything that is wrong with IPAM.Config; what stands there of a family that is off does not count."""
    problems: list[str] = []
    for request in requests:
        if not ipv6 and request.subnet is not None and request.subnet.version == 6:
            continue
        problems += problems_of(request, request.subnet) if request.subnet is not None else problems_without_subnet(request)
    if problems:
        raise Invalid("invalid network config:\n" + listing(problems))


def problems_of(request: SubnetRequest, subnet: IPNetwork) -> Iterable[str]:
    """What is wrong with one entry."""
    parent = request.subnet_word or str(subnet)
    block = f"parent subnet is an IPv{subnet.version} block"
    inside = f"parent subnet {parent} doesn't contain this address"
    if request.subnet_word:
        yield f"invalid subnet {parent}: it should be {subnet}"
    if (ip_range := request.ip_range) is not None:
        word = request.range_word or str(ip_range)
        if ip_range.version != subnet.version:
            yield f"invalid ip-range {word}: {block}"
        else:
            if ip_range.prefixlen < subnet.prefixlen:
                yield f"invalid ip-range {word}: CIDR block is bigger than its parent subnet {parent}"
            if request.range_word:
                yield f"invalid ip-range {word}: it should be {ip_range}"
            if not ip_range.overlaps(subnet):
                yield f"invalid ip-range {word}: parent subnet {parent} doesn't contain ip-range"
    named = [("gateway", str(request.gateway), request.gateway)] if request.gateway is not None else []
    for word, shown, address in (*named, *(("auxiliary address", name, a) for name, a in request.auxiliary.items())):
        if address.version != subnet.version:
            yield f"invalid {word} {shown}: {block}"
        elif address not in subnet:
            yield f"invalid {word} {shown}: {inside}"


LINK_LOCAL = IPv6Network("fe80::/64")


def problems_of_block(subnet: IPNetwork) -> Iterable[str]:
    """Why a bridge cannot have a subnet. Linux itself puts each interface on fe80::/64, so that only that very block may be asked for."""
    if isinstance(subnet, IPv6Network) and subnet.is_multicast:
        yield f"multicast subnet '{subnet}' is not allowed"
    elif isinstance(subnet, IPv6Network) and subnet != LINK_LOCAL and subnet.overlaps(LINK_LOCAL):
        yield f"'{subnet}' clashes with the Link-Local prefix 'fe80::/64'"


def problems_without_subnet(request: SubnetRequest) -> Iterable[str]:
    """What is wrong with an entry that names no subnet; "invalid Prefix" is how Go writes one that is not set."""
    if request.ip_range is not None:
        yield f"invalid ip-range {request.range_word or request.ip_range}: parent subnet invalid Prefix doesn't contain ip-range"
    named = [("gateway", str(request.gateway))] if request.gateway is not None else []
    for word, shown in (*named, *(("auxiliary address", name) for name in request.auxiliary)):
        yield f"invalid {word} {shown}: parent subnet invalid Prefix doesn't contain this address"


def listing(problems: Sequence[str]) -> str:
    """Several errors as Docker joins them: one alone, or a starred line each."""
    return problems[0] if len(problems) == 1 else "\n".join("* " + p.replace("\n", "\n\t") for p in problems)


def end_of(subnet: IPNetwork, address: IPAddress) -> str:
    """Which end of a subnet that nobody may hold an address is, for a person; "" where it is none. Two addresses or one have no ends."""
    if subnet.max_prefixlen - subnet.prefixlen > 1:
        if address == subnet.network_address:
            return f"the address of the network {subnet} itself"
        if address == subnet.broadcast_address and subnet.version == 4:
            return f"the broadcast address of {subnet}"
    return ""


def check_auxiliary(subnet: IPNetwork, auxiliary: Mapping[str, IPAddress]) -> None:
    """Failed, in Docker's words, where an auxiliary address is another's or an end of the subnet."""
    names: dict[IPAddress, str] = {}
    for name, address in auxiliary.items():
        if hint := end_of(subnet, address) or names.get(address, ""):
            raise Failed(f"failed to allocate secondary ip address ({name}:{address}): {IN_USE}", hint=f"it is {hint}")
        names[address] = f"the auxiliary address {name}"


def check_chosen(subnet: IPNetwork, request: SubnetRequest) -> None:
    """Docker's refusals of what a request for any subnet of a size says of addresses: they cannot be known to be in the one that is chosen."""
    ip_range = request.ip_range
    if ip_range is not None and not (ip_range.version == subnet.version and ip_range.overlaps(subnet)):
        raise Failed(f'failed to parse pool request for address space "LocalDefault" pool "" subpool "{ip_range}": invalid address subpool')
    if request.gateway is not None and request.gateway not in subnet:
        raise Failed(f"failed to allocate gateway ({request.gateway}): requested address is out of range", hint=f"the subnet chosen is {subnet}")
    for name, address in request.auxiliary.items():
        if address not in subnet:
            raise Forbidden(f"auxiliary address: ({name}:{address}) must belong to the master pool: {subnet}")


def make_subnet(subnet: IPNetwork, request: SubnetRequest, *, gateway: bool) -> Subnet:
    """A subnet with its gateway: the user's, else the lowest of the range that no auxiliary address is. Failed where one is the gateway's."""
    check_chosen(subnet, request)
    made = Subnet(subnet=subnet, ip_range=request.ip_range, auxiliary=dict(request.auxiliary))
    check_auxiliary(subnet, made.auxiliary)
    if not gateway:
        return made
    reserved = set(request.auxiliary.values())
    chosen = request.gateway
    if chosen is None:
        first, last = bounds(made)
        taken = integers.EMPTY
        for address in reserved:
            taken = integers.insert(taken, int(address) - int(subnet.network_address))
        found = integers.lowest_absent(taken, first)
        if found > last:
            raise Failed(f"failed to allocate gateway (): no available addresses in {subnet}")
        chosen = subnet.network_address + found
    elif hint := end_of(subnet, chosen):
        raise Failed(f"failed to allocate gateway ({chosen}): {IN_USE}", hint=f"it is {hint}")
    elif chosen in reserved and request.auxiliary.get(DEFAULT_GATEWAY[subnet.version]) != chosen:
        name = next(name for name, address in request.auxiliary.items() if address == chosen)
        raise Failed(f"failed to allocate secondary ip address ({name}:{chosen}): {IN_USE}", hint="it is the gateway")
    return Subnet(subnet=subnet, gateway=chosen, ip_range=made.ip_range, auxiliary=made.auxiliary)


# -- addresses


def bounds(subnet: Subnet) -> tuple[int, int]:
    """First and last offset in the subnet that may be handed out: those of the range, never the network's own or the broadcast address."""
    whole = subnet.subnet
    part = subnet.ip_range or whole
    base = int(whole.network_address)
    first, last = int(part.network_address) - base, int(part.broadcast_address) - base
    if whole.max_prefixlen - whole.prefixlen > 1:
        first = max(first, 1)
        if whole.version == 4:
            last = min(last, whole.num_addresses - 2)
    return first, last


def check_free(state: NetworkState, network: Network, address: IPAddress) -> None:
    """Forbidden, with who holds it, where an address of a network is held, be it an end of a subnet."""
    if (holder := holder_of(state, network, address)) is not None:
        raise Forbidden(IN_USE, hint=f"{address} is held by {holder_name(state, holder)}")
    for subnet in network.subnets:
        if hint := end_of(subnet.subnet, address):
            raise Forbidden(IN_USE, hint=f"{address} is {hint}")


def choose_address(state: NetworkState, network: Network, subnet: Subnet, *, prefer: IPAddress | None = None) -> IPAddress:
    """The address preferred, else the lowest free one of the range.

    Forbidden when the preferred one is held, Failed when none is free: both in Docker's words, with who holds it.
    """
    if prefer is not None:
        check_free(state, network, prefer)
        return prefer
    base = first_address(network.subnets_of(subnet.version))
    ahead = int(subnet.subnet.network_address) - base
    first, last = bounds(subnet)
    words: Integers = state.taken.get((network.id, subnet.version), integers.EMPTY)
    offset = integers.lowest_absent(words, first + ahead)
    # Whoever the network's own routes lead through asks for his address.
    routers = {int(via) - base for _, via in bridge_options(network).routes if via.version == subnet.version}
    beside = any(id_ != network.id for id_ in state.subnet_networks.get(subnet.subnet, ()))
    while offset in routers or (beside and offset <= last + ahead and holder_of(state, network, subnet.subnet.network_address + (offset - ahead))):
        offset = integers.lowest_absent(words, offset + 1)
    if offset > last + ahead:
        raise Failed(
            f"no available IPv{subnet.version} addresses on this network's address pools: {network.name} ({network.id})",
            hint=f"all of {subnet.ip_range or subnet.subnet} is taken; disconnect a container or make a larger network",
        )
    number = base + offset
    return IPv4Address(number) if subnet.version == 4 else IPv6Address(number)


def holder_name(state: NetworkState, holder: str) -> str:
    """Who holds an address, for a person: the container's name, or what the network reserved it for."""
    endpoint = state.endpoints.get(holder)
    return f"container {endpoint.container_name}" if endpoint is not None else f"the network ({holder})"


def default_gateway(subnet: Subnet) -> IPAddress | None:
    """What containers use as gateway: the auxiliary address of that meaning, else the bridge's own."""
    return subnet.auxiliary.get(DEFAULT_GATEWAY[subnet.version], subnet.gateway)
