"""Which capabilities a container has (capabilities(7)), by Docker's rules for --cap-add, --cap-drop and --privileged."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Invalid

# linux/capability.h, in the order of their numbers.
KERNEL = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW
    IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD
    LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
DOCKER = """
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE
"""
EVERY = tuple(f"CAP_{name}" for name in KERNEL.split())
DEFAULT = tuple(f"CAP_{name}" for name in DOCKER.split())
ALL = "ALL"


def spelled(name: str, field: str) -> str:
    """`net_admin`, `CAP_NET_ADMIN` -> CAP_NET_ADMIN; ALL stays; Invalid for what no kernel has."""
    upper = name.strip().upper()
    if upper in (ALL, "CAP_ALL"):
        return ALL
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in EVERY:
        raise Invalid(f'invalid {field}: unknown capability: "{full}"')
    return full


def normalised(names: Iterable[str] | None, field: str) -> tuple[str, ...] | None:
    """A list as inspect shows it: ALL alone where it is named, otherwise sorted full names."""
    if names is None:
        return None
    full = sorted({spelled(name, field) for name in names})
    return (ALL,) if ALL in full else tuple(full)


def granted(add: Iterable[str] | None, drop: Iterable[str] | None, *, privileged: bool, available: frozenset[str]) -> tuple[str, ...]:
    """The capabilities of a container, in the kernel's order; Invalid where one is asked for that the daemon itself has not."""
    if privileged:
        return tuple(name for name in EVERY if name in available)
    adds = {spelled(name, "CapAdd") for name in add or ()}
    drops = {spelled(name, "CapDrop") for name in drop or ()}
    for name in sorted(adds - {ALL}):
        if name not in available:
            raise Invalid(f'invalid CapAdd: capability not supported by your kernel or not available in the current environment: "{name}"')
    if ALL in adds:
        given = set(available) - drops if ALL not in drops else set(adds)
    elif ALL in drops:
        given = adds
    else:
        given = (set(DEFAULT) - drops) | adds
    return tuple(name for name in EVERY if name in given and name in available)
