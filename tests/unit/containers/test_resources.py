"""Limits of block devices, links' words, and the part of a volume."""

from __future__ import annotations

import pytest

from sanbashi.containers.facts import ContainerFacts
from sanbashi.containers.links import link_words
from sanbashi.containers.model import Config, HostConfig, Mount, MountPoint
from sanbashi.containers.mounts import mount_points
from sanbashi.containers.options import ThrottleDevice, VolumeOptions, WeightDevice
from sanbashi.containers.request import container_of, nobody
from sanbashi.containers.resources import block_devices, resources
from sanbashi.errors import Invalid

FACTS = ContainerFacts()


def test_block_devices_are_limited_by_number() -> None:
    host = HostConfig(
        blkio_weight=300,
        blkio_device_read_bps=(ThrottleDevice(path="/dev/a", rate=7),),
        blkio_weight_device=(WeightDevice(path="/dev/b", weight=20),),
    )
    assert block_devices(host) == {"/dev/a", "/dev/b"}
    assert resources(host, (), FACTS, {"/dev/a": (8, 0), "/dev/b": (8, 16)})["blockIO"] == {
        "weight": 300,
        "weightDevice": [{"major": 8, "minor": 16, "weight": 20}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}],
    }
    assert "blockIO" not in resources(HostConfig(), (), FACTS)


@pytest.mark.parametrize("device", [ThrottleDevice(), ThrottleDevice(rate=7), ThrottleDevice(path="/dev/a", rate=-1)])
def test_a_rate_is_a_device_and_a_number(device: ThrottleDevice) -> None:
    with pytest.raises(Invalid, match="a Path and a Rate"):
        container_of(Config(cmd=("true",)), HostConfig(blkio_device_write_iops=(device,)), (), None, id="1" * 64, name="c", created="")


def test_a_device_s_weight_is_10_to_1000() -> None:
    host = HostConfig(blkio_weight_device=(WeightDevice(path="/dev/a", weight=9),))
    with pytest.raises(Invalid, match="/dev/a: the Weight is 9, it may be 10 to 1000"):
        container_of(Config(cmd=("true",)), host, (), None, id="1" * 64, name="c", created="")


def test_words_of_a_link() -> None:
    words = list(link_words("my-db", "web", "172.17.0.2", [(53, "udp"), (80, "tcp")], ["PATH=/bin", "FOO=1", "bare"]))
    assert words[:3] == ["MY_DB_PORT=udp://172.17.0.2:53", "MY_DB_PORT_53_UDP=udp://172.17.0.2:53", "MY_DB_PORT_53_UDP_ADDR=172.17.0.2"]
    assert words[-2:] == ["MY_DB_NAME=/web/my-db", "MY_DB_ENV_FOO=1"]
    assert "MY_DB_PORT_80_TCP_PROTO=tcp" in words


def test_a_part_of_a_volume() -> None:
    def mounted(subpath: str) -> MountPoint:
        mount = Mount(type="volume", source="vol", target="/x", volume_options=VolumeOptions(subpath=subpath))
        (point,) = mount_points(Config(), HostConfig(mounts=(mount,)), nobody)
        return point

    assert (mounted("a/b").subpath, mounted("a/b").copy_up) == ("a/b", False)
    assert mounted("a/../b").subpath == "a/../b"
    for bad in ("/etc", "../x", "a/../../x", ".."):
        with pytest.raises(Invalid, match="subpath must be a relative path within the volume"):
            mounted(bad)
