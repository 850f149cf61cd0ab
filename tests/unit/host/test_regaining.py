"""A link's name given back by a kernel that renames none that is up."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sanbashi.host import regaining, rtnetlink


@pytest.mark.parametrize("taken", [False, True])
def test_a_link_that_was_taken_down_to_be_renamed_is_up_again_whatever_came_of_it(monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    did: list[str] = []
    link = SimpleNamespace(alias="sanbashi:app:web", index=7)
    monkeypatch.setattr(rtnetlink, "link", lambda _, name: link if name == "odd" else None)
    monkeypatch.setattr(rtnetlink, "set_link", lambda name, *, up: f"{name} {'up' if up else 'down'}")
    monkeypatch.setattr(rtnetlink, "rename", lambda index, name: f"{index} is {name}")

    def carry_out(_: Any, message: Any) -> None:
        did.append(message)
        if " is " in message and (taken or len(did) == 1):
            raise OSError(errno.EBUSY if len(did) == 1 else errno.EEXIST, "no")

    monkeypatch.setattr(regaining, "carry_out", carry_out)
    if taken:
        with pytest.raises(OSError, match="no"):
            regaining.rename(cast(Any, None), "odd", "br0")
    else:
        assert regaining.rename(cast(Any, None), "odd", "br0")
    assert did == ["7 is br0", "odd down", "7 is br0", f"{'odd' if taken else 'br0'} up"]
