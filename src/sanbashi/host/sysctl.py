"""Kernel settings under /proc/sys; those of net/ are the calling thread's network namespace's."""

from __future__ import annotations

from pathlib import Path

from .counts import Counts

ROOT = Path("/proc/sys")


def write(path: str, value: str) -> None:
    """Set one; OSError where the kernel refuses or has no such setting."""
    (ROOT / path).write_text(value)


def read(path: str, counts: Counts) -> str | None:
    """Its value, fields separated by one blank; None where there is no such setting (the link is gone, or the kernel has no IPv6)."""
    counts.add(files_read=1)
    try:
        return " ".join((ROOT / path).read_text().split())
    except (FileNotFoundError, NotADirectoryError):
        return None
