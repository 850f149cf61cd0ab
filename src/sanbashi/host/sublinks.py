"""Links on links: VLANs and dummies on the host, macvlan and ipvlan interfaces made straight in a container's namespace."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Mapping

from ..network.picture import Parent, Sublink
from . import rtnetlink
from .counts import Counts
from .gathering import GONE, Gathering, Work
from .namespaces import inside
from .netlink import CREATE, EXCLUSIVE, ROUTE, Message, Netlink, attribute, nested, number, text
from .rtnetlink import INFO_DATA, INFO_KIND, LINK, LINK_ADDRESS, LINK_INFO, LINK_MTU, LINK_NAME, LINK_NETNS, LINK_PEER, NEWLINK, Link
from .sweeping import OURS

# linux/if_link.h
MACVLAN_MODE, IPVLAN_MODE, IPVLAN_FLAGS, VLAN_ID = 1, 1, 2, 1
MACVLAN_MODES: Mapping[str, int] = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES: Mapping[str, int] = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAG: Mapping[str, int] = {"bridge": 0, "private": 1, "vepa": 2}
KINDS = ("macvlan", "ipvlan")


# -- messages


def new_parent(parent: Parent, over: int) -> Message:
    """A VLAN on the link of index `over`, or a dummy."""
    kind = "vlan" if parent.over else "dummy"
    data = nested(INFO_DATA, short(VLAN_ID, parent.tag)) if parent.over else b""
    body = text(LINK_NAME, parent.name) + (number(LINK_PEER, over) if parent.over else b"") + nested(LINK_INFO, text(INFO_KIND, kind), data)
    return Message(NEWLINK, CREATE | EXCLUSIVE, LINK.pack(0, 0, 0, 0, 0) + body)


def new_sublink(sublink: Sublink, parent: int, netns: int) -> Message:
    """A macvlan or ipvlan on the host's link of index `parent`, made in the namespace of descriptor `netns`."""
    if sublink.kind == "macvlan":
        data = nested(INFO_DATA, number(MACVLAN_MODE, MACVLAN_MODES[sublink.mode]))
    else:
        data = nested(INFO_DATA, short(IPVLAN_MODE, IPVLAN_MODES[sublink.mode]), short(IPVLAN_FLAGS, IPVLAN_FLAG[sublink.flag]))
    body = text(LINK_NAME, sublink.name) + number(LINK_PEER, parent) + number(LINK_NETNS, netns)
    if sublink.mac and sublink.mode != "passthru":
        body += attribute(LINK_ADDRESS, rtnetlink.mac_bytes(sublink.mac))
    if sublink.mtu:
        body += number(LINK_MTU, sublink.mtu)
    return Message(NEWLINK, CREATE | EXCLUSIVE, LINK.pack(0, 0, 0, 0, 0) + body + nested(LINK_INFO, text(INFO_KIND, sublink.kind), data))


def marked(sublink: Sublink) -> Message:
    """Our alias on an interface in its namespace. One that passes its parent through takes that one's MAC address first and then ours."""
    body = text(LINK_NAME, sublink.name) + attribute(rtnetlink.LINK_ALIAS, sublink.alias.encode())
    if sublink.mac and sublink.mode == "passthru":
        body += attribute(LINK_ADDRESS, rtnetlink.mac_bytes(sublink.mac))
    return Message(NEWLINK, 0, LINK.pack(0, 0, 0, 0, 0) + body)


def trial(kind: str) -> Message:
    """A request for a link that every kernel refuses, whose refusal tells whether it knows the kind."""
    body = text(LINK_NAME, "sanbashi-trial") + attribute(LINK_ADDRESS, b"\0\0\0\0") + nested(LINK_INFO, text(INFO_KIND, kind))
    return Message(NEWLINK, CREATE | EXCLUSIVE, LINK.pack(0, 0, 0, 0, 0) + body)


def short(kind: int, value: int) -> bytes:
    """A 16-bit attribute in the host's order."""
    return attribute(kind, struct.pack("=H", value))


def missing(kinds: Iterable[str], counts: Counts) -> frozenset[str]:
    """Those kinds of link that the kernel cannot make; asking loads the module where there is one."""
    kinds = tuple(kinds)
    if not kinds:
        return frozenset()
    with Netlink(ROUTE, counts) as netlink:
        refused = netlink.send([trial(kind) for kind in kinds])
    return frozenset(kind for kind, refusal in zip(kinds, refused, strict=True) if refusal is not None and refusal.errno == errno.EOPNOTSUPP)


# -- what the kernel has, as items


def parent_item(link: Link, over: str) -> Parent:
    """The item that a VLAN or a dummy is; `over` the name of the link below."""
    return Parent(link.name, link.alias, over, tag_of(link)) if link.kind == "vlan" else Parent(link.name, link.alias)


def tag_of(link: Link) -> int:
    data = link.data.get(VLAN_ID, b"")
    return int(struct.unpack("=H", data)[0]) if len(data) == 2 else 0


def sublink_item(link: Link, sandbox: str, parent: str, wish: Sublink | None) -> Sublink:
    """The item that an interface in a sandbox is; what a wish leaves open is reported as wished."""
    names = {v: k for k, v in (MACVLAN_MODES if link.kind == "macvlan" else IPVLAN_MODES).items()}
    flags = {v: k for k, v in IPVLAN_FLAG.items()}
    return Sublink(
        kind=link.kind,
        parent=parent,
        namespace=sandbox,
        name=link.name,
        alias=link.alias,
        mode=names.get(integer(link.data.get(1, b"")), ""),
        flag=flags.get(integer(link.data.get(IPVLAN_FLAGS, b"")), "") if link.kind == "ipvlan" else "",
        mac=link.mac if wish is None or wish.mac else "",
        mtu=link.mtu if wish is not None and wish.mtu else 0,
    )


def integer(data: bytes) -> int:
    return int.from_bytes(data, "little" if struct.pack("=H", 1) == b"\1\0" else "big")


# -- made and deleted


def create_parents(change: Gathering) -> None:
    """Make the VLANs and dummies that come; one of ours that is there already is taken as it is."""
    parents = change.adding(Parent)
    if not parents:
        return
    with Netlink(ROUTE, change.hands.counts) as netlink:
        for parent in parents:
            there = rtnetlink.link(netlink, parent.name)
            if there is not None and not there.alias.startswith(OURS):
                raise change.fail(parent, errno.EEXIST, f"a link {parent.name} exists and is not ours")
            messages = [] if there is not None else [new_parent(parent, change.index(parent, parent.over) if parent.over else 0)]
            messages.append(rtnetlink.set_link(parent.name, alias=parent.alias))
            change.send(netlink, [(parent, message, frozenset()) for message in messages])


def create_sublinks(change: Gathering) -> None:
    """Make the interfaces that come, each in its namespace; one that stands there in its place goes first."""
    for sublink in change.adding(Sublink):
        path = change.hands.namespaces.path(sublink.namespace)
        parent = change.index(sublink, sublink.parent)
        with change.step(sublink), inside(path), Netlink(ROUTE, change.hands.counts) as within:
            there = rtnetlink.link(within, sublink.name)
            if there is not None:
                if sublink_item(there, sublink.namespace, sublink.parent if there.peer == parent else "", sublink) == sublink:
                    continue
                change.send(within, [(sublink, rtnetlink.del_link(sublink.name), GONE)])
        with change.step(sublink):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with Netlink(ROUTE, change.hands.counts) as netlink:
                change.send(netlink, [(sublink, new_sublink(sublink, parent, descriptor), frozenset())])
        finally:
            os.close(descriptor)
        with change.step(sublink), inside(path), Netlink(ROUTE, change.hands.counts) as within:
            change.send(within, [(sublink, marked(sublink), frozenset())])


def delete_sublinks(change: Gathering) -> None:
    """Delete interfaces while their namespace can still be entered: what goes with it goes late, and the next one may want the same MAC address."""
    for sublink in change.removed(Sublink):
        path = change.hands.namespaces.path(sublink.namespace)
        if not change.hands.namespaces.pinned(path):
            continue
        with change.step(sublink, *GONE), inside(path), Netlink(ROUTE, change.hands.counts) as within:
            change.send(within, [(sublink, rtnetlink.del_link(sublink.name), GONE)])


def delete_parents(change: Gathering) -> None:
    """Delete VLANs and dummies that bear our alias."""
    parents = change.removed(Parent)
    if parents:
        with Netlink(ROUTE, change.hands.counts) as netlink:
            there = [(parent, rtnetlink.link(netlink, parent.name)) for parent in parents]
            work: list[Work] = [(p, rtnetlink.del_link(p.name), GONE) for p, link in there if link is not None and link.alias.startswith(OURS)]
            change.send(netlink, work)
