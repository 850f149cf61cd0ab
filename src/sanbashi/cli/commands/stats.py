"""stats."""

from sanbashi.cli.client import named
from sanbashi.cli.command import FORMAT_TABLE, Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.gotemplate.values import Methods
from sanbashi.cli.output import STDOUT, is_terminal, out
from sanbashi.cli.units import bytes_size, human_size, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADINGS = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
TABLE = "table " + "\t".join(f"{{{{.{name}}}}}" for name in HEADINGS if name != "Container")


class StatsRow(Methods):
    """A row of `stats`: one reading of a container."""

    type = "*container.statsContext"
    columns = tuple(HEADINGS)

    def __init__(self, name: str, reading: "dict[str, Any]", trunc: bool) -> None:
        self.name = name
        self.reading = reading
        self.trunc = trunc

    def column(self, name: str) -> str:
        reading = self.reading
        if name == "Container":
            return self.name
        if name == "ID":
            return short_id(str(reading.get("id", ""))) if self.trunc else str(reading.get("id", ""))
        if name == "Name":
            return str(reading.get("name", "")).removeprefix("/")
        memory = reading.get("memory_stats") or {}
        used, limit = memory_used(memory), memory.get("limit") or 0
        if name == "CPUPerc":
            return f"{cpu_share(reading):.2f}%"
        if name == "MemUsage":
            return f"{bytes_size(used)} / {bytes_size(limit)}"
        if name == "MemPerc":
            return f"{used / limit * 100 if limit else 0:.2f}%"
        if name == "PIDs":
            return str((reading.get("pids_stats") or {}).get("current") or 0)
        if name == "NetIO":
            links = (reading.get("networks") or {}).values()
            came, went = sum(each["rx_bytes"] for each in links), sum(each["tx_bytes"] for each in links)
        else:
            blocks = (reading.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
            came = sum(each["value"] for each in blocks if each["op"][:1] in "rR")
            went = sum(each["value"] for each in blocks if each["op"][:1] in "wW")
        return f"{human_size(came, 3)} / {human_size(went, 3)}"


def memory_used(memory: "dict[str, Any]") -> int:
    """Memory without the cache that can be dropped."""
    usage = int(memory.get("usage") or 0)
    details = memory.get("stats") or {}
    cached = int(details.get("total_inactive_file") or details.get("inactive_file") or 0)
    return usage - cached if cached < usage else usage


def cpu_share(reading: "dict[str, Any]") -> float:
    """Per cent of one processor since the reading before."""
    now, before = reading.get("cpu_stats") or {}, reading.get("precpu_stats") or {}
    used = (now.get("cpu_usage") or {}).get("total_usage", 0) - (before.get("cpu_usage") or {}).get("total_usage", 0)
    whole = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    count = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or [])
    return used / whole * count * 100 if whole > 0 and used > 0 else 0.0


def stats(call: Call) -> None:
    """Readings of containers, once or again and again."""
    from sanbashi.cli.table import render

    given, daemon = call.given, call.daemon
    form = given.text("format")
    form = TABLE if form in ("", "table") else form
    while True:
        names = list(dict.fromkeys(call.args)) or [each["Id"] for each in daemon.get("/containers/json", all=given.on("all"))]
        rows: list[StatsRow] = []
        for name in names:
            try:
                rows.append(StatsRow(name, daemon.get(f"/containers/{named('container', name)}/stats", stream="0"), not given.on("no-trunc")))
            except Failure:
                if call.args:
                    raise
        clear = "\x1b[H\x1b[J" if not given.on("no-stream") and is_terminal(STDOUT) else ""
        out(clear + render(form, rows, HEADINGS))
        if given.on("no-stream"):
            return
        from time import sleep

        sleep(0.5)


COMMANDS = {
    "stats": Command(
        "[OPTIONS] [CONTAINER...]",
        stats,
        flags=f"""
-a, --all  Show all containers (default shows just running)
    --format string  {FORMAT_TABLE}
    --no-stream  Disable streaming stats and only pull the first result
    --no-trunc  Do not truncate output
""",
        aliases="container stats, stats",
    )
}
