"""What a run of these tests leaves when it is killed, and the next one takes away: control groups, frozen ones among them, and its scratch directory.

The kernel ends the processes of a machine with the program that made it, but one that is frozen (control groups v1) ends only when it is thawed.
A scratch directory is locked as long as its run lives; what another worktree has is not looked at.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# The control groups in which engines put those of their containers.
PARENTS = ("docker", "sanbashi", "libpod_parent", "libpod", "machine.slice")
OWNER, TURN = "owner", ".turn"
PATIENCE = 60.0  # seconds that processes may take to end when they are thawed


@contextlib.contextmanager
def scratch_directory(base: Path) -> Iterator[Path]:
    """A directory below `base` for one run, gone with it; those of runs that were killed go first."""
    base.mkdir(parents=True, exist_ok=True)
    with locked(base / TURN):
        sweep(base)
        made = Path(tempfile.mkdtemp(dir=base))
        made.chmod(0o755)
        owner = (made / OWNER).open("w")
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        owner.close()


def sweep(base: Path) -> None:
    """Take away what runs that are gone have left; nobody makes a directory meanwhile."""
    for owner in base.glob(f"*/{OWNER}"):
        with owner.open("w") as file, contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_groups(containers_of(owner.parent))
            shutil.rmtree(owner.parent, ignore_errors=True)


def containers_of(scratch: Path) -> set[str]:
    """The ids of the containers that engines have there."""
    return {entry.name for store in scratch.glob("*/data/containers") for entry in store.iterdir()}


def remove_groups(ids: Collection[str]) -> None:
    """Thaw and remove the control groups of containers, and those above them that are empty then."""
    deadline = time.monotonic() + PATIENCE
    for directory, _, files in os.walk(CGROUPS, topdown=False):
        group = Path(directory)
        own = any(i in directory for i in ids)
        if own or group.name in PARENTS:
            with contextlib.suppress(OSError):  # gone meanwhile; or somebody lives in it, or below it, who is not ours to end
                for file, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                    if own and file in files:
                        (group / file).write_text(word)
                while own and (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
                    time.sleep(0.01)
                group.rmdir()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
