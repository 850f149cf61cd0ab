"""conmon's command line and first words; what of it is on disk and in /proc."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from ..errors import Conflict
from .runtime import Runtime, environment


def conmon_command(runtime: Runtime, container_id: str, name: str, folder: Path, *, exits: Path, log: str, runtime_log: Path) -> list[str]:
    """What every conmon is told: whose, in which folder (bundle, pids, sockets), where the exit code goes, which runtime and its options."""
    words = [str(runtime.conmon), "--api-version", "1", "--log-level", "error", "-c", container_id, "-u", name, "-b", str(folder), "--full-attach"]
    words += ["-p", str(folder / "pid"), "-P", str(folder / "conmon.pid"), "--exit-dir", str(exits), "-l", log, "--no-sync-log"]
    words += ["-r", str(runtime.program)]
    for word in runtime.command(log=runtime_log)[1:]:
        words += ["--runtime-arg", word]
    return words


def stream_words(*, terminal: bool, stdin: bool, closable: bool) -> list[str]:
    """The streams; `closable`: stdin ends when a client's half-close or leaving says so."""
    return [*(["-t"] if terminal else []), *(["-i"] if stdin else []), *(["--leave-stdin-open"] if stdin and not closable else [])]


def tell(control: Path, message: str) -> None:
    """A line to conmon's control fifo; Conflict where it does not read any more."""
    try:
        descriptor = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Conflict("it is not running") from error
    try:
        os.write(descriptor, f"{message}\n".encode())
    finally:
        os.close(descriptor)


def set_size(control: Path, rows: int, columns: int) -> None:
    """Tell conmon the size of the terminal that it holds."""
    tell(control, f"1 {rows} {columns}")


def spawn(words: list[str], bundle: Path) -> dict[str, Any]:
    """Start conmon and wait for what it says of the runtime's create: {"data": pid} or {"data": -1, "message": ...}. Runs in a launcher's thread."""
    ours, its = os.pipe2(os.O_CLOEXEC)
    try:
        with open(bundle / "conmon.err", "w+b") as errors:  # noqa: PTH123 (a descriptor for the child)
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=bundle,
                env=environment([("_OCI_SYNCPIPE", str(its))]),
                pass_fds=[its],
                start_new_session=True,
            )
            os.close(its)
            its = -1
            process.wait()  # its first process, which ends as soon as the monitor proper runs
            block = b""
            while not block.endswith(b"\n"):
                more = os.read(ours, 65536)
                if not more:
                    break
                block += more
            if not block:
                errors.seek(0)
                return {"data": -1, "message": errors.read().decode("utf-8", "replace")}
            answer: dict[str, Any] = json.loads(block.splitlines()[-1])
            return answer
    finally:
        os.close(ours)
        if its >= 0:
            os.close(its)


def read_number(path: Path) -> int:
    """The number in a pid file; 0 where there is none."""
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        return 0
    return int(text) if text.isdigit() else 0


def is_conmon_of(pid: int, container_id: str) -> bool:
    """Whether this process is the container's conmon and not another that got its number."""
    if pid <= 0:
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return container_id.encode() in words
