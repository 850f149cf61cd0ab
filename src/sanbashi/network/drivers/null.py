"""The null driver: a namespace with lo alone; nothing is made beside it."""

from __future__ import annotations

from .driver import Driver

NULL = Driver(name="null", single=True)
