"""The ipvlan driver: containers share the parent's MAC address and are told apart by their addresses."""

from __future__ import annotations

from .parented import driver

IPVLAN = driver("ipvlan", own_macs=False)
