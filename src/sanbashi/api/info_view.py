"""`info` as each version has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .messages import Version

NEVER: Version = (999, 0)
# A field that came with a version, and is not told to clients of older ones.
CAME: Mapping[str, Version] = {"Containerd": (1, 46), "FirewallBackend": (1, 49), "DiscoveredDevices": (1, 50), "NRI": (1, 53)}
# One that is told until a version.
WENT: Mapping[str, Version] = {"BridgeNfIptables": (1, 50), "BridgeNfIp6tables": (1, 50)}
COMMITS = ("ContainerdCommit", "RuncCommit", "InitCommit")


def info_json(document: Mapping[str, Any], version: Version) -> dict[str, Any]:
    """The engine's facts; older clients get what has gone since, and nothing of what came."""
    found = {name: value for name, value in document.items() if version >= CAME.get(name, version) and not version >= WENT.get(name, NEVER)}
    if version < (1, 44):
        runtimes = found.get("Runtimes") or {}
        found["Runtimes"] = {name: {k: v for k, v in runtime.items() if k != "status"} for name, runtime in runtimes.items()}
    if version < (1, 47) and found.get("RegistryConfig") is not None:
        none = {"AllowNondistributableArtifactsCIDRs": None, "AllowNondistributableArtifactsHostnames": None}
        found["RegistryConfig"] = {**none, **found["RegistryConfig"]}
    if version < (1, 49):
        found |= {name: {**found[name], "Expected": found[name].get("ID", "")} for name in COMMITS if found.get(name) is not None}
    return found
