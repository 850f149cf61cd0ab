"""Routes, links and forwarding: the kernel's own answers, there and back."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Endpoint
from ..picture import Address, Bridge, Item, Mtu, Namespace, Neighbour, Parent, Route, Sublink, Sysctl, Up, Veth
from .codes import Code
from .facts import Facts, Hop
from .path import Kind, Path
from .stage import Stage, ok, skipped, stop, warn

CROSS_DEVICE = 18  # EXDEV
RESTART = "sanbashi restart"


def links(path: Path, facts: Facts) -> Iterator[Stage]:
    """The links of both ends, and the bridges between: there, up, with their addresses."""
    found = False
    for item in sorted(facts.missing, key=lambda i: str(i.key)):
        if stage := link_stage(path, item):
            found = True
            yield stage
    touched = [e for e in (path.come, path.go) if e is not None]
    if not touched or found:
        return
    joint = chain_of(path)
    sizes = {link: facts.mtus[link] for e in touched for link in (end_of(e), path.state.networks[e.network_id].bridge) if link in facts.mtus}
    kernel = ", ".join(f"{link} {mtu}" for link, mtu in sizes.items())
    if len(set(sizes.values())) > 1:
        sentence = f"{joint}: packets larger than {min(sizes.values())} bytes may be lost"
        yield warn(
            "links",
            Code.MTU_MISMATCH,
            sentence,
            object=min(sizes, key=lambda link: sizes[link]),
            kernel=kernel,
            fix=mtu_fix(path, min(sizes.values())),
        )
        return
    yield ok("links", f"{joint} (up{f', {next(iter(sizes.values()))}' if sizes else ''})", object=joint, kernel=kernel)


def end_of(endpoint: Endpoint) -> str:
    """An endpoint's end in its container, told from those of others."""
    return f"{endpoint.container_name} {endpoint.interface}"


def chain_of(path: Path) -> str:
    """The links from the source's end to the target's, in order."""
    near, far = path.source_network, path.target_network
    parts = [end_of(path.come), path.come.host_interface] if path.come is not None else []
    middle = [n.bridge or n.name for n in (near, far) if n is not None]
    parts.append(" -> ".join(dict.fromkeys(middle)))
    parts += [path.go.host_interface, end_of(path.go)] if path.go is not None else []
    return " <-> ".join(filter(None, parts))


def mtu_fix(path: Path, size: int) -> str:
    """All links of the first network to the smallest size."""
    return f"sanbashi network update --mtu={size} {path.networks[0].name}"


def link_stage(path: Path, item: Item) -> Stage | None:
    """What a link, an address or a route that is not there means; None for what is not of this kind, or not on this way."""
    names = {e.sandbox_id: e.container_name for e in (path.come, path.go) if e is not None}
    ours = {e.sandbox_id: e.interface for e in (path.come, path.go) if e is not None}
    holder = names.get(str(getattr(item, "namespace", "") or getattr(item, "sandbox", "")), "")
    place = f" of {holder}" if holder else ""
    fix = f"{RESTART} {holder}" if holder else f"{RESTART} {' '.join(names.values())}"
    model, kernel = str(item), "not so"
    if isinstance(item, Namespace):
        return stop("links", Code.LINK_GONE, f"the namespace{place} is gone", object=holder, fix=fix, model=model, kernel=kernel)
    if isinstance(item, Bridge | Parent | Veth | Sublink):
        if isinstance(item, Veth):
            holder = names.get(item.namespace, "")
            fix = f"{RESTART} {holder}"
        sentence = f"{item.name} is missing, or is not where it should be"
        return stop("links", Code.LINK_GONE, sentence, object=item.name, fix=fix, model=model, kernel=kernel)
    if isinstance(item, Up):
        if item.namespace and ours.get(item.namespace) != item.link:
            return None
        command = f"ip link set {item.link} up"
        if holder:
            command = f"nsenter --target $(sanbashi inspect -f '{{{{.State.Pid}}}}' {holder}) --net {command}"
        return stop("links", Code.LINK_DOWN, f"{item.link}{place} is down", object=item.link, fix=command, model=model, kernel=kernel)
    if isinstance(item, Address) and item.address.version == path.version and (not item.namespace or ours.get(item.namespace) == item.link):
        return stop("links", Code.ADDRESS_GONE, f"{item.link}{place} has no {item.address}", object=item.link, fix=fix, model=model, kernel=kernel)
    return None


def settings(path: Path, facts: Facts) -> Iterator[Stage]:
    """What else of ours is not as it should be; none of it stops packets by itself."""
    for item in sorted(facts.missing, key=lambda i: str(i.key)):
        if isinstance(item, Sysctl | Neighbour | Mtu) or (isinstance(item, Route) and (facts.route is None or not facts.route.errno)):
            yield warn("settings", Code.SETTINGS_DRIFTED, f"{item} is not so any more", object=str(item), model=str(item), kernel="not so")


def route(path: Path, facts: Facts) -> Iterator[Stage]:
    """Where the source's own kernel sends the packets."""
    hop, source = facts.route, path.question.source.name
    if hop is None:
        return
    if hop.errno or hop.kind not in ("unicast", "local"):
        yield no_route(path, hop)
        return
    kernel = told(hop)
    if path.come is not None and hop.link != path.come.interface and hop.kind != "local":
        meant = f"{path.come.interface} ({path.state.networks[path.come.network_id].name})"
        sentence = f"{source} sends by {hop.link}, not by {meant}"
        yield warn("route", Code.OTHER_WAY, sentence, object=source, model=f"by {meant}", kernel=kernel)
        return
    if path.kind is Kind.FROM_HOST and path.target_network is not None and path.target_network.bridge not in ("", hop.link):
        sentence = f"the host sends by {hop.link}, not by {path.target_network.bridge}"
        yield stop("route", Code.OTHER_WAY, sentence, object="the host", owner="the host", kernel=kernel, fix=f"ip route get {path.address}")
        return
    yield ok("route", f"{source}: {kernel}", object=source, kernel=kernel)


def told(hop: Hop) -> str:
    """A hop in words."""
    if hop.kind == "local":
        return f"stays here, on {hop.link}"
    return f"via {hop.via} dev {hop.link}" if hop.via is not None else f"dev {hop.link}, on the link"


def no_route(path: Path, hop: Hop) -> Stage:
    """The source has no route: by what the model says, because its network leads nowhere."""
    source, network = path.question.source.name, path.source_network
    kernel = hop.words or f"the route is {hop.kind}"
    if network is not None and network.internal:
        return stop(
            "route",
            Code.INTERNAL_NETWORK,
            f"{source} has no way to {path.asked}: network {network.name} is internal",
            object=network.name,
            fix=f"sanbashi network connect {path.target_network.name if path.target_network else 'bridge'} {source}",
            model=f"{network.name} has no gateway",
            kernel=kernel,
        )
    fix = f"{RESTART} {source}" if path.come is not None else f"ip route get {path.address}"
    return stop("route", Code.NO_ROUTE, f"{source} has no route to {path.asked}: {kernel}", object=source, fix=fix, kernel=kernel)


def forwarding(path: Path, facts: Facts) -> Iterator[Stage]:
    """Whether the host passes on what comes in: its settings, and its own answer to the route of such a packet."""
    if path.kind not in (Kind.ROUTED, Kind.TRANSLATED, Kind.OUT, Kind.FROM_OUTSIDE, Kind.DIRECT) or not path.bridged:
        return
    for link in sorted(facts.closed):
        everywhere = "net.ipv4.ip_forward" if path.version == 4 else "net.ipv6.conf.all.forwarding"
        setting = f"net.ipv4.conf.{link.replace('.', '/')}.forwarding" if link else everywhere
        sentence = f"the host forwards nothing that comes in by {link}" if link else "the host forwards nothing"
        yield stop("forward", Code.IP_FORWARD_OFF, sentence, object=setting, owner="the host", fix=f"sysctl -w {setting}=1", kernel=f"{setting}=0")
    hop = facts.forward
    if facts.closed or hop is None:
        return
    kernel, host = hop.words or told(hop), {"object": "the host", "owner": "the host"}
    look = f"ip route get {path.address}"
    bridge = path.target_network.bridge if path.target_network is not None else ""
    if hop.errno == CROSS_DEVICE:
        sentence = "the host drops the packets: it would answer them by another link (rp_filter)"
        yield stop("forward", Code.RPF_DROP, sentence, kernel=kernel, fix="sysctl -a --pattern '\\.rp_filter'", **host)
    elif hop.errno:
        yield stop("forward", Code.NO_ROUTE, f"the host does not pass on to {path.address}: {hop.words}", kernel=kernel, fix=look, **host)
    elif bridge not in ("", hop.link):
        yield stop("forward", Code.OTHER_WAY, f"the host sends to {path.address} by {hop.link}, not by {bridge}", kernel=kernel, fix=look, **host)
    else:
        yield ok("forward", f"the host passes on: {told(hop)}", kernel=kernel, **host)


def reply(path: Path, facts: Facts) -> Iterator[Stage]:
    """Where the target's kernel sends the answers."""
    hop, target = facts.reply, path.reached
    if hop is None:
        if path.kind is Kind.OUT and path.address is not None:
            yield skipped("beyond", f"what lies beyond {facts.uplink or 'this host'} cannot be seen from here; --probe tries it", Code.NOT_EVALUATED)
        return
    if hop.errno or hop.kind not in ("unicast", "local"):
        words = hop.words or f"the route is {hop.kind}"
        sentence = f"{target} has no way back: {words}"
        leads = path.go is None or path.go.gateway4 is not None or path.go.gateway6 is not None
        fix = f"{RESTART} {target}" if leads else f"sanbashi network connect bridge {target}"
        yield stop("reply", Code.NO_REPLY_ROUTE, sentence, object=target, kernel=words, fix=fix)
    elif path.go is not None and hop.link != path.go.interface and hop.kind != "local":
        sentence = f"{target} answers by {hop.link}, not by {path.go.interface}: connections may never come about"
        yield warn("reply", Code.OTHER_WAY, sentence, object=target, model=f"by {path.go.interface}", kernel=told(hop))
    else:
        yield ok("reply", f"{target}: {told(hop)}", object=target, kernel=told(hop))
