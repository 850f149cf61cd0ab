"""Readings of a container as `stats` shows them."""

from __future__ import annotations

from typing import Any

from ..containers.model import Container
from ..containers.usage import CpuUsage, Usage
from .messages import Version
from .times import ZERO, rfc3339

LISTS = (
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)


def usage_json(container: Container, before: Usage | None, now: Usage | None, version: Version) -> dict[str, Any]:
    """One object of the stream; that of a container that does not run has zeros and no networks."""
    document: dict[str, Any] = {
        "id": container.id,
        "name": f"/{container.name}",
        **({"os_type": "linux"} if version >= (1, 52) else {}),
        "read": rfc3339(now.read) if now else ZERO,
        "cpu_stats": cpu_json(now.cpu if now else CpuUsage()),
        "memory_stats": memory_json(now) if now else {},
    }
    if now is not None and now.networks:
        document["networks"] = {name: dict(counters) for name, counters in now.networks.items()}
    pids = {"current": now.pids, **({"limit": now.pids_limit} if now.pids_limit else {})} if now else {}
    blocks = now.blocks if now else {}
    return document | {
        "pids_stats": pids,
        "blkio_stats": {
            name: [{"major": b.major, "minor": b.minor, "op": b.op, "value": b.value} for b in blocks[name]] if name in blocks else None
            for name in LISTS
        },
        "num_procs": 0,
        "storage_stats": {},
        "preread": rfc3339(before.read) if before else ZERO,
        "precpu_stats": cpu_json(before.cpu if before else CpuUsage()),
    }


def cpu_json(cpu: CpuUsage) -> dict[str, Any]:
    """Times in nanoseconds."""
    usage: dict[str, Any] = {"total_usage": cpu.total}
    if cpu.percpu is not None:
        usage["percpu_usage"] = list(cpu.percpu)
    return {
        "cpu_usage": {**usage, "usage_in_kernelmode": cpu.kernel, "usage_in_usermode": cpu.user},
        **({"system_cpu_usage": cpu.system, "online_cpus": cpu.online} if cpu.system else {}),
        "throttling_data": {"periods": cpu.periods, "throttled_periods": cpu.throttled_periods, "throttled_time": cpu.throttled_time},
    }


def memory_json(now: Usage) -> dict[str, Any]:
    """Bytes; what v2 does not count is left out."""
    memory = now.memory
    return {
        "usage": memory.usage,
        **({"max_usage": memory.peak} if memory.peak is not None else {}),
        "stats": dict(memory.details),
        **({"failcnt": memory.failures} if memory.failures is not None else {}),
        "limit": memory.limit,
    }
