"""What a container uses: the kernel's own texts (control group files of v1 and v2, /proc/net/dev) become one Usage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from ..records import dataclass

MICROSECOND = 1000  # nanoseconds
UNLIMITED = 1 << 62  # bytes; v1 says "no limit" by numbers near 2^63

# Columns of /proc/net/dev, received then sent, whose names Docker uses.
COLUMNS = {0: "rx_bytes", 1: "rx_packets", 2: "rx_errors", 3: "rx_dropped", 8: "tx_bytes", 9: "tx_packets", 10: "tx_errors", 11: "tx_dropped"}


@dataclass(frozen=True, slots=True)
class BlockCount:
    """A count of one kind of operation on one device."""

    major: int
    minor: int
    op: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuUsage:
    """Times in nanoseconds since the container began; `system` is the whole machine's, over all its processors."""

    total: int = 0
    user: int = 0
    kernel: int = 0
    percpu: tuple[int, ...] | None = None  # v1 alone counts so
    system: int = 0
    online: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUsage:
    """Bytes. `peak` and `failures` None where the kernel does not count them (v2)."""

    usage: int = 0
    limit: int = 0
    peak: int | None = None
    failures: int | None = None
    details: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One reading; `read` in nanoseconds since the epoch. `pids_limit` 0 is none. `networks` by interface as the container names it."""

    read: int
    cpu: CpuUsage = CpuUsage()
    memory: MemoryUsage = MemoryUsage()
    pids: int = 0
    pids_limit: int = 0
    blocks: Mapping[str, tuple[BlockCount, ...]] = field(default_factory=dict)  # Docker's name of a list -> its counts
    networks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def number(text: str) -> int:
    """A file with one number; 0 where it is empty, "max" or not there."""
    text = text.strip()
    return int(text) if text.isdigit() else 0


def table(text: str) -> dict[str, int]:
    """Lines of `name value`."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def network_counters(text: str) -> dict[str, dict[str, int]]:
    """/proc/<pid>/net/dev, loopback left out."""
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines()[2:]:
        name, colon, rest = line.partition(":")
        values = rest.split()
        if colon and name.strip() != "lo" and len(values) >= 12:
            found[name.strip()] = {label: int(values[column]) for column, label in COLUMNS.items()}
    return found


def machine_time(text: str, tick: int) -> tuple[int, int]:
    """/proc/stat: (nanoseconds that all processors have lived, how many are online). `tick` is ticks a second."""
    lines = text.splitlines()
    # user nice system idle iowait irq softirq steal, as Docker adds them up; guest time is in user's already
    values = [int(word) for word in lines[0].split()[1:9]] if lines else [0]
    return sum(values) * 1_000_000_000 // tick, sum(line.startswith("cpu") and line[3:4].isdigit() for line in lines)


def cpu_v2(files: Mapping[str, str], system: int, online: int) -> CpuUsage:
    """cpu.stat, which counts microseconds."""
    values = table(files.get("cpu.stat", ""))
    return CpuUsage(
        total=values.get("usage_usec", 0) * MICROSECOND,
        user=values.get("user_usec", 0) * MICROSECOND,
        kernel=values.get("system_usec", 0) * MICROSECOND,
        system=system,
        online=online,
        periods=values.get("nr_periods", 0),
        throttled_periods=values.get("nr_throttled", 0),
        throttled_time=values.get("throttled_usec", 0) * MICROSECOND,
    )


def cpu_v1(files: Mapping[str, str], system: int, online: int, tick: int) -> CpuUsage:
    """cpuacct's files, and cpu.stat of the cpu controller."""
    split = table(files.get("cpuacct.stat", ""))
    quota = table(files.get("cpu.stat", ""))
    return CpuUsage(
        total=number(files.get("cpuacct.usage", "")),
        user=split.get("user", 0) * 1_000_000_000 // tick,
        kernel=split.get("system", 0) * 1_000_000_000 // tick,
        percpu=tuple(int(word) for word in files.get("cpuacct.usage_percpu", "").split()) or None,
        system=system,
        online=online,
        periods=quota.get("nr_periods", 0),
        throttled_periods=quota.get("nr_throttled", 0),
        throttled_time=quota.get("throttled_time", 0),
    )


def memory_v2(files: Mapping[str, str], machine: int) -> MemoryUsage:
    """Without a limit the machine's memory is the limit, as Docker says."""
    limit = number(files.get("memory.max", ""))
    return MemoryUsage(usage=number(files.get("memory.current", "")), limit=limit or machine, details=table(files.get("memory.stat", "")))


def memory_v1(files: Mapping[str, str], machine: int) -> MemoryUsage:
    """As memory_v2, with the peak and the failures that v1 counts."""
    limit = number(files.get("memory.limit_in_bytes", ""))
    return MemoryUsage(
        usage=number(files.get("memory.usage_in_bytes", "")),
        limit=min(limit, machine) if 0 < limit < UNLIMITED else machine,
        peak=number(files.get("memory.max_usage_in_bytes", "")),
        failures=number(files.get("memory.failcnt", "")),
        details=table(files.get("memory.stat", "")),
    )


def blocks_v2(text: str) -> dict[str, tuple[BlockCount, ...]]:
    """io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`, named as Docker names it on v2: bytes only."""
    found: list[BlockCount] = []
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        major, colon, minor = device.partition(":")
        if not (colon and major.isdigit() and minor.isdigit()):
            continue
        values = dict(pair.split("=", 1) for pair in rest.split() if "=" in pair)
        found += [BlockCount(int(major), int(minor), op, int(values[key])) for op, key in (("read", "rbytes"), ("write", "wbytes")) if key in values]
    return {"io_service_bytes_recursive": tuple(found)}


def blocks_v1(files: Mapping[str, str]) -> dict[str, tuple[BlockCount, ...]]:
    """blkio's files: `8:0 Read 1`; the scheduler's own count where it keeps one, else the throttle's, which sees every request."""
    found = {}
    for name, kind in (("io_service_bytes_recursive", "io_service_bytes_recursive"), ("io_serviced_recursive", "io_serviced_recursive")):
        texts: Iterable[str] = (files.get(f"blkio.{layer}{kind}", "") for layer in ("bfq.", "", "throttle."))
        found[name] = next((counts for text in texts if (counts := block_lines(text))), ())
    return found


def block_lines(text: str) -> tuple[BlockCount, ...]:
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2].isdigit():
            major, _, minor = words[0].partition(":")
            found.append(BlockCount(int(major), int(minor), words[1].lower(), int(words[2])))
    return tuple(found)
