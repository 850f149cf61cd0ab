"""What a container is: Docker's Config and HostConfig as typed values, and the container's own state; frozen, saved as they stand.

The structs carry Docker's JSON names (`rename`), so a request decodes into them (api/wire.py drops nulls first, as Go's decoder ignores them)
and inspect encodes them back. A field that is here and not yet honoured is refused or warned of in `containers/request.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ..network.model import EndpointWish, PortBinding
from .options import BindOptions, DeviceRequest, ImageOptions, ThrottleDevice, TmpfsOptions, VolumeOptions, WeightDevice

Status = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A value whose JSON names are Go's."""


class HealthConfig(Wire, frozen=True, kw_only=True, rename="pascal"):
    """A health check; durations in nanoseconds, 0 means Docker's default."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0
    start_interval: int = 0


class Config(Wire, frozen=True, kw_only=True, rename="pascal"):
    """The portable half of create's body."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: Mapping[str, Any] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: Mapping[str, Any] | None = None
    working_dir: str = ""
    entrypoint: tuple[str, ...] | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: tuple[str, ...] | None = None
    labels: Mapping[str, str] = {}
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: tuple[str, ...] | None = None


class HostPort(Wire, frozen=True, kw_only=True, rename="pascal"):
    """One binding as the user wrote it."""

    host_ip: str = ""
    host_port: str = ""


class RestartPolicy(Wire, frozen=True, kw_only=True, rename="pascal"):
    """no, always, unless-stopped, on-failure."""

    name: str = "no"
    maximum_retry_count: int = 0


class LogConfig(Wire, frozen=True, kw_only=True, rename="pascal"):
    """Log driver and its options."""

    type: str = "json-file"
    config: Mapping[str, str] = {}


class DeviceMapping(Wire, frozen=True, kw_only=True, rename="pascal"):
    """A host device in the container."""

    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = "rwm"


class Ulimit(Wire, frozen=True, kw_only=True, rename="pascal"):
    """A resource limit; -1 is unlimited."""

    name: str = ""
    soft: int = 0
    hard: int = 0


class Mount(Wire, frozen=True, kw_only=True, rename="pascal"):
    """A --mount."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    image_options: ImageOptions | None = None


class HostConfig(Wire, frozen=True, kw_only=True, rename="pascal"):
    """The half of create's body that depends on the host."""

    binds: tuple[str, ...] | None = None
    container_id_file: str = msgspec.field(default="", name="ContainerIDFile")
    log_config: LogConfig = LogConfig()
    network_mode: str = ""
    port_bindings: Mapping[str, tuple[HostPort, ...] | None] | None = {}
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: tuple[str, ...] | None = None
    console_size: tuple[int, int] = (0, 0)
    annotations: Mapping[str, str] | None = None
    cap_add: tuple[str, ...] | None = None
    cap_drop: tuple[str, ...] | None = None
    cgroupns_mode: str = ""
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] | None = None
    group_add: tuple[str, ...] | None = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: tuple[str, ...] | None = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: tuple[str, ...] | None = None
    storage_opt: Mapping[str, str] | None = None
    tmpfs: Mapping[str, str] | None = None
    uts_mode: str = msgspec.field(default="", name="UTSMode")
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: Mapping[str, str] | None = None
    runtime: str = ""
    isolation: str = ""
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: tuple[WeightDevice, ...] | None = None
    blkio_device_read_bps: tuple[ThrottleDevice, ...] | None = None
    blkio_device_write_bps: tuple[ThrottleDevice, ...] | None = None
    blkio_device_read_iops: tuple[ThrottleDevice, ...] | None = msgspec.field(default=None, name="BlkioDeviceReadIOps")
    blkio_device_write_iops: tuple[ThrottleDevice, ...] | None = msgspec.field(default=None, name="BlkioDeviceWriteIOps")
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: tuple[DeviceMapping, ...] | None = None
    device_cgroup_rules: tuple[str, ...] | None = None
    device_requests: tuple[DeviceRequest, ...] | None = None
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] | None = None
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = msgspec.field(default=0, name="IOMaximumIOps")
    io_maximum_bandwidth: int = msgspec.field(default=0, name="IOMaximumBandwidth")
    mounts: tuple[Mount, ...] | None = None
    init: bool | None = None
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None


class MountPoint(Wire, frozen=True, kw_only=True, rename="pascal"):
    """A mount as it stands (inspect's Mounts). `type` bind, volume, tmpfs or image; `propagation` rprivate and friends.

    The `name` of an image's mount is the image as the user named it.
    """

    type: str
    name: str = ""
    source: str = ""
    destination: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = msgspec.field(default=True, name="RW")
    propagation: str = ""
    copy_up: bool = msgspec.field(default=False, name="-copy-up")  # fill an empty volume from the image
    subpath: str = msgspec.field(default="", name="-subpath")  # the part of the volume or image that is mounted, "" for all of it
    options: tuple[str, ...] = msgspec.field(default=(), name="-options")  # further mount options (tmpfs size, mode)
    image_id: str = msgspec.field(default="", name="-image")  # of an image's mount: which one it was at creation,
    layers: tuple[str, ...] = msgspec.field(default=(), name="-layers")  # and its layers, which stay as long as the container


class HealthLog(Wire, frozen=True, kw_only=True, rename="pascal"):
    """One probe."""

    start: str
    end: str
    exit_code: int
    output: str = ""


class Health(Wire, frozen=True, kw_only=True, rename="pascal"):
    """Where the health check stands."""

    status: str = "starting"
    failing_streak: int = 0
    log: tuple[HealthLog, ...] = ()


class ContainerState(Wire, frozen=True, kw_only=True, rename="pascal"):
    """Where a container stands. Times are RFC 3339 with nanoseconds, UTC; "0001-01-01T00:00:00Z" where not yet."""

    status: Status = "created"
    oom_killed: bool = msgspec.field(default=False, name="OOMKilled")
    dead: bool = False
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: str = "0001-01-01T00:00:00Z"
    finished_at: str = "0001-01-01T00:00:00Z"
    health: Health | None = None

    @property
    def running(self) -> bool:
        return self.status in ("running", "paused", "restarting")


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A container. `networks` are its wishes by network name in the order of attaching (inspect's map); `sandbox_id` "" while stopped.

    `image_id` is "sha256:..."; `layers` are the chain's diff ids, lowest first. `path` and `args` are what runs. `stopped_by_user` keeps a
    restart policy from acting. `monitor_pid` is conmon's. `paused_by` etc. are derived, not kept.
    """

    id: str
    name: str
    created: str
    config: Config
    host_config: HostConfig
    image_id: str
    layers: tuple[str, ...] = ()
    path: str = ""
    args: tuple[str, ...] = ()
    networks: tuple[tuple[str, EndpointWish], ...] = ()
    linked: tuple[tuple[str, str], ...] = ()  # (alias, container id) of its --link on the default bridge
    state: ContainerState = ContainerState()
    mounts: tuple[MountPoint, ...] = ()
    sandbox_id: str = ""
    last_addresses: tuple[tuple[str, str, str], ...] = ()  # (network id, IPv4, IPv6) that it had when it last ran: taken again where free
    last_ports: tuple[PortBinding, ...] = ()  # and its host ports
    runtime: str = ""
    platform: str = "linux"
    restart_count: int = 0
    stopped_by_user: bool = False
    monitor_pid: int = 0
    anonymous_volumes: tuple[str, ...] = ()
    boot_id: str = ""  # the boot in which `state.pid`, `monitor_pid` and the sandbox are facts

    def __repr__(self) -> str:
        return f"<Container {self.name} {self.id[:12]} {self.state.status}>"

    @property
    def volume_names(self) -> frozenset[str]:
        """The volumes that are mounted in it; an image's mount has a name too, which may be the same."""
        return frozenset(m.name for m in self.mounts if m.type == "volume")

    @property
    def stands_on(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(image id, layers) of its own image, then of those that are mounted in it."""
        return ((self.image_id, self.layers), *((m.image_id, m.layers) for m in self.mounts if m.type == "image"))


class ExecConfig(Wire, frozen=True, kw_only=True, rename="pascal"):
    """`POST /containers/{id}/exec`."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None
    attach_stdin: bool = False
    attach_stderr: bool = False
    attach_stdout: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: tuple[str, ...] | None = None
    working_dir: str = ""
    cmd: tuple[str, ...] | None = None
