"""docs/firewall.md names what the fixed tables are made of, and nothing that they are not."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TABLES = (ROOT / "src/sanbashi/host/table.nft").read_text()
PAGE = (ROOT / "docs/firewall.md").read_text()
HOOKED = re.compile(r"chain (\w+) \{ type \w+ hook (\w+) priority ([^;]+);")


def test_every_chain_and_set_is_on_the_page() -> None:
    names = set(re.findall(r"^\s+(?:chain|set|map)\s+(\w+)", TABLES, re.MULTILINE))
    assert len(names) > 50
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_rows_of_the_table_say_where_a_chain_is_hooked() -> None:
    inet = TABLES[: TABLES.index("table bridge")]
    cells = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.count(" | ") == 2]
    rows = {chain: row[1] for row in cells for chain in re.findall(r"`(\w+)`", row[0])}
    for chain, hook, priority in HOOKED.findall(inet):
        assert rows[chain] == f"{hook}, {priority}", chain


def test_every_mark_is_on_the_page() -> None:
    """Each bit by itself; masks of several are their sum or what they leave."""
    bits = {mark for mark in re.findall(r"0x[0-9a-f]{8}\b", TABLES) if int(mark, 16).bit_count() == 1} | {"0x53420000"}
    assert bits == {"0x08000000", "0x04000000", "0x53420000"} and "0x53420000" in TABLES
    assert {mark for mark in bits if mark not in PAGE} == set()
