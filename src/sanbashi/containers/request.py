"""A request to create a container and its image become a Container: the image's configuration merged in, everything checked, defaults written out."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace as with_fields
from typing import Any

from msgspec.structs import replace

from ..errors import Invalid, NotFound
from ..images.model import Image, ImageConfig
from ..network.model import EndpointWish
from .capabilities import granted, normalised
from .checks import check_config, check_health, check_host, check_modes, joins, warnings
from .facts import ContainerFacts
from .model import Config, Container, HealthConfig, HostConfig, LogConfig, RestartPolicy
from .mounts import mount_points
from .security import MASKED, READ_ONLY
from .spec import SHM_SIZE

SHORT = 12  # of an id, where Docker shows one


def nobody(ref: str) -> Container:
    """No container is known."""
    raise NotFound(f"No such container: {ref}")


def container_of(
    config: Config,
    host: HostConfig,
    wishes: tuple[tuple[str, EndpointWish], ...],
    image: Image | None,
    *,
    id: str,
    name: str,
    created: str,
    facts: ContainerFacts | None = None,
    find: Callable[[str], Container] = nobody,
    runtimes: tuple[str, ...] = (),
    default_runtime: str = "",
    default_log_driver: str = "json-file",
    host_name: str = "",
    ip_forward: bool | None = None,
) -> tuple[Container, list[str]]:
    """The container, not yet anywhere, and Docker's warnings; Invalid with Docker's sentence for what cannot be.

    `find` gives the container of a reference, for --volumes-from and container:NAME. Anonymous volumes among its mounts have no name yet.
    """
    facts = facts or ContainerFacts()
    more: dict[str, Any] = {"runtimes": runtimes, "default_runtime": default_runtime, "hostname": host_name}
    facts = with_fields(facts, **{key: value for key, value in more.items() if value})
    facts = with_fields(facts, forwarding=ip_forward) if ip_forward is not None else facts
    check_modes(config, host)
    merged = merge(config, image.config if image is not None else ImageConfig())
    if not merged.entrypoint and not merged.cmd:
        raise Invalid("no command specified")
    check_config(merged)
    check_host(host, facts)
    warned = warnings(config, host, facts)
    host = settled(by_id(host, find), facts, default_log_driver)
    if not merged.hostname:
        merged = replace(merged, hostname=facts.hostname if host.network_mode == "host" else id[:SHORT])
    words = (*(merged.entrypoint or ()), *(merged.cmd or ()))
    container = Container(
        id=id,
        name=name,
        created=created,
        config=merged,
        host_config=host,
        image_id=image.id if image is not None else "",
        layers=image.diff_ids if image is not None else (),
        path=words[0],
        args=words[1:],
        networks=wishes,
        mounts=mount_points(merged, host, find),
        runtime=host.runtime,
        platform=image.os if image is not None else "linux",
    )
    return container, warned


def merge(config: Config, image: ImageConfig) -> Config:
    """The user's configuration over the image's, by Docker's rules.

    A user's entrypoint takes the image's command away with its entrypoint; entrypoint [""] leaves neither. The user's environment stands first.
    """
    entrypoint, command = config.entrypoint, config.cmd
    if not entrypoint:
        command = command or image.cmd
        entrypoint = image.entrypoint if entrypoint is None else entrypoint
    if entrypoint is not None and tuple(entrypoint) == ("",):
        entrypoint = None
    names = {word.partition("=")[0] for word in config.env or ()}
    env = (*(config.env or ()), *(word for word in image.env or () if word.partition("=")[0] not in names))
    directory = config.working_dir or image.working_dir
    return replace(
        config,
        user=config.user or image.user,
        exposed_ports=union(image.exposed_ports, config.exposed_ports),
        env=env,
        cmd=command,
        entrypoint=entrypoint,
        volumes=union(image.volumes, config.volumes),
        working_dir=posixpath.normpath(directory) if directory.startswith("/") else directory,
        labels={**(image.labels or {}), **config.labels},
        stop_signal=config.stop_signal or image.stop_signal,
        healthcheck=merge_health(config.healthcheck, image.healthcheck),
        shell=config.shell or image.shell,
    )


def union(image: Mapping[str, Any] | None, user: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Both sets, None where there is neither."""
    return {**(image or {}), **(user or {})} or None


def merge_health(user: HealthConfig | None, image: Mapping[str, Any] | None) -> HealthConfig | None:
    """The user's check; what it leaves open is the image's."""
    if image is None:
        return user
    base = HealthConfig(
        test=tuple(image.get("Test") or ()),
        interval=int(image.get("Interval") or 0),
        timeout=int(image.get("Timeout") or 0),
        retries=int(image.get("Retries") or 0),
        start_period=int(image.get("StartPeriod") or 0),
        start_interval=int(image.get("StartInterval") or 0),
    )
    if user is None:
        return base
    check_health(user)
    return HealthConfig(
        test=user.test or base.test,
        interval=user.interval or base.interval,
        timeout=user.timeout or base.timeout,
        retries=user.retries or base.retries,
        start_period=user.start_period or base.start_period,
        start_interval=user.start_interval or base.start_interval,
    )


def by_id(host: HostConfig, find: Callable[[str], Container]) -> HostConfig:
    """The host half with container:NAME as container:ID: a renamed container is found again, one that took its name over is not. Who is not there
    stays as written and is missed at start."""
    modes = {"network_mode": host.network_mode, "pid_mode": host.pid_mode, "ipc_mode": host.ipc_mode}
    found = {}
    for field, mode in modes.items():
        if joins(mode):
            with suppress(NotFound, Invalid):
                found[field] = f"container:{find(mode.partition(':')[2]).id}"
    return replace(host, **found)


def settled(host: HostConfig, facts: ContainerFacts, default_log_driver: str) -> HostConfig:
    """The host half with Docker's defaults written out, as inspect shows them."""
    add, drop = normalised(host.cap_add, "CapAdd"), normalised(host.cap_drop, "CapDrop")
    granted(add, drop, privileged=host.privileged, available=facts.capabilities)
    mode = host.network_mode if host.network_mode not in ("", "default") else "bridge"
    log = host.log_config
    swap = 2 * host.memory if host.memory > 0 and host.memory_swap == 0 and facts.swap_limit else host.memory_swap
    return replace(
        host,
        network_mode=mode,
        restart_policy=host.restart_policy if host.restart_policy.name else RestartPolicy(name="no"),
        log_config=log if log.type else LogConfig(type=default_log_driver, config=log.config),
        ipc_mode=host.ipc_mode or "private",
        cgroupns_mode=host.cgroupns_mode or ("private" if facts.cgroup == "v2" else "host"),
        shm_size=host.shm_size or SHM_SIZE,
        runtime=host.runtime or facts.default_runtime,
        port_bindings=host.port_bindings if host.port_bindings is not None else {},
        cap_add=add,
        cap_drop=drop,
        memory_swap=swap,
        memory_swappiness=host.memory_swappiness if facts.cgroup == "v1" and host.memory_swappiness != -1 else None,
        oom_kill_disable=(host.oom_kill_disable or False) if facts.cgroup == "v1" else None,
        pids_limit=host.pids_limit or None,
        blkio_weight=host.blkio_weight if facts.block_weight else 0,
        blkio_weight_device=() if host.blkio_weight_device and not facts.block_weight else host.blkio_weight_device,
        masked_paths=None if host.privileged else MASKED if host.masked_paths is None else host.masked_paths,
        readonly_paths=None if host.privileged else READ_ONLY if host.readonly_paths is None else host.readonly_paths,
    )
