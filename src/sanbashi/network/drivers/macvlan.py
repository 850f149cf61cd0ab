"""The macvlan driver: each container has a MAC address of its own on the host's network."""

from __future__ import annotations

from .parented import driver

MACVLAN = driver("macvlan", own_macs=True)
