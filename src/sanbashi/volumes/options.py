"""The local driver's options: type, o and device as mount(8) writes them, taken apart for mount(2)."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Invalid
from ..records import dataclass

KNOWN = ("type", "o", "device", "size")
# An option on the left is no use without those on the right.
NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
# Words of `o` that are flags of mount(2); those in CLEARING take the flag of their opposite away.
FLAGS = ("ro", "nosuid", "nodev", "noexec", "sync", "dirsync", "noatime", "nodiratime", "relatime", "strictatime", "bind", "rbind")
CLEARING = {"rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync", "atime": "noatime", "diratime": "nodiratime"}
PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable")
IGNORED = ("defaults", "auto", "noauto", "user", "nouser", "_netdev", "norelatime", "nostrictatime")


@dataclass(frozen=True, slots=True)
class LocalMount:
    """What is mounted on a volume's directory: `flags` and `propagation` in words, `data` for the file system."""

    kind: str
    device: str
    flags: tuple[str, ...] = ()
    propagation: str = ""
    data: str = ""

    @property
    def server(self) -> str:
        """The name or address that network file systems want as an address, "" for none."""
        return next((word.removeprefix("addr=") for word in self.data.split(",") if word.startswith("addr=")), "")


def check_options(options: Mapping[str, str]) -> None:
    """Invalid in Docker's words for options that the local driver has not, or that lack their companions."""
    for key in options:
        if key not in KNOWN:
            raise Invalid(f'invalid option: "{key}"')
    if "size" in options:
        raise Invalid("quota size requested but no quota support", hint='for a tmpfs give the size as a mount option: o="size=64m"')
    for key, companions in NEEDS.items():
        for companion in companions if key in options else ():
            if companion not in options:
                raise Invalid(f'missing required option: "{companion}"')


def local_mount(options: Mapping[str, str]) -> LocalMount | None:
    """What a volume's options ask to mount; None for a plain directory."""
    if not options.get("device"):
        return None
    flags: dict[str, None] = {}
    propagation, data = "", []
    for word in filter(None, options.get("o", "").split(",")):
        if word in FLAGS:
            flags[word] = None
        elif word in CLEARING:
            flags.pop(CLEARING[word], None)
        elif word in PROPAGATIONS:
            propagation = word
        elif word not in IGNORED:
            data.append(word)
    return LocalMount(options.get("type", ""), options["device"], tuple(flags), propagation, ",".join(data))
