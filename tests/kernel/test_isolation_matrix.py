"""The isolation matrix: every cell that is not void is proven with packets, a refusal beside a control; with and without br_netfilter."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.kernel.matrix import Cell, Matrix, Outcome, cells, counted, mistakes, run_matrix, summary, table
from tests.kernel.matrix_docker import DockerRun, compared

pytestmark = pytest.mark.root
PAGE = Path(__file__).resolve().parents[2] / "docs" / "isolation.md"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("br_netfilter", [False, True], ids=["plain", "br_netfilter"])
def test_every_cell(tmp_path: Path, br_netfilter: bool) -> None:
    matrix = run_matrix(tmp_path, br_netfilter=br_netfilter)
    print(f"\n{counted(matrix)}\n\n{table(matrix)}")
    assert mistakes(matrix) == []
    assert len(matrix.outcomes) == sum(not c.void for c in cells())
    section = PAGE.read_text().partition(f"## bridge-nf-call-iptables = {int(br_netfilter)}\n")[2].partition("\n## ")[0]
    assert f"{counted(matrix)}." in section and table(matrix).strip() in section, "make isolation"


def test_void_cells_are_named() -> None:
    void = {c.void for c in cells()} - {""}
    assert void == {"icmp has no ports, so none is published"}
    assert sum(bool(c.void) for c in cells()) == 100 and sum(1 for _ in cells()) == 450


def test_a_cell_is_told_in_few_words() -> None:
    def answers(*opened: tuple[str, int]) -> dict[Cell, bool]:
        return {Cell("nat", "host", "unpublished", p, f): (p, f) in opened for p in ("tcp", "udp", "icmp") for f in (4, 6)}

    assert summary(answers()) == "no"
    assert summary(answers(("icmp", 4), ("icmp", 6))) == "icmp only"
    assert summary(answers(("tcp", 4), ("udp", 4), ("icmp", 4))) == "IPv4 only"
    assert summary(answers(("icmp", 4))) == "icmp over IPv4 only"


def test_differences_from_docker_are_told_beside_a_control_alone() -> None:
    def matrix(*opened: str, controls: bool = True) -> Matrix:
        asked = [Cell("nat", "host", "unpublished", p, f) for p in ("tcp", "udp", "icmp") for f in (4, 6)]
        return Matrix(False, [Outcome(c, c.protocol in opened, "", controls or c.protocol != "icmp") for c in asked])

    told = compared(DockerRun("1.0", matrix("tcp", controls=False)), matrix("tcp", "udp", "icmp"))
    assert "2 cells are the same, 2 differ, and 2 say nothing" in told
    assert told.splitlines()[-1] == "| nat | host | unpublished | tcp only | yes |"
    assert compared(DockerRun("1.0", matrix("tcp")), matrix("tcp")).splitlines()[-1] == "|---|---|---|---|---|"
