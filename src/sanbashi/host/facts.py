"""What the host is: probed once when the daemon starts, frozen, given to what decides."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
from collections.abc import Iterator
from dataclasses import field, replace
from ipaddress import IPv6Network, ip_address, ip_network
from pathlib import Path

from ..network.model import IPAddress, IPInterface, IPNetwork
from ..records import dataclass
from . import rtnetlink, sysctl
from .counts import Counts
from .foreign import ForeignDrop
from .netlink import ROUTE, Netlink
from .peeking import contents, inode, processes, text
from .sweeping import OURS

PROC = Path("/proc")
STUBLESS = Path("/run/systemd/resolve/resolv.conf")
ENGINES = {"dockerd": "Docker", "containerd": "containerd", "podman": "Podman"}


@dataclass(frozen=True, slots=True)
class HostLink:
    """A network interface of the host; `kind` is "" for a device, else bridge, veth, ..."""

    name: str
    kind: str
    alias: str
    addresses: tuple[IPInterface, ...] = ()

    @property
    def ours(self) -> bool:
        return self.alias.startswith(OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Plain values about the host. `routes`: destinations of its routes with the link each leaves by, the default route left out;

    `on_link` those without a gateway. `resolv_conf`: the text of the host's own file, "" where there is none. `ephemeral`: first and last
    port of the kernel's range. `cgroup` is 1 or 2, `cgroup_hybrid` where v2 is mounted beside v1. `br_netfilter`: whether bridged
    packets pass iptables and nftables of the IP families (bridge-nf-call-iptables), `br_netfilter6`: those of IPv6 do. `foreign_drops` are
    judged by the ways of our networks, by whoever knows these: none as probed.
    """

    hostname: str
    kernel: str
    architecture: str
    system: str  # pretty name of the distribution
    processors: int
    memory: int  # bytes
    machine_id: str
    boot_id: str
    links: tuple[HostLink, ...]
    routes: tuple[tuple[IPNetwork, str], ...]
    on_link: tuple[tuple[IPNetwork, str], ...]
    resolv_conf: str
    ephemeral: tuple[int, int]
    reserved_ports: frozenset[int]
    ipv6: bool
    forwarding4: bool
    forwarding6: bool
    br_netfilter: bool
    br_netfilter6: bool
    sctp: bool
    cgroup: int
    cgroup_hybrid: bool
    seccomp: bool
    apparmor: bool
    foreign_drops: tuple[ForeignDrop, ...] = ()
    engines: tuple[tuple[str, int], ...] = ()  # other engines that run here: (name, pid)
    controllers: frozenset[str] = field(default_factory=frozenset)  # of cgroups

    @property
    def nameservers(self) -> tuple[IPAddress, ...]:
        """The host's name servers, in order."""
        found = []
        for line in self.resolv_conf.splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                try:
                    found.append(ip_address(words[1].partition("%")[0]))
                except ValueError:  # not ours to judge
                    continue
        return tuple(found)

    @property
    def avoid(self) -> tuple[tuple[IPNetwork, str], ...]:
        """What a subnet that we choose must not touch, each with what holds it: every route but the default one, addresses, name servers.

        Links of ours are left out: their subnets are in the state.
        """
        ours = {link.name for link in self.links if link.ours}
        held: list[tuple[IPNetwork, str]] = [(net, f"a route by {link}") for net, link in self.routes if link not in ours]
        held += [(a.network, link.name) for link in self.links if not link.ours for a in link.addresses if not a.is_loopback]
        held += [(ip_network(f"{server}/{server.max_prefixlen}"), f"the name server {server}") for server in self.nameservers]
        return tuple(dict.fromkeys(held))

    @property
    def links_present(self) -> frozenset[str]:
        """Names of interfaces that are not ours."""
        return frozenset(link.name for link in self.links if not link.ours)

    @property
    def links_ours(self) -> frozenset[str]:
        """Names of interfaces that bear our alias."""
        return frozenset(link.name for link in self.links if link.ours)

    @property
    def addresses(self) -> dict[str, tuple[IPInterface, ...]]:
        """The addresses of interfaces that are not ours."""
        return {link.name: link.addresses for link in self.links if link.addresses and not link.ours}

    @property
    def ula(self) -> IPv6Network:
        """The host's own unique local /48: fd and 40 bits from the machine's id, as RFC 4193 asks and Docker does."""
        digest = hashlib.sha256(self.machine_id.encode()).digest()
        return IPv6Network((b"\xfd" + digest[:5] + bytes(10), 48))

    def held_bridge(self, name: str) -> str:
        """One sentence when a bridge name is somebody else's, with the setting that chooses another; "" when it is free or ours."""
        link = next((link for link in self.links if link.name == name and not link.ours), None)
        if link is None:
            return ""
        engine = next((f" ({ENGINES.get(e, e)} runs here as process {pid})" for e, pid in self.engines), "")
        addresses = f" with {', '.join(map(str, link.addresses))}" if link.addresses else ""
        return (
            f"the interface {name}{addresses} belongs to somebody else{engine}; choose another bridge for the default network "
            f'with "bridge" in the configuration (--bridge NAME), and its subnet with "bip" (--bip)'
        )


def probe() -> HostFacts:
    """Look at the host; takes some milliseconds. OSError where /proc is not there."""
    counts = Counts()
    links, routes, on_link = network(counts)
    first, last = (sysctl.read("net/ipv4/ip_local_port_range", counts) or "32768 60999").split()
    memory = next((int(line.split()[1]) * 1024 for line in text(PROC / "meminfo").splitlines() if line.startswith("MemTotal")), 0)
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    controllers = text(unified).split() or [line.split()[0] for line in text(PROC / "cgroups").splitlines()[1:]]
    return HostFacts(
        hostname=socket.gethostname(),
        kernel=os.uname().release,
        architecture=os.uname().machine,
        system=release_name(),
        processors=len(os.sched_getaffinity(0)),
        memory=memory,
        machine_id=text(Path("/etc/machine-id")).strip() or socket.gethostname(),
        boot_id=text(PROC / "sys/kernel/random/boot_id").strip(),
        links=links,
        routes=routes,
        on_link=on_link,
        resolv_conf=host_resolv_conf(),
        ephemeral=(int(first), int(last)),
        reserved_ports=frozenset(port_list(sysctl.read("net/ipv4/ip_local_reserved_ports", counts) or "")),
        ipv6=(PROC / "sys/net/ipv6").is_dir(),
        forwarding4=sysctl.read("net/ipv4/ip_forward", counts) == "1",
        forwarding6=sysctl.read("net/ipv6/conf/all/forwarding", counts) == "1",
        br_netfilter=filters_bridges(4, counts),
        br_netfilter6=filters_bridges(6, counts),
        sctp=has_sctp(),
        cgroup=2 if unified.exists() else 1,
        cgroup_hybrid=not unified.exists() and Path("/sys/fs/cgroup/unified/cgroup.controllers").exists(),
        seccomp=(PROC / "sys/kernel/seccomp").is_dir(),
        apparmor=text(Path("/sys/module/apparmor/parameters/enabled")).strip() == "Y",
        engines=tuple(engines()),
        controllers=frozenset(controllers),
    )


def filters_bridges(version: int, counts: Counts) -> bool:
    """Whether bridged packets of a family pass its hooks (br_netfilter). One file is read; it does not block."""
    name = "iptables" if version == 4 else "ip6tables"
    return sysctl.read(f"net/bridge/bridge-nf-call-{name}", counts) == "1"


def looked_again(facts: HostFacts) -> HostFacts:
    """The facts with the links, addresses, routes and name servers of now."""
    links, routes, on_link = network(Counts())
    return replace(facts, links=links, routes=routes, on_link=on_link, resolv_conf=host_resolv_conf())


def host_resolv_conf() -> str:
    """The host's resolver file as it is now; of systemd-resolved the one that names the real servers, for its stub answers on the host alone."""
    own = text(Path("/etc/resolv.conf"))
    servers = [words[1] for line in own.splitlines() if len(words := line.split()) > 1 and words[0] == "nameserver"]
    return (text(STUBLESS) if servers == ["127.0.0.53"] else "") or own


Routes = tuple[tuple[IPNetwork, str], ...]


def network(counts: Counts) -> tuple[tuple[HostLink, ...], Routes, Routes]:
    """Links with their addresses, routes of the main table but the default one, and those of them that are on-link."""
    with Netlink(ROUTE, counts) as netlink:
        links = list(rtnetlink.links(netlink))
        addresses: dict[int, list[IPInterface]] = {}
        for held in rtnetlink.addresses(netlink):
            if not held.address.is_link_local:
                addresses.setdefault(held.index, []).append(held.address)
        names = {link.index: link.name for link in links}
        held_routes = [
            r
            for r in rtnetlink.routes(netlink, table=rtnetlink.TABLES[""], protocol=0)
            if r.to.prefixlen and not r.to.is_link_local and not r.to.is_multicast and r.kind == "unicast"
        ]
    found = tuple(HostLink(link.name, link.kind, link.alias, tuple(addresses.get(link.index, ()))) for link in links)
    every = tuple((r.to, names.get(r.index, "")) for r in held_routes)
    return found, every, tuple((r.to, names.get(r.index, "")) for r in held_routes if r.via is None)


def port_list(words: str) -> Iterator[int]:
    """The ports of a list such as 80,8000-8010."""
    for word in words.replace(",", " ").split():
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)


def has_sctp() -> bool:
    """Whether the kernel has SCTP sockets; translating SCTP needs none."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


def release_name() -> str:
    """The distribution's own name for itself."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def engines() -> Iterator[tuple[str, int]]:
    """Other engines that run in this network namespace, by the names of their processes."""
    here = inode(f"{PROC}/self/ns/net")
    for number in processes(str(PROC)):
        try:
            name = contents(f"{PROC}/{number}/comm").decode(errors="replace").strip()
            if name in ENGINES and inode(f"{PROC}/{number}/ns/net") == here:
                yield name, int(number)
        except OSError:  # ended meanwhile, or not ours to look at
            continue
