"""The local driver's options."""

from __future__ import annotations

import pytest

from sanbashi.errors import Invalid
from sanbashi.volumes.options import LocalMount, check_options, local_mount


def test_words_become_flags_and_data() -> None:
    assert local_mount({}) is None
    found = local_mount({"type": "nfs", "device": ":/x", "o": "addr=10.0.0.1,ro,rw,nosuid,nolock,soft,defaults"})
    assert found == LocalMount("nfs", ":/x", ("nosuid",), "", "addr=10.0.0.1,nolock,soft") and found.server == "10.0.0.1"
    assert local_mount({"type": "none", "device": "/x", "o": "bind,ro,rslave"}) == LocalMount("none", "/x", ("bind", "ro"), "rslave", "")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"colour": "red"}, 'invalid option: "colour"'),
        ({"type": "nfs"}, 'missing required option: "device"'),
        ({"device": "/x"}, 'missing required option: "type"'),
        ({"o": "ro"}, 'missing required option: "device"'),
        ({"size": "1m"}, "quota size requested but no quota support"),
    ],
)
def test_what_is_refused(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        check_options(options)
