"""The page in docs: what stands between two marks is written by a run, the rest by hand.

<!-- bench -->  ...  <!-- end of bench -->      by make bench
<!-- scale -->  ...  <!-- end of scale -->      by make bench-scale
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .plots import PLOTS


def write_page(page: Path, mark: str, text: str, pictures: Mapping[str, str]) -> None:
    """Put a run's text between its marks, its pictures in a folder beside the page; ValueError where the page has no such marks."""
    before, begin, rest = page.read_text().partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- end of {mark} -->")
    if not begin or not end:
        raise ValueError(f"{page} has no part between <!-- {mark} --> and <!-- end of {mark} -->")
    folder = page.with_suffix("")
    links = []
    for key, picture in pictures.items():
        folder.mkdir(exist_ok=True)
        (folder / f"{key}.svg").write_text(picture)
        title = next(plot.title for plot in PLOTS if plot.key == key)
        links.append(f"![{title}]({folder.name}/{key}.svg)\n")
    page.write_text("".join([before, begin, text.rstrip(), "\n\n", "\n".join(links), end, after]))
