"""The engines that are measured, each in a machine of its own, told apart only by their command lines."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import Done, Engine, Machine, docker_clis, engine, machine, sanbashi_cli
from tests.images import build

# What Debian's podman wants where hard limits cannot be raised and control groups are not pure v2.
PODMAN_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""


@dataclass(frozen=True)
class Peer:
    """An engine to measure: its name, where it runs, its CLI and the variables that the CLI wants."""

    name: str
    where: Machine
    cli: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    daemon: Engine | None = None
    removal: tuple[str, ...] = ("rm", "-f")

    def remove(self, *names: str) -> None:
        """Remove containers at once."""
        self.run(*self.removal, *names)

    def run(self, *words: str, check: bool = True, timeout: float = 600) -> Done:
        return self.where.run([*self.cli, *words], check=check, timeout=timeout, environment=self.variables)

    def clear(self) -> None:
        """Remove every container."""
        if ids := self.run("ps", "-aq").stdout.split():
            self.remove(*ids)

    def own(self, containers: set[int]) -> int:
        """The PSS in bytes of every process of the engine, what runs in the containers left out."""
        total = 0
        for pid in self.where.processes():
            if pid in containers:
                continue
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for line in self.where.path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total

    def pids(self) -> set[int]:
        """The processes that run in containers: each container's first one is all that the images here start."""
        ids = self.run("ps", "-q").stdout.split()
        return {int(pid) for pid in self.run("inspect", "-f", "{{.State.Pid}}", *ids).stdout.split()} if ids else set()


@contextlib.contextmanager
def peers() -> Iterator[tuple[Peer, ...]]:
    """All of them, started, with busybox and the DNS row's image loaded; FileNotFoundError names what is not installed."""
    for program in ("dockerd", "podman", "dnsperf"):
        if shutil.which(program) is None:
            raise FileNotFoundError(f"{program} is not installed: make bench installs it")
    with contextlib.ExitStack() as stack:
        found = [started(stack, "sanbashi"), started(stack, "docker"), podman(stack)]
        for peer in found:
            for image in ("busybox", "ubuntu"):
                peer.run("load", "-i", str(build(image)))
        # podman keeps the name that the archive gives: the one of Docker Hub.
        yield tuple(found)


def started(stack: contextlib.ExitStack, kind: str) -> Peer:
    where = stack.enter_context(machine())
    daemon = stack.enter_context(engine(where, kind))  # type: ignore[arg-type]
    cli = sanbashi_cli() if kind == "sanbashi" else oldest_docker()
    return Peer(kind, where, (cli,), daemon.variables(), daemon)


def oldest_docker() -> str:
    """Debian's own CLI, which belongs to Debian's own daemon."""
    return min(docker_clis().items(), key=lambda found: [int(n) for n in found[1].split(".")])[0]


def podman(stack: contextlib.ExitStack) -> Peer:
    where = stack.enter_context(machine())
    conf = where.scratch / "containers.conf"
    conf.write_text(PODMAN_CONF)
    root = where.scratch / "podman"
    cli = ("podman", f"--root={root}/data", "--runroot=/run/podman", "--storage-driver=overlay", f"--network-config-dir={root}/networks")
    # Its forced removal waits ten seconds for a process that does not listen to SIGTERM; the others' kills at once.
    return Peer("podman", where, cli, {"CONTAINERS_CONF": str(conf)}, removal=("rm", "-f", "-t", "0"))


def version(peer: Peer) -> str:
    """What is measured, for the table's foot."""
    words = peer.run("version", "--format", "{{.Server.Version}}", check=False).stdout.strip()
    return f"{peer.name} {words or peer.run('--version').stdout.strip()}"


def machine_words() -> str:
    """The machine, for the table's foot: kernel, processors."""
    kernel = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout.strip()
    processors = Path("/proc/cpuinfo").read_text().count("processor\t")
    return f"kernel {kernel}, {processors} processors, Python {sys.version.split()[0]}"
