"""`update`: new limits and another restart policy for a container that is there; what is 0, "" or None in the wish stays as it is."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ..errors import Conflict, Invalid
from .checks import check_cpu, check_memory, check_rates
from .facts import ContainerFacts
from .model import Container, HostConfig, RestartPolicy
from .restart import check_policy

BLOCK_RATES = ("blkio_device_read_bps", "blkio_device_write_bps", "blkio_device_read_iops", "blkio_device_write_iops", "blkio_weight_device")
UPDATABLE = (
    *BLOCK_RATES,
    "blkio_weight",
    "cpu_period",
    "cpu_quota",
    "cpu_realtime_period",
    "cpu_realtime_runtime",
    "cpu_shares",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_reservation",
    "memory_swap",
    "nano_cpus",
    "pids_limit",
)


def updated(container: Container, wish: HostConfig, policy: RestartPolicy | None, facts: ContainerFacts) -> Container:
    """The container with its new limits; Conflict and Invalid in Docker's words. `policy` None leaves the restart policy."""
    host = container.host_config
    if container.state.status in ("removing", "dead"):
        raise Conflict(f"Cannot update container {container.id}: container is marked for removal and cannot be updated")
    conflicts = (
        (wish.cpu_period and host.nano_cpus, "CPU Period cannot be updated as NanoCPUs has already been set"),
        (wish.cpu_quota and host.nano_cpus, "CPU Quota cannot be updated as NanoCPUs has already been set"),
        (wish.nano_cpus and host.cpu_period, "NanoCPUs cannot be updated as CPU Period has already been set"),
        (wish.nano_cpus and host.cpu_quota, "NanoCPUs cannot be updated as CPU Quota has already been set"),
    )
    for wrong, sentence in conflicts:
        if wrong:
            raise Conflict(f"Cannot update container {container.id}: Conflicting options: {sentence}")
    if facts.swap_limit and wish.memory and wish.memory > host.memory_swap and not wish.memory_swap:
        raise Conflict(
            f"Cannot update container {container.id}: Memory limit should be smaller than already set memoryswap limit, "
            "update the memoryswap at the same time"
        )
    new = replace(host, **{name: value for name in UPDATABLE if (value := getattr(wish, name))})
    check_memory(new)
    check_cpu(new, facts)
    check_rates(new)
    if new.blkio_weight and not 10 <= new.blkio_weight <= 1000:
        raise Invalid("Range of blkio weight is from 10 to 1000")
    if not facts.block_weight:  # the caller warns of it
        new = replace(new, blkio_weight=host.blkio_weight, blkio_weight_device=host.blkio_weight_device)
    if policy is not None:
        if host.auto_remove and policy.name not in ("", "no"):
            raise Conflict(
                f"Cannot update container {container.id}: Restart policy cannot be updated because AutoRemove is enabled for the container"
            )
        check_policy(policy, auto_remove=False)
        new = replace(new, restart_policy=policy)
    return replace(container, host_config=new)


def left_alone(wish: HostConfig) -> list[str]:
    """A warning for everything that an update says and that stays as it is."""
    nothing = HostConfig()
    fields = (f for f in msgspec.structs.fields(HostConfig) if f.name not in UPDATABLE and f.name != "restart_policy")
    said = [f.encode_name for f in fields if (value := getattr(wish, f.name)) and value != getattr(nothing, f.name)]
    return [f"{name} cannot be updated; it is left as it is" for name in said]
