"""Settings of the network under /proc/sys that others change: told of as they are written (inotify(7)), and looked at where somebody asks.

Who writes through another /proc, from within a pid namespace of its own, is not told of.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Container, Iterable, Iterator

from ..errors import StepFailed
from . import sysctl
from .counts import Counts
from .inotify import IN_MODIFY, add, events, opened
from .mounts import libc

log = logging.getLogger("sanbashi.drift")

BRIDGE_FILTERS = ("net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables")
CONF = "net/ipv4/conf"
NO_LINKS = ("all", "default", "lo")


class SettingWatch:
    """Calls `written(path, value)` in the loop for every setting that somebody wrote to; close it with `close`."""

    def __init__(self, written: Callable[[str, str | None], None]) -> None:
        self._written = written
        self._counts = Counts()
        self._loop = asyncio.get_running_loop()
        self._descriptor = opened("watch settings")
        self._numbers: dict[str, int] = {}
        self._paths: dict[int, str] = {}
        self._loop.add_reader(self._descriptor, self._read)

    def only(self, paths: Iterable[str]) -> None:
        """Watch these and no others. What is not there is left out, and tried again with the next call."""
        wanted = set(paths)
        for path in self._numbers.keys() - wanted:
            self._forget(path)
        self.again(wanted - self._numbers.keys())

    def again(self, paths: Iterable[str]) -> None:
        """Watch these, which may have been made anew, too."""
        for path in paths:
            try:
                number = add(self._descriptor, sysctl.ROOT / path, IN_MODIFY)
            except StepFailed as error:
                if error.errno != errno.ENOENT:
                    log.warning("changes of %s by others will not be noticed: %s", path, error.stderr)
                continue
            if self._numbers.get(path, number) != number:
                self._forget(path)
            self._numbers[path], self._paths[number] = number, path

    def _forget(self, path: str) -> None:
        number = self._numbers.pop(path)
        del self._paths[number]
        libc.inotify_rm_watch(self._descriptor, number)  # refused where the setting has gone, and the watch with it

    def _read(self) -> None:
        found = dict.fromkeys(number for number, _, _ in events(self._descriptor))
        for path in [self._paths[number] for number in found if number in self._paths]:
            self._written(path, sysctl.read(path, self._counts))

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def route_localnet(link: str) -> str:
    """The setting that lets a published port on 127.0.0.1 be translated to what is behind a link."""
    return f"{CONF}/{link}/route_localnet"


def turn_forwarding_on(link: str, counts: Counts) -> Iterator[str]:
    """IPv4 forwarding of one link, where it is off while it is on for all; in words. OSError."""
    path = f"{CONF}/{link}/forwarding"
    if sysctl.read(path, counts) == "0":
        sysctl.write(path, "1")
        yield f"forwarding of {link}"


def not_forwarding(ours: Container[str], counts: Counts) -> tuple[str, ...]:
    """A sentence for each link of the host's own of which IPv4 forwarding is off: that is the administrator's, and keeps its packets from containers.

    Ends of veth pairs are left out: they are in bridges, which forward by themselves.
    """
    links = sorted(name for name in os.listdir(sysctl.ROOT / CONF) if name not in NO_LINKS and name not in ours and not name.startswith("veth"))  # noqa: PTH208
    return tuple(
        f"IPv4 forwarding of {link} is off: nothing that comes in there reaches a container, not even an answer; to let it run: "
        f"sysctl -w {CONF}/{link}/forwarding=1"
        for link in links
        if sysctl.read(f"{CONF}/{link}/forwarding", counts) == "0"
    )
