"""Starting and removing a container that publishes many ports, and what a published port weighs."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from ..weight import own
from ..work import SLEEP, Figures, Measure, Row, Size, Work, timed
from ..world import Peer, World

FIRST = 20000
# Caches of files, which every start fills a little and everybody else on the machine too; a socket's own dentry (192 bytes) is left out with them.
OF_FILES = re.compile(
    r"ext4|xfs|btrfs|jbd2|ovl|fuse|dentry|inode_cache|buffer_head|radix_tree_node|kernfs|mnt_cache|vm_area|anon_vma|maple|filp|names_cache"
)


def start(count: int) -> str:
    return f"start with {count} published port{'s' * (count > 1)}"


def remove(count: int) -> str:
    return f"remove with {count} published port{'s' * (count > 1)}"


def published(count: int) -> str:
    return f"{FIRST}:1" if count == 1 else f"{FIRST}-{FIRST + count - 1}:1-{count}"


def rows(place: int, size: Size) -> tuple[Row, ...]:
    count = size.ports[place]
    return (Row(start(count), plot="ports", x=count), Row(remove(count), plot="ports-removed", x=count))


@contextlib.contextmanager
def starting(place: int, world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    count = size.ports[place]

    def turn(peer: Peer) -> Figures:
        peer.run("create", "--name", "bench", "-p", published(count), *SLEEP)
        took = timed(lambda: peer.run("start", "bench"))
        return {start(count): took, remove(count): timed(lambda: peer.remove("bench"))}

    yield {peer.name: partial(turn, peer) for peer in world.engines}


def of_processes(size: Size) -> str:
    return f"memory of {size.ports[-1]} published ports, processes (PSS)"


KERNEL = "memory of a published port, kernel (slab)"


def slab() -> int:
    """Bytes of kernel objects in use, files' caches left out."""
    total = 0
    for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
        words = line.split()
        # inode_cache catches sock_inode_cache too, which is ours to count.
        if words[0] == "sock_inode_cache" or not OF_FILES.search(words[0]):
            total += int(words[1]) * int(words[3])
    return total


@contextlib.contextmanager
def weighing(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    """The difference between a container with one published port and one with many; docker's proxies are processes."""
    count = size.ports[-1]

    def held(peer: Peer, ports: int) -> tuple[int, int]:
        before = own(peer), slab()
        peer.start("bench", "-p", published(ports))
        time.sleep(0.3)  # freed objects are counted until the kernel's grace period is over
        after = own(peer), slab()
        peer.remove("bench")
        time.sleep(0.3)
        return after[0] - before[0], after[1] - before[1]

    def turn(peer: Peer) -> Figures:
        one, many = held(peer, 1), held(peer, count)
        return {of_processes(size): (many[0] - one[0]) / 1e6, KERNEL: (many[1] - one[1]) / (count - 1) / 1024}

    for peer in (world.ours, world.docker):
        peer.start("first")
    yield {peer.name: partial(turn, peer) for peer in (world.ours, world.docker)}
    for peer in (world.ours, world.docker):
        peer.clear()


SLOW = frozenset(("docker", "podman"))
WORKS = (
    Work("ports, one", partial(rows, 0), partial(starting, 0), (7, 2), warm=True),
    Work("ports, ten", partial(rows, 1), partial(starting, 1), (5, 1)),
    Work("ports, a hundred", partial(rows, 2), partial(starting, 2), (5, 1), once=SLOW),
    Work("ports, five hundred", partial(rows, 3), partial(starting, 3), (5, 1), once=SLOW),
    Work(
        "memory of ports",
        lambda size: (Row(of_processes(size), "MB"), Row(KERNEL, "KB")),
        weighing,
        (5, 1),
        once=frozenset(("docker",)),
    ),
)
