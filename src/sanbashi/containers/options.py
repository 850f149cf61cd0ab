"""The parts of HostConfig that are lists of objects: what a --mount says beside its places, limits of block devices, requests for devices."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class BindOptions(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Of a --mount type=bind."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class VolumeDriver(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Who is to make a volume, and what it is told."""

    name: str = ""
    options: Mapping[str, str] | None = None


class VolumeOptions(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Of a --mount type=volume."""

    no_copy: bool = False
    labels: Mapping[str, str] | None = None
    driver_config: VolumeDriver | None = None
    subpath: str = ""


class TmpfsOptions(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Of a --mount type=tmpfs; `options` are words, alone or with a value."""

    size_bytes: int = 0
    mode: int = 0
    options: tuple[tuple[str, ...], ...] | None = None


class ImageOptions(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Of a --mount type=image."""

    subpath: str = ""


class WeightDevice(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A block device's share of a container's weight."""

    path: str = ""
    weight: int = 0


class ThrottleDevice(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Bytes or operations a second on a block device."""

    path: str = ""
    rate: int = 0


class DeviceRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A wish for devices that a driver knows: --gpus."""

    driver: str = ""
    count: int = 0
    device_ids: tuple[str, ...] | None = msgspec.field(default=None, name="DeviceIDs")
    capabilities: tuple[tuple[str, ...], ...] | None = None
    options: Mapping[str, str] | None = None
