"""What others took from links of ours and no step of a plan gives back: a link's name, and the routes that came with its addresses."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from . import rtnetlink
from .netlink import Message, Netlink
from .sweeping import OURS


def connect(netlink: Netlink, name: str) -> Iterator[str]:
    """Routes to the subnets of a link's addresses where there are none; each in words. The kernel makes them once, with the address. OSError."""
    link = rtnetlink.link(netlink, name)
    if link is None or not link.up:
        return
    there = {route.to for route in rtnetlink.routes(netlink, table=rtnetlink.TABLES["main"], index=link.index, protocol=0)}
    for held in list(rtnetlink.addresses(netlink, link.index)):  # heard to its end before anything else is asked on this socket
        subnet = held.address.network
        if subnet not in there and subnet.num_addresses > 1:
            there.add(subnet)
            carry_out(netlink, rtnetlink.connected(link.index, held.address), errno.EEXIST)
            yield f"route {subnet} dev {name}"


def rename(netlink: Netlink, now: str, before: str) -> bool:
    """Give a link of ours that somebody renamed its name back, or delete it where another has been made in its place meanwhile.

    False where it is not ours, or has gone, or the name is somebody else's by now. OSError.
    """
    link, there = rtnetlink.link(netlink, now), rtnetlink.link(netlink, before)
    if link is None or not link.alias.startswith(OURS):
        return False
    if there is not None:
        if there.alias == link.alias:
            carry_out(netlink, rtnetlink.del_link_at(link.index))
        return there.alias == link.alias
    try:
        carry_out(netlink, rtnetlink.rename(link.index, before))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # Kernels before 6.2 rename no link that is up.
        carry_out(netlink, rtnetlink.set_link(now, up=False))
        name = now
        try:
            carry_out(netlink, rtnetlink.rename(link.index, before))
            name = before
        finally:
            carry_out(netlink, rtnetlink.set_link(name, up=True))
    return True


def carry_out(netlink: Netlink, message: Message, *fine: int) -> None:
    """Send one message; OSError where it is refused for another reason than the fine ones."""
    for refused in netlink.send([message]):
        if refused is not None and refused.errno not in fine:
            raise OSError(refused.errno, str(refused))
