"""What `info` tells everybody."""

from __future__ import annotations

import pytest

from sanbashi.daemon.info import setting


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", ""),
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://me:secret@proxy:3128/", "http://xxxxx:xxxxx@proxy:3128/"),
        ("http://me:se@cret@proxy:3128", "http://xxxxx:xxxxx@proxy:3128"),
        ("http://proxy/a@b", "http://proxy/a@b"),
    ],
)
def test_a_proxys_password_is_not_told(monkeypatch: pytest.MonkeyPatch, value: str, told: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    monkeypatch.delenv("http_proxy", raising=False)
    assert setting("HTTP_PROXY") == told
