"""The docker SDK for Python against our socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker
import docker.errors
import pytest
from tests.harness import Engine

pytestmark = pytest.mark.root


@pytest.fixture
def sdk(clean: Engine) -> Iterator[Any]:
    client = docker.DockerClient(base_url=f"unix://{clean.socket}")
    yield client
    client.close()


def test_run_and_output(sdk: Any) -> None:
    assert sdk.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as failed:
        sdk.containers.run("busybox", "sh -c 'echo no >&2; exit 4'", remove=True)
    assert failed.value.exit_status == 4
    with pytest.raises(docker.errors.ImageNotFound):
        sdk.images.get("nosuchimage")
    with pytest.raises(docker.errors.NotFound):
        sdk.containers.get("nosuch")


def test_life(sdk: Any) -> None:
    container = sdk.containers.run("busybox", "sleep 100", name="sdk", detach=True, labels={"tier": "test"}, environment={"A": "b"})
    assert [c.name for c in sdk.containers.list(filters={"label": "tier=test"})] == ["sdk"]
    assert container.exec_run("sh -c 'echo $A'").output == b"b\n"
    code, (out, err) = container.exec_run("sh -c 'echo one; echo two >&2; exit 3'", demux=True)
    assert (code, out, err) == (3, b"one\n", b"two\n")
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
    container.start()
    container.reload()
    assert container.status == "running"
    container.remove(force=True)


def test_networks_and_ports(sdk: Any) -> None:
    pool = docker.types.IPAMPool(subnet="10.78.0.0/24", gateway="10.78.0.254")
    network = sdk.networks.create("sdknet", ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={"a": "b"})
    container = sdk.containers.run("busybox", "sleep 100", name="sdkweb", detach=True, network="sdknet", ports={"80/tcp": ("127.0.0.1", None)})
    container.reload()
    assert container.attrs["NetworkSettings"]["Networks"]["sdknet"]["IPAddress"] == "10.78.0.1"
    (binding,) = container.ports["80/tcp"]
    assert binding["HostIp"] == "127.0.0.1" and int(binding["HostPort"]) > 1023
    network.reload()
    assert [c.name for c in network.containers] == ["sdkweb"]
    with pytest.raises(docker.errors.APIError) as refused:
        network.remove()
    assert "has active endpoints" in str(refused.value)
    network.disconnect(container)
    network.connect(container, ipv4_address="10.78.0.44", aliases=["front"])
    container.reload()
    assert container.attrs["NetworkSettings"]["Networks"]["sdknet"]["IPAddress"] == "10.78.0.44"
    container.remove(force=True)
    network.remove()


def test_logs_follow_and_events(sdk: Any) -> None:
    container = sdk.containers.run("busybox", "sh -c 'for i in 1 2 3; do echo $i; done'", detach=True)
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"
    seen = sdk.events(since=0, until=int(container.wait()["StatusCode"]) + 4102444800, decode=True, filters={"container": container.id})
    actions = []
    for event in seen:
        actions.append(event["Action"])
        if event["Action"] == "die":
            break
    seen.close()
    assert actions[:2] == ["create", "attach"] or "start" in actions
    container.remove()


def test_images(sdk: Any) -> None:
    image = sdk.images.get("busybox")
    assert "busybox:latest" in image.tags
    assert image.tag("mine", "v1")
    assert any("mine:v1" in i.tags for i in sdk.images.list())
    archive = b"".join(sdk.images.get("mine:v1").save(named="mine:v1"))
    sdk.images.remove("mine:v1")
    (loaded,) = sdk.images.load(archive)
    assert loaded.id == image.id
    sdk.images.remove("mine:v1")
