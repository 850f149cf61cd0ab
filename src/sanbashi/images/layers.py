"""What a layer's tar means: where an entry belongs, which entries are whiteouts, how layers chain."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from ..errors import Invalid
from ..records import dataclass

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
RESERVED = ".wh..wh."  # AUFS kept its own book-keeping under such names; no file of the image


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry goes. `parts` never has "", "." or ".."; for an opaque mark they name the directory itself."""

    kind: Literal["entry", "whiteout", "opaque", "ignored"]
    parts: tuple[str, ...]


def place(name: str) -> Place:
    """The place of a tar entry by its name; Invalid where the name leaves the layer."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise Invalid(f"the layer has an entry outside of it: {name!r}")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if "\0" in name:
        raise Invalid(f"the layer has an entry whose name holds a zero byte: {name!r}")
    if not parts or not parts[-1].startswith(WHITEOUT):
        return Place("entry", tuple(parts))
    last = parts.pop()
    if last == OPAQUE:
        return Place("opaque", tuple(parts))
    if last.startswith(RESERVED):
        return Place("ignored", ())
    hidden = last[len(WHITEOUT) :]
    if hidden in ("", ".", ".."):
        raise Invalid(f"the layer has a whiteout of nothing: {name!r}")
    return Place("whiteout", (*parts, hidden))


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain id of each layer (OCI image-spec, config.md): what stands when it and all below it are applied."""
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else diff_id
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if len(chain) else diff_id)
    return tuple(chain)
