"""Whether bridged packets pass the IP hooks (br_netfilter): others change it, nothing tells of that, so it is looked at where it matters."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import field, replace

from ..errors import SanbashiError
from ..records import dataclass
from .core import Core
from .loop import Loop, Slice

log = logging.getLogger("sanbashi.drift")


@dataclass
class BridgeFilter:
    """Has what is published on ::1, and what a container says to itself by a published port, follow the setting."""

    core: Core
    loop: Loop
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def look(self, *, both: bool = False) -> None:
        """Take in what the setting is now; one file is read where it has not changed, another where `both` settings are asked for.

        New endpoints are made for it at once; those that stand stay as they are until each has been changed under its lock.
        """
        kernel, facts = self.core.kernel, self.core.network_facts
        six = kernel.filters_bridges(6)
        if six == facts.br_netfilter6 and not both:
            return
        four = kernel.filters_bridges(4)
        if (four, six) == (facts.br_netfilter, facts.br_netfilter6):
            return
        log.warning("bridged packets pass the IP hooks: %s for IPv4, %s for IPv6 from now on", *("yes" if v else "no" for v in (four, six)))
        for sandbox in self.core.state.network.sandboxes:
            self.loop.behind.setdefault(sandbox, (facts.br_netfilter, facts.br_netfilter6))
        self.core.facts = replace(self.core.facts, br_netfilter=four, br_netfilter6=six)
        self.core.network_facts = replace(facts, br_netfilter=four, br_netfilter6=six)
        task = asyncio.get_running_loop().create_task(self.follow())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def follow(self) -> None:
        """Each sandbox that was made for what the setting was, to what it is; a failure is logged and the rest goes on."""
        core = self.core
        for id_ in list(self.loop.behind):
            sandbox = core.state.network.sandboxes.get(id_)
            if sandbox is None:
                self.loop.behind.pop(id_, None)
                continue
            async with core.locked(sandbox.container_id):
                part = Slice(sandboxes=[id_])
                before = self.loop.picture(core.state.network, part)
                self.loop.behind.pop(id_, None)
                if before == self.loop.picture(core.state.network, part):
                    continue
                try:
                    await self.loop.mend(part, before)
                except SanbashiError as error:
                    log.error("what is published does not follow: %s", error.message)
