"""What a volume is; frozen, saved as it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from ..errors import Invalid

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A named place that outlives containers. `mountpoint` is DATA_ROOT/volumes/NAME/_data; `anonymous` ones go with `rm -v`."""

    name: str
    created: str
    mountpoint: str
    driver: str = "local"
    options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    anonymous: bool = False


def check_name(name: str) -> None:
    """Invalid where the local driver would not take the name."""
    if len(name) == 1:
        raise Invalid("volume name is too short, names should be at least two alphanumeric characters")
    if NAME.fullmatch(name) is None:
        raise Invalid(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
            "If you intended to pass a host directory, use absolute path"
        )
