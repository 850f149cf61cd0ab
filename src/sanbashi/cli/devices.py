"""--device: host path, path inside, permissions; CDI names apart; ValueError with docker's words."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_devices(specs: list[str]) -> "tuple[list[dict[str, str]], list[dict[str, Any]]]":
    """Device mappings, and requests for devices named by CDI (vendor.com/class=name)."""
    mappings: list[dict[str, str]] = []
    names: list[str] = []
    for spec in specs:
        if is_qualified(spec):
            names.append(spec)
        else:
            mappings.append(parse_device(spec))
    return mappings, [{"Driver": "cdi", "Count": 0, "DeviceIDs": names, "Capabilities": None, "Options": None}] if names else []


def is_qualified(spec: str) -> bool:
    """vendor.com/class=device."""
    kind, equals, device = spec.partition("=")
    vendor, slash, name = kind.partition("/")
    return bool(equals and slash and device and name and vendor) and not spec.startswith("/") and "/" not in name


def parse_device(spec: str) -> dict[str, str]:
    """host[:container][:permissions]."""
    from posixpath import normpath

    parts = spec.split(":")
    if len(parts) > 3 or not parts[0]:
        raise ValueError(f"bad format for path: {spec}")
    inside, permissions = parts[0], "rwm"
    if len(parts) == 2:
        if is_mode(parts[1]):
            permissions = parts[1]
        else:
            inside = normpath(parts[1]) if parts[1] else "."
    elif len(parts) == 3:
        inside, permissions = parts[1], parts[2]
        if not is_mode(permissions):
            raise ValueError(f"bad mode specified: {permissions}")
    if not inside.startswith("/"):
        raise ValueError(f"{inside} is not an absolute path")
    if len(parts) == 1:
        inside = parts[0] = normpath(parts[0])
    return {"PathOnHost": parts[0], "PathInContainer": inside, "CgroupPermissions": permissions}


def is_mode(text: str) -> bool:
    """Some of r, w and m, each once."""
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)
