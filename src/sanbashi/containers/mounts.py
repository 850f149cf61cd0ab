"""What is mounted into a container: -v, --mount, the image's VOLUMEs and --volumes-from become MountPoints; Docker's sentences for what is wrong.

A bind's source is made where it is missing only for -v (`create_source`); the edge does so, and it fills empty volumes (`copy_up`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from ..errors import Invalid
from ..volumes.model import check_name
from .model import Config, Container, HostConfig, Mount, MountPoint

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
FLAGS = ("ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated", "rro")
TMPFS_DEFAULT = ("noexec", "nosuid", "nodev")
CREATE_SOURCE = "create-source"  # in MountPoint.options: -v makes a missing directory on the host


def mount_points(config: Config, host: HostConfig, find: Callable[[str], Container]) -> tuple[MountPoint, ...]:
    """Every mount of a container but --tmpfs, the outer ones first. An anonymous volume has no name yet, and no volume a `source`.

    In Docker's order of strength: --volumes-from, then -v and --mount, then the image's volumes. `find` gives the container of a reference.
    """
    found: dict[str, MountPoint] = {}
    for word in host.volumes_from or ():
        for point in borrowed(word, find):
            found[point.destination] = point
    asked: set[str] = set(map(posixpath.normpath, host.tmpfs or {}))
    for destination in host.tmpfs or {}:
        check_destination(destination, f"invalid tmpfs mount: '{destination}'")
    for raw in host.binds or ():
        place(found, asked, bind(raw))
    for mount in host.mounts or ():
        place(found, asked, mounted(mount))
    for destination in sorted(config.volumes or {}):
        clean = posixpath.normpath(destination)
        check_destination(destination, f"invalid volume specification: '{destination}'")
        if clean not in found and clean not in asked:
            found[clean] = MountPoint(type="volume", destination=clean, driver=host.volume_driver or "local", copy_up=True)
    return tuple(found[key] for key in sorted(found, key=depth))


def place(found: dict[str, MountPoint], asked: set[str], point: MountPoint) -> None:
    """Put a mount that the user asked for where it belongs; twice the same place is a mistake."""
    if point.destination in asked:
        raise Invalid(f"Duplicate mount point: {point.destination}")
    asked.add(point.destination)
    found[point.destination] = point


def depth(path: str) -> tuple[int, str]:
    """Outer mounts come before those inside them."""
    return (path.rstrip("/").count("/"), path)


def bind(raw: str) -> MountPoint:
    """`/host:/inside[:ro,...]`, `name:/inside[:...]` or, from older clients, `/inside` alone is no bind and refused."""
    parts = raw.split(":")
    if len(parts) not in (2, 3) or not all(parts[:2]):
        raise Invalid(f"invalid volume specification: '{raw}'")
    source, destination = parts[0], parts[1]
    check_destination(destination, f"invalid volume specification: '{raw}'")
    words = parts[2].split(",") if len(parts) == 3 else []
    propagation = check_mode(words, parts[2] if len(parts) == 3 else "")
    mode = parts[2] if len(parts) == 3 else ""
    writable = "ro" not in words and "rro" not in words
    clean = posixpath.normpath(destination)
    if source.startswith("/"):
        options = (CREATE_SOURCE, *(("rro",) if "rro" in words else ()))
        source = posixpath.normpath(source)
        return MountPoint(
            type="bind", source=source, destination=clean, mode=mode, rw=writable, propagation=propagation or "rprivate", options=options
        )
    check_name(source)
    if propagation:
        raise Invalid(f"invalid volume specification: '{raw}': invalid mode: {mode}")
    driver = "local"
    return MountPoint(type="volume", name=source, destination=clean, driver=driver, mode=mode or "z", rw=writable, copy_up="nocopy" not in words)


def check_mode(words: Iterable[str], mode: str) -> str:
    """The propagation among a bind's options, "" for none; Invalid where one is unknown or said twice."""
    seen: dict[str, str] = {}
    for word in words:
        kind = "propagation" if word in PROPAGATIONS else "access" if word in ("ro", "rw", "rro") else "label" if word in ("z", "Z") else "other"
        if (word not in PROPAGATIONS and word not in FLAGS) or kind in seen:
            raise Invalid(f"invalid mode: {mode}")
        if kind != "other":
            seen[kind] = word
    return seen.get("propagation", "")


def check_destination(path: str, prefix: str) -> None:
    """Docker's two rules for where something may be mounted."""
    if not path.startswith("/"):
        raise Invalid(f"{prefix}: invalid mount path: '{path}' mount path must be absolute")
    if posixpath.normpath(path) == "/":
        raise Invalid(f"{prefix}: invalid specification: destination can't be '/'")


def mounted(mount: Mount) -> MountPoint:
    """One --mount."""
    prefix = f'invalid mount config for type "{mount.type}"'
    if mount.type not in ("bind", "volume", "tmpfs"):
        if mount.type in ("image", "npipe", "cluster"):
            raise Invalid(f"{prefix}: this engine has no mounts of this type")
        raise Invalid(f"{prefix}: mount type unknown")
    if not mount.target:
        raise Invalid(f"{prefix}: field Target must not be empty")
    check_destination(mount.target, prefix)
    clean = posixpath.normpath(mount.target)
    others = {"bind": mount.bind_options, "volume": mount.volume_options, "tmpfs": mount.tmpfs_options}
    for kind, options in others.items():
        if kind != mount.type and options:
            raise Invalid(f"{prefix}: field {kind.capitalize()}Options must not be specified")
    if mount.type == "bind":
        return bound(mount, clean, prefix)
    if mount.type == "volume":
        volume = mount.volume_options or {}
        if mount.source:
            check_name(mount.source)
        subpath = str(volume.get("Subpath") or "")
        if subpath.startswith("/") or ".." in subpath.split("/") or "\0" in subpath:
            raise Invalid(f"{prefix}: subpath must be a relative path within the volume")
        driver = str((volume.get("DriverConfig") or {}).get("Name") or "local")
        return MountPoint(
            type="volume",
            name=mount.source,
            destination=clean,
            driver=driver,
            mode="z",
            rw=not mount.read_only,
            copy_up=not volume.get("NoCopy", False) and not subpath,
            subpath=subpath,
        )
    if mount.source:
        raise Invalid(f"{prefix}: field Source must not be specified")
    return MountPoint(type="tmpfs", destination=clean, rw=not mount.read_only, options=tmpfs_words(mount.tmpfs_options or {}))


def bound(mount: Mount, clean: str, prefix: str) -> MountPoint:
    """A --mount type=bind."""
    if not mount.source:
        raise Invalid(f"{prefix}: field Source must not be empty")
    if not mount.source.startswith("/"):
        raise Invalid(f"{prefix}: invalid mount path: '{mount.source}' mount path must be absolute")
    options: Mapping[str, Any] = mount.bind_options or {}
    propagation = str(options.get("Propagation") or "rprivate")
    if propagation not in PROPAGATIONS:
        raise Invalid(f"{prefix}: invalid propagation mode: {propagation}")
    words = [CREATE_SOURCE] if options.get("CreateMountpoint") else []
    words += ["bind"] if options.get("NonRecursive") else []
    words += ["ro"] if options.get("ReadOnlyNonRecursive") else []
    words += ["rro"] if options.get("ReadOnlyForceRecursive") else []
    source = posixpath.normpath(mount.source)
    return MountPoint(type="bind", source=source, destination=clean, rw=not mount.read_only, propagation=propagation, options=tuple(words))


def tmpfs_words(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The mount options of a --mount type=tmpfs."""
    words = list(TMPFS_DEFAULT)
    if options.get("SizeBytes"):
        words.append(f"size={int(options['SizeBytes'])}")
    if options.get("Mode"):
        words.append(f"mode={int(options['Mode']):o}")
    for pair in options.get("Options") or ():
        words.append("=".join(map(str, pair)))
    return tuple(words)


def tmpfs_options(text: str) -> tuple[str, ...]:
    """The mount options of a --tmpfs: Docker's defaults, each undone by its opposite."""
    opposites = {"exec": "noexec", "suid": "nosuid", "dev": "nodev", "rw": "ro"}
    words = dict.fromkeys(TMPFS_DEFAULT)
    for word in filter(None, text.split(",")):
        words.pop(opposites.get(word, ""), None)
        words[word] = None
    return tuple(words)


def borrowed(word: str, find: Callable[[str], Container]) -> list[MountPoint]:
    """What --volumes-from CONTAINER[:ro|:rw] brings."""
    name, _, mode = word.partition(":")
    if not name:
        raise Invalid("volumes-from specification cannot be an empty string")
    if mode not in ("", "ro", "rw", "z", "Z"):
        raise Invalid(f"invalid mode: {mode}")
    return [replace(point, rw=point.rw and mode != "ro", copy_up=False) for point in find(name).mounts if point.type != "tmpfs"]
