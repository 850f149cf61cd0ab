"""docs/networks/bridge.md names every option that is read, and those that change while containers run."""

from __future__ import annotations

from pathlib import Path

from sanbashi.network.options import PREFIX, READ_ELSEWHERE, READERS
from sanbashi.network.updating import LIVE

PAGE = (Path(__file__).resolve().parents[3] / "docs/networks/bridge.md").read_text()
NOBODYS = {PREFIX + "bridge.default_bridge"}  # Docker's mark on docker0, which nobody sets


def named(key: str, text: str) -> bool:
    """Whether a text has an option, as the page writes it: without Docker's prefix, the second of a pair by its end."""
    short = key.removeprefix(PREFIX)
    return f"`{short}" in text or (key.endswith("ipv6") and "`_ipv6`" in text and f"`{short[:-1]}4" in text)


def test_every_option_is_on_the_page() -> None:
    assert {key for key in (set(READERS) | READ_ELSEWHERE) - NOBODYS if not named(key, PAGE)} == set()


def test_what_changes_live_is_told() -> None:
    section = PAGE.partition("## While containers run")[2].partition("\n## ")[0]
    told = section.partition("What can change:")[2].partition("All else")[0]
    assert {key for key in (set(READERS) | READ_ELSEWHERE) if named(key, told)} == LIVE
