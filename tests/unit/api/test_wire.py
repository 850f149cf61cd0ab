"""Bodies and headers as Go's decoder takes them."""

from __future__ import annotations

import base64
import json

import pytest

from sanbashi.api.create_body import create_body
from sanbashi.api.messages import MAXIMUM
from sanbashi.api.wire import exec_body, registries
from sanbashi.errors import Invalid


def test_names_of_fields_in_any_case() -> None:
    assert exec_body({"cmd": "true", "detachKeys": "ctrl-p", "nosuchfield": 1}).detach_keys == "ctrl-p"
    body = create_body({"image": "busybox", "hostConfig": {"networkmode": "none"}, "Runtime": "runc"}, MAXIMUM)
    assert (body.config.image, body.host.network_mode, body.host.runtime) == ("busybox", "none", "runc")


def test_logins_for_several_registries() -> None:
    """As the CLI sends them, and as the SDK for Python does, with null for what a stored login has not."""

    def header(document: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()

    login = {"username": "me", "password": "secret"}
    assert registries(header({"127.0.0.1:5000": {**login, "email": None}})) == {"127.0.0.1:5000": login}
    assert registries("") == registries(header(None)) == registries(header({})) == {}
    for wrong in ("!", header([]), header({"127.0.0.1:5000": {"username": 1}})):
        with pytest.raises(Invalid, match="invalid X-Registry-Config header"):
            registries(wrong)
