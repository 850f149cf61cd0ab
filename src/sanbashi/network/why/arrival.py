"""The target's end: what listens there; and what a real packet did."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from .codes import Code, Verdict
from .facts import Facts, Listener
from .path import Kind, Path
from .stage import Stage, ok, skipped, stop, unknown


def listener(path: Path, facts: Facts) -> Iterator[Stage]:
    """Whether a socket of the target takes what comes to the address and port."""
    question = path.question
    if question.protocol == "icmp":
        if facts.listeners is not None:
            yield skipped("listen", "echoes are answered by the kernel: no process need listen")
        return
    if facts.listeners is None:
        return
    target, place = path.reached, f"port {path.port}/{question.protocol}"
    if question.protocol == "sctp":
        yield skipped("listen", f"{place}: sockets of SCTP are not looked at", Code.NOT_EVALUATED)
        return
    found = facts.listeners
    kernel = ", ".join(f"{bracketed(one)}:{path.port}{f' ({one.process})' if one.process else ''}" for one in found) or "no socket"
    if not found:
        sentence = f"nothing in {target} listens on {place}"
        yield stop("listen", Code.NOT_LISTENING, sentence, object=target, owner=target, kernel=kernel, fix=look(path))
        return
    inside = path.kind is Kind.INSIDE
    taking = [one for one in found if takes(one, path, inside=inside)]
    if taking:
        one = taking[0]
        sentence = f"{target}: {bracketed(one)}:{path.port} is listening{f' ({one.process})' if one.process else ''}"
        yield ok("listen", sentence, object=one.process or target, owner=target, kernel=kernel)
        return
    words = ", ".join(f"{one.process or 'a process'} listens on {bracketed(one)}:{path.port}" for one in found)
    fix = f"have it listen on {'0.0.0.0' if path.version == 4 else '[::]'}:{path.port}"
    if all(one.address.is_loopback for one in found):
        sentence = f"in {target} {words}, which nobody else reaches"
        yield stop("listen", Code.LISTENING_ON_LOOPBACK_ONLY, sentence, object=found[0].process or target, owner=target, kernel=kernel, fix=fix)
        return
    sentence = f"in {target} {words}, not on {path.address}"
    yield stop("listen", Code.LISTENING_ON_OTHER_ADDRESS, sentence, object=found[0].process or target, owner=target, kernel=kernel, fix=fix)


def look(path: Path) -> str:
    """How to see what does listen."""
    option = "-tlnp" if path.question.protocol == "tcp" else "-ulnp"
    if path.question.target.kind != "container" and path.go is None:
        return f"ss {option}"
    return f"nsenter --target $(sanbashi inspect -f '{{{{.State.Pid}}}}' {path.reached}) --net ss {option}"


def bracketed(one: Listener) -> str:
    return f"[{one.address}]" if one.address.version == 6 else str(one.address)


def takes(one: Listener, path: Path, *, inside: bool) -> bool:
    """Whether a socket takes what is sent to the path's address; from within the same namespace any address will do where none was named."""
    address = path.address
    if isinstance(one.address, IPv6Address) and one.address.is_unspecified:
        return path.version == 6 or not one.only6
    if address is None:
        return inside or one.address.is_unspecified
    if isinstance(one.address, IPv4Address) and one.address.is_unspecified:
        return address.version == 4
    mapped = one.address.ipv4_mapped if isinstance(one.address, IPv6Address) else None
    return address in (one.address, mapped)


OUTCOMES = {"answered": True, "refused": False, "unreachable": False, "silent": False}


def probe(path: Path, facts: Facts, before: tuple[Stage, ...]) -> Iterator[Stage]:
    """What a real packet did, beside what the stages before say; silence of UDP says nothing."""
    tried = facts.probe
    if tried is None:
        return
    words = f"{tried.outcome}{f': {tried.words}' if tried.words else ''} after {tried.milliseconds:.0f} ms"
    if tried.outcome == "failed":
        yield skipped("probe", f"no packet could be sent: {tried.words}", Code.NOT_EVALUATED)
        return
    if tried.outcome == "silent" and path.question.protocol == "udp":
        yield skipped("probe", "a datagram was sent, and nothing came back, which UDP allows", Code.NOT_EVALUATED)
        return
    reached = OUTCOMES[tried.outcome]
    stops = any(s.verdict is Verdict.STOP for s in before)
    open_ = any(s.verdict is Verdict.UNKNOWN for s in before)
    said = f"a real packet was {'answered' if reached else tried.outcome if tried.outcome != 'silent' else 'not answered'}"
    if stops and reached:
        sentence = f"{said}, although model and kernel say that none can be"
        yield unknown("probe", Code.PROBE_DISAGREES, sentence, object=path.question.asked, owner="the kernel", probe=words)
    elif not stops and not reached and not open_ and path.kind is Kind.OUT:
        sentence = f"{said}: it left this host, where nothing is against it"
        yield stop("probe", Code.BEYOND_THIS_HOST, sentence, object=path.question.asked, owner="outside", probe=words)
    elif not stops and not reached and not open_:
        sentence = f"{said}, although model and kernel have nothing against it"
        yield stop("probe", Code.PROBE_DISAGREES, sentence, object=path.question.asked, owner="the kernel", probe=words, fix=trace(path))
    elif reached:
        yield ok("probe", f"{said} after {tried.milliseconds:.0f} ms", object=path.question.asked, owner="the kernel", probe=words)
    else:
        yield skipped("probe", f"{said}, as the stages above have it")


def trace(path: Path) -> str:
    """How to follow packets: docs/debugging.md."""
    match = f"ip saddr {path.origin} " if path.origin is not None and path.version == 4 else ""
    chain = f"{{ chain first {{ type filter hook prerouting priority -350; {match}meta nftrace set 1; }}; }}"
    return f"nft 'table inet look {chain}'; nft monitor trace"
