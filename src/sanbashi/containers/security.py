"""--security-opt as values: what a container may not do beyond its capabilities."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Invalid
from ..records import dataclass

UNCONFINED = "unconfined"
# What of /proc and /sys a container does not see, and what it sees and cannot write (Docker's lists).
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Security:
    """`seccomp` "" is the default profile, "unconfined" none, otherwise a profile's JSON; `apparmor` "" is the default."""

    no_new_privileges: bool = False
    seccomp: str = ""
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    writable_cgroups: bool = False


def parse_security(options: Iterable[str] | None) -> Security:
    """Invalid in Docker's words where an option is unknown. `key=value`; the older `key:value` still counts."""
    no_new_privileges, seccomp, apparmor, writable = False, "", "", False
    labels: list[str] = []
    for option in options or ():
        if option == "no-new-privileges":
            no_new_privileges = True
            continue
        if option == "disable":
            labels.append("disable")
            continue
        key, separator, value = option.partition("=") if "=" in option else option.partition(":")
        if not separator:
            raise Invalid(f'invalid --security-opt 1: "{option}"')
        if key == "label":
            labels.append(value)
        elif key == "apparmor":
            apparmor = value
        elif key == "seccomp":
            seccomp = value if value != "builtin" else ""
        elif key == "no-new-privileges":
            no_new_privileges = boolean(value, option)
        elif key == "writable-cgroups":
            writable = boolean(value, option)
        else:
            raise Invalid(f'invalid --security-opt 2: "{option}"')
    return Security(no_new_privileges, seccomp, apparmor, tuple(labels), writable)


def boolean(value: str, option: str) -> bool:
    """Go's strconv.ParseBool."""
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise Invalid(f'invalid --security-opt 2: "{option}"')
