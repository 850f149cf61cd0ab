"""What a volume is; frozen, saved as it stands."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A named place that outlives containers. `mountpoint` is DATA_ROOT/volumes/NAME/_data; `anonymous` ones go with `rm -v`."""

    name: str
    created: str
    mountpoint: str
    driver: str = "local"
    options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    anonymous: bool = False
