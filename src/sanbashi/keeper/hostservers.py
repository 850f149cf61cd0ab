"""The host's own name servers, as its resolv.conf names them now."""

from __future__ import annotations

from pathlib import Path

from sanbashi.resolver.upstreams import Upstreams, nameservers

from .asking import Asking, Group

INTERVAL = 1.0  # seconds between two looks at the file


class HostServers:
    """Follows the file by its times, size and inode at each use: a watch on it would miss the symbolic links on the way to it."""

    KEY = "host"

    def __init__(self, asking: Asking, path: Path) -> None:
        self._asking, self._path = asking, path
        self._looked = float("-inf")
        self._seen: tuple[int, ...] | None = ()
        self._group = Group(self.KEY, Upstreams(()))

    @property
    def until(self) -> float:
        """When the file must be looked at again; an answer given without a look may not be older."""
        return self._looked + INTERVAL

    def group(self) -> Group:
        """The servers to ask; none where the file is missing or names none."""
        now = self._asking.loop.now()
        if now >= self.until:
            self._looked = now
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._read()
        return self._group

    def _look(self) -> tuple[int, ...] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)

    def _read(self) -> None:
        try:
            text = self._path.read_text("utf-8", "replace")
        except OSError:
            text = ""
        servers = nameservers(text)
        if servers != self._group.upstreams.servers:
            self._group = Group(self.KEY, Upstreams(servers))
            self._asking.cache.forget(self.KEY)
            self._asking.log(f"the host's name servers are {', '.join(servers) or 'none'}, because {self._path} says so")
