"""What the networks mean to let pass: isolation, icc, internal networks, macvlan, and what is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..firewall import bridge_addresses, field
from ..model import Endpoint, Network
from ..options import bridge_options
from ..parents import has_parent, parent_options
from ..picture import Element
from ..wanted import link_items
from .codes import Code
from .facts import Facts
from .filters import admits_by_mark
from .path import Kind, Path, entering_verdict
from .publication import not_published, opened, published
from .stage import Stage, ok, skipped, stop, unknown, warn


def policy(path: Path, facts: Facts) -> Iterator[Stage]:
    """The stage of the networks on this way; a rule of the administrator's that marks packets takes the certainty from what would stop them."""
    for stage in (stage for part in PARTS.get(path.kind, ()) for stage in part(path)):
        if stage.code in (Code.NETWORK_ISOLATED, Code.INTERNAL_NETWORK, Code.PORT_NOT_PUBLISHED) and admits_by_mark(facts.tables):
            yield unknown(
                stage.stage,
                Code.UNKNOWN_FOREIGN_RULES,
                f"{stage.sentence}; but a rule of the administrator's marks packets so that we let them pass, which ones cannot be told",
                object=stage.object,
                owner="the administrator",
                fix=stage.fix,
                model=stage.model,
            )
        else:
            yield stage


def ends(path: Path) -> tuple[Network, Network, Endpoint, Endpoint]:
    assert path.come is not None and path.go is not None
    networks = path.state.networks
    return networks[path.come.network_id], networks[path.go.network_id], path.come, path.go


def shared(path: Path) -> Iterator[Stage]:
    """On one network."""
    network, _, come, go = ends(path)
    model = f"both are on {network.name} ({network.driver})"
    if has_parent(network):
        options = parent_options(network)
        mode = options.flag if network.driver == "ipvlan" and options.flag != "bridge" else options.mode
        if mode in ("private", "vepa"):
            sentence = f"network {network.name} keeps its containers from each other ({network.driver} mode {mode})"
            if mode == "vepa":
                sentence += ", but for a switch outside that sends packets back where they came from"
            made = stop if mode == "private" else unknown
            yield made("network", Code.PRIVATE_MODE if mode == "private" else Code.NOT_EVALUATED, sentence, object=network.name, model=model)
            return
    elif network.driver == "bridge" and not bridge_options(network).icc and not linked(path, come, go):
        yield stop(
            "network",
            Code.ICC_DISABLED,
            f"containers on network {network.name} may not talk to each other (icc is off)",
            object=network.name,
            fix=f"sanbashi network update --icc=true {network.name}",
            model=f"{model}, icc off, no link for this port",
        )
        return
    yield ok("network", f"both are on network {network.name}", object=network.name, model=model)


def linked(path: Path, come: Endpoint, go: Endpoint) -> bool:
    """Whether a link of the source opens this port of the target, where nobody else may talk."""
    network, sandbox = path.state.networks[come.network_id], path.state.sandboxes.get(come.sandbox_id)
    if sandbox is None:
        return False
    wanted = tuple(map(field, (path.origin, path.address, path.question.protocol, path.port)))
    return any(isinstance(i, Element) and i.fields == wanted for i in link_items(path.state, sandbox, network, come))


def leaving(path: Path) -> Iterator[Stage]:
    """Out of the source's network."""
    network = path.source_network
    assert network is not None and path.come is not None
    if network.internal and not (path.kind is Kind.TRANSLATED and path.target_network is network and bridge_options(network).icc):
        yield stop(
            "network",
            Code.INTERNAL_NETWORK,
            f"nothing leaves network {network.name}: it is internal",
            object=network.name,
            fix=f"sanbashi network connect {way_out_of(path)} {path.question.source.name}",
            model=f"{path.question.source.name} leaves by {network.name}, which is internal",
        )


def way_out_of(path: Path) -> str:
    """A network that leads out, or to the target."""
    target = path.target_network
    return target.name if target is not None and path.kind is Kind.ROUTED else "bridge"


def routed(path: Path) -> Iterator[Stage]:
    """Into another network of ours, to a container's own address."""
    come, go, _, endpoint = ends(path)
    source, target = path.question.source.name, path.question.target.name
    connect = f"sanbashi network connect {go.name} {source}"
    if has_parent(go) or has_parent(come):
        yield unknown(
            "network",
            Code.NOT_EVALUATED,
            f"{source} is on {come.name} ({come.driver}), {target} on {go.name} ({go.driver}): what lies between is outside of this host",
            object=go.name,
            fix=connect,
        )
        return
    verdict, protocol = entering_verdict(path.state, endpoint), path.question.protocol
    model = f"{come.name} and {go.name} are two networks; into {go.name}: {verdict}"
    if verdict == "accept" or (verdict == "goto into_routed" and protocol == "icmp"):
        yield ok("network", f"network {go.name} takes what comes from elsewhere", object=go.name, model=model)
    elif verdict != "drop" and opened(path, endpoint):
        yield ok("network", f"port {path.port}/{protocol} of {target} is open to other networks", object=go.name, model=model)
    elif verdict == "goto into_routed":
        yield not_published(path, model)
    elif verdict == "drop":
        yield stop(
            "network", Code.INTERNAL_NETWORK, f"nothing comes into network {go.name}: it is internal", object=go.name, fix=connect, model=model
        )
    else:
        yield stop(
            "network",
            Code.NETWORK_ISOLATED,
            f"{come.name} and {go.name} are two networks, and what comes from one does not go to containers on the other",
            object=f"{come.name} -> {go.name}",
            fix=connect,
            model=model,
        )


def to_host(path: Path) -> Iterator[Stage]:
    """To the host itself, where no publication leads on; one on another of its addresses is named."""
    network, question = path.source_network, path.question
    if network is None:
        yield ok("network", f"{question.asked} is the host itself", object=question.asked, owner="the host")
        return
    own = bridge_addresses(network) if network.driver == "bridge" else ()
    model = f"{question.source.name} is on {network.name} ({network.driver}), where the host has {', '.join(map(str, own)) or 'no address'}"
    if has_parent(network):
        sentence = f"{question.source.name} is on a link of the host's ({network.driver}), and the kernel passes nothing between the two"
        yield stop(
            "network", Code.MACVLAN_HOST, sentence, object=network.name, model=model, fix=f"sanbashi network connect bridge {question.source.name}"
        )
        return
    if path.address is None or (not own and network.internal):
        sentence = f"the host has no address on network {network.name}"
        yield stop("network", Code.ISOLATED_GATEWAY_MODE, sentence, object=network.name, model=model)
        return
    if network.internal and path.address not in own:
        sentence = f"from network {network.name}, which is internal, the host is reached at {', '.join(map(str, own))} alone"
        yield stop("network", Code.INTERNAL_NETWORK, sentence, object=network.name, model=model)
        return
    elsewhere = [
        str(host_ip)
        for (protocol, host_ip), held in path.state.host_ports.items()
        if protocol == question.protocol and host_ip.version == path.version and held.numbers >> path.port & 1
    ]
    if elsewhere:
        sentence = f"port {path.port}/{question.protocol} is published on {', '.join(elsewhere)}, not on {path.address}"
        yield warn("published", Code.PUBLISHED_ON_OTHER_HOST_IP, sentence, object=f"{path.address}:{path.port}", model=model)
        return
    yield ok("network", f"{path.address} is an address of the host itself", object=str(path.address), owner="the host", model=model)


def from_host(path: Path) -> Iterator[Stage]:
    """From the host to a container's own address."""
    network = path.target_network
    assert network is not None
    target = path.question.target.name
    model = f"{target} is on {network.name} ({network.driver})"
    if has_parent(network):
        sentence = f"{target} is on a link of the host's ({network.driver}), and the kernel passes nothing between the two"
        yield stop("network", Code.MACVLAN_HOST, sentence, object=network.name, model=model, fix=f"sanbashi network connect bridge {target}")
    elif path.origin is None:
        sentence = f"the host has no address on network {network.name}"
        yield stop("network", Code.ISOLATED_GATEWAY_MODE, sentence, object=network.name, model=model)
    else:
        yield ok("network", f"the host is on network {network.name} as {path.origin}", object=network.name, model=model)


def masqueraded(path: Path) -> Iterator[Stage]:
    """What leaves bears the host's address, or the container's own."""
    network = path.source_network
    assert network is not None
    if has_parent(network):
        yield skipped("network", f"{path.question.source.name} is on the link below network {network.name}: the host's rules have no say")
        return
    options = bridge_options(network)
    if not network.internal and (not options.masquerade or options.mode(path.version) not in ("nat", "nat-unprotected")):
        sentence = f"what leaves network {network.name} bears {path.origin}, to which the outside must know a way"
        yield warn("network", Code.NO_MASQUERADE, sentence, object=network.name, fix=f"sanbashi network update --masquerade=true {network.name}")
    elif not network.internal:
        yield ok("network", f"what leaves network {network.name} bears the host's address", object=network.name, model="masquerade")


PARTS: Mapping[Kind, tuple[Callable[[Path], Iterator[Stage]], ...]] = {
    Kind.SHARED: (shared,),
    Kind.ROUTED: (leaving, routed),
    Kind.TRANSLATED: (published, leaving),
    Kind.TO_HOST: (to_host,),
    Kind.OUT: (leaving, masqueraded),
    Kind.FROM_HOST: (from_host,),
    Kind.FROM_OUTSIDE: (published,),
    Kind.DIRECT: (published,),
}
