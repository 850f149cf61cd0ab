"""Kernel settings under /proc/sys; those of net/ are the calling thread's network namespace's."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from ..errors import StepFailed
from .counts import Counts
from .mounts import detached_proc
from .peeking import contents

ROOT = Path("/proc/sys")
CROWD = 64  # namespaces, about, whose settings one proc file system is asked for


def write(path: str, value: str) -> None:
    """Set one; OSError where the kernel refuses or has no such setting."""
    (ROOT / path).write_text(value)


def write_apart(path: str, value: str) -> None:
    """Set one of a link of ours, at a cost that does not depend on how many namespaces there are; OSError as `write`."""
    descriptor = APART.open(path)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def read(path: str, counts: Counts) -> str | None:
    """Its value, fields separated by one blank; None where there is no such setting (the link is gone, or the kernel has no IPv6)."""
    counts.add(files_read=1)
    try:
        return " ".join(contents(f"{ROOT}/{path}").decode().split())
    except (FileNotFoundError, NotADirectoryError):
        return None


class Apart:
    """A proc file system of our own, mounted nowhere, and a fresh one every now and then.

    In proc's cache `sys/net/ipv6` is an entry for each namespace that was ever asked for, all under the same name: the kernel goes through
    them one by one (proc_sys_compare), 0.5 to 1 ms among a thousand for each setting. Each proc file system has a cache of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._root = -1
        self._left = 0

    def open(self, path: str) -> int:
        """A descriptor to write a setting by; /proc's own where we may not mount one. OSError."""
        older = -1
        with self._lock:
            if self._left <= 0:
                older, self._root = self._root, fresh()
                self._left = CROWD
            self._left -= 1
            try:
                if self._root < 0:
                    return os.open(ROOT / path, os.O_WRONLY | os.O_CLOEXEC)
                return os.open(f"sys/{path}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._root)
            finally:
                if older >= 0:
                    os.close(older)


def fresh() -> int:
    """A proc file system that nobody has looked into; -1 where the kernel has none for us (before 5.2, or we may not)."""
    try:
        return detached_proc()
    except StepFailed:
        return -1


APART = Apart()
