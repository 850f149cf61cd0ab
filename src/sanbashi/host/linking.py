"""Bridges and veth pairs: made, adopted, changed in place, deleted."""

from __future__ import annotations

import errno
import hashlib
import os
import time

from ..network.model import carries_ipv6
from ..network.picture import Bridge, Up, Veth
from . import rtnetlink, sysctl
from .gathering import GONE, Gathering, NoBridge, Work, exists
from .namespaces import inside
from .netlink import ROUTE, Netlink
from .sweeping import OURS

DEFAULT_MTU = 1500
CARRIER_PATIENCE = 0.5  # seconds


def create_bridges(change: Gathering) -> None:
    """Make the bridges that come, or bring those that are there to what is wished."""
    bridges = change.adding(Bridge)
    if not bridges:
        return
    change.hands.sweeper.settle(b.name for b in bridges)
    for bridge in bridges:
        there = rtnetlink.link(change.host, bridge.name)
        if there is not None:
            adopt(change, change.host, bridge, there)
        elif bridge.adopted:
            raise change.fail(bridge, errno.ENODEV, f"there is no bridge {bridge.name}")
        else:
            make_bridge(change, change.host, bridge)


def make_bridge(change: Gathering, netlink: Netlink, bridge: Bridge) -> None:
    """A new bridge with its label in one send, so that none is ever without, be it one whose MTU the kernel then refuses."""
    mac = rtnetlink.mac_bytes(bridge.mac) if bridge.mac else mac_from(bridge.alias)
    messages = [rtnetlink.new_bridge(bridge.name, mac), rtnetlink.set_link(bridge.name, alias=bridge.alias)]
    messages += [rtnetlink.set_link(bridge.name, mtu=bridge.mtu)] if bridge.mtu else []
    speaks6 = change.hands.ipv6 and carries_ipv6(bridge.mtu)
    messages += [rtnetlink.no_link_local(bridge.name)] if speaks6 else []
    change.send(netlink, [(bridge, message, frozenset()) for message in messages])
    if speaks6:
        with change.step(bridge):
            sysctl.write(f"net/ipv6/conf/{bridge.name}/accept_ra", "0")
        change.fresh.append((bridge, mac))


def adopt(change: Gathering, netlink: Netlink, bridge: Bridge, there: rtnetlink.Link) -> None:
    """A bridge that is there already: ours is brought to what is wished, one to adopt is left as it is, any other is refused."""
    if there.kind != "bridge":
        raise NoBridge(bridge.name, there.kind)
    if bridge.adopted:
        return
    if not there.alias.startswith(OURS):
        hint = f"choose another name for the bridge, or remove this one: ip link delete {bridge.name}"
        raise change.fail(bridge, errno.EEXIST, f"a bridge {bridge.name} exists and is not ours", hint)
    mtu = bridge.mtu or DEFAULT_MTU
    if there.alias != bridge.alias or there.mtu != mtu:
        change.send(netlink, [(bridge, rtnetlink.set_link(bridge.name, alias=bridge.alias, mtu=mtu), frozenset())])


def create_veths(change: Gathering) -> None:
    """Make the veth pairs that come, peers straight in their namespaces, labels in the same send."""
    veths = change.adding(Veth)
    if not veths:
        return
    change.hands.sweeper.settle(v.name for v in veths)
    work: list[Work] = []
    made: list[Veth] = []
    opened: list[int] = []
    wanted = {(v.namespace, v.peer) for v in veths}
    in_the_way: list[Work] = [(v, rtnetlink.del_link(v.name), GONE) for v in change.removed(Veth) if (v.namespace, v.peer) in wanted]
    try:
        change.send(change.host, in_the_way)
        for veth in veths:
            if exists(veth.name) and settled(change, change.host, veth):
                continue
            with change.step(veth):
                opened.append(os.open(change.hands.namespaces.path(veth.namespace), os.O_RDONLY | os.O_CLOEXEC))
            master = change.index(veth, veth.master)
            new = rtnetlink.new_veth(veth.name, master, veth.peer, rtnetlink.mac_bytes(veth.mac), opened[-1], veth.mtu)
            label = rtnetlink.set_link(veth.name, alias=veth.alias, hairpin=True if veth.hairpin else None)
            work += [(veth, new, frozenset()), (veth, label, frozenset())]
            made.append(veth)
        change.send(change.host, work)
        for veth in made:
            if change.hands.ipv6 and carries_ipv6(veth.mtu):
                # A bridge's port needs no addresses, and those of each would be routes that the kernel goes through whenever a link comes or goes.
                with change.step(veth):
                    sysctl.write_apart(f"net/ipv6/conf/{veth.name}/disable_ipv6", "1")
    finally:
        for descriptor in opened:
            os.close(descriptor)


def settled(change: Gathering, netlink: Netlink, veth: Veth) -> bool:
    """Whether a link of this name is the wished one, made so where that is possible; one of ours that cannot be is deleted."""
    there = rtnetlink.link(netlink, veth.name)
    if there is None:
        return False
    if not there.alias.startswith(OURS):
        raise change.fail(veth, errno.EEXIST, f"a link {veth.name} exists and is not ours")
    path = change.hands.namespaces.path(veth.namespace)
    with change.step(veth), inside(path), Netlink(ROUTE, change.hands.counts) as within:
        peer = rtnetlink.link(within, veth.peer)
        same = peer is not None and (peer.index, peer.peer, peer.mac) == (there.peer, there.index, veth.mac)
        mtu = veth.mtu or DEFAULT_MTU
        # Where only the container's end differs, its MTU is a lease's, which is not ours to undo.
        if same and peer is not None and peer.mtu != mtu and (veth.mtu or there.mtu != mtu):
            change.send(within, [(veth, rtnetlink.set_link(veth.peer, mtu=mtu), frozenset())])
    if not same:
        change.send(netlink, [(veth, rtnetlink.del_link(veth.name), GONE)])
        return False
    master = change.index(veth, veth.master)
    new = [rtnetlink.set_link(veth.name, alias=veth.alias, mtu=mtu if mtu != there.mtu else 0, hairpin=veth.hairpin)]
    if master != there.master:
        # First, and by itself: a link that is no port yet takes no setting of a port.
        new.insert(0, rtnetlink.set_link(veth.name, master=master))
    change.send(netlink, [(veth, message, frozenset()) for message in new])
    return True


def await_carriers(change: Gathering) -> None:
    """Wait until both ends of the pairs that have just been let talk send what they are given.

    Of a pair the end that came up first begins its queue only when the kernel's worker for carriers gets to it, and a bridge's port forwards no
    sooner; until then every packet is dropped, the answer to an ARP question among them, which is asked again a second later. On newer kernels a
    look at the link has that work done at once (seen on 6.18). An end that takes longer than CARRIER_PATIENCE comes by itself.
    """
    begun = {up.link for up in change.adding(Up) if not up.namespace and up.endpoint}
    veths = [veth for veth in change.adding(Veth) if veth.name in begun]
    if not veths:
        return
    deadline = time.monotonic() + CARRIER_PATIENCE
    for veth in veths:
        await_carrier(change.host, veth.name, deadline)
    for veth in veths:
        with change.step(veth, *GONE):
            await_carrier(change.within(veth.namespace), veth.peer, deadline)


def await_carrier(netlink: Netlink, name: str, deadline: float) -> None:
    """Look at a link until it runs, is gone, or the time (of the monotonic clock) is over."""
    while (link := rtnetlink.link(netlink, name)) is not None and not link.running and time.monotonic() < deadline:
        time.sleep(0.001)


def delete_links(change: Gathering) -> None:
    """Only a link that bears our alias is deleted: one of the same name that somebody made since is left alone.

    One whose namespace goes too is left to the sweeper: it is down, has no rules, and its end takes the kernel 20 to 40 ms. Of the others
    we wait until they are out of sight.
    """
    links: list[Veth | Bridge] = [*change.removed(Veth), *(b for b in change.removed(Bridge) if not b.adopted)]
    if not links:
        return
    change.hands.falling.update(item.name for item in links)
    dying = {v.name for v in change.removed(Veth) if v.namespace in change.doomed_namespaces}
    there: list[tuple[Veth | Bridge, int]] = []
    for item in links:
        if item.name in dying:
            change.hands.sweeper.delete(item.name)
            continue
        link = rtnetlink.link(change.host, item.name)
        if link is not None and link.alias.startswith(OURS):
            there.append((item, link.index))
    if there:
        for (item, _), refused in zip(there, change.hands.sweeper.vanish([index for _, index in there]), strict=True):
            change.judge(item, refused, GONE)


def mac_from(alias: str) -> bytes:
    """A locally administered unicast address that follows from a network: a bridge made anew is still the one that containers have in mind."""
    octets = hashlib.sha256(alias.encode()).digest()[:6]
    return bytes([octets[0] & 0xFC | 0x02]) + octets[1:]
