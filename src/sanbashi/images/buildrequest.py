"""What `POST /build` asks for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..errors import Invalid, NotSupported


class Limit(msgspec.Struct, frozen=True, rename="pascal"):
    """One ulimit."""

    name: str
    soft: int
    hard: int


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A build. Sizes in bytes, times in microseconds; 0 and "" where not given. `auths` are credentials by registry (X-Registry-Config)."""

    dockerfile: str = "Dockerfile"
    tags: tuple[str, ...] = ()
    arguments: Mapping[str, str | None] = {}
    labels: Mapping[str, str] = {}
    target: str = ""
    platform: str = ""
    network: str = ""
    extra_hosts: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    ulimits: tuple[Limit, ...] = ()
    security: tuple[str, ...] = ()
    cgroup_parent: str = ""
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    memory: int = 0
    memory_swap: int = 0
    shm_size: int = 0
    quiet: bool = False
    no_cache: bool = False
    pull: bool = False
    keep_containers: bool = False
    unused: tuple[str, ...] = ()  # parameters that were given and mean nothing here
    auths: Mapping[str, Mapping[str, str]] = {}


def check_remote(remote: str) -> None:
    """Refuse a context that is not sent along, with what to do instead."""
    if remote == "client-session":
        raise Invalid("experimental session with v1 builder is no longer supported, use builder version v2 (BuildKit) instead")
    if remote:
        hint = "fetch it and give its directory (git clone), or pipe it (curl -L ADDRESS | docker build -)"
        raise NotSupported(f"build contexts from an address are not supported: {remote}", hint=hint)


def check_builder(version: str, squash: bool, outputs: str, isolation: str) -> None:
    """Refuse what the classic builder does not do."""
    if version == "2":
        raise NotSupported(BUILDKIT)
    if version not in ("", "1"):
        raise Invalid(f'invalid version "{version}"')
    if isolation.lower() not in ("", "default"):
        raise Invalid(f'unsupported isolation: "{isolation}"')
    if squash:
        raise Invalid("squash is only supported with experimental mode")
    if outputs not in ("", "[]", "null"):
        raise Invalid("build outputs are only supported with BuildKit")


BUILDKIT = "BuildKit is not supported: set DOCKER_BUILDKIT=0 (for docker compose also COMPOSE_DOCKER_CLI_BUILD=0), which uses the classic builder"
KEPT = "[Warning] rm=false is not honoured: the containers of a build's steps are always removed\n"
