"""Where a layer's entries belong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.errors import Invalid
from sanbashi.images.layers import Place, chain_ids, place


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("./", Place("entry", ())),
        ("etc/passwd", Place("entry", ("etc", "passwd"))),
        ("/etc//passwd", Place("entry", ("etc", "passwd"))),
        ("etc/../var/", Place("entry", ("var",))),
        ("etc/.wh.passwd", Place("whiteout", ("etc", "passwd"))),
        (".wh.etc", Place("whiteout", ("etc",))),
        ("etc/.wh..wh..opq", Place("opaque", ("etc",))),
        (".wh..wh..opq", Place("opaque", ())),
        (".wh..wh.plnk", Place("ignored", ())),
    ],
)
def test_place(name: str, expected: Place) -> None:
    assert place(name) == expected


@pytest.mark.parametrize("name", ["../x", "a/../../x", "etc/.wh.", "etc/.wh...", "a\0b"])
def test_refused(name: str) -> None:
    with pytest.raises(Invalid):
        place(name)


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b", ".wh.a", ".wh..wh..opq", ".wh.."])))
def test_no_place_leads_outside(parts: list[str]) -> None:
    try:
        found = place("/".join(parts))
    except Invalid:
        return
    assert not {"", ".", ".."} & set(found.parts)


def test_chain_ids() -> None:
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    # printf 'sha256:11..1 sha256:22..2' | sha256sum
    assert chain_ids([one, two]) == (one, "sha256:9932074217c35353d2e03a3f5a86549f7c67bfeb0ba53e23d69f4d4c8f7958f5")
    assert chain_ids([]) == ()
