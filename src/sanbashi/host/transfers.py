"""What all transfers with registries and clients have in common; the transfers themselves are read in when somebody asks for one."""

from __future__ import annotations

import msgspec

from ..errors import Failed


class Credentials(msgspec.Struct, frozen=True):
    """What `docker login` keeps for a registry, as the X-Registry-Auth header carries it."""

    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class Stopped(Failed):
    """Nobody waits for this any more."""

    def __init__(self) -> None:
        super().__init__("context canceled")
