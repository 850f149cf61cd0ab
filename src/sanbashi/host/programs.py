"""The programs beside the daemon, asked for their versions; and what the data root lies on."""

from __future__ import annotations

import ctypes
import re
import subprocess
from functools import lru_cache
from pathlib import Path

from ..records import dataclass
from .descriptors import as_given
from .mounts import libc
from .runtime import environment

PATIENCE = 10.0  # seconds
VERSION = re.compile(r"^(\S+) version:? (\S+)", re.MULTILINE)
COMMIT = re.compile(r"^commit: (\S+)|- git\.(\S+)", re.MULTILINE)
# By f_type of statfs(2), linux/magic.h, in Docker's words.
FILE_SYSTEMS = {
    0xEF53: "extfs",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x01021994: "tmpfs",
    0xF2F52010: "f2fs",
    0x2FC12FC1: "zfs",
    0x794C7630: "overlayfs",
    0x6969: "nfs",
}


@dataclass(frozen=True, slots=True)
class Program:
    """What a program says of itself; "" for what it does not say."""

    name: str
    version: str = ""
    commit: str = ""


def program(path: Path) -> Program:
    """What a program is; blocking, asked again only when the file is another, or did not answer."""
    try:
        status = path.stat()
        return ask(path, status.st_ino, status.st_mtime_ns)
    except (OSError, subprocess.TimeoutExpired):
        return Program(path.name)


@lru_cache(maxsize=32)
def ask(path: Path, inode: int, changed: int) -> Program:
    done = subprocess.run(
        as_given([str(path), "--version"]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    return said(path.name, done.stdout)


def said(name: str, text: str) -> Program:
    """runc's, crun's, conmon's and tini's own words."""
    version, commit = VERSION.search(text), COMMIT.search(text)
    found = (commit[1] or commit[2]) if commit else ""
    return Program(name, version[2] if version else "", "" if found == "unknown" else found)


class Statfs(ctypes.Structure):
    """The beginning of struct statfs (statfs(2)), and room for the rest."""

    _fields_ = (("kind", ctypes.c_long), ("rest", ctypes.c_char * 256))


def file_system(path: Path) -> str:
    """What a directory lies on, in Docker's words; "<unknown>" for the rest."""
    found = Statfs()
    if libc.statfs(str(path).encode(), ctypes.byref(found)) != 0:
        return "<unknown>"
    return FILE_SYSTEMS.get(found.kind & 0xFFFFFFFF, "<unknown>")
