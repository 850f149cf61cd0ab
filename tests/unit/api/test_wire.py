"""Bodies as Go's decoder takes them."""

from __future__ import annotations

from sanbashi.api.create_body import create_body
from sanbashi.api.messages import MAXIMUM
from sanbashi.api.wire import exec_body


def test_names_of_fields_in_any_case() -> None:
    assert exec_body({"cmd": "true", "detachKeys": "ctrl-p", "nosuchfield": 1}).detach_keys == "ctrl-p"
    body = create_body({"image": "busybox", "hostConfig": {"networkmode": "none"}, "Runtime": "runc"}, MAXIMUM)
    assert (body.config.image, body.host.network_mode, body.host.runtime) == ("busybox", "none", "runc")
