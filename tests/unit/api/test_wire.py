"""Bodies as Go's decoder takes them."""

from __future__ import annotations

from sanbashi.api.messages import MAXIMUM
from sanbashi.api.wire import create_body, exec_body


def test_names_of_fields_in_any_case() -> None:
    assert exec_body({"cmd": "true", "detachKeys": "ctrl-p", "nosuchfield": 1}).detach_keys == "ctrl-p"
    config, host, _ = create_body({"image": "busybox", "hostConfig": {"networkmode": "none"}, "Runtime": "runc"}, MAXIMUM)
    assert (config.image, host.network_mode, host.runtime) == ("busybox", "none", "runc")
