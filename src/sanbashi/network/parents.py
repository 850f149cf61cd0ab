"""Networks on an interface of the host: the options of macvlan and ipvlan, and the parent link that they name, share or have made."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..errors import Failed, NotSupported
from ..records import dataclass
from .model import Network, NetworkFacts, NetworkRequest, NetworkState
from .options import READ_ELSEWHERE, bridge_options, reads_everywhere

PARENT = "parent"
MODES: Mapping[str, tuple[str, ...]] = {"macvlan": ("bridge", "private", "vepa", "passthru"), "ipvlan": ("l2", "l3", "l3s")}
FLAGS = ("bridge", "private", "vepa")  # of ipvlan
DUMMY: Mapping[str, str] = {"macvlan": "dm-", "ipvlan": "di-"}
# What the kernel must have been built with, by kind of link; the module of the same name where it is not built in.
KERNEL_OPTIONS: Mapping[str, str] = {"macvlan": "CONFIG_MACVLAN", "ipvlan": "CONFIG_IPVLAN", "vlan": "CONFIG_VLAN_8021Q", "dummy": "CONFIG_DUMMY"}
MODULES: Mapping[str, str] = {"vlan": "8021q"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentOptions:
    """What `-o` says of a macvlan or ipvlan network. `parent` "" means a dummy link of the network's own; `mtu` 0 is the parent's."""

    parent: str = ""
    mode: str = ""
    flag: str = ""
    mtu: int = 0
    prefix: str = "eth"


@functools.lru_cache(maxsize=256)
def parsed(driver: str, options: frozenset[tuple[str, str]]) -> ParentOptions:
    given = dict(options)
    mode, flag = given.get(f"{driver}_mode") or MODES[driver][0], given.get("ipvlan_flag") or FLAGS[0]
    if mode not in MODES[driver]:
        raise Failed(f"requested {driver} mode '{mode}' is not valid, '{MODES[driver][0]}' mode is the {driver} driver default")
    if driver == "ipvlan" and flag not in FLAGS:
        raise Failed(f"requested ipvlan flag '{flag}' is not valid, 'bridge' is the ipvlan driver default")
    if given.get(PARENT) == "lo":
        raise Failed(f"loopback interface is not a valid {driver} parent link")
    return ParentOptions(parent=given.get(PARENT, ""), mode=mode, flag=flag if driver == "ipvlan" else "")


def parent_options(network: Network) -> ParentOptions:
    """The options of a macvlan or ipvlan network; Failed in Docker's words for a mode that there is not, and for the loopback as parent."""
    own = parsed(network.driver, frozenset(network.options.items()))
    common = bridge_options(network)
    return ParentOptions(parent=own.parent, mode=own.mode, flag=own.flag, mtu=common.mtu, prefix=common.prefix)


def has_parent(network: Network) -> bool:
    """Whether a network stands on an interface of the host."""
    return network.driver in MODES


def passes_through(network: Network) -> bool:
    """Whether a network gives its parent to one container alone, with the parent's own MAC address."""
    return has_parent(network) and parent_options(network).mode == "passthru"


def unknown_parent_options(network: Network) -> Iterable[str]:
    """A sentence for each option that has no effect here."""
    known = {PARENT, f"{network.driver}_mode", *(["ipvlan_flag"] if network.driver == "ipvlan" else [])}
    return [
        f"option {key} is not known to the {network.driver} driver and has no effect"
        for key in sorted(network.options)
        if key not in known and key not in READ_ELSEWHERE and not reads_everywhere(key)
    ]


def parent_name(network: Network) -> str:
    """The host's link below a network: the one named, else a dummy that bears the network's id."""
    return parent_options(network).parent or DUMMY[network.driver] + network.id[:12]


def closed(network: Network) -> bool:
    """Whether nothing leads out: asked for, or because there is no parent."""
    return network.internal or not parent_options(network).parent


def routes_by_device(network: Network) -> bool:
    """Whether the default route has no gateway: ipvlan in its layer 3 modes."""
    return network.driver == "ipvlan" and parent_options(network).mode != "l2"


def sharing(state: NetworkState, network: Network) -> tuple[Network, ...]:
    """The other networks on the same parent, the oldest first."""
    name = parent_name(network)
    others = (n for n in state.networks.values() if n.id != network.id and has_parent(n) and parent_name(n) == name)
    return tuple(sorted(others, key=lambda n: (n.created, n.name)))


# -- creation


def placed(state: NetworkState, network: Network, facts: NetworkFacts) -> Network:
    """The network with its parent settled: one that is there and that we did not make is used and left.

    Failed in Docker's words where the parent is in use in a way that excludes this network or cannot be made; NotSupported, with the option
    that it would need, where the kernel lacks a kind of link.
    """
    options, name = parent_options(network), parent_name(network)
    others = sharing(state, network)
    check_sharing(network, name, others)
    there = name in facts.links_present or name in facts.links_ours
    made = any(not other.adopted for other in others)
    if options.parent and not there and not made:
        vlan_of(name, facts)
    kinds = [network.driver, *(["dummy"] if not options.parent else ["vlan"] if not there and not made else [])]
    check_kernel(kinds, facts)
    return replace(network, adopted=there and not made and bool(options.parent))


def check_sharing(network: Network, name: str, others: Iterable[Network]) -> None:
    """Several macvlan networks may stand on one parent unless one of them passes it through; ipvlan wants it alone."""
    for other in others:
        mine, theirs = parent_options(network), parent_options(other)
        if network.driver == other.driver == "ipvlan":
            raise Failed(f"network di-{other.id[:12]} is already using parent interface {name}", hint=f"it is the network {other.name}")
        if network.driver == other.driver == "macvlan" and mine.mode == "passthru":
            raise Failed(f"cannot use mode passthru, macvlan network {other.id} is already using parent interface {name}")
        if network.driver == other.driver == "macvlan" and theirs.mode == "passthru":
            raise Failed(f"macvlan network {other.id} is already using parent interface {name} in mode passthru")


def vlan_of(name: str, facts: NetworkFacts | None = None) -> tuple[str, int]:
    """eth0.10 -> ("eth0", 10); Failed in Docker's words where it names no VLAN, or with `facts` one of no interface of the host."""
    over, dot, number = name.partition(".")
    if not dot:
        raise Failed(f"invalid subinterface vlan name {name}, example formatting is eth0.10")
    if "." in number:
        raise Failed(f"required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {name}")
    try:
        tag = int(number)
    except ValueError:
        raise Failed(f"unable to parse a valid vlan id from: {number} (ex. eth0.10 for vlan 10)") from None
    if facts is not None and over not in facts.links_present and over not in facts.links_ours:
        raise Failed(f"-o parent interface was not found on the host: {over}")
    if not 1 <= tag <= 4094:
        raise Failed(f"vlan id must be between 1-4094, received: {tag}")
    return over, tag


def kinds_to_probe(request: NetworkRequest) -> tuple[str, ...]:
    """The kinds of link that a new network may need."""
    if request.driver not in MODES or request.config_only:
        return ()
    parent = request.options.get(PARENT, "")
    return request.driver, *(("vlan",) if "." in parent else () if parent else ("dummy",))


def check_kernel(kinds: Iterable[str], facts: NetworkFacts) -> None:
    """NotSupported, naming the option, where the kernel has no such links."""
    words = {"vlan": "VLAN devices", "dummy": "dummy devices, which a network without a parent stands on"}
    for kind in kinds:
        if kind in facts.missing_links:
            raise NotSupported(
                f"this kernel has no {words.get(kind, kind + ' devices')}: it was built without {KERNEL_OPTIONS[kind]}",
                hint=f"where it is a module: modprobe {MODULES.get(kind, kind)}" + ("; or name a parent: -o parent=eth0" if kind == "dummy" else ""),
            )
