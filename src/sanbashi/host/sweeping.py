"""What nobody need wait for: links of containers that are gone, and sockets whose closing makes the kernel wait.

Deleting a link takes the kernel 20 to 40 ms, though nobody can see it any more after the first: it is off the lists, then its addresses, routes and
IPv4 settings go, and the kernel tells of that. The rest are RCU barriers, one of them, for a bridge, before the kernel tells of the link's end.
Closing a socket of nfnetlink right after a transaction takes 5 to 15 ms, 50 ms later nothing.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from . import rtnetlink
from .counts import Counts
from .netlink import ROUTE, Netlink, Refusal, attributes
from .watching import DELNETCONF, LINK_GROUP, NETCONF_INDEX, SETTING4_GROUP, listening, messages

log = logging.getLogger("sanbashi.host")

OURS = "sanbashi:"  # how the alias of every link of ours begins
IDLE = 5.0  # seconds without work after which the thread ends
REST = 0.06  # seconds that sockets rest, and that the kernel has to end a namespace with its links by itself: many of them at one go


class Sweeper:
    """Deletes links and closes sockets on a thread of its own, which inherits the namespace of its caller: call from the host's.

    Should the daemon die before a link is deleted, its alias still says that it is ours, and the next start removes it.
    """

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.later = Counts()  # what the thread does whenever it comes to it: in nobody's request
        self.changed = threading.Condition()
        self.links: dict[str, float] = {}  # and the time for each; both in the order of their times
        self.closings: list[tuple[float, Callable[[], None]]] = []
        self.running = False
        self.hurry = False
        self.vanishing = 0  # deletions whose links are out of sight, perhaps, and that the kernel has not ended yet

    def delete(self, link: str) -> None:
        """Delete a link soon; it must be down already."""
        with self.changed:
            self.links[link] = time.monotonic() + REST
            self.wake()

    def vanish(self, links: Sequence[int]) -> list[Refusal | None]:
        """Delete links by index; returns as soon as nobody can see them any more, with what was refused. OSError."""
        outcome: list[Refusal | None] = []
        problem: list[OSError] = []
        ours, its = socket.socketpair()

        def delete() -> None:
            try:
                with its:  # closed last: who waits for that finds all there is to know
                    try:
                        with Netlink(ROUTE, self.counts) as netlink:
                            outcome.extend(netlink.send([rtnetlink.del_link_at(index) for index in links]))
                    except OSError as error:
                        problem.append(error)
            finally:
                with self.changed:
                    self.vanishing -= 1
                    self.changed.notify_all()

        with ours, contextlib.closing(listening(ROUTE, (LINK_GROUP, SETTING4_GROUP))) as told:
            with self.changed:
                self.vanishing += 1
            threading.Thread(target=delete, name="vanish", daemon=True).start()
            left, news = set(links), select.poll()
            for source in (told, ours):
                news.register(source, select.POLLIN)
            # Where the kernel had to leave out what it told, the end of the thread tells.
            while left and all(descriptor != ours.fileno() for descriptor, _ in news.poll()):
                left -= deleted(told)
        if left and problem:
            raise problem[0]
        return outcome or [None] * len(links)

    def close(self, close: Callable[[], None]) -> None:
        """Call `close` when its socket has rested."""
        with self.changed:
            self.closings.append((time.monotonic() + REST, close))
            self.wake()

    def wake(self) -> None:
        if not self.running:
            self.running = True
            threading.Thread(target=self.work, name="sweeper", daemon=True).start()
        self.changed.notify_all()

    def settle(self, links: Iterable[str] | None = None) -> None:
        """Wait until these links are deleted, or all."""
        chosen = None if links is None else set(links)
        with self.changed:
            self.changed.wait_for(lambda: not (self.links if chosen is None else chosen & self.links.keys()))

    def finish(self) -> None:
        """Wait until nothing is left to do, without letting sockets rest."""
        with self.changed:
            self.hurry = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.links and not self.closings and not self.vanishing)
            self.hurry = False

    def work(self) -> None:
        with contextlib.ExitStack() as opened:
            netlink: Netlink | None = None
            while (task := self.next()) is not None:
                try:
                    if isinstance(task, str):
                        netlink = netlink or opened.enter_context(Netlink(ROUTE, self.later))
                        self.delete_now(netlink, task)
                    else:
                        task()
                except OSError as error:  # one that stays is removed by the daemon's next start; whoever waits for the others goes on
                    log.error("%s: %s", f"remove link {task}" if isinstance(task, str) else "close a socket", error)
                    netlink = None  # what it was told last is not known
                finally:
                    with self.changed:
                        if isinstance(task, str):
                            self.links.pop(task, None)
                        else:
                            self.closings.pop(0)
                        self.changed.notify_all()

    def next(self) -> str | Callable[[], None] | None:
        """The next link to delete or close to call, once it is time; None after a while without any."""
        end = time.monotonic() + IDLE
        with self.changed:
            while True:
                now = time.monotonic()
                link, due = next(iter(self.links.items()), ("", end))
                if link and (self.hurry or due <= now):
                    return link
                if self.closings and (self.hurry or self.closings[0][0] <= now):
                    return self.closings[0][1]
                if not link and not self.closings and now >= end:
                    self.running = False
                    return None
                self.changed.wait(min(due, self.closings[0][0] if self.closings else end) - now)

    def delete_now(self, netlink: Netlink, name: str) -> None:
        """Delete a link if it still is one of ours."""
        there = rtnetlink.link(netlink, name)
        if there is not None and there.alias.startswith(OURS):
            for refused in netlink.send([rtnetlink.del_link(name)]):
                if refused is not None and refused.errno != errno.ENODEV:
                    log.warning("remove link %s: %s", name, refused)


def deleted(told: socket.socket) -> set[int]:
    """The indexes of the links whose end has been told since, or the end of their IPv4 settings.

    A link loses those when it is off the lists: who asks with the kernel's lock held waits until it is over, who asks without does not find
    it. Only its folder in /sys/class/net stays until then.
    """
    found = set()
    for kind, _, body in messages(told):
        if kind == rtnetlink.DELLINK:
            family, _, index, _, _ = rtnetlink.LINK.unpack_from(body)
            if family != socket.AF_BRIDGE:  # else it has only left its bridge
                found.add(index)
        elif kind == DELNETCONF and (which := attributes(body, 4).get(NETCONF_INDEX)):
            found.add(int.from_bytes(which, sys.byteorder, signed=True))
    return found
