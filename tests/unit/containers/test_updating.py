"""New limits for a container that is there."""

from __future__ import annotations

import pytest

from sanbashi.containers.committed import committed_config
from sanbashi.containers.facts import ContainerFacts
from sanbashi.containers.model import Config, Container, HealthConfig, HostConfig, RestartPolicy
from sanbashi.containers.options import ThrottleDevice, WeightDevice
from sanbashi.containers.updating import left_alone, updated
from sanbashi.errors import Conflict, Invalid
from sanbashi.images.model import ImageConfig

FACTS = ContainerFacts(cpus=4)


def box(**host: object) -> Container:
    return Container(id="1" * 64, name="box", created="now", config=Config(), host_config=HostConfig(**host), image_id="")  # type: ignore[arg-type]


def change(container: Container, policy: RestartPolicy | None = None, **wish: object) -> HostConfig:
    return updated(container, HostConfig(**wish), policy, FACTS).host_config  # type: ignore[arg-type]


def test_what_is_not_said_stays() -> None:
    before = box(memory=64 << 20, memory_swap=128 << 20, cpu_shares=5, restart_policy=RestartPolicy(name="always"))
    after = change(before, cpu_shares=7, pids_limit=-1)
    assert (after.memory, after.memory_swap, after.cpu_shares, after.pids_limit) == (64 << 20, 128 << 20, 7, -1)
    assert after.restart_policy.name == "always"
    assert change(before, RestartPolicy(name="on-failure", maximum_retry_count=3)).restart_policy.maximum_retry_count == 3


def test_swap_without_a_limit_stands_in_the_way_of_nothing_else() -> None:
    unlimited = box(memory=64 << 20, memory_swap=-1)
    assert change(unlimited, nano_cpus=10**9).nano_cpus == 10**9
    assert change(unlimited, RestartPolicy(name="always")).restart_policy.name == "always"
    with pytest.raises(Conflict, match="update the memoryswap at the same time"):
        change(unlimited, memory=32 << 20)


def test_what_contradicts_is_refused() -> None:
    with pytest.raises(Conflict, match="update the memoryswap at the same time"):
        change(box(memory=64 << 20, memory_swap=64 << 20), memory=128 << 20)
    with pytest.raises(Conflict, match="CPU Period cannot be updated as NanoCPUs has already been set"):
        change(box(nano_cpus=10**9), cpu_period=50_000)
    with pytest.raises(Conflict, match="NanoCPUs cannot be updated as CPU Quota has already been set"):
        change(box(cpu_quota=50_000), nano_cpus=10**9)
    with pytest.raises(Conflict, match="Restart policy cannot be updated because AutoRemove is enabled"):
        change(box(auto_remove=True), RestartPolicy(name="always"))
    with pytest.raises(Invalid, match="Minimum memory limit allowed is 6MB"):
        change(box(), memory=1, memory_swap=-1)
    with pytest.raises(Invalid, match="invalid restart policy"):
        change(box(), RestartPolicy(name="sometimes"))


def test_a_commit_takes_the_containers_configuration_and_what_was_asked_over_it() -> None:
    config = Config(
        cmd=("sleep",), env=("A=1", "B=2"), labels={"x": "y"}, exposed_ports={"80/tcp": {}}, healthcheck=HealthConfig(test=("CMD", "true"), retries=2)
    )
    made = committed_config(config, ImageConfig(env=("A=3",), labels={"z": "w"}))
    assert (made.cmd, made.env, made.labels) == (("sleep",), ("A=3", "B=2"), {"x": "y", "z": "w"})
    assert made.exposed_ports == {"80/tcp": {}} and made.healthcheck == {"Test": ["CMD", "true"], "Retries": 2}
    assert committed_config(config, ImageConfig(entrypoint=("sh",))).cmd is None


def test_limits_of_devices() -> None:
    container = Container(id="c", name="web", created="", config=Config(), host_config=HostConfig(blkio_weight=100), image_id="")
    wish = HostConfig(blkio_device_read_bps=(ThrottleDevice(path="/dev/a", rate=7),), blkio_weight=300)
    assert updated(container, wish, None, ContainerFacts()).host_config == wish
    with pytest.raises(Invalid, match="a Path and a Rate"):
        updated(container, HostConfig(blkio_device_read_bps=(ThrottleDevice(rate=7),)), None, ContainerFacts())
    weights = HostConfig(blkio_weight=300, blkio_weight_device=(WeightDevice(path="/dev/a", weight=300),))
    without = updated(container, weights, None, ContainerFacts(block_weight=False)).host_config
    assert (without.blkio_weight, without.blkio_weight_device) == (100, None)


def test_what_cannot_be_updated_is_told() -> None:
    assert left_alone(HostConfig(memory=1, restart_policy=RestartPolicy(name="always"))) == []
    told = left_alone(HostConfig(privileged=True, cgroup_parent="/a", oom_kill_disable=False))
    assert sorted(told) == ["CgroupParent cannot be updated; it is left as it is", "Privileged cannot be updated; it is left as it is"]
