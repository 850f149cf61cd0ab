"""The host driver: containers share the host's own network namespace; nothing is made."""

from __future__ import annotations

from .driver import Driver

HOST = Driver(name="host", single=True)
