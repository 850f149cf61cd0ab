"""What is saved comes back as it was, whatever its kind and whichever version wrote it; what cannot be saved did not happen."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanbashi.containers.model import Container, ContainerState, Health, HealthConfig, HealthLog, Mount, MountPoint, Ulimit
from sanbashi.containers.options import BindOptions
from sanbashi.daemon.rows import KINDS, decode, encode
from sanbashi.daemon.saved import RESERVE, SCHEMA, Change, Store
from sanbashi.daemon.state import State
from sanbashi.errors import Conflict, Failed, NotFound, Unavailable
from sanbashi.images.model import History, Image, ImageConfig
from sanbashi.network.model import Endpoint, EndpointWish, Network, PortBinding, PortSpec, Sandbox, Subnet
from sanbashi.volumes.model import Volume

from .town import a_container

# -- made things

NAMES = st.text('abcdef0123456789-_.:/ é"\\\n', max_size=12)
V4 = st.builds(IPv4Address, st.integers(0, 2**32 - 1))
V6 = st.builds(IPv6Address, st.integers(0, 2**128 - 1))
OPTIONS = st.dictionaries(NAMES, NAMES, max_size=3)
PORTS = st.integers(0, 65535)
PROTOCOLS = st.sampled_from(("tcp", "udp", "sctp"))
MADE: dict[Any, st.SearchStrategy[Any]] = {
    IPv4Address: V4,
    IPv6Address: V6,
    IPv4Interface: st.builds(lambda a, n: IPv4Interface((a, n)), V4, st.integers(0, 32)),
    IPv6Interface: st.builds(lambda a, n: IPv6Interface((a, n)), V6, st.integers(0, 128)),
    IPv4Network: st.builds(lambda a, n: IPv4Network((a, n), strict=False), V4, st.integers(0, 32)),
    IPv6Network: st.builds(lambda a, n: IPv6Network((a, n), strict=False), V6, st.integers(0, 128)),
    str: NAMES,
}
for made_of, strategy in MADE.items():
    st.register_type_strategy(made_of, strategy)
SUBNETS = st.builds(Subnet, auxiliary=st.dictionaries(NAMES, V4 | V6, max_size=2))
NETWORKS = st.builds(Network, subnets=st.lists(SUBNETS, max_size=2).map(tuple), options=OPTIONS, labels=OPTIONS, ipam_options=st.none() | OPTIONS)
BINDINGS = st.builds(PortBinding, protocol=PROTOCOLS, host_port=PORTS, container_port=PORTS)
ENDPOINTS = st.builds(Endpoint, ports=st.lists(BINDINGS, max_size=3).map(tuple), driver_options=OPTIONS)
SPECS = st.builds(PortSpec, protocol=PROTOCOLS, container_port=PORTS, host_port=PORTS)
SANDBOXES = st.builds(
    Sandbox,
    ports=st.lists(SPECS, max_size=3).map(tuple),
    exposed=st.lists(st.tuples(PORTS, PROTOCOLS), max_size=2).map(tuple),
    extra_hosts=st.lists(st.tuples(NAMES, NAMES), max_size=2).map(tuple),
)
WISHES = st.builds(EndpointWish, driver_options=OPTIONS)


@settings(max_examples=40)
@given(NETWORKS)
def test_networks(network: Network) -> None:
    assert decode("network", encode(network)) == network


@settings(max_examples=40)
@given(ENDPOINTS)
def test_endpoints(endpoint: Endpoint) -> None:
    back = decode("endpoint", encode(endpoint))
    assert back == endpoint and repr(back) == repr(endpoint)


@settings(max_examples=40)
@given(SANDBOXES)
def test_sandboxes(sandbox: Sandbox) -> None:
    assert decode("sandbox", encode(sandbox)) == sandbox


@settings(max_examples=30)
@given(st.lists(WISHES, max_size=2))
def test_the_wishes_of_containers(wishes: list[EndpointWish]) -> None:
    container = msgspec.structs.replace(a_container("web"), networks=tuple((w.network, w) for w in wishes))
    assert decode("container", encode(container)) == container


def full_container() -> Container:
    """A container with something in every corner."""
    plain = a_container(
        "web", EndpointWish(network="app", ipv4=IPv4Address("172.18.0.9"), link_local=(ip_address("fe80::1"),)), ports={"80/tcp": "8080"}
    )
    host = msgspec.structs.replace(
        plain.host_config,
        ulimits=(Ulimit(name="nofile", soft=1, hard=-1),),
        mounts=(Mount(type="bind", source="/a", target="/b", bind_options=BindOptions(propagation="rslave")),),
        port_bindings={"80/tcp": None, "81/udp": ()},
        memory_swappiness=0,
        init=False,
        sysctls={"net.core.somaxconn": "9"},
    )
    config = msgspec.structs.replace(
        plain.config, healthcheck=HealthConfig(test=("CMD", "x"), interval=1), env=("A=b",), exposed_ports={"80/tcp": {}}
    )
    health = Health(status="healthy", log=(HealthLog(start="a", end="b", exit_code=0, output="\x00\ufffd"),))
    return msgspec.structs.replace(
        plain,
        config=config,
        host_config=host,
        state=ContainerState(status="running", pid=7, health=health),
        mounts=(MountPoint(type="volume", name="v", destination="/v", rw=False, copy_up=True, options=("size=1m",)),),
        anonymous_volumes=("v",),
    )


IMAGE = Image(
    id="sha256:1",
    config=ImageConfig(env=("A=b",), exposed_ports={"80/tcp": {}}, healthcheck={"Test": ["NONE"]}),
    history=(History(created_by="ADD", empty_layer=True),),
    diff_ids=("sha256:2",),
    sizes=(3,),
    repo_tags=("httpd:2.4",),
)
VOLUME = Volume(name="v", created="now", mountpoint="/v/_data", labels={"a": "b"}, anonymous=True)
NETWORK = Network(
    id="n",
    name="app",
    driver="bridge",
    created="now",
    subnets=(Subnet(subnet=ip_network("fd00::/64"), gateway=ip_address("fd00::1")),),
    bridge="br-n",
)
SANDBOX = Sandbox(id="s", container_id="c", ports=(PortSpec(80, host_ip=ip_address("::1")),))
ENDPOINT = Endpoint(id="e", network_id="n", sandbox_id="s", container_id="c", container_name="web", ipv6=IPv6Interface("fd00::2/64"))
ONE_OF_EACH: dict[str, Any] = {
    "network": NETWORK,
    "sandbox": SANDBOX,
    "endpoint": ENDPOINT,
    "container": full_container(),
    "image": IMAGE,
    "volume": VOLUME,
}


def test_every_kind_is_tried() -> None:
    assert {kind: type(value) for kind, value in ONE_OF_EACH.items()} == dict(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_each_kind(kind: str) -> None:
    assert decode(kind, encode(ONE_OF_EACH[kind])) == ONE_OF_EACH[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_an_older_version_did_not_know_takes_its_default(kind: str) -> None:
    value = ONE_OF_EACH[kind]
    row = json.loads(encode(value))
    defaults = defaults_of(value)
    assert defaults
    for name, default in defaults.items():
        wire = {f.name: f.encode_name for f in msgspec.structs.fields(value)}[name] if isinstance(value, msgspec.Struct) else name
        assert getattr(decode(kind, json.dumps({k: v for k, v in row.items() if k != wire}).encode()), name) == default


def defaults_of(value: Any) -> dict[str, Any]:
    """The fields of an object that have a default, with it."""
    if isinstance(value, msgspec.Struct):
        return {f.name: f.default for f in msgspec.structs.fields(value) if f.default is not msgspec.NODEFAULT}
    return {f.name: f.default for f in dataclasses.fields(value) if f.default is not dataclasses.MISSING}


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_of_a_later_version_is_passed_over(kind: str) -> None:
    row = json.loads(encode(ONE_OF_EACH[kind])) | {"later": [1]}
    assert decode(kind, json.dumps(row).encode()) == ONE_OF_EACH[kind]


@pytest.mark.parametrize("row", [b"", b"{", b'{"id": 1, "subnets": [{"subnet": "ten"}]}'])
def test_a_row_that_is_none(row: bytes) -> None:
    with pytest.raises(ValueError):
        decode("network", row)


def test_what_looks_like_an_address_and_is_a_name_stays_a_name() -> None:
    network = dataclasses.replace(NETWORK, name="10.0.0.1", options={"a": "::1"})
    back = decode("network", encode(network))
    assert (back.name, back.options, type(back.subnets[0].gateway)) == ("10.0.0.1", {"a": "::1"}, IPv6Address)
    assert decode("endpoint", encode(dataclasses.replace(ENDPOINT, ipv4=IPv4Interface("10.0.0.1/24")))).ipv4 == ip_interface("10.0.0.1/24")


# -- the store


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 120))


class Opened:
    """A store that takes commits, and at the end does not."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)

    def __enter__(self) -> Store:
        self.loaded = self.store.load()
        self.store.start()
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.stop()


def test_one_of_each_kind_is_saved_and_loaded(tmp_path: Path) -> None:
    async def work() -> None:
        with Opened(tmp_path / "state.db") as store:
            assert await store.commit([Change(kind, value.name if kind == "volume" else value.id, value) for kind, value in ONE_OF_EACH.items()]) == 1
            await store.commit([Change("image", IMAGE.id, None)])
            assert store.statements == 7
        again = Store(tmp_path / "state.db")
        state = again.load()
        assert again.revision == 1
        assert (state.network.networks["n"], state.network.sandboxes["s"], state.network.endpoints["e"]) == (NETWORK, SANDBOX, ENDPOINT)
        assert state.containers[full_container().id] == full_container() and state.volumes["v"] == VOLUME
        assert not state.images and not state.image_names

    run(work)


def test_commits_that_wait_together_are_all_answered(tmp_path: Path) -> None:
    async def work() -> None:
        with Opened(tmp_path / "state.db") as store:
            volumes = [msgspec.structs.replace(VOLUME, name=str(n)) for n in range(50)]
            revisions = await asyncio.gather(*(store.commit([Change("volume", v.name, v)]) for v in volumes))
            assert sorted(revisions) == list(range(1, 51))
        assert len(Store(tmp_path / "state.db").load().volumes) == 50

    run(work)


def test_another_writer_was_first(tmp_path: Path) -> None:
    async def work() -> None:
        with Opened(tmp_path / "state.db") as store:
            revision = await store.commit([Change("volume", "v", VOLUME)], {("volume", "v"): 0})
            later = msgspec.structs.replace(VOLUME, driver="other")
            await store.commit([Change("volume", "v", later)], {("volume", "v"): revision})
            with pytest.raises(Conflict, match="volume v was changed by another writer"):
                await store.commit([Change("volume", "v", VOLUME)], {("volume", "v"): revision})
        assert Store(tmp_path / "state.db").load().volumes["v"] == later

    run(work)


def test_a_file_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    Store(path).load()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    database.close()
    with pytest.raises(Failed, match=f"was written by a newer version \\(schema {SCHEMA + 1}, this one knows {SCHEMA}\\)"):
        Store(path).load()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA + 1,)
    database.close()


@pytest.mark.parametrize("harm", ["no database", "no row"])
def test_a_damaged_file_is_a_sentence(harm: str, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    if harm == "no database":
        path.write_bytes(b"this is no database at all, but long enough to be looked at" * 20)
    else:
        Store(path).load()
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("INSERT INTO objects VALUES ('network', 'n', 1, '{')")
        database.close()
    with pytest.raises(Failed, match="damaged") as said:
        Store(path).load()
    assert said.value.hint


def test_a_disk_that_refuses_is_told_and_the_next_commit_works(tmp_path: Path) -> None:
    async def work() -> None:
        with Opened(tmp_path / "state.db") as store:
            other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
            other.execute("CREATE TRIGGER refuse BEFORE INSERT ON objects BEGIN SELECT RAISE(ABORT, 'no room'); END")
            with pytest.raises(Unavailable, match=r"cannot write the state to .*: no room") as said:
                await store.commit([Change("volume", "v", VOLUME)])
            assert str(tmp_path) in said.value.hint
            other.execute("DROP TRIGGER refuse")
            other.close()
            await store.commit([Change("volume", "w", msgspec.structs.replace(VOLUME, name="w"))])
        assert set(Store(tmp_path / "state.db").load().volumes) == {"w"}

    run(work)


def test_an_empty_store_is_an_empty_state_that_only_root_reads(tmp_path: Path) -> None:
    assert Store(tmp_path / "state.db").load() == State()
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("daemon_runs", [False, True])
def test_a_look_at_the_saved_state_touches_nothing(daemon_runs: bool, tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    def there() -> dict[str, bytes]:
        # The index of the log is locked while it is read, which writes into it.
        return {p.name: p.read_bytes() for p in tmp_path.iterdir() if not p.name.endswith("-shm")}

    async def work() -> None:
        with Opened(path) as store:
            await store.commit([Change("volume", "v", VOLUME)])
            if daemon_runs:
                before = there()
                assert "state.db-wal" in before
                assert set(Store(path).peek().volumes) == {"v"} and there() == before
        before = there()
        assert set(before) == {"state.db", "reserve"}
        assert set(Store(path).peek().volumes) == {"v"} and there() == before

    run(work)
    with pytest.raises(NotFound, match="no state is saved in"):
        Store(tmp_path / "other.db").peek()
    assert not (tmp_path / "other.db").exists()


def test_who_makes_room_may_use_the_reserve_of_a_full_disk(tmp_path: Path) -> None:
    class Full(Store):
        """A store whose disk has room for nothing but what the reserve held."""

        def write_one(self, database: sqlite3.Connection, work: Any) -> int | Exception:
            if self.reserve.exists():
                raise sqlite3.OperationalError("database or disk is full")
            return super().write_one(database, work)

        def save_up(self) -> None:
            if self.thread is None or not self.revision:
                super().save_up()

    async def work() -> None:
        store = Full(tmp_path / "state.db")
        store.load()
        store.save_up()
        assert store.reserve.stat().st_size == RESERVE
        store.start()
        try:
            with pytest.raises(Unavailable, match="disk is full"):
                await store.commit([Change("volume", "v", VOLUME)])
            assert store.reserve.exists(), "only who takes away may use it"
            assert await store.commit([Change("volume", "v", None)], urgent=True) == 1
            assert not store.reserve.exists()
        finally:
            store.stop()
        again = Store(tmp_path / "state.db")
        again.load()
        again.save_up()
        assert again.reserve.stat().st_size == RESERVE, "made again when there is room"

    run(work)


def test_a_reserve_whose_making_was_cut_is_made_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.reserve.touch()
    store.save_up()
    assert store.saving and store.reserve.stat().st_size == RESERVE


def test_a_start_on_a_full_disk_reads_what_is_there(tmp_path: Path) -> None:
    class Full(Store):
        def connect(self) -> sqlite3.Connection:
            if self.reserve.exists():
                raise sqlite3.OperationalError("disk I/O error")
            return super().connect()

    Store(tmp_path / "state.db").load()
    store = Full(tmp_path / "state.db")
    store.save_up()
    assert store.load() == State() and not store.reserve.exists()
    store.save_up()
    store.reserve.unlink()
    store.reserve.mkdir()  # nothing that could be given up
    with pytest.raises(Unavailable, match="cannot read the state"):
        store.load()
