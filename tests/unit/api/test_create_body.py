"""What a create means by the version that its client speaks."""

from __future__ import annotations

from typing import Any

import pytest

from sanbashi.api.create_body import CreateBody, create_body
from sanbashi.api.messages import MAXIMUM, Version
from sanbashi.containers.model import HostPort
from sanbashi.containers.options import BindOptions, VolumeOptions
from sanbashi.errors import SanbashiError

MAC = "02:42:ac:11:00:09"
SYSCTLS = "com.docker.network.endpoint.sysctls"


def read(version: Version = MAXIMUM, *, endpoints: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **config: Any) -> CreateBody:
    return create_body({"Image": "x", **config, "HostConfig": host or {}, "NetworkingConfig": {"EndpointsConfig": endpoints or {}}}, version)


def mount(**more: Any) -> dict[str, Any]:
    return {"Mounts": [{"Target": "/x", **more}]}


@pytest.mark.parametrize(
    ("version", "body", "sentence"),
    [
        ((1, 40), {"host": {"Capabilities": ["CAP_CHOWN"]}}, "HostConfig.Capabilities is not supported"),
        ((1, 43), {"endpoints": {"a": {}, "b": {}}}, "Container cannot be created with multiple network endpoints: a, b"),
        ((1, 43), {"MacAddress": MAC, "host": {"NetworkMode": "host"}}, "conflicting options: mac-address and the network mode"),
        (
            (1, 43),
            {"host": mount(Type="bind", Source="/a", BindOptions={"ReadOnlyForceRecursive": True})},
            "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
        ),
        ((1, 44), {"host": mount(Type="volume", Source="vol", VolumeOptions={"Subpath": "a"})}, "VolumeOptions.Subpath needs API v1.45 or newer"),
        ((1, 47), {"host": mount(Type="image", Source="x")}, 'Mount type "Image" needs API v1.48 or newer'),
        (
            (1, 51),
            {"MacAddress": MAC, "endpoints": {"bridge": {"MacAddress": "02:00:00:00:00:01"}}},
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
        ),
        (
            (1, 51),
            {"MacAddress": MAC, "endpoints": {"other": {}}},
            "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the identity of a network",
        ),
        (
            (1, 47),
            {"host": {"Sysctls": {"net.ipv4.conf.eth1.forwarding": "1"}}},
            "unable to determine network endpoint for sysctl net.ipv4.conf.eth1",
        ),
        (
            MAXIMUM,
            {"host": {"Sysctls": {"net.ipv4.conf.eth0.forwarding": "1"}}},
            f"interface specific sysctl setting \"net.ipv4.conf.eth0.forwarding\" must be supplied using driver option '{SYSCTLS}'",
        ),
        (MAXIMUM, {"ExposedPorts": {"99999/tcp": {}}}, "invalid JSON: invalid port '99999/tcp': value out of range"),
        (MAXIMUM, {"host": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}}, 'invalid port specification: "x"'),
        (MAXIMUM, {"host": mount(Type="bind", BindOptions={"NonRecursive": "yes"})}, "HostConfig.Mounts[0].BindOptions.NonRecursive: expected bool"),
        (MAXIMUM, {"host": {"BlkioDeviceReadBps": [{"Path": "/dev/a", "Rate": "7"}]}}, "HostConfig.BlkioDeviceReadBps[0].Rate: expected int"),
        (MAXIMUM, {"endpoints": {"a": None}}, "invalid config for network a: EndpointsConfig is nil"),
    ],
)
def test_what_is_refused(version: Version, body: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SanbashiError) as refused:
        read(version, **body)
    assert sentence in refused.value.message


def test_what_an_older_client_does_not_know_of() -> None:
    assert read((1, 39)).host.ipc_mode == "shareable"
    assert read((1, 40)).host.ipc_mode == ""
    known = {"Type": "bind", "Source": "/a", "Target": "/x"}
    older = read((1, 41), host={"ConsoleSize": [10, 20], "Mounts": [{**known, "BindOptions": {"CreateMountpoint": True}, "VolumeOptions": {}}]})
    assert older.host.console_size == (0, 0)
    assert older.host.mounts is not None
    assert (older.host.mounts[0].bind_options, older.host.mounts[0].volume_options) == (BindOptions(), None)
    newer = read((1, 42), host={"ConsoleSize": [10, 20], "Mounts": [{**known, "VolumeOptions": {}}]})
    assert newer.host.mounts is not None
    assert (newer.host.console_size, newer.host.mounts[0].volume_options) == ((10, 20), VolumeOptions())
    assert read((1, 42), host={"Annotations": {"a": "b"}}).host.annotations is None
    assert read((1, 43), host={"Annotations": {"a": "b"}}).host.annotations == {"a": "b"}
    check = {"Healthcheck": {"Test": ["CMD", "true"], "StartInterval": 5_000_000_000}}
    starts = [b.config.healthcheck.start_interval for v in ((1, 43), (1, 44)) if (b := read(v, **check)).config.healthcheck]
    assert starts == [0, 5_000_000_000]
    assert [dict(read(v, endpoints={"a": {"GwPriority": 7}}).wishes)["a"].gateway_priority for v in ((1, 47), (1, 48))] == [0, 7]


def test_a_mac_address_of_the_container() -> None:
    """Before 1.44 it is the one network's, and what the endpoint says is not looked at; up to 1.52 it is moved and warned of; then it counts."""
    assert dict(read((1, 43), endpoints={"app": {"MacAddress": MAC}}, host={"NetworkMode": "app"}).wishes)["app"].mac == ""
    assert dict(read((1, 43), MacAddress=MAC, endpoints={"app": {}}, host={"NetworkMode": "app"}).wishes)["app"].mac == MAC
    moved = read((1, 51), MacAddress=MAC)
    assert dict(moved.wishes)["bridge"].mac == MAC
    assert moved.warnings == ("The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",)
    assert (read(MAXIMUM, MacAddress=MAC).config.mac_address, read(MAXIMUM, MacAddress=MAC).warnings) == (MAC, ())


def test_a_sysctl_of_eth0_goes_to_the_endpoint() -> None:
    """eth0 is there only after the container's namespaces: the runtime cannot set it."""
    body = read(
        (1, 47),
        host={"Sysctls": {"net.ipv6.conf.eth0.accept_ra": "0", "net.ipv4.ip_forward": "1"}},
        endpoints={"bridge": {"DriverOpts": {SYSCTLS: "net.ipv6.conf.IFNAME.forwarding=1"}}},
    )
    assert body.host.sysctls == {"net.ipv4.ip_forward": "1"}
    assert dict(body.wishes)["bridge"].driver_options == {SYSCTLS: "net.ipv6.conf.IFNAME.accept_ra=0,net.ipv6.conf.IFNAME.forwarding=1"}
    assert body.warnings == (f'Migrated sysctl "net.ipv6.conf.eth0.accept_ra" to DriverOpts{{"{SYSCTLS}":"net.ipv6.conf.IFNAME.accept_ra=0"}}.',)
    assert read(MAXIMUM, host={"NetworkMode": "host", "Sysctls": {"net.ipv6.conf.eth0.accept_ra": "0"}}).host.sysctls


def test_a_port_without_bindings_is_published_all_the_same() -> None:
    for version, said in (((1, 51), 0), (MAXIMUM, 1)):
        body = read(version, host={"PortBindings": {"80/tcp": [], "81/tcp": None, "82/tcp": [{"HostPort": "8082"}]}})
        assert body.host.port_bindings == {"80/tcp": (HostPort(),), "81/tcp": (HostPort(),), "82/tcp": (HostPort(host_port="8082"),)}
        assert len(body.warnings) == said
    assert "80/tcp, 81/tcp" in body.warnings[0]


def test_a_volume_driver_says_nothing_of_mounts() -> None:
    host = {"VolumeDriver": "local", **mount(Type="volume", Source="vol")}
    assert (len(read((1, 47), host=host).warnings), len(read((1, 48), host=host).warnings)) == (0, 1)
    named = {"VolumeDriver": "local", **mount(Type="volume", Source="vol", VolumeOptions={"DriverConfig": {"Name": "local"}})}
    assert not read((1, 48), host=named).warnings


def test_settings_of_default_are_those_of_the_bridge() -> None:
    assert [name for name, _ in read(endpoints={"default": {"Aliases": ["a"]}}).wishes] == ["bridge"]
