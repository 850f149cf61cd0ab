"""From a request and an image to a container."""

from __future__ import annotations

import pytest

from sanbashi.containers.facts import ContainerFacts
from sanbashi.containers.model import Config, Container, HealthConfig, HostConfig, LogConfig, RestartPolicy, Ulimit
from sanbashi.containers.options import DeviceRequest
from sanbashi.containers.request import container_of, merge
from sanbashi.errors import Invalid, NotFound, SanbashiError
from sanbashi.images.model import Image, ImageConfig

ID = "0123456789ab" + "c" * 52
FACTS = ContainerFacts(cpus=2, hostname="thishost")


def make(
    config: Config | None = None, host: HostConfig | None = None, image: Image | None = None, facts: ContainerFacts = FACTS
) -> tuple[Container, list[str]]:
    return container_of(config or Config(cmd=("sh",)), host or HostConfig(), (), image, id=ID, name="web", created="", facts=facts)


def test_defaults_are_written_out_as_inspect_shows_them() -> None:
    container, warnings = make()
    host = container.host_config
    assert warnings == []
    assert (host.network_mode, host.ipc_mode, host.cgroupns_mode, host.shm_size, host.runtime) == ("bridge", "private", "private", 64 << 20, "crun")
    assert host.restart_policy.name == "no"
    assert "/proc/kcore" in (host.masked_paths or ())
    assert container.config.hostname == "0123456789ab"
    assert (container.path, container.args) == ("sh", ())


def test_a_container_that_is_joined_is_kept_by_its_id_so_that_it_may_be_renamed() -> None:
    base, _ = make()

    def find(ref: str) -> Container:
        if ref != "base":
            raise NotFound(f"No such container: {ref}")
        return base

    def modes(of: str) -> tuple[str, ...]:
        host = HostConfig(**dict.fromkeys(("network_mode", "pid_mode", "ipc_mode"), f"container:{of}"))
        made = container_of(Config(cmd=("sh",)), host, (), None, id="1" * 64, name="joiner", created="", facts=FACTS, find=find)[0].host_config
        return made.network_mode, made.pid_mode, made.ipc_mode

    assert modes("base") == (f"container:{ID}",) * 3
    assert modes("nobody") == ("container:nobody",) * 3  # is missed at start, not before


def test_on_the_host_network_the_name_is_the_hosts() -> None:
    assert make(host=HostConfig(network_mode="host"))[0].config.hostname == "thishost"


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "runs"),
    [
        (None, None, ("/entry", "image", "cmd")),
        (None, ("mine",), ("/entry", "mine")),
        (("/my",), None, ("/my",)),
        (("/my",), ("a",), ("/my", "a")),
        (("",), ("a",), ("a",)),
        ((), ("a",), ("a",)),
    ],
)
def test_the_users_command_and_the_images(entrypoint: tuple[str, ...] | None, cmd: tuple[str, ...] | None, runs: tuple[str, ...]) -> None:
    image = Image(id="sha256:1", config=ImageConfig(entrypoint=("/entry",), cmd=("image", "cmd")))
    container, _ = make(Config(entrypoint=entrypoint, cmd=cmd), image=image)
    assert (container.path, *container.args) == runs


def test_no_command_at_all_is_refused() -> None:
    with pytest.raises(Invalid, match="no command specified"):
        make(Config(), image=Image(id="sha256:1"))


def test_an_images_configuration_is_merged_in() -> None:
    image = ImageConfig(
        env=("PATH=/x", "A=1"),
        exposed_ports={"80/tcp": {}},
        volumes={"/data": {}},
        labels={"a": "1", "b": "1"},
        user="www",
        working_dir="/srv/./x/",
        stop_signal="SIGWINCH",
        healthcheck={"Test": ["CMD", "true"], "Retries": 5},
    )
    merged = merge(Config(env=("A=2",), labels={"b": "2"}, exposed_ports={"81/tcp": {}}, healthcheck=HealthConfig(interval=10**9)), image)
    assert merged.env == ("A=2", "PATH=/x")
    assert set(merged.exposed_ports or ()) == {"80/tcp", "81/tcp"}
    assert merged.labels == {"a": "1", "b": "2"}
    assert (merged.user, merged.working_dir, merged.stop_signal) == ("www", "/srv/x", "SIGWINCH")
    assert merged.healthcheck == HealthConfig(test=("CMD", "true"), retries=5, interval=10**9)


REFUSED: list[tuple[HostConfig | Config, str]] = [
    (HostConfig(network_mode="container:"), "invalid network mode: invalid container format container:<name|id>"),
    (HostConfig(restart_policy=RestartPolicy(name="sometimes")), "invalid restart policy: unknown policy 'sometimes'; use one of"),
    (HostConfig(restart_policy=RestartPolicy(name="always", maximum_retry_count=2)), "maximum retry count can only be used with 'on-failure'"),
    (HostConfig(restart_policy=RestartPolicy(name="always"), auto_remove=True), "can't create 'AutoRemove' container with restart policy"),
    (HostConfig(memory=1 << 20), "Minimum memory limit allowed is 6MB"),
    (HostConfig(memory=32 << 20, memory_swap=16 << 20), "Minimum memoryswap limit should be larger than memory limit, see usage"),
    (HostConfig(memory_swap=16 << 20), "You should always set the Memory limit when using Memoryswap limit, see usage"),
    (HostConfig(nano_cpus=3 * 10**9), "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    (HostConfig(nano_cpus=10**9, cpu_quota=5000), "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
    (HostConfig(cpuset_cpus="0-7"), "Requested CPUs are not available - requested 0-7, available: 0-1"),
    (HostConfig(cpuset_cpus="x"), "Invalid value x for cpuset cpus"),
    (HostConfig(cap_add=("NO_SUCH",)), 'invalid CapAdd: unknown capability: "CAP_NO_SUCH"'),
    (HostConfig(security_opt=("nonsense",)), 'invalid --security-opt 1: "nonsense"'),
    (HostConfig(security_opt=("a=b",)), 'invalid --security-opt 2: "a=b"'),
    (HostConfig(log_config=LogConfig(type="splunk")), "logger: no log driver named 'splunk' is registered"),
    (HostConfig(runtime="kata"), "unknown or invalid runtime name: kata"),
    (HostConfig(ulimits=(Ulimit(name="nonsense"),)), "invalid ulimit type: nonsense"),
    (HostConfig(extra_hosts=("bad",)), 'bad format for add-host: "bad"'),
    (HostConfig(extra_hosts=("a:host-gateway", "b:[::1]", "c:1.2.3")), 'invalid IP address in add-host: "1.2.3"'),
    (HostConfig(dns=("::1", "x")), 'invalid JSON: ParseAddr("x"): unable to parse IP'),
    (HostConfig(device_requests=(DeviceRequest(capabilities=(("gpu",),)),)), 'could not select device driver "" with capabilities: [[gpu]]'),
    (HostConfig(cpu_realtime_runtime=1000), "kernel does not support CPU real-time scheduler"),
    (HostConfig(cpu_shares=-1), "invalid CPU shares (-1): value must be a positive integer"),
    (HostConfig(isolation="hyperv"), "invalid isolation (hyperv): linux only supports 'default'"),
    (HostConfig(io_maximum_iops=1), "invalid option: QoS maximum IOPs configuration is not supported on linux"),
    (HostConfig(storage_opt={"size": "1G"}), "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"),
    (HostConfig(uts_mode="x"), 'invalid UTS mode: "x"'),
    (HostConfig(pid_mode="container:"), 'invalid PID mode: "container:"'),
    (Config(cmd=("sh",), working_dir="relative"), "the working directory 'relative' is invalid, it needs to be an absolute path"),
    (Config(cmd=("sh",), stop_signal="SIGNONE"), "invalid signal: SIGNONE"),
    (Config(cmd=("sh",), env=("=x",)), "invalid environment variable: =x"),
    (Config(cmd=("sh",), healthcheck=HealthConfig(interval=5)), "Interval in Healthcheck cannot be less than 1ms"),
]


@pytest.mark.parametrize(("asked", "sentence"), REFUSED, ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_what_cannot_be_is_refused_in_dockers_words(asked: HostConfig | Config, sentence: str) -> None:
    with pytest.raises(SanbashiError) as refused:
        make(asked if isinstance(asked, Config) else None, asked if isinstance(asked, HostConfig) else None)
    assert sentence in refused.value.message


@pytest.mark.parametrize(
    ("config", "host", "conflict"),
    [
        (Config(hostname="x"), HostConfig(network_mode="container:a"), "hostname and the network mode"),
        (Config(hostname="x"), HostConfig(uts_mode="host"), "hostname and the UTS mode"),
        (Config(), HostConfig(network_mode="container:a", links=("b",)), "container type network can't be used with links. This would result in"),
        (Config(), HostConfig(network_mode="host", links=("b",)), "host type networking can't be used with links. This would result in"),
        (Config(), HostConfig(network_mode="container:a", dns=("1.1.1.1",)), "dns and the network mode"),
        (Config(), HostConfig(network_mode="container:a", extra_hosts=("a:1.2.3.4",)), "custom host-to-IP mapping and the network mode"),
        (Config(), HostConfig(network_mode="container:a", publish_all_ports=True), "port publishing and the container type network mode"),
        (Config(exposed_ports={"80/tcp": {}}), HostConfig(network_mode="container:a"), "port exposing and the container type network mode"),
        (Config(mac_address="02:00:00:00:00:01"), HostConfig(network_mode="host"), "mac-address and the network mode"),
    ],
)
def test_contradictions(config: Config, host: HostConfig, conflict: str) -> None:
    with pytest.raises(Invalid) as refused:
        make(config, host)
    assert refused.value.message.startswith(f"conflicting options: {conflict}")


def test_ports_of_the_image_are_no_contradiction_with_a_shared_network() -> None:
    image = Image(id="sha256:1", config=ImageConfig(cmd=("sh",), exposed_ports={"80/tcp": {}}))
    make(Config(), HostConfig(network_mode="container:a"), image)


@pytest.mark.parametrize(
    ("host", "facts", "sentence"),
    [
        (HostConfig(network_mode="host", publish_all_ports=True), FACTS, "Published ports are discarded when using host network mode"),
        (HostConfig(), ContainerFacts(forwarding=False), "IPv4 forwarding is disabled. Networking will not work."),
        (
            HostConfig(links=("a:b",)),
            FACTS,
            "Links on the default bridge network are deprecated and will be removed in a future release. Use a custom network instead.",
        ),
        (HostConfig(oom_kill_disable=True), FACTS, "Your kernel does not support OomKillDisable. OomKillDisable discarded."),
        (HostConfig(init=True), FACTS, "no init was found on this host (Debian's package tini has one): --init is discarded"),
        (HostConfig(security_opt=("apparmor=mine",)), FACTS, "AppArmor is not enabled on this host: the profile mine is not applied"),
        (
            HostConfig(blkio_weight=300),
            ContainerFacts(cpus=2, hostname="thishost", block_weight=False),
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
        ),
        (
            HostConfig(log_config=LogConfig(config={"max-buffer-size": "1m"})),
            FACTS,
            "log options max-buffer-size are not honoured by this engine; they are discarded",
        ),
    ],
)
def test_warnings(host: HostConfig, facts: ContainerFacts, sentence: str) -> None:
    assert make(host=host, facts=facts)[1] == [sentence]


def test_a_capability_that_the_daemon_has_not_is_refused_at_once() -> None:
    facts = ContainerFacts(capabilities=FACTS.capabilities - {"CAP_SYS_RESOURCE"})
    with pytest.raises(Invalid, match='not available in the current environment: "CAP_SYS_RESOURCE"'):
        make(host=HostConfig(cap_add=("SYS_RESOURCE",)), facts=facts)
