"""What is mounted into a container: -v, --mount, the image's VOLUMEs and --volumes-from become MountPoints; Docker's sentences for what is wrong.

Volumes and images are looked up later: here a mount has the name that the user gave. A bind's source is made where it is missing only for -v
(`create_source`); the edge does so, and it fills empty volumes (`copy_up`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from ..errors import Invalid
from ..volumes.model import check_name
from .model import Config, Container, HostConfig, Mount, MountPoint
from .options import BindOptions, TmpfsOptions, VolumeOptions

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
FLAGS = ("ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated", "rro")
TMPFS_DEFAULT = ("noexec", "nosuid", "nodev")
OPPOSITES = {"exec": "noexec", "suid": "nosuid", "dev": "nodev", "rw": "ro"}
TMPFS_WORDS = ("exec", "noexec")  # what a --mount type=tmpfs may be told beside its size and mode
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
        place(found, asked, bind(raw, host.volume_driver or "local"))
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


def bind(raw: str, driver: str = "local") -> MountPoint:
    """`/host:/inside[:ro,...]`, `name:/inside[:...]` or `/inside` alone, which is an anonymous volume; `driver` is who makes volumes."""
    parts = raw.split(":")
    if len(parts) == 1 and raw.startswith("/"):
        check_destination(raw, f"invalid volume specification: '{raw}'")
        return MountPoint(type="volume", destination=posixpath.normpath(raw), driver=driver, copy_up=True)
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
    if mount.type not in ("bind", "volume", "tmpfs", "image"):
        raise Invalid(f"{prefix}: mount type unknown")
    if not mount.target:
        raise Invalid(f"{prefix}: field Target must not be empty")
    check_destination(mount.target, prefix)
    clean = posixpath.normpath(mount.target)
    others = {"Bind": mount.bind_options, "Volume": mount.volume_options, "Tmpfs": mount.tmpfs_options, "Image": mount.image_options}
    for kind, options in others.items():
        if kind.lower() != mount.type and options is not None:
            raise Invalid(f"{prefix}: field {kind}Options must not be specified")
    if mount.type == "bind":
        return bound(mount, clean, prefix)
    if mount.type == "volume":
        volume = mount.volume_options or VolumeOptions()
        if mount.source:
            check_name(mount.source)
        check_subpath(volume.subpath, prefix)
        if volume.subpath and not mount.source:
            raise Invalid(f"{prefix}: must not set Subpath when using anonymous volumes")
        return MountPoint(
            type="volume",
            name=mount.source,
            destination=clean,
            driver=(volume.driver_config.name if volume.driver_config else "") or "local",
            mode="z",
            rw=not mount.read_only,
            copy_up=not volume.no_copy and not volume.subpath,
            subpath=volume.subpath,
        )
    if mount.type == "image":
        if not mount.source:
            raise Invalid(f"{prefix}: field Source must not be empty")
        subpath = mount.image_options.subpath if mount.image_options else ""
        check_subpath(subpath, prefix)
        return MountPoint(type="image", name=mount.source, destination=clean, rw=False, propagation="rprivate", subpath=subpath)
    if mount.source:
        raise Invalid(f"{prefix}: field Source must not be specified")
    return MountPoint(type="tmpfs", destination=clean, rw=not mount.read_only, options=tmpfs_words(mount.tmpfs_options or TmpfsOptions(), prefix))


def check_subpath(subpath: str, prefix: str) -> None:
    """The part of a volume or an image that is mounted lies in it."""
    if subpath.startswith("/") or posixpath.normpath(subpath).split("/")[0] == ".." or "\0" in subpath:
        raise Invalid(f"{prefix}: subpath must be a relative path within the volume")


def bound(mount: Mount, clean: str, prefix: str) -> MountPoint:
    """A --mount type=bind."""
    if not mount.source:
        raise Invalid(f"{prefix}: field Source must not be empty")
    if not mount.source.startswith("/"):
        raise Invalid(f"{prefix}: invalid mount path: '{mount.source}' mount path must be absolute")
    options = mount.bind_options or BindOptions()
    propagation = options.propagation or "rprivate"
    if propagation not in PROPAGATIONS:
        raise Invalid(f"{prefix}: invalid propagation mode: {propagation}")
    for wrong, sentence in (
        (options.read_only_non_recursive and not mount.read_only, "!ReadOnly && BindOptions.ReadOnlyNonRecursive"),
        (options.read_only_force_recursive and not mount.read_only, "!ReadOnly && BindOptions.ReadOnlyForceRecursive"),
        (options.read_only_non_recursive and options.read_only_force_recursive, "ReadOnlyNonRecursive && ReadOnlyForceRecursive"),
    ):
        if wrong:
            raise Invalid(f"{prefix}: mount options conflict: {sentence}")
    words = [CREATE_SOURCE] if options.create_mountpoint else []
    words += ["bind"] if options.non_recursive else []
    words += ["ro"] if options.read_only_non_recursive else []
    words += ["rro"] if options.read_only_force_recursive else []
    source = posixpath.normpath(mount.source)
    return MountPoint(type="bind", source=source, destination=clean, rw=not mount.read_only, propagation=propagation, options=tuple(words))


def tmpfs_words(options: TmpfsOptions, prefix: str) -> tuple[str, ...]:
    """The mount options of a --mount type=tmpfs."""
    words = list(TMPFS_DEFAULT)
    if options.size_bytes < 0:
        raise Invalid(f"{prefix}: the tmpfs size {options.size_bytes} is negative")
    if options.size_bytes:
        words.append(f"size={options.size_bytes}")
    if options.mode:
        words.append(f"mode={options.mode:o}")
    for pair in options.options or ():
        key, *value = pair or ("",)
        if len(value) > 1:
            raise Invalid(f"{prefix}: invalid option array length")
        if key not in TMPFS_WORDS:
            raise Invalid(f"{prefix}: invalid option: {key}")
        opposite = OPPOSITES.get(key, "")
        words = [word for word in words if word != opposite]
        words.append("=".join(pair))
    return tuple(words)


def tmpfs_options(text: str) -> tuple[str, ...]:
    """The mount options of a --tmpfs: Docker's defaults, each undone by its opposite."""
    words = dict.fromkeys(TMPFS_DEFAULT)
    for word in filter(None, text.split(",")):
        words.pop(OPPOSITES.get(word, ""), None)
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
