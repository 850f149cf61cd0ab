"""dockerd's flags and its JSON file become one frozen value, or a sentence."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from sanbashi.daemon.config import DaemonConfig, parse
from sanbashi.daemon.options import BY_FLAG, IGNORED
from sanbashi.errors import Invalid


def config(*words: str, file: object = None) -> DaemonConfig:
    """The settings of a command line, with a file where --config-file asks for one."""

    def read(path: Path) -> str:
        if file is None:
            raise FileNotFoundError(2, "no such file or directory", str(path))
        return file if isinstance(file, str) else json.dumps(file)

    return parse(words, read)


def test_what_nothing_says() -> None:
    plain = config()
    assert plain.hosts == ("unix:///run/sanbashi/sanbashi.sock",)
    assert (plain.live_restore, plain.bridge, plain.icc, plain.ipv6) == (True, "docker0", True, False)
    assert plain.pools[0] == (ip_network("172.17.0.0/16"), 16) and plain.pools[-1] == (ip_network("192.168.0.0/16"), 20)


def test_socket_and_pid_file_follow_the_exec_root() -> None:
    moved = config("--exec-root", "/run/other")
    assert moved.hosts == ("unix:///run/other/sanbashi.sock",) and moved.pidfile == Path("/run/other/sanbashid.pid")


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["-H", "unix:///a", "--host=tcp://127.0.0.1:2375"], "hosts", ("unix:///a", "tcp://127.0.0.1:2375")),
        (["-Hunix:///a"], "hosts", ("unix:///a",)),
        (["-H=/a"], "hosts", ("unix:///a",)),
        (["--bip", "10.0.0.1/24"], "bip", ip_interface("10.0.0.1/24")),
        (["--bip6=fd00::1/64"], "bip6", ip_interface("fd00::1/64")),
        (["--default-gateway-v6", "fd00::9"], "default_gateway_v6", ip_address("fd00::9")),
        (["--fixed-cidr=10.0.0.128/25"], "fixed_cidr", ip_network("10.0.0.128/25")),
        (["--ip=192.0.2.1"], "ip", ip_address("192.0.2.1")),
        (["--icc=false"], "icc", False),
        (["--ipv6"], "ipv6", True),
        (["--live-restore=0"], "live_restore", False),
        (["-D"], "debug", True),
        (["--log-level", "debug"], "debug", True),
        (["-b", "br9"], "bridge", "br9"),
        (["-g/data"], "data_root", Path("/data")),
        (["--dns=9.9.9.9", "--dns", "2620:fe::fe"], "dns", ("9.9.9.9", "2620:fe::fe")),
        (["--default-address-pool", "base=10.9.0.0/16,size=24"], "default_address_pools", ((ip_network("10.9.0.0/16"), 24),)),
        (["--registry-mirror=http://127.0.0.1:5000"], "registry_mirrors", ("http://127.0.0.1:5000",)),
        (["--shutdown-timeout=3"], "shutdown_timeout", 3),
        (["--host-resolver=127.0.0.83"], "host_resolver", (ip_address("127.0.0.83"), 53)),
        (["--host-resolver", "127.0.0.83:5353"], "host_resolver", (ip_address("127.0.0.83"), 5353)),
        (["--host-resolver=::1"], "host_resolver", (ip_address("::1"), 53)),
        (["--host-resolver=[::1]:5353"], "host_resolver", (ip_address("::1"), 5353)),
    ],
)
def test_flags(words: list[str], key: str, value: object) -> None:
    assert getattr(config(*words), key) == value


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--colour"], "unknown flag: --colour"),
        (["serve"], "unexpected argument 'serve'"),
        (["--bip"], "flag needs an argument: --bip"),
        (["--bip", "ten"], 'invalid argument "ten" for "--bip"'),
        (["--icc=maybe"], 'invalid argument "maybe" for "--icc": \'maybe\' is neither true nor false'),
        (["--host", "ftp://x"], 'invalid argument "ftp://x" for "--host": wants unix:///PATH, tcp://ADDRESS:PORT or fd://'),
        (["--default-address-pool=10.0.0.0/8"], "wants base=CIDR,size=BITS"),
        (["--default-address-pool=base=10.0.0.0/16,size=8"], "size 8 is no part of 10.0.0.0/16"),
        (["--dns=host"], 'invalid argument "host" for "--dns"'),
        (
            ["--host-resolver=192.0.2.1"],
            'invalid argument "192.0.2.1" for "--host-resolver": 192.0.2.1 is no loopback address, '
            "and containers could ask there for names that they are not to see",
        ),
        (["--host-resolver=0.0.0.0:53"], "0.0.0.0 is no loopback address"),
        (["--bridge-accept-fwmark=x"], 'invalid argument "x" for "--bridge-accept-fwmark"'),
        (["--bridge-accept-fwmark=1/x"], 'invalid argument "1/x" for "--bridge-accept-fwmark"'),
        (["--bridge-accept-fwmark=0x100000000"], "wants MARK or MARK/MASK of 32 bits"),
        (["--bridge-accept-fwmark=-1"], "wants MARK or MARK/MASK of 32 bits"),
        (["--bridge-accept-fwmark=0x08000001"], "the bits 0x0c000000 are used by this engine itself"),
        (["--host-resolver=127.0.0.83:dns"], "'dns' is no port"),
        (["--host-resolver=127.0.0.83:0"], "'0' is no port"),
        (["--host-resolver=[::1]53x"], "'53x' is no port"),
        (["--host-resolver=lo:53"], 'invalid argument "lo:53" for "--host-resolver"'),
    ],
)
def test_flags_that_are_none(words: list[str], sentence: str) -> None:
    with pytest.raises(Invalid) as said:
        config(*words)
    assert sentence in said.value.message


def test_a_mark_of_others_and_its_mask() -> None:
    assert config("--bridge-accept-fwmark=0x1/0x3").bridge_accept_fwmark == (1, 3)
    assert config("--bridge-accept-fwmark", "7").bridge_accept_fwmark == (7, 0xF3FFFFFF)  # the bits that we set ourselves do not count


def test_what_has_no_meaning_here_is_named_once() -> None:
    assert config("--iptables=false", "--storage-driver", "overlay2", "--iptables", "--userland-proxy").ignored == (
        "iptables",
        "storage-driver",
        "userland-proxy",
    )
    assert not set(IGNORED) & set(BY_FLAG)


def test_the_file_and_a_flag_that_beats_it() -> None:
    given = {
        "hosts": ["unix:///f"],
        "icc": False,
        "mtu": 1400,
        "dns": ["9.9.9.9"],
        "default-address-pools": [{"base": "10.9.0.0/16", "size": 24}],
        "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}},
        "storage-driver": "overlay2",
        "log-opts": {"max-size": "1m"},
    }
    read = config("--config-file", "/etc/daemon.json", "--mtu=1300", file=given)
    assert (read.hosts, read.icc, read.mtu, read.dns) == (("unix:///f",), False, 1300, ("9.9.9.9",))
    assert read.default_address_pools == ((ip_network("10.9.0.0/16"), 24),)
    assert read.default_network_opts["bridge"]["com.docker.network.driver.mtu"] == "1400"
    assert read.ignored == ("storage-driver", "log-opts")


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (None, "unable to configure the daemon with file /f: no such file or directory"),
        ("{", "unable to configure the daemon with file /f: "),
        ([1], "it must hold one JSON object"),
        ({"colour": 1}, "the following directives don't match any configuration option: colour"),
        ({"bip": "ten"}, 'invalid argument "ten" for "bip in /f"'),
        ({"default-address-pools": [{"base": "10.0.0.0/8"}]}, "default-address-pools"),
    ],
)
def test_files_that_are_none(file: object, sentence: str) -> None:
    with pytest.raises(Invalid) as said:
        config("--config-file=/f", file=file)
    assert sentence in said.value.message


def test_a_file_written_for_dockerd() -> None:
    read = config(
        "--config-file=daemon.json",
        file={
            "exec-opts": ["native.cgroupdriver=systemd"],
            "log-driver": "json-file",
            "log-opts": {"max-size": "100m"},
            "storage-driver": "overlay2",
            "features": {"buildkit": True},
            "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 32000}},
            "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": 1400}},
        },
    )
    assert read.ignored == ("exec-opts", "log-opts", "storage-driver", "features")
    assert read.default_ulimits == (("nofile", 32000, 64000),)
    assert read.default_network_opts == {"bridge": {"com.docker.network.driver.mtu": "1400"}}


def test_default_options_of_networks_by_flag() -> None:
    assert config("--default-network-opt", "bridge=com.docker.network.driver.mtu=1400").default_network_opts == {
        "bridge": {"com.docker.network.driver.mtu": "1400"}
    }
    with pytest.raises(Invalid, match="wants DRIVER=KEY=VALUE"):
        config("--default-network-opt=bridge")
