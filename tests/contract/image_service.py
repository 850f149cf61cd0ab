"""The image service over a data root of its own, with a store that is a variable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sanbashi.daemon.archiving import Archiving
from sanbashi.daemon.events import Events
from sanbashi.daemon.images import Images
from sanbashi.daemon.registries import Registries
from sanbashi.daemon.saved import Change, changed
from sanbashi.daemon.state import State


class Service:
    """`images`, `registries` and `archiving` are the services; `state` what it has committed; `messages` the progress that it told."""

    def __init__(self, root: Path, *, mirrors: Sequence[str] = (), insecure: Sequence[str] = ()) -> None:
        self.state = State()
        self.messages: list[dict[str, Any]] = []
        self.events = Events()
        self.images = Images(root, state=lambda: self.state, commit=self.commit, events=self.events)
        self.registries = Registries(self.images, mirrors=mirrors, insecure=insecure)
        self.archiving = Archiving(self.images)

    async def commit(self, changes: Sequence[Change]) -> None:
        self.state = changed(self.state, changes)

    def hear(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    def statuses(self) -> list[str]:
        return [m["status"] for m in self.messages if "status" in m]
