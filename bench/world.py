"""The engines that are measured, each in a machine of its own, told apart only by their command lines."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.harness import Done, Engine, Kind, Machine, docker_clis, engine, machine, sanbashi_cli
from tests.images import build

from .floor import Floor, bare_runtime

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
# crun refuses hybrid control groups; podman starts it by itself, so its whole machine has to be without the empty v2 hierarchy.
NO_UNIFIED = "if [ -d /sys/fs/cgroup/unified ]; then umount -l /sys/fs/cgroup/unified; fi"
PROGRAMS = ("dockerd", "podman", "crun", "runc", "dnsperf", "dnsmasq", "wrk", "iperf3", "docker-registry")
PATIENCE = 180  # seconds: the longest that is asked of anybody, 500 ports of Docker's, takes 30
RESOLV_CONF = "nameserver 198.51.100.1\n"  # the neighbouring host; the names' rows serve there


@dataclass(frozen=True)
class Peer:
    """An engine to measure: its name, where it runs, its CLI and the variables that the CLI wants; `options` go with run and create."""

    name: str
    where: Machine
    cli: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    daemon: Engine | None = None
    options: tuple[str, ...] = ()
    removal: tuple[str, ...] = ("rm", "-f")

    @property
    def runtime(self) -> str:
        """The runtime asked for; "" is the engine's default."""
        return self.options[1] if self.options else ""

    def remove(self, *names: str) -> None:
        """Remove containers at once."""
        self.run(*self.removal, *names)

    def run(self, *words: str, check: bool = True) -> Done:
        """One command of its CLI to the end; Hung where it has none."""
        try:
            return self.where.run([*self.cli, *words], check=check, timeout=PATIENCE, environment=self.variables)
        except subprocess.TimeoutExpired as late:
            raise Hung(self, " ".join(words)) from late

    def start(self, name: str, *flags: str, command: Sequence[str] = ("busybox", "sleep", "100000")) -> str:
        """`run -d`; the container's id."""
        return self.run("run", *self.options, "-d", "--name", name, *flags, *command).stdout.strip()

    def pid(self, name: str) -> str:
        """The pid of a container's first process, as the machine numbers it."""
        return self.run("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request of the API that must succeed; Hung where no answer comes."""
        assert self.daemon is not None, f"{self.name} has no daemon"
        try:
            status, said = self.daemon.call(method, path, body, timeout=PATIENCE)
        except TimeoutError as late:
            raise Hung(self, f"{method} {path}") from late
        assert status < 400, said
        return said

    def clear(self) -> None:
        """Remove every container, as fast as the engine can."""
        if self.daemon is None:
            if ids := self.run("ps", "-aq").stdout.split():
                self.remove(*ids)
            return
        with ThreadPoolExecutor(8) as hands:
            list(hands.map(lambda c: self.call("DELETE", f"/containers/{c['Id']}?force=1"), self.call("GET", "/containers/json?all=1")))

    def load(self, *images: str) -> None:
        """Load test images that are not there yet."""
        for image in images:
            if not self.run("images", "-q", {"httpd": "httpd:2.4"}.get(image, image)).stdout.strip():
                self.run("load", "-i", str(build(image)))


class Hung(Exception):
    """An engine has not answered in PATIENCE seconds."""

    def __init__(self, peer: Peer, asked: str) -> None:
        super().__init__(f"{peer.name} did not answer within {PATIENCE} s: {asked}")
        self.peer = peer


class World:
    """Every engine, started when it is first asked for."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack
        self.known: dict[str, Peer] = {}  # one of each kind that was started

    @cached_property
    def ours(self) -> Peer:
        return self.ours_with()

    def ours_with(self, *options: str) -> Peer:
        """An engine of ours in a machine of its own, under these options."""
        return self.daemon("sanbashi", (sanbashi_cli(),), options)

    @cached_property
    def ours_runc(self) -> Peer:
        return replace(self.ours, name="ours, runc", options=("--runtime", "runc"))

    @cached_property
    def ours_docker(self) -> Peer:
        return self.through_docker(self.ours)

    @cached_property
    def ours_docker_runc(self) -> Peer:
        return replace(self.ours_docker, name="ours, docker CLI, runc", options=("--runtime", "runc"))

    @cached_property
    def docker(self) -> Peer:
        return self.new_docker()

    def new_docker(self) -> Peer:
        return self.daemon("docker", (oldest_docker(),))

    @cached_property
    def podman(self) -> Peer:
        return self.known.setdefault("podman", podman(self.stack))

    @cached_property
    def podman_crun(self) -> Peer:
        peer = self.podman
        return replace(peer, name="podman, crun", cli=(peer.cli[0], "--runtime=crun", *peer.cli[1:]))

    @cached_property
    def ours_debug(self) -> Peer:
        """An engine of ours that tells its stages."""
        return self.ours_with("--log-level=debug")

    def through_docker(self, peer: Peer) -> Peer:
        """An engine of ours through Docker's CLI, the same program that Docker's own engine is asked with."""
        return replace(peer, name=f"{peer.name}, docker CLI", cli=(oldest_docker(),))

    @cached_property
    def floor(self) -> Floor:
        """The bare runtimes, in our engine's machine."""
        return self.floor_in(self.ours.where)

    def floor_in(self, where: Machine) -> Floor:
        return self.stack.enter_context(bare_runtime(where))

    @property
    def engines(self) -> tuple[Peer, ...]:
        return self.ours, self.docker, self.podman

    def daemon(self, kind: Kind, cli: tuple[str, ...], options: Sequence[str] = ()) -> Peer:
        where = self.stack.enter_context(machine(resolv_conf=RESOLV_CONF))
        daemon = self.stack.enter_context(engine(where, kind, options=options))
        peer = Peer("ours" if kind == "sanbashi" else kind, where, cli, daemon.variables(), daemon)
        peer.load("busybox")
        self.known.setdefault(peer.name, peer)
        return peer


@contextlib.contextmanager
def world() -> Iterator[World]:
    """FileNotFoundError names what is not installed."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise FileNotFoundError(f"not installed: {', '.join(missing)}; make bench installs them")
    with contextlib.ExitStack() as stack:
        yield World(stack)


def oldest_docker() -> str:
    """Debian's own CLI, which belongs to Debian's own daemon."""
    return min(docker_clis().items(), key=lambda found: [int(n) for n in found[1].split(".")])[0]


def podman(stack: contextlib.ExitStack) -> Peer:
    where = stack.enter_context(machine(resolv_conf=RESOLV_CONF, set_up=NO_UNIFIED))
    conf = where.scratch / "containers.conf"
    conf.write_text(PODMAN_CONF)
    root = where.scratch / "podman"
    cli = ("podman", f"--root={root}/data", "--runroot=/run/podman", "--storage-driver=overlay", f"--network-config-dir={root}/networks")
    # Its forced removal waits ten seconds for a process that does not listen to SIGTERM; the others' kills at once.
    peer = Peer("podman", where, cli, {"CONTAINERS_CONF": str(conf)}, removal=("rm", "-f", "-t", "0"))
    stack.callback(cleared, peer)
    peer.load("busybox")
    return peer


def cleared(peer: Peer) -> None:
    """Remove what a peer without a daemon has; if it hangs, all of it goes with its machine."""
    with contextlib.suppress(Hung):
        peer.clear()


def version(peer: Peer) -> str:
    """What is measured, for the table's foot."""
    words = peer.run("version", "--format", "{{.Server.Version}}", check=False).stdout.strip()
    return f"{peer.name} {words or peer.run('--version').stdout.strip()}"


def tool_versions() -> list[str]:
    """The runtimes, and what makes the load."""
    said: list[str] = []
    commands: Sequence[tuple[str, ...]] = (
        ("crun", "--version"),
        ("runc", "--version"),
        ("conmon", "--version"),
        ("iperf3", "--version"),
        ("wrk", "-v"),
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
        said.append(f"{command[0]} {found[0] if found else '?'}")
    return said


def machine_words() -> str:
    """The machine, for the table's foot: kernel, processors, memory."""
    kernel = os.uname().release.partition("-")[0]
    processors = Path("/proc/cpuinfo").read_text().count("processor\t")
    kilobytes = int(re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[0])
    return f"kernel {kernel}, {processors} processors, {kilobytes / 2**20:.0f} GiB of memory, Python {sys.version.split()[0]}"
