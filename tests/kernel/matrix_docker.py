"""The same matrix asked of Debian's dockerd, in a machine of its own: what Docker does in the cells that it has.

The engine of this version knows no routed and no isolated networks. It runs as its manual says for IPv6 (--experimental --ip6tables), with its
proxy, and with br_netfilter as it sets it itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Engine, engine, machine, registry
from tests.kernel.matrix import ASKERS, BRIDGE, EXPOSURES, Matrix, Site, asked_of, listen, published, summary
from tests.kernel.world import Place, Servers, World, eventually

KINDS = {"nat": [], "internal": ["--internal"], "icc off": ["-o", f"{BRIDGE}enable_icc=false"]}
OUTER = ("198.51.100.2", "2001:db8:51::2")


@dataclass(frozen=True)
class DockerRun:
    """What came of it: the engine's version, and the outcomes."""

    version: str
    matrix: Matrix


def run_docker() -> DockerRun:
    """Ask dockerd every cell that it has."""
    with machine() as where, registry(where) as images:
        options = ["--experimental", "--ip6tables", f"--registry-mirror={images}"]
        with engine(where, "docker", options=options) as docker:
            docker.pull("busybox:latest")
            version = str(docker.call("GET", "/version")[1]["Version"])
            with docker_site(docker) as site:
                br_netfilter = where.run("cat /proc/sys/net/bridge/bridge-nf-call-iptables", check=False).stdout == "1\n"
                return DockerRun(version, Matrix(br_netfilter, list(asked_of(site, KINDS))))


@contextmanager
def docker_site(docker: Engine) -> Iterator[Site]:
    """Networks, containers and listeners as in the site of our own."""
    where, servers, pool = docker.machine, Servers(), ThreadPoolExecutor(32)
    host, neighbour = (place_of(Path(f"/proc/{space.pid}/ns/net")) for space in (where, where.outside))
    world = World(host, neighbour, servers, where.scratch, True, {"host": host, "neighbour": neighbour}, pool)
    where.outside.run(f"ip route add 10.82.0.0/16 via {OUTER[0]}; ip route add fd82::/16 via {OUTER[1]}")
    addresses: dict[tuple[str, int], str] = {}

    def run(name: str, network: str, *ports: str) -> None:
        docker.cli("run", "-d", "--name", name, "--network", network, *(w for p in ports for w in ("-p", p)), "busybox", "sleep", "10000")
        settings = json.loads(docker.cli("inspect", name).stdout)[0]["NetworkSettings"]
        joined = settings["Networks"][network]
        addresses.update({(name, 4): joined["IPAddress"], (name, 6): joined["GlobalIPv6Address"]})
        listen(world, name, where.path(settings["SandboxKey"]))

    try:
        site = Site(world, lambda name, number: addresses[name, number], OUTER)
        for number, (kind, options) in enumerate([("elsewhere", []), *KINDS.items()]):
            name = kind.replace(" ", "")
            docker.cli("network", "create", "--ipv6", f"--subnet=10.82.{number}.0/24", f"--subnet=fd82:{number}::/64", *options, name)
            if kind == "elsewhere":
                run(name, name)
            else:
                run(site.name(kind, 1), name, *published(kind))
                run(site.name(kind, 2), name)
        eventually(lambda: "tentative" not in "".join(p.sh("ip -6 addr") for p in world.places.values()), 10.0)
        yield site
    finally:
        servers.end()
        pool.shutdown()
        for place in world.places.values():
            place.end()


def place_of(path: Path) -> Place:
    with path.open() as file:
        return Place(file.fileno())


def compared(docker: DockerRun, ours: Matrix) -> str:
    """How Docker's cells and ours differ, as Markdown: a row a question where the answers are not the same."""
    theirs, mine = docker.matrix.by_cell(), ours.by_cell()
    sure = {cell: o.open for cell, o in theirs.items() if o.open or o.control}
    same = sum(is_open == mine[cell].open for cell, is_open in sure.items())
    lines = [
        f"docker.io {docker.version} (Debian's), asked the same {len(theirs)} cells of the networks that it knows, with bridge-nf-call-iptables = "
        f"{int(docker.matrix.br_netfilter)},\nas it sets it. {same} cells are the same, {len(sure) - same} differ"
        + (f", and {len(theirs) - len(sure)} say nothing, because the control beside them was refused" if len(sure) < len(theirs) else "")
        + ". Where they differ:",
        "",
        "| network | asked by | exposure | Docker | here |",
        "|---|---|---|---|---|",
    ]
    for kind in KINDS:
        for exposure in EXPOSURES:
            for asker in ASKERS:
                row = {c: o for c, o in sure.items() if (c.kind, c.asker, c.exposure) == (kind, asker, exposure)}
                here = {c: mine[c].open for c in row}
                if row != here:
                    lines.append(f"| {kind} | {asker} | {exposure} | {summary(row)} | {summary(here)} |")
    return "\n".join(lines)
