"""A container's limits: HostConfig -> linux.resources of the OCI specification; the runtime writes v1 or v2 files from the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import immutables

from .facts import ContainerFacts, Device
from .model import HostConfig
from .options import ThrottleDevice, WeightDevice

Numbers = Mapping[str, tuple[int, int]]  # path of a block device -> (major, minor)

PERIOD = 100_000  # microseconds: the scheduler's own period, in which --cpus is measured
DEFAULT_DEVICES: tuple[dict[str, Any], ...] = (
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "access": "m"},  # a node may be made; opening it is another matter
    {"allow": True, "type": "b", "access": "m"},
    *(
        {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}
        for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))  # null zero full random urandom tty ptmx
    ),
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},  # /dev/pts/*
)


def resources(host: HostConfig, devices: Sequence[Device], facts: ContainerFacts, numbers: Numbers = immutables.Map()) -> dict[str, Any]:
    """Only what was asked for, so that a host without a controller runs containers that ask for nothing of it.

    `numbers` are those of the block devices that `host` names.
    """
    result: dict[str, Any] = {"devices": device_rules(host, devices)}
    for name, part in (("memory", memory(host, facts)), ("cpu", cpu(host)), ("blockIO", block_io(host, numbers))):
        if part:
            result[name] = part
    if host.pids_limit:
        result["pids"] = {"limit": host.pids_limit if host.pids_limit > 0 else -1}
    return result


def device_rules(host: HostConfig, devices: Sequence[Device]) -> list[dict[str, Any]]:
    """Who may use which device node."""
    if host.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = list(DEFAULT_DEVICES)
    rules += [{"allow": True, "type": d.kind, "major": d.major, "minor": d.minor, "access": d.access} for d in devices]
    for word in host.device_cgroup_rules or ():
        kind, numbers, access = word.split(" ")
        major, _, minor = numbers.partition(":")
        entry: dict[str, Any] = {"allow": True, "type": kind, "access": access}
        entry |= {key: int(value) for key, value in (("major", major), ("minor", minor)) if value != "*"}
        rules.append(entry)
    return rules


def memory(host: HostConfig, facts: ContainerFacts) -> dict[str, Any]:
    """Bytes; memory and swap together are twice the memory where the user said nothing of swap."""
    part: dict[str, Any] = {}
    if host.memory > 0:
        part["limit"] = host.memory
        if facts.swap_limit and host.memory_swap == 0:
            part["swap"] = 2 * host.memory
    if host.memory_swap != 0 and facts.swap_limit:
        part["swap"] = host.memory_swap
    if host.memory_reservation > 0:
        part["reservation"] = host.memory_reservation
    if facts.cgroup == "v1":
        if host.memory_swappiness is not None and host.memory_swappiness >= 0:
            part["swappiness"] = host.memory_swappiness
        if host.oom_kill_disable:
            part["disableOOMKiller"] = True
    return part


def cpu(host: HostConfig) -> dict[str, Any]:
    """Shares, quota and which processors."""
    part: dict[str, Any] = {}
    if host.nano_cpus > 0:
        part |= {"period": PERIOD, "quota": host.nano_cpus * PERIOD // 1_000_000_000}
    values = {
        "shares": host.cpu_shares,
        "period": host.cpu_period,
        "quota": host.cpu_quota,
        "cpus": host.cpuset_cpus,
        "mems": host.cpuset_mems,
        "realtimePeriod": host.cpu_realtime_period,
        "realtimeRuntime": host.cpu_realtime_runtime,
    }
    return part | {name: value for name, value in values.items() if value}


def block_io(host: HostConfig, numbers: Numbers) -> dict[str, Any]:
    """Weights, and rates by device."""
    part: dict[str, Any] = {"weight": host.blkio_weight} if host.blkio_weight else {}
    lists: dict[str, tuple[Sequence[WeightDevice | ThrottleDevice] | None, str]] = {
        "weightDevice": (host.blkio_weight_device, "weight"),
        "throttleReadBpsDevice": (host.blkio_device_read_bps, "rate"),
        "throttleWriteBpsDevice": (host.blkio_device_write_bps, "rate"),
        "throttleReadIOPSDevice": (host.blkio_device_read_iops, "rate"),
        "throttleWriteIOPSDevice": (host.blkio_device_write_iops, "rate"),
    }
    for name, (devices, key) in lists.items():
        if devices:
            part[name] = [{"major": numbers[d.path][0], "minor": numbers[d.path][1], key: getattr(d, key)} for d in devices]
    return part


def block_devices(host: HostConfig) -> set[str]:
    """The paths of the block devices whose use is limited."""
    lists: tuple[Sequence[WeightDevice | ThrottleDevice] | None, ...] = (
        host.blkio_weight_device,
        host.blkio_device_read_bps,
        host.blkio_device_write_bps,
        host.blkio_device_read_iops,
        host.blkio_device_write_iops,
    )
    return {device.path for devices in lists for device in devices or ()}
