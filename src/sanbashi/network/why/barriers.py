"""What may drop packets on their way: chains of others, our own tables where they are not what they should be, a full table of connections."""

from __future__ import annotations

from collections.abc import Iterator

from ..picture import Element
from .codes import Code
from .conditions import Packet
from .facts import Facts
from .filters import Finding, findings
from .hooks import Passage, passages
from .path import Kind, Path
from .stage import Stage, ok, stop, unknown, warn

# Sets without whose elements a packet on such a way is stopped; of a missing one in another set only the fact is told.
NEEDED = {
    Kind.SHARED: ("owned",),
    Kind.ROUTED: ("owned", "entering", "opened"),
    Kind.TRANSLATED: ("owned", "entering", "published"),
    Kind.TO_HOST: ("owned", "gateways", "outward"),
    Kind.OUT: ("owned", "masquerade", "outward"),
    Kind.FROM_HOST: ("owned",),
    Kind.FROM_OUTSIDE: ("owned", "entering", "published"),
    Kind.DIRECT: ("owned", "entering", "opened"),
}


def firewall(path: Path, facts: Facts) -> Iterator[Stage]:
    """Each chain of somebody else's that the packets and their answers meet."""
    if path.address is None or path.kind in (Kind.NOWHERE, Kind.INSIDE):
        return
    seen: set[tuple[str, int]] = set()
    clear = True
    for back in (False, True):
        for passage in passages(path, facts, back=back):
            tables = {"source": facts.inner_source, "target": facts.inner_target}.get(passage.inner, facts.tables)
            for found in findings(tables, passage.families, passage.hook, passage.packet):
                key = (f"{passage.inner} {found.chain}", found.rule.handle if found.rule else 0)
                if key not in seen:
                    seen.add(key)
                    clear = False
                    yield stage_of(path, passage, found, back=back)
    for tool in facts.tables.legacy:
        clear = False
        yield unknown(
            "firewall", Code.UNKNOWN_FOREIGN_RULES, f"{tool} has rules, which cannot be read from here", object=tool, owner=tool, fix=f"{tool} -S"
        )
    if clear:
        count = len(facts.tables.chains)
        kernel = f"{count} base chains of others looked at" if count else "no base chains of others"
        yield ok("firewall", "no chain of somebody else's drops the packets or their answers", owner="the host", kernel=kernel)


def stage_of(path: Path, passage: Passage, found: Finding, *, back: bool) -> Stage:
    """What a chain does, to whom, and what mends it."""
    chain, what = found.chain, "the answers" if back else "the packets"
    holder = {"source": path.question.source.name, "target": path.question.target.name}.get(passage.inner, "")
    place = f"chain {chain}{f' inside {holder}' if holder else ''} ({chain.owner})"
    owner = f"{chain.owner} in {holder}" if holder else chain.owner
    look = f"nft -a list chain {chain}"
    if holder:
        look = f"nsenter --target $(sanbashi inspect -f '{{{{.State.Pid}}}}' {holder}) --net {look}"
    if not found.certain:
        sentence = f"{place} may drop {what}: {found.because}"
        return unknown("firewall", Code.UNKNOWN_FOREIGN_RULES, sentence, object=str(chain), owner=owner, fix=look, kernel=found.because)
    code = Code.CONTAINER_FIREWALL_DROP if holder else Code.HOST_FIREWALL_DROP
    if passage.hook == "input" and path.kind is Kind.FROM_OUTSIDE:
        code = Code.HOST_INPUT_POLICY
    fix = chain.mend if found.rule is None and chain.mend else look if holder else f"nft insert rule {chain} {matching(passage.packet)} accept"
    return stop("firewall", code, f"{place} drops {what}: {found.because}", object=str(chain), owner=owner, fix=fix, kernel=found.because)


def matching(packet: Packet) -> str:
    """The packet as conditions of a rule."""
    words = [f"ip{'6' if packet.version == 6 else ''} {key} {a}" for key, a in (("saddr", packet.source), ("daddr", packet.target)) if a is not None]
    if packet.protocol == "icmp":
        words.append(f"meta l4proto {'icmp' if packet.version == 4 else 'ipv6-icmp'}")
    else:
        port = f"dport {packet.target_port}" if packet.target_port else f"sport {packet.source_port}"
        words.append(f"{packet.protocol} {port}")
    return " ".join(words)


def suspects(path: Path) -> Iterator[Element]:
    """Elements that would stop packets of this way if somebody put them into our tables; where they are wished they are no suspects."""
    source = path.source_network
    if source is None or source.driver != "bridge" or path.come is None:
        return
    if path.kind is Kind.SHARED:
        yield Element("bridge", "quiet", (path.come.host_interface,))
    elif path.kind is Kind.TO_HOST:
        yield Element("inet", "to_host", (source.bridge,), ("drop",))
    else:
        yield Element("inet", "leaving", (source.bridge,), ("drop",))


def drift(path: Path, facts: Facts) -> Iterator[Stage]:
    """Our own tables: what should stand in them and does not, and the other way round."""
    if path.kind in (Kind.NOWHERE, Kind.INSIDE) or not path.bridged:
        return
    fix = "sanbashi info   # repairs are made by the daemon itself within a moment: ask again"
    clear = facts.fixed
    if not facts.fixed:
        sentence = "chains of our tables in the kernel are not what we made them"
        yield unknown("rules", Code.RULES_DRIFTED, sentence, object="inet sanbashi, bridge sanbashi", fix=fix, model="table.nft", kernel="differs")
    for element in facts.unwanted:
        clear = False
        sentence = f"{element} stands in our tables and nobody wished it"
        yield stop("rules", Code.RULES_DRIFTED, sentence, object=str(element), fix=fix, model="absent", kernel=str(element))
    for item in sorted((i for i in facts.missing if isinstance(i, Element)), key=str):
        clear = False
        made = stop if item.set.startswith(NEEDED[path.kind]) and concerns(path, item) else warn
        sentence = f"{item} is missing from our tables, or says something else"
        yield made("rules", Code.RULES_DRIFTED, sentence, object=str(item), fix=fix, model=str(item), kernel="absent, or other")
    if clear:
        yield ok("rules", "our tables in the kernel are what they should be", model="as wished", kernel="as wished")


def concerns(path: Path, item: Element) -> bool:
    """Whether an element is of this very way: its family, its port, its network."""
    if item.set.endswith(("4", "6")) and item.set[-1] != str(path.version):
        return False
    if item.set.startswith("published"):
        return str(path.asked_port) in item.fields
    if item.set == "entering":
        return path.target_network is not None and path.target_network.bridge in item.fields
    if item.set.startswith(("masquerade", "outward")):
        return path.source_network is not None and path.source_network.bridge in item.fields
    return True


def connections(path: Path, facts: Facts) -> Iterator[Stage]:
    """Whether the host's table of connections has room."""
    if facts.connections is None or not facts.connections[1] or path.kind in (Kind.NOWHERE, Kind.INSIDE) or not path.bridged:
        return
    count, most = facts.connections
    if path.kind is Kind.SHARED and not facts.filters_bridges:
        return
    fix, kernel = f"sysctl -w net.netfilter.nf_conntrack_max={most * 2}", f"{count} of {most}"
    if count >= most:
        sentence = f"the host's table of connections is full ({kernel}): new ones are dropped"
        yield stop("conntrack", Code.CONNTRACK_FULL, sentence, object="nf_conntrack", owner="the host", fix=fix, kernel=kernel)
    elif count * 10 >= most * 9:
        sentence = f"the host's table of connections is nearly full ({kernel})"
        yield warn("conntrack", Code.CONNTRACK_FULL, sentence, object="nf_conntrack", owner="the host", fix=fix, kernel=kernel)
