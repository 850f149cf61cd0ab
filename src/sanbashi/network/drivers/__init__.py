"""Pure: one network driver a file, joined in one table."""

from __future__ import annotations

from collections.abc import Mapping

from .bridge import BRIDGE
from .driver import Driver, Joined
from .host import HOST
from .ipvlan import IPVLAN
from .macvlan import MACVLAN
from .null import NULL

DRIVERS: Mapping[str, Driver] = {driver.name: driver for driver in (BRIDGE, HOST, IPVLAN, MACVLAN, NULL)}

__all__ = ["DRIVERS", "Driver", "Joined"]
