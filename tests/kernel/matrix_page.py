"""`python -m tests.kernel.matrix_page PATH`: the isolation matrix as a page, beside what Docker does."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.kernel.matrix import Cell, Matrix, cells, counted, mistakes, run_matrix, table
from tests.kernel.matrix_docker import DockerRun, compared, run_docker

PAGE = """# Who reaches a container

Made by `make isolation`, which asks every cell with packets in namespaces of its own and writes this page. A cell is one question: who asks,
how the container's port is exposed, tcp, udp or icmp, IPv4 or IPv6, and the kind of network. "no" counts only beside a control: the same
listener, asked in the same moment by the container itself, answered. {void} cells are void, because icmp has no ports that could be published.

Published means `-p PORT:80`, asked at the host's address; on a routed network nothing is translated, so it is asked at the container's own.
Published on loopback means `-p 127.0.0.1:PORT:82` and `-p [::1]:PORT:82`; the host asks at 127.0.0.1 and ::1, all others at the host's outer
address. On a routed network, where a loopback address has nothing to translate, it opens nothing, and the container's own address is asked:
there the host and neighbours on the network reach any port. Isolated and internal networks publish nothing, unless `io.sanbashi.inbound` asks for it.

## bridge-nf-call-iptables = 0

{plain_counts}.

{plain}
## bridge-nf-call-iptables = 1

{netfilter_counts}.

{netfilter}
The same. With br_netfilter the kernel would drop the answer to the host's own ::1, so its clients are lent another address on the way.

## Beside Docker

{docker}

From recordings of a newer Docker (engine of August 2026), which cover few of these cells; where they do, the answer is the same.

| cell | Docker | here |
|---|---|---|
| nat: other network -> unpublished, icmp over IPv4 | no | {icmp_other} |
| nat: other network -> unpublished, tcp over IPv4 | no | {tcp_other} |
| nat: other network -> published, tcp over IPv4 | yes | {published_other} |
| nat: host -> published, tcp over IPv4 | yes | {published_host} |
| icc off: same network -> unpublished, icmp over IPv4 | no | {icc_off} |
"""


def page(plain: Matrix, netfilter: Matrix, docker: DockerRun) -> str:
    """docs/isolation.md."""
    found = plain.by_cell()

    def word(kind: str, asker: str, exposure: str, protocol: str) -> str:
        return "yes" if found[Cell(kind, asker, exposure, protocol, 4)].open else "no"

    return PAGE.format(
        void=sum(bool(c.void) for c in cells()),
        plain_counts=counted(plain),
        plain=table(plain),
        netfilter_counts=counted(netfilter),
        netfilter=table(netfilter),
        docker=compared(docker, netfilter if docker.matrix.br_netfilter else plain),
        icmp_other=word("nat", "other network", "unpublished", "icmp"),
        tcp_other=word("nat", "other network", "unpublished", "tcp"),
        published_other=word("nat", "other network", "published", "tcp"),
        published_host=word("nat", "host", "published", "tcp"),
        icc_off=word("icc off", "same network", "unpublished", "icmp"),
    )


def main(path: str) -> None:
    """Ask ours twice and Docker once, and write the page; nothing is written where a cell of ours is not as promised."""
    if shutil.which("dockerd") is None:
        raise SystemExit("what Docker does is asked of dockerd, which is not here: apt-get install docker.io")
    runs = []
    for br_netfilter in (False, True):
        with tempfile.TemporaryDirectory() as root:
            runs.append(run_matrix(Path(root), br_netfilter=br_netfilter))
    if wrong := [m for run in runs for m in mistakes(run)]:
        raise SystemExit("\n".join(wrong))
    Path(path).write_text(page(*runs, run_docker()))


if __name__ == "__main__":
    main(sys.argv[1])
