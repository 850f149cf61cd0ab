"""Finding the way that packets of a question should go, as the model has it, whatever stops them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from ..firewall import bridge_addresses
from ..model import Endpoint, IPAddress, NetworkFacts, NetworkState, PortBinding
from .facts import Asking, Party, Question
from .path import Kind, Path, address_of, entering_verdict


def common(one: Endpoint, other: Endpoint) -> int:
    """The family that two endpoints have in common, IPv4 first; 0 for none."""
    return next((v for v in (4, 6) if address_of(one, v) is not None and address_of(other, v) is not None), 0)


def find_path(state: NetworkState, facts: NetworkFacts, question: Question) -> Path:
    """The way of a question, whatever stops it."""
    source, target = question.source, question.target
    base = Path(kind=Kind.NOWHERE, question=question, state=state, facts=facts, port=question.port, asked_port=question.port)
    if source.kind == "container" and target.kind == "container" and source.sandbox and source.sandbox == target.sandbox:
        return with_(base, Kind.INSIDE, address=question.address)
    if source.kind == "container":
        if target.kind == "container":
            return between(base, source, target)
        return to_host(base, source) if target.kind == "host" else outwards(base, source)
    if target.kind == "host":
        return with_(base, Kind.INSIDE, address=question.address) if source.kind == "host" else from_outside_to_host(base)
    return from_host(base, target) if source.kind == "host" else from_outside(base, target)


def with_(base: Path, kind: Kind, **fields: object) -> Path:
    """A path with more known of it."""
    fields.setdefault("asked", fields.get("address"))
    return replace(base, kind=kind, **fields)  # type: ignore[arg-type]


def between(base: Path, source: Party, target: Party) -> Path:
    """From container to container: on a network that both are on, the best gateway first, else from the way out to the target's own address."""
    address = base.question.address
    wanted = [e for e in target.endpoints if address is None or address in (address_of(e, 4), address_of(e, 6))] or list(target.endpoints)
    for come in source.endpoints:
        for go in wanted:
            version = address.version if address is not None else common(come, go)
            if come.network_id == go.network_id and (reached := address_of(go, version)) is not None:
                return with_(base, Kind.SHARED, come=come, go=go, address=reached, origin=address_of(come, version))
    for go in wanted:
        for version in (address.version,) if address is not None else (4, 6):
            way, reached = way_out(source, version), address_of(go, version)
            if way is not None and reached is not None:
                return with_(base, Kind.ROUTED, come=way, go=go, address=reached, origin=address_of(way, version))
    return base


def way_out(source: Party, version: int) -> Endpoint | None:
    """The endpoint by which a container's packets of a family leave for elsewhere: with a gateway, else whichever there is."""
    ordered = [e for e in source.endpoints if address_of(e, version) is not None]
    return next((e for e in ordered if (e.gateway4 if version == 4 else e.gateway6) is not None), ordered[0] if ordered else None)


def to_host(base: Path, source: Party) -> Path:
    """To an address of the host: translated where the port is published there."""
    address = base.question.address
    version = address.version if address is not None else 4
    come = way_out(source, version)
    if come is None:
        return base
    if address is None:
        network = base.state.networks[come.network_id]
        address = next((a for a in bridge_addresses(network) if a.version == version), None) if network.driver == "bridge" else None
    for each in source.endpoints:  # on a network where the address is the host's, it goes there directly
        network = base.state.networks[each.network_id]
        if network.driver == "bridge" and address in bridge_addresses(network):
            come = each
    found = published_at(base.state, address, base.question.protocol, base.question.port) if address is not None else None
    if found is None:
        return with_(base, Kind.TO_HOST, come=come, address=address, origin=address_of(come, version))
    binding, go = found
    return with_(
        base,
        Kind.TRANSLATED,
        come=come,
        go=go,
        asked=address,
        binding=binding,
        address=address_of(go, binding.host_ip.version),
        port=binding.container_port,
        origin=address_of(come, version),
    )


def published_at(state: NetworkState, address: IPAddress, protocol: Asking, port: int) -> tuple[PortBinding, Endpoint] | None:
    """The publication that an address and port of the host lead to, and its endpoint; that of the very address before that of all."""
    if protocol == "icmp":
        return None
    for host_ip in (address, type(address)(0)):
        held = state.host_ports.get((protocol, host_ip))
        if held is not None and held.numbers >> port & 1:
            endpoint = state.endpoints[held.holder(port)]
            for binding in endpoint.ports:
                if binding.protocol == protocol and binding.host_ip == host_ip and port in binding.host_ports:
                    return next(p for p in binding.each() if p.host_port == port), endpoint
    return None


def outwards(base: Path, source: Party) -> Path:
    """To an address that is nobody's here."""
    address = base.question.address
    version = address.version if address is not None else 4
    come = way_out(source, version)
    if come is None:
        return base
    return with_(base, Kind.OUT, come=come, address=address, origin=address_of(come, version))


def from_host(base: Path, target: Party) -> Path:
    """From the host to a container's own address."""
    address = base.question.address
    for go in target.endpoints:
        version = address.version if address is not None else 4 if address_of(go, 4) is not None else 6
        if (reached := address_of(go, version)) is not None and address in (None, reached):
            network = base.state.networks[go.network_id]
            origin = next((a for a in bridge_addresses(network) if a.version == version), None) if network.driver == "bridge" else None
            return with_(base, Kind.FROM_HOST, go=go, address=reached, origin=origin)
    return base


def from_outside(base: Path, target: Party) -> Path:
    """From a neighbour: by a publication of the port, one for everybody first; else straight to the container's address."""
    question = base.question
    found = [(p, e) for e in target.endpoints for b in e.ports for p in covering(b, question)]
    for binding, go in sorted(
        found, key=lambda f: (not f[0].host_port, f[0].host_ip.is_loopback, not f[0].host_ip.is_unspecified, f[0].host_ip.version)
    ):
        version = binding.host_ip.version
        reached = address_of(go, version)
        if reached is None:  # IPv6 of the host for a container without it: the forwarder's, seen with the IPv4 publication
            continue
        if not binding.host_port:
            return with_(base, Kind.DIRECT, go=go, address=reached, binding=binding)
        asked = None if binding.host_ip.is_unspecified else binding.host_ip
        return with_(base, Kind.FROM_OUTSIDE, go=go, asked=asked, asked_port=binding.host_port, address=reached, binding=binding)
    go_ = next((e for e in target.endpoints if address_of(e, 4) is not None or address_of(e, 6) is not None), None)
    if go_ is None:
        return base
    reached = address_of(go_, 4) or address_of(go_, 6)
    direct = entering_verdict(base.state, go_) in ("accept", "goto into_routed") or base.state.networks[go_.network_id].driver != "bridge"
    return with_(base, Kind.DIRECT if direct else Kind.FROM_OUTSIDE, go=go_, address=reached)


def from_outside_to_host(base: Path) -> Path:
    """From a neighbour to an address of the host: to where the port is published, else to the host itself."""
    question = base.question
    address = question.address or IPv4Address(0)
    found = published_at(base.state, address, question.protocol, question.port) if question.protocol != "icmp" else None
    if found is None:
        return with_(base, Kind.TO_HOST, address=question.address)
    binding, go = found
    reached = address_of(go, binding.host_ip.version)
    return with_(base, Kind.FROM_OUTSIDE, go=go, asked=question.address, binding=binding, address=reached, port=binding.container_port)


def covering(binding: PortBinding, question: Question) -> list[PortBinding]:
    """The one port of a publication that leads to the port in question."""
    offset = question.port - binding.container_port
    if binding.protocol != question.protocol or not 0 <= offset < binding.count:
        return []
    number = binding.host_port + offset if binding.host_port else 0
    return [PortBinding(binding.protocol, binding.host_ip, number, question.port)]
