"""`POST /containers/create`: its body as typed values, by what the version that the client speaks means by it.

A client of an older version does not know what came later, so what its body seems to say of it is dropped, moved to where it stands today, or
refused: Docker's rules, a row each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as fields

from ..containers.model import Config, HostConfig, HostPort, Mount
from ..errors import Failed, Invalid
from ..network.model import PREDEFINED, EndpointWish
from ..network.options import ENDPOINT_SYSCTLS
from ..network.ports import exposed_ports, parse_bindings
from ..records import dataclass
from .addresses import parse_mac
from .messages import Version
from .wire import BadEndpoint, EndpointSettings, Networking, decode, endpoint_wish, part_of, with_word_lists

Endpoints = Mapping[str, EndpointSettings]


@dataclass(frozen=True)
class CreateBody:
    """What is to be made, and what the client is told of how it was read. `endpoints` by network, in the order of the body."""

    config: Config
    host: HostConfig
    endpoints: Endpoints
    warnings: tuple[str, ...] = ()

    @property
    def wishes(self) -> tuple[tuple[str, EndpointWish], ...]:
        """The endpoints as what a container wants of its networks; Invalid says of which one."""
        wishes = []
        for name, settings in self.endpoints.items():
            try:
                wishes.append((name, endpoint_wish(name, settings)))
            except BadEndpoint as error:
                raise Invalid(f"invalid config for network {name}: {error.message}") from error
        return tuple(wishes)

    @property
    def main(self) -> str:
        """The network of the network mode."""
        return self.host.network_mode if self.host.network_mode not in ("", "default") else "bridge"

    @property
    def has_own_network(self) -> bool:
        """Whether the mode is the default bridge or a network of the user's."""
        return self.main == "bridge" or (self.main not in PREDEFINED and not self.main.startswith("container:") and self.main != "container")

    def with_endpoint(self, name: str, **changes: Any) -> CreateBody:
        """One endpoint otherwise."""
        return replace(self, endpoints={**self.endpoints, name: fields(self.endpoints.get(name, EndpointSettings()), **changes)})

    def with_mounts(self, change: Callable[[Mount], Mount]) -> CreateBody:
        """Every --mount otherwise."""
        return replace(self, host=fields(self.host, mounts=tuple(map(change, self.host.mounts)))) if self.host.mounts else self


def create_body(document: Any, version: Version) -> CreateBody:
    """The body, parsed; Invalid in Docker's words."""
    if document is None:
        raise Invalid("config cannot be empty in order to create a container")
    if not isinstance(document, dict):
        raise Invalid("invalid JSON: the body: expected object")
    config = decode(with_word_lists(document, "Cmd", "Entrypoint", "Shell"), Config)
    host = decode(part_of(document, "HostConfig"), HostConfig, "HostConfig")
    if not host.runtime and isinstance(document.get("Runtime"), str):  # where docker-py puts it
        host = fields(host, runtime=document["Runtime"])
    if host.memory_swappiness == -1:  # the CLI's way to say nothing
        host = fields(host, memory_swappiness=None)
    if host.pids_limit is not None and host.pids_limit <= 0:
        host = fields(host, pids_limit=None)
    networking = decode(part_of(document, "NetworkingConfig"), Networking, "NetworkingConfig")
    exposed_ports(config.exposed_ports or {})
    parse_bindings(host.port_bindings or {})
    endpoints: dict[str, EndpointSettings] = {}
    for name, settings in networking.endpoints_config.items():
        if settings is None:
            raise Invalid(f"invalid config for network {name}: EndpointsConfig is nil")
        endpoints[name] = settings
    body = CreateBody(config, host, endpoints)
    if body.main == "bridge" and "default" in endpoints:
        body = replace(body, endpoints={"bridge" if name == "default" else name: settings for name, settings in endpoints.items()})
    if version == (1, 40) and part_of(document, "HostConfig").get("Capabilities"):
        raise Invalid("HostConfig.Capabilities is not supported", hint="say it by CapAdd and CapDrop")
    for before, adapt in OLDER:
        if version < before:
            body = adapt(body)
    return with_ports(with_sysctls(with_mac(with_driver_warning(body, version), version), version), version)


# -- what came later than the client


def without_recursion(body: CreateBody) -> CreateBody:
    """1.40 brought NonRecursive, and IPC namespaces that nobody else may join."""
    body = replace(body, host=fields(body.host, ipc_mode=body.host.ipc_mode or "shareable"))
    return body.with_mounts(lambda m: fields(m, bind_options=fields(m.bind_options, non_recursive=False)) if m.bind_options else m)


def without_mount_points(body: CreateBody) -> CreateBody:
    """1.42 brought CreateMountpoint, the terminal's size, and the rule that a --mount has its own kind's options alone."""

    def older(mount: Mount) -> Mount:
        bind = fields(mount.bind_options, create_mountpoint=False) if mount.bind_options else None
        return fields(
            mount,
            bind_options=bind,
            volume_options=mount.volume_options if mount.type == "volume" else None,
            tmpfs_options=mount.tmpfs_options if mount.type == "tmpfs" else None,
        )

    return replace(body, host=fields(body.host, console_size=(0, 0))).with_mounts(older)


def without_annotations(body: CreateBody) -> CreateBody:
    """1.43 brought annotations."""
    return replace(body, host=fields(body.host, annotations=None))


def on_one_network(body: CreateBody) -> CreateBody:
    """1.44 brought several endpoints at create, each with its MAC address, StartInterval, and read-only mounts that are so all the way down."""
    for mount in body.host.mounts or ():
        if mount.bind_options and mount.bind_options.read_only_force_recursive:
            raise Invalid("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
    if len(body.endpoints) > 1:
        raise Invalid(f"Container cannot be created with multiple network endpoints: {', '.join(body.endpoints)}")
    if body.config.healthcheck is not None:
        body = replace(body, config=fields(body.config, healthcheck=fields(body.config.healthcheck, start_interval=0)))
    if body.config.mac_address and not body.has_own_network:
        raise Invalid("conflicting options: mac-address and the network mode")
    # The container's address, where it has one, is that of its one network; what the endpoint says was not known.
    return replace(body, endpoints={name: fields(settings, mac_address=body.config.mac_address) for name, settings in body.endpoints.items()})


def without_subpaths(body: CreateBody) -> CreateBody:
    """1.45 brought parts of volumes."""
    if any(mount.volume_options and mount.volume_options.subpath for mount in body.host.mounts or ()):
        raise Invalid("VolumeOptions.Subpath needs API v1.45 or newer")
    return body


def without_priorities(body: CreateBody) -> CreateBody:
    """1.48 brought priorities of gateways and mounts of images."""
    if any(mount.type == "image" for mount in body.host.mounts or ()):
        raise Invalid('Mount type "Image" needs API v1.48 or newer')
    return replace(body, endpoints={name: fields(settings, gw_priority=0) for name, settings in body.endpoints.items()})


OLDER: tuple[tuple[Version, Callable[[CreateBody], CreateBody]], ...] = (
    ((1, 40), without_recursion),
    ((1, 42), without_mount_points),
    ((1, 43), without_annotations),
    ((1, 44), on_one_network),
    ((1, 45), without_subpaths),
    ((1, 48), without_priorities),
)


# -- what stands elsewhere today


def with_driver_warning(body: CreateBody, version: Version) -> CreateBody:
    """--volume-driver says nothing of a --mount."""
    named = [
        m.volume_options and m.volume_options.driver_config and m.volume_options.driver_config.name
        for m in body.host.mounts or ()
        if m.type == "volume"
    ]
    if not body.host.volume_driver or version < (1, 48) or all(named):
        return body
    sentence = (
        "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. "
        "Use '--mount type=volume,volume-driver=...' instead"
    )
    return replace(body, warnings=(*body.warnings, sentence))


def with_mac(body: CreateBody, version: Version) -> CreateBody:
    """A container's own MAC address is that of its first network. From 1.52 on Docker does not look at it; here it counts as it always did."""
    if not body.config.mac_address or not (1, 44) <= version < (1, 52):
        return body
    if body.has_own_network:
        try:
            settings = main_endpoint(body)
        except Invalid as error:
            raise Invalid(f"unable to migrate container-wide MAC address to a specific network: {error.message}") from error
        if settings.mac_address and parse_mac(settings.mac_address) != parse_mac(body.config.mac_address):
            raise Invalid("the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty")
        body = body.with_endpoint(endpoint_name(body), mac_address=body.config.mac_address)
    sentence = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
    return replace(body, warnings=(*body.warnings, sentence))


def with_sysctls(body: CreateBody, version: Version) -> CreateBody:
    """A --sysctl of eth0 is the endpoint's, since the interface comes after the container's namespaces; of others nobody knows which they will be."""
    own: dict[str, str] = {}
    for name, value in (body.host.sysctls or {}).items():
        words = name.split(".", 4)
        if len(words) != 5 or words[0] != "net" or not words[3].startswith("eth") or body.main == "host" or body.main.startswith("container:"):
            continue
        if version >= (1, 48):
            raise Failed(f"interface specific sysctl setting {quoted(name)} must be supplied using driver option '{ENDPOINT_SYSCTLS}'")
        if words[3] != "eth0":
            raise Failed(
                f"unable to determine network endpoint for sysctl {name}, use driver option '{ENDPOINT_SYSCTLS}' to set per-interface sysctls"
            )
        own[name] = f"net.{words[1]}.{words[2]}.IFNAME.{words[4]}={value}"
    if not own:
        return body
    settings, name = main_endpoint(body), endpoint_name(body)
    options = dict(settings.driver_opts or {})
    moved = ",".join(own.values())
    sentence = f"Migrated sysctl {quoted(','.join(own))} to DriverOpts{{{quoted(ENDPOINT_SYSCTLS)}:{quoted(moved)}}}."
    options[ENDPOINT_SYSCTLS] = ",".join(filter(None, (moved, options.get(ENDPOINT_SYSCTLS, ""))))
    rest = {name: value for name, value in (body.host.sysctls or {}).items() if name not in own}
    body = replace(body, host=fields(body.host, sysctls=rest), warnings=(*body.warnings, sentence))
    return body.with_endpoint(name, driver_opts=options)


def with_ports(body: CreateBody, version: Version) -> CreateBody:
    """A port with no binding at all is published as one whose binding says nothing."""
    bindings = body.host.port_bindings or {}
    bare = [port for port, rows in bindings.items() if not rows]
    if not bare:
        return body
    filled = {port: rows or (HostPort(),) for port, rows in bindings.items()}
    sentence = (
        f"Following container port(s) have an empty list of port-bindings: {', '.join(bare)}. Such bindings will be discarded in a future version."
    )
    said = (sentence,) if version >= (1, 52) else ()
    return replace(body, host=fields(body.host, port_bindings=filled), warnings=(*body.warnings, *said))


def endpoint_name(body: CreateBody) -> str:
    """Under which name the main network's endpoint stands: a body with endpoints, none of them by that name, might mean any of them."""
    if body.main in body.endpoints or not body.endpoints:
        return body.main
    raise Invalid("HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks")


def main_endpoint(body: CreateBody) -> EndpointSettings:
    """What the body says of the main network."""
    return body.endpoints.get(endpoint_name(body), EndpointSettings())


def quoted(text: str) -> str:
    """As Go's %q."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
