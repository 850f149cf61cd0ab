"""--mount and -v: to mounts, binds and anonymous volumes; ValueError with docker's words."""

from sanbashi.cli.flags import read_bool, read_csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RECURSIVE = {"disabled": "NonRecursive", "writable": "ReadOnlyNonRecursive", "readonly": "ReadOnlyForceRecursive", "enabled": ""}
_OPTIONS = {"VolumeOptions": "volume", "ImageOptions": "image", "BindOptions": "bind", "TmpfsOptions": "tmpfs"}


def absolute(path: str) -> str:
    """A path that begins with a dot, made absolute; any other as it is."""
    if not path.startswith("."):
        return path
    from posixpath import abspath

    return abspath(path)


def parse_mount(text: str) -> "dict[str, Any]":
    """One --mount."""
    mount: dict[str, Any] = {"Type": "volume"}
    for field in read_csv(text):
        key, equals, value = field.partition("=")
        set_field(mount, key.lower(), value if equals else None, field)
    check(mount)
    return mount


def set_field(mount: "dict[str, Any]", key: str, value: str | None, field: str) -> None:
    """One key=value of a mount, or a key that stands alone."""
    if value is None:
        if key not in ("readonly", "ro", "volume-nocopy", "bind-nonrecursive"):
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        value = "true"
    elif key == "bind-nonrecursive":
        from sanbashi.cli.output import err

        err("WARNING: bind-nonrecursive is deprecated, use bind-recursive=disabled instead\n")
    if key in ("type", "consistency"):
        mount[key.capitalize()] = value.lower()
    elif key in ("source", "src"):
        mount["Source"] = absolute(value)
    elif key in ("target", "dst", "destination"):
        mount["Target"] = value
    elif key in ("readonly", "ro"):
        mount["ReadOnly"] = switch(key, value)
    elif key == "bind-propagation":
        options(mount, "BindOptions")["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        options(mount, "BindOptions")["NonRecursive"] = switch(key, value)
    elif key == "bind-recursive":
        if value not in _RECURSIVE:
            raise ValueError(f'invalid value for {key}: {value} (must be "enabled", "disabled", "writable", or "readonly")')
        if _RECURSIVE[value]:
            options(mount, "BindOptions")[_RECURSIVE[value]] = True
    elif key in ("volume-subpath", "image-subpath"):
        options(mount, "VolumeOptions" if key[0] == "v" else "ImageOptions")["Subpath"] = value
    elif key == "volume-nocopy":
        options(mount, "VolumeOptions")["NoCopy"] = switch(key, value)
    elif key in ("volume-label", "volume-opt"):
        name, _, setting = value.partition("=")
        held = options(mount, "VolumeOptions")
        held = held.setdefault("Labels", {}) if key == "volume-label" else held["DriverConfig"].setdefault("Options", {})
        if name:
            held[name] = setting
    elif key == "volume-driver":
        options(mount, "VolumeOptions")["DriverConfig"]["Name"] = value
    elif key in ("tmpfs-size", "tmpfs-mode"):
        set_tmpfs(mount, key, value)
    else:
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def set_tmpfs(mount: "dict[str, Any]", key: str, value: str) -> None:
    """Size and mode of a tmpfs."""
    from sanbashi.cli.units import ram_in_bytes

    try:
        if key == "tmpfs-size":
            options(mount, "TmpfsOptions")["SizeBytes"] = ram_in_bytes(value)
        else:
            options(mount, "TmpfsOptions")["Mode"] = int(value, 8)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None


def options(mount: "dict[str, Any]", name: str) -> "dict[str, Any]":
    """The options of one kind, made when they are first asked for."""
    found: dict[str, Any] = mount.setdefault(name, {"DriverConfig": {}} if name == "VolumeOptions" else {})
    return found


def switch(key: str, value: str) -> bool:
    """A boolean of a mount."""
    try:
        return read_bool(value)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None


def check(mount: "dict[str, Any]") -> None:
    """What must be there, and what does not go together."""
    if not mount["Type"]:
        raise ValueError("type is required")
    if not mount.get("Target"):
        raise ValueError("target is required")
    for name, kind in _OPTIONS.items():
        if name in mount and mount["Type"] != kind:
            raise ValueError(f"cannot mix '{kind}-*' options with mount type '{mount['Type']}'")
    bind = mount.get("BindOptions", {})
    for field, word in (("ReadOnlyNonRecursive", "writable"), ("ReadOnlyForceRecursive", "readonly")):
        if bind.get(field) and not mount.get("ReadOnly"):
            raise ValueError(f"option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction")
    if bind.get("ReadOnlyForceRecursive") and bind.get("Propagation") != "rprivate":
        raise ValueError("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction")


def parse_volumes(specs: list[str]) -> "tuple[list[str], dict[str, dict[str, str]]]":
    """All -v: binds and named volumes as the API takes them, and anonymous volumes."""
    binds: list[str] = []
    anonymous: dict[str, dict[str, str]] = {}
    for spec in dict.fromkeys(specs):
        if not spec:
            raise ValueError("invalid empty volume spec")
        source, colon, rest = spec.partition(":")
        if not colon:
            anonymous[spec] = {}
            continue
        if not source or not rest:
            raise ValueError(f"invalid spec: {spec}: empty section between colons")
        if rest.count(":") > 1:
            raise ValueError(f"invalid spec: {spec}: too many colons")
        if rest.endswith(":") or rest.startswith(":"):
            raise ValueError(f"invalid spec: {spec}: empty section between colons")
        binds.append(f"{absolute(source)}:{rest}")
    return binds, anonymous
