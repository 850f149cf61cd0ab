"""Rows of `network ls`."""

from sanbashi.cli.gotemplate.values import Methods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADINGS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}


class NetworkRow(Methods):
    """A row of `network ls`."""

    type = "*network.networkContext"
    columns = tuple(HEADINGS)

    def __init__(self, network: "dict[str, Any]", trunc: bool) -> None:
        self.network = network
        self.trunc = trunc

    def column(self, name: str) -> str:
        network = self.network
        if name == "ID":
            return str(network["Id"])[:12] if self.trunc else str(network["Id"])
        if name in ("Name", "Driver", "Scope"):
            return str(network.get(name, ""))
        if name == "Labels":
            return ",".join(f"{key}={value}" for key, value in (network.get("Labels") or {}).items())
        if name == "CreatedAt":
            from sanbashi.cli.times import show_instant

            return show_instant(str(network.get("Created", "")))
        field = {"IPv4": "EnableIPv4", "IPv6": "EnableIPv6", "Internal": "Internal"}[name]
        return "true" if network.get(field) else "false"

    def label(self, name: str) -> str:
        return str((self.network.get("Labels") or {}).get(name, ""))
