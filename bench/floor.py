"""The floor: what the runtimes' own programs take, with no engine around them, in the same machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Done, Failure, Machine
from tests.rootfs import layer

# As the engine does it: crun refuses hybrid control groups, and works where the empty v2 hierarchy is not mounted.
SEPARATE = "if [ -d /sys/fs/cgroup/unified ]; then umount -l /sys/fs/cgroup/unified; fi; echo $$; exec cat >/dev/null"


@dataclass(frozen=True)
class Floor:
    """A bundle of busybox, and a mount namespace in which both runtimes work."""

    where: Machine
    inside: str
    bundle: Path

    def words(self, *words: str) -> list[str]:
        """The command line that runs a program there."""
        return ["nsenter", "--target", self.inside, "--mount", f"--wdns={self.bundle}", "--", *words]

    def command(self, *words: str) -> Done:
        """Run a program there."""
        return self.where.run(self.words(*words))

    def run(self, runtime: str, arguments: Sequence[str]) -> None:
        """`runc run` to the end of a process."""
        self.write(arguments)
        self.command(runtime, "--root", f"/run/bare-{runtime}", "run", "bare")

    def start(self, runtime: str) -> None:
        """Create and start a container that sleeps; `remove` ends it."""
        self.write(("sleep", "100000"))
        log = self.bundle / "said"
        # The container keeps what it is given as its output: a pipe would never end.
        words = self.words(runtime, "--root", f"/run/bare-{runtime}", "run", "--detach", "bare")
        with log.open("wb") as said:
            process = self.where.popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        # Not wait(60): with a limit it looks now and then, after 31.5 ms and then after 63.5.
        if process.wait():
            raise Failure(f"{runtime} run: {log.read_text()}")

    def remove(self, runtime: str) -> None:
        self.command(runtime, "--root", f"/run/bare-{runtime}", "delete", "--force", "bare")

    def write(self, arguments: Sequence[str]) -> None:
        """The bundle's process."""
        file = self.bundle / "config.json"
        config = json.loads(file.read_text())
        config["process"] |= {"terminal": False, "args": list(arguments)}
        file.write_text(json.dumps(config))


@contextlib.contextmanager
def bare_runtime(where: Machine) -> Iterator[Floor]:
    """The runtimes of a machine, for as long as the block lasts."""
    bundle = where.scratch / "bare"
    (bundle / "rootfs").mkdir(parents=True)
    subprocess.run(["tar", "-xzf", layer("busybox").path, "-C", bundle / "rootfs"], check=True)
    holder = where.popen(
        ["unshare", "--mount", "--propagation", "slave", "sh", "-c", SEPARATE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        floor = Floor(where, holder.stdout.readline().strip(), bundle)
        floor.command("crun", "spec")
        yield floor
    finally:
        holder.stdin.close()
        holder.wait(30)
        holder.stdout.close()
