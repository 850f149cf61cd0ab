"""What the builder keeps, as rows of `system df -v`."""

import time

from sanbashi.cli.gotemplate.values import Methods
from sanbashi.cli.times import parse_rfc3339, show_instant
from sanbashi.cli.units import human_duration, human_size, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADINGS = {
    "ID": "CACHE ID",
    "Parent": "PARENT",
    "CacheType": "CACHE TYPE",
    "Size": "SIZE",
    "CreatedAt": "",
    "CreatedSince": "CREATED",
    "LastUsedAt": "",
    "LastUsedSince": "LAST USED",
    "UsageCount": "USAGE",
    "InUse": "IN USE",
    "Shared": "SHARED",
    "Description": "DESCRIPTION",
}
TABLE = "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}"


class CacheRow(Methods):
    """A record."""

    type = "*formatter.buildCacheContext"
    columns = tuple(HEADINGS)

    def __init__(self, record: "dict[str, Any]", trunc: bool) -> None:
        self.record = record
        self.trunc = trunc

    def column(self, name: str) -> str:
        record = self.record
        if name == "ID":
            return (short_id(record["ID"]) if self.trunc else str(record["ID"])) + ("*" if record.get("InUse") else "")
        if name == "Parent":
            parents = ", ".join(record.get("Parents") or [])
            return short_id(parents) if self.trunc else parents
        if name == "Size":
            return human_size(record.get("Size") or 0, 3)
        if name in ("CreatedAt", "LastUsedAt"):
            return show_instant(record[name]) if record.get(name) else ""
        if name in ("CreatedSince", "LastUsedSince"):
            return since(str(record.get(name.replace("Since", "At")) or ""))
        if name in ("InUse", "Shared"):
            return str(bool(record.get(name))).lower()
        return str(record.get({"CacheType": "Type"}.get(name, name)) or ("0" if name == "UsageCount" else ""))


def since(moment: str) -> str:
    """How long ago, "" where it never was."""
    if not moment:
        return ""
    seconds, nanoseconds, _ = parse_rfc3339(moment)
    return f"{human_duration(time.time() - seconds - nanoseconds / 1e9)} ago"


def rows_of(records: "list[dict[str, Any]]", trunc: bool) -> list[CacheRow]:
    """Those used longest ago first, those of which that is not known before."""
    return [CacheRow(each, trunc) for each in sorted(records, key=lambda each: (each.get("LastUsedAt") or "", each["ID"]))]
