"""update: new limits for a container, in its control groups at once where it runs."""

from __future__ import annotations

import msgspec

from ..containers.checks import warnings
from ..containers.failure import RuntimeFailed
from ..containers.model import HostConfig, RestartPolicy
from ..containers.resources import block_devices, resources
from ..containers.updating import left_alone, updated
from ..errors import Failed
from ..host.rootfs import block_numbers
from ..records import dataclass
from .core import Core, whole
from .process import Process


@dataclass
class Updating:
    """Changes what containers may use."""

    core: Core
    process: Process

    @whole
    async def update(self, ref: str, wish: HostConfig, policy: RestartPolicy | None) -> list[str]:
        """`POST /update`: the warnings."""
        core, facts = self.core, self.process.facts
        container = core.find_container(ref)
        async with core.locked(container.id):
            container = core.find_container(container.id)
            after = updated(container, wish, policy, facts)
            numbers = await core.on_host(lambda: {path: block_numbers(path) for path in block_devices(after.host_config)})
            limits = resources(after.host_config, (), facts, numbers)
            del limits["devices"]
            if limits and container.state.status in ("running", "paused"):
                try:
                    await self.process.runtime(container).update(container.id, limits)
                except RuntimeFailed as error:
                    raise Failed(f"Cannot update container {container.id}: {error.message}") from error
            await core.put(after)
        core.tell_container("update", after)
        weighed = msgspec.structs.replace(after.host_config, blkio_weight=wish.blkio_weight, blkio_weight_device=wish.blkio_weight_device)
        return [*warnings(after.config, weighed, facts), *left_alone(wish)]
