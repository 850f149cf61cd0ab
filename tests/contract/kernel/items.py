"""Networks and endpoints as items made by hand, so that the suite depends on nothing that decides."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network

from sanbashi.network.picture import (
    Address,
    Bridge,
    Element,
    HeldPort,
    Item,
    Names,
    Namespace,
    Neighbour,
    Resolver,
    Route,
    Sysctl,
    Up,
    Veth,
    Zone,
)


def sandbox(number: int) -> str:
    return f"{number:012x}" + "5a" * 26


def network(number: int = 1, *, mtu: int = 0) -> list[Item]:
    """A dual-stack network as the drivers make it."""
    bridge, id_ = f"br-{number:012x}", f"{number:012x}" + "0" * 52
    return [
        Bridge(bridge, f"sanbashi:{id_[:12]}", mtu=mtu),
        Sysctl("", f"net/ipv4/conf/{bridge}/route_localnet", "1"),
        Sysctl("", f"net/ipv6/conf/{bridge}/accept_ra", "0"),
        Address("", bridge, ip_interface(f"10.81.{number}.1/24")),
        Address("", bridge, ip_interface(f"fd81:{number}::1/64")),
        Up("", bridge),
        Route("", ip_network("::1/128"), bridge, metric=2048, kind="local", table="local"),
        Element("inet", "bridges", (bridge,)),
        Element("inet", "icc", (bridge, bridge)),
        Element("inet", "outward", (bridge,)),
        Element("inet", "entering", (bridge,), ("goto into_nat",)),
        Element("inet", "masquerade4", (bridge,)),
        Element("inet", "masquerade6", (bridge,)),
        Zone(id_, f"net{number}"),
    ]


def endpoint(number: int, *, on: int = 1, of: int | None = None, interface: str = "eth0", ports: tuple[int, ...] = ()) -> list[Item]:
    """Endpoint `number` on network `on`, in the namespace of sandbox `of` (its own where not said), without the namespace."""
    within, bridge, veth = sandbox(number if of is None else of), f"br-{on:012x}", f"veth{number:07x}"
    mac = f"02:00:00:{on:02x}:{number >> 8:02x}:{number & 255:02x}"
    four, six = ip_address(f"10.81.{on}.{number + 1}"), ip_address(f"fd81:{on}::{number + 1:x}")
    assert isinstance(four, IPv4Address)
    assert isinstance(six, IPv6Address)
    items: list[Item] = [
        Veth(veth, f"sanbashi:{on:012x}:{number:012x}", bridge, within, interface, mac),
        Address(within, interface, ip_interface(f"{four}/24")),
        Address(within, interface, ip_interface(f"{six}/64")),
        Up(within, interface, endpoint=True),
        Neighbour("", bridge, four, mac),
        Neighbour("", bridge, six, mac),
        Element("bridge", "owned4", (veth, mac, str(four))),
        Element("bridge", "owned4", (veth, mac, "0.0.0.0")),
        Element("bridge", "owned6", (veth, mac, str(six))),
        Element("bridge", "target6", (veth, mac, f"0x{int(six):032x}")),
        Element("bridge", "guarded", (veth,)),
        Up("", veth, endpoint=True),
        Names(f"{on:012x}" + "0" * 52, f"{number:064x}", (f"c{number}",), (four, six)),
    ]
    for port in ports:
        items += [
            HeldPort("tcp", ip_address("0.0.0.0"), port),
            Element("inet", "published4_any", ("tcp", str(port)), (str(four), "80")),
            Element("inet", "published6_any", ("tcp", str(port)), (str(six), "80")),
        ]
    return items


def container(number: int, *, on: int = 1, ports: tuple[int, ...] = ()) -> list[Item]:
    """A sandbox joined to one network, with its default routes and its resolver."""
    within = sandbox(number)
    return [
        Namespace(within),
        *endpoint(number, on=on, ports=ports),
        Route(within, ip_network("0.0.0.0/0"), "eth0", ip_address(f"10.81.{on}.1")),
        Route(within, ip_network("::/0"), "eth0", ip_address(f"fd81:{on}::1")),
        Resolver(within, (f"{on:012x}" + "0" * 52,), port=40053),
    ]
