"""The restarts that a policy asks for: whether, after which delay, and the tasks that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import field

from ..containers.model import Container
from ..containers.restart import RestartDecision, decide_restart
from ..records import dataclass
from .core import age


@dataclass
class Restarts:
    """What waits for its restart, by container."""

    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    closing: bool = False

    def decide(self, container: Container, code: int) -> RestartDecision:
        """What its policy says of a container that ended with `code`."""
        if self.closing:
            return RestartDecision(restart=False)
        return decide_restart(
            container.host_config.restart_policy,
            exit_code=code,
            restart_count=container.restart_count,
            ran_for=age(container.state.started_at),
            last_delay=self.delays.get(container.id, 0.0),
            stopped_by_user=container.stopped_by_user,
        )

    def schedule(self, container_id: str, decision: RestartDecision, restart: Callable[[str], Awaitable[None]]) -> None:
        """Have `restart` called after the delay."""
        self.delays[container_id] = decision.delay
        self.tasks[container_id] = asyncio.get_running_loop().create_task(self.later(container_id, decision.delay, restart))

    @staticmethod
    async def later(container_id: str, delay: float, restart: Callable[[str], Awaitable[None]]) -> None:
        await asyncio.sleep(delay)
        await restart(container_id)

    def cancel(self, container_id: str) -> None:
        """It is not restarted; the delay is remembered."""
        if (task := self.tasks.pop(container_id, None)) is not None:
            task.cancel()

    def forget(self, container_id: str) -> None:
        """The next restart is the first again."""
        self.delays.pop(container_id, None)
