"""What an earlier boot left under the exec root, where that outlives one: process numbers, exit records and sockets of processes that are no more."""

from __future__ import annotations

import shutil
from pathlib import Path

MARK = "boot-id"
FACTS = ("containers", "exits", "execs", "runtimes")  # of this boot alone


def forget_other_boot(exec_root: Path, boot_id: str) -> bool:
    """Remove the facts of another boot, whose numbers may mean anybody by now, and mark the exec root as this one's; whether there were any."""
    mark = exec_root / MARK
    try:
        before = mark.read_text()
    except FileNotFoundError:
        before = ""
    if before == boot_id or not boot_id:
        return False
    if before:
        for name in FACTS:
            if (exec_root / name).exists():
                shutil.rmtree(exec_root / name)
    mark.write_text(boot_id)
    return bool(before)
