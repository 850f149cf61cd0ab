"""The pages as a test: links lead somewhere, decisions are numbered in order, and whatever set-up installs has its reason written down."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DECISIONS = PROJECT / "docs" / "decisions"
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
# What is Debian's own, and no choice of ours.
GIVEN = {"python3", "python3-venv"}


def pages() -> Iterator[Path]:
    """Every page of ours."""
    yield from sorted(PROJECT.glob("*.md"))
    for folder in ("docs", "packaging", "tests", "bench"):
        yield from sorted((PROJECT / folder).rglob("*.md"))


def test_links_lead_somewhere() -> None:
    wrong = []
    for page in pages():
        for label, target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            if "://" not in target and not there.exists():
                wrong.append(f"{page.relative_to(PROJECT)}: [{label}]({target}) leads nowhere")
            elif anchor and "://" not in target and anchor not in headings(there):
                wrong.append(f"{page.relative_to(PROJECT)}: {there.name} has no heading #{anchor}")
    assert not wrong, "\n".join(wrong)


def headings(page: Path) -> set[str]:
    """The anchors of a page, as they are made of its headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_a_number_is_that_of_the_decision_it_leads_to() -> None:
    wrong = []
    for page in pages():
        for label, target in LINK.findall(page.read_text(encoding="utf-8")):
            told, meant = re.search(r"(?:^|[Dd]ecision )(\d+)$", label), re.match(r"(?:.*/)?(\d{4})-", target)
            if told and meant and int(told[1]) != int(meant[1]):
                wrong.append(f"{page.relative_to(PROJECT)}: [{label}]({target})")
    assert not wrong, "\n".join(wrong)


def test_decisions_are_numbered_in_order() -> None:
    files = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [int(f.name[:4]) for f in files] == list(range(1, len(files) + 1)), "a record has the next free number, and none is used twice"
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    for file in files:
        title = file.read_text(encoding="utf-8").partition("\n")[0]
        assert re.match(rf"# {file.name[:4]} \S", title), f"{file.name} begins with {title!r}"
        assert f"]({file.name})" in index, f"docs/decisions/README.md does not list {file.name}"


def test_what_is_installed_has_its_reason() -> None:
    records = "\n".join(f.read_text(encoding="utf-8") for f in DECISIONS.glob("[0-9]*.md"))
    arrays = re.findall(r"(?:engine|around|peers)\+?=\(([^)]*)\)", (PROJECT / "scripts" / "setup").read_text(encoding="utf-8"))
    packages = [name for array in arrays for name in array.split()]
    with (PROJECT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    libraries = [re.split(r"[<>=!]", wish)[0] for wish in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    assert len(packages) > 20 and len(libraries) > 10
    silent = [name for name in (*packages, *libraries) if name not in GIVEN and not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", records)]
    assert not silent, f"no decision record says why: {', '.join(silent)}"


def test_the_map_shows_every_folder() -> None:
    """What stands beside the source, two floors deep."""
    shown = (PROJECT / "docs" / "map.md").read_text(encoding="utf-8")
    rooms = [f.relative_to(PROJECT).parts for kind in ("py", "md") for depth in ("*", "*/*") for f in PROJECT.glob(f"{depth}/*.{kind}")]
    folders = {"/".join(parts[:-1]) for parts in rooms if parts[0] != "src" and not any(part.startswith(".") for part in parts)}
    assert len(folders) > 10
    silent = sorted(folder for folder in folders if f"`{folder}`" not in shown)
    assert not silent, f"docs/map.md does not name {', '.join(silent)}"
