"""Settings that others write: what is published on 127.0.0.1 and on ::1 follows at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from ..errors import StepFailed
from ..host.settings import BRIDGE_FILTERS, SettingWatch, route_localnet
from ..host.watching import Noticed
from ..records import dataclass
from .bridgefilter import BridgeFilter
from .core import Core

log = logging.getLogger("sanbashi.drift")


@dataclass
class Settings:
    """Watches br_netfilter's settings and one of each bridge of ours; what is to be mended goes to `mend`."""

    core: Core
    bridge_filter: BridgeFilter
    mend: Callable[[Noticed], None]
    watch: SettingWatch | None = None
    followed: object = None  # the networks whose settings are watched

    def open(self) -> None:
        """Begin to watch."""
        try:
            self.watch = SettingWatch(self.written)
        except StepFailed as error:
            log.warning("settings that others change will not be noticed: %s", error.stderr)
        self.follow()

    def close(self) -> None:
        """Watch no more."""
        if self.watch is not None:
            self.watch.close()
            self.watch = None

    def follow(self) -> None:
        """Watch the settings of the networks that there are now; next to nothing where they are those of before."""
        networks = self.core.state.network.networks
        if self.watch is not None and networks is not self.followed:
            self.followed = networks
            self.watch.only((*BRIDGE_FILTERS, *(route_localnet(n.bridge) for n in networks.values() if n.bridge)))

    def made_anew(self, bridges: Iterable[str]) -> None:
        """These bridges may be others than before, with settings of their own."""
        if self.watch is not None:
            self.watch.again(map(route_localnet, bridges))

    def written(self, path: str, value: str | None) -> None:
        """Somebody wrote a setting, we ourselves among them."""
        if path in BRIDGE_FILTERS:
            self.bridge_filter.look(both=True)
        elif value == "0":
            self.mend(Noticed("link", path.split("/")[3]))
