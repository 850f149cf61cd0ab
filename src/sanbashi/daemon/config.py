"""The daemon's settings: dockerd's flag names and the same keys in a JSON file; parsed once, frozen."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import Invalid
from ..network.model import IPAddress, IPInterface, IPNetwork

# Docker's own list (facts.md 3.1).
DEFAULT_POOLS: tuple[tuple[str, int], ...] = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig:
    """What the daemon was told. Field names are dockerd's keys with underscores; `hosts` are URLs."""

    hosts: tuple[str, ...] = ()
    group: str = "sanbashi"
    data_root: Path = Path("/var/lib/sanbashi")
    exec_root: Path = Path("/run/sanbashi")
    pidfile: Path = Path("/run/sanbashi/sanbashid.pid")
    debug: bool = False
    log_level: str = "info"
    live_restore: bool = True
    bridge: str = "docker0"
    bip: IPInterface | None = None
    bip6: IPInterface | None = None
    fixed_cidr: IPNetwork | None = None
    fixed_cidr_v6: IPNetwork | None = None
    default_gateway: IPAddress | None = None
    default_gateway_v6: IPAddress | None = None
    default_address_pools: tuple[tuple[IPNetwork, int], ...] = ()
    dns: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    icc: bool = True
    ip: IPAddress | None = None
    ipv6: bool = False
    ip_forward: bool = True
    ip_masq: bool = True
    mtu: int = 0
    allow_direct_routing: bool = False
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    default_runtime: str = ""
    init: bool = False
    shutdown_timeout: int = 15
    host_gateway_ips: tuple[str, ...] = ()
    max_concurrent_downloads: int = 3
    default_network_opts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    default_ulimits: tuple[tuple[str, int, int], ...] = ()  # name, soft, hard
    log_driver: str = "json-file"
    host_resolver: tuple[IPAddress, int] | None = None  # ours: where the host itself asks for names of containers
    host_input: bool = False  # ours: published ports pass the host's own input policy
    bridge_accept_fwmark: tuple[int, int] | None = None  # mark, mask
    foreign_accept: bool = False  # ours: one rule in foreign chains that drop what we forward
    tls: bool = False  # true also where tlsverify is
    tlsverify: bool = False
    tlscacert: Path = Path("/etc/sanbashi/ca.pem")
    tlscert: Path = Path("/etc/sanbashi/cert.pem")
    tlskey: Path = Path("/etc/sanbashi/key.pem")
    ignored: tuple[str, ...] = ()  # settings of dockerd's that have no meaning here, each logged once

    @property
    def pools(self) -> tuple[tuple[IPNetwork, int], ...]:
        """The address pools in force, lowest first."""
        given = sorted(self.default_address_pools, key=lambda pool: (pool[0].version, pool[0]))
        return tuple(given) or tuple((ipaddress.ip_network(base), size) for base, size in DEFAULT_POOLS)


def boolean(text: str) -> bool:
    """Go's ParseBool."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def pool(text: str) -> tuple[IPNetwork, int]:
    """base=172.80.0.0/16,size=24 -> (network, 24)."""
    parts = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    if set(parts) != {"base", "size"}:
        raise ValueError("wants base=CIDR,size=BITS")
    base, size = ipaddress.ip_network(parts["base"]), int(parts["size"])
    if not base.prefixlen <= size <= base.max_prefixlen:
        raise ValueError(f"size {size} is no part of {base}")
    return base, size


def host_url(text: str) -> str:
    """-H values: unix://, tcp:// and fd://, a bare path is a unix socket."""
    if text.startswith(("unix://", "tcp://", "fd://")):
        return text
    if text.startswith("/"):
        return f"unix://{text}"
    raise ValueError("wants unix:///PATH, tcp://ADDRESS:PORT or fd://")


def loopback_port(text: str) -> tuple[IPAddress, int]:
    """127.0.0.83, 127.0.0.83:5353, ::1 or [::1]:5353 -> (address, port); of the loopback alone, which containers cannot reach."""
    if text.startswith("["):
        words, _, port = text[1:].partition("]")
        port = port.removeprefix(":") if port else "53"
    elif text.count(":") == 1:
        words, _, port = text.partition(":")
    else:
        words, port = text, "53"
    address = ipaddress.ip_address(words)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{port!r} is no port")
    if not address.is_loopback:
        raise ValueError(f"{address} is no loopback address, and containers could ask there for names that they are not to see")
    return address, int(port)


def ulimit(text: str) -> tuple[str, int, int]:
    """nofile=1024:4096 -> ("nofile", 1024, 4096)."""
    name, equals, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    if not name or not equals or not soft:
        raise ValueError("wants NAME=SOFT[:HARD]")
    return name, int(soft), int(hard or soft)


def firewall_mark(text: str) -> tuple[int, int]:
    """0x1/0x3 -> (mark, mask), each of 32 bits as Go reads a number with base 0; without a mask all bits count but ours, which table.nft names."""
    mark_word, slash, mask_word = text.partition("/")
    mark, mask = int(mark_word, 0), int(mask_word, 0) if slash else ALL_BITS
    if not (0 <= mark <= ALL_BITS and 0 <= mask <= ALL_BITS):
        raise ValueError("wants MARK or MARK/MASK of 32 bits")
    if mark & OUR_MARKS:
        raise ValueError(f"the bits {OUR_MARKS:#010x} are used by this engine itself")
    return mark, mask & ~OUR_MARKS


ALL_BITS, OUR_MARKS = 0xFFFFFFFF, 0x0C000000


@dataclass(frozen=True, slots=True)
class Setting:
    """One flag: `key` of the field, how its text is read, whether it may come several times, its name in the JSON file."""

    flag: str
    key: str
    read: Callable[[str], Any]
    many: bool = False
    json: str = ""


SETTINGS: tuple[Setting, ...] = (
    Setting("host", "hosts", host_url, True, "hosts"),
    Setting("group", "group", str),
    Setting("data-root", "data_root", Path),
    Setting("exec-root", "exec_root", Path),
    Setting("pidfile", "pidfile", Path),
    Setting("debug", "debug", boolean),
    Setting("log-level", "log_level", str),
    Setting("live-restore", "live_restore", boolean),
    Setting("bridge", "bridge", str),
    Setting("bip", "bip", ipaddress.ip_interface),
    Setting("bip6", "bip6", ipaddress.IPv6Interface),
    Setting("fixed-cidr", "fixed_cidr", ipaddress.ip_network),
    Setting("fixed-cidr-v6", "fixed_cidr_v6", ipaddress.ip_network),
    Setting("default-gateway", "default_gateway", ipaddress.ip_address),
    Setting("default-gateway-v6", "default_gateway_v6", ipaddress.IPv6Address),
    Setting("default-address-pool", "default_address_pools", pool, True, "default-address-pools"),
    Setting("dns", "dns", lambda t: str(ipaddress.ip_address(t)), True),
    Setting("dns-opt", "dns_opts", str, True, "dns-opts"),
    Setting("dns-search", "dns_search", str, True),
    Setting("icc", "icc", boolean),
    Setting("ip", "ip", ipaddress.ip_address),
    Setting("ipv6", "ipv6", boolean),
    Setting("ip-forward", "ip_forward", boolean),
    Setting("ip-masq", "ip_masq", boolean),
    Setting("mtu", "mtu", int),
    Setting("allow-direct-routing", "allow_direct_routing", boolean),
    Setting("bridge-accept-fwmark", "bridge_accept_fwmark", firewall_mark),
    Setting("registry-mirror", "registry_mirrors", str, True, "registry-mirrors"),
    Setting("insecure-registry", "insecure_registries", str, True, "insecure-registries"),
    Setting("label", "labels", str, True, "labels"),
    Setting("default-runtime", "default_runtime", str),
    Setting("init", "init", boolean),
    Setting("shutdown-timeout", "shutdown_timeout", int),
    Setting("host-gateway-ip", "host_gateway_ips", lambda t: str(ipaddress.ip_address(t)), True, "host-gateway-ips"),
    Setting("max-concurrent-downloads", "max_concurrent_downloads", int),
    Setting("log-driver", "log_driver", str),
    Setting("tls", "tls", boolean),
    Setting("tlsverify", "tlsverify", boolean),
    Setting("tlscacert", "tlscacert", Path),
    Setting("tlscert", "tlscert", Path),
    Setting("tlskey", "tlskey", Path),
    Setting("host-resolver", "host_resolver", loopback_port),
    Setting("host-input", "host_input", boolean),
    Setting("foreign-accept", "foreign_accept", boolean),
    Setting("default-ulimit", "default_ulimits", ulimit, True, "default-ulimits"),
)
BY_FLAG = {s.flag: s for s in SETTINGS}
BY_JSON = {s.json or s.flag: s for s in SETTINGS}
SHORT = {"H": "host", "G": "group", "D": "debug", "l": "log-level", "p": "pidfile", "g": "data-root", "b": "bridge"}

# dockerd's settings that mean nothing here: name -> takes a value
IGNORED: Mapping[str, bool] = {
    "iptables": False, "ip6tables": False, "ip-forward-no-drop": False, "userland-proxy": False, "userland-proxy-path": True,
    "firewall-backend": True, "storage-driver": True, "storage-opt": True, "containerd": True, "containerd-namespace": True,
    "exec-opt": True, "experimental": False, "selinux-enabled": False,
    "cgroup-parent": True, "metrics-addr": True, "raw-logs": False, "log-opt": True, "max-concurrent-uploads": True,
    "max-download-attempts": True, "no-new-privileges": False, "oom-score-adjust": True, "seccomp-profile": True, "add-runtime": True,
    "authorization-plugin": True, "cpu-rt-period": True, "cpu-rt-runtime": True, "default-cgroupns-mode": True, "default-ipc-mode": True,
    "default-shm-size": True, "init-path": True, "network-control-plane-mtu": True, "node-generic-resource": True,
    "swarm-default-advertise-addr": True, "userns-remap": True, "rootless": False,
    "api-cors-header": True, "cluster-store": True, "cluster-advertise": True, "feature": True, "features": True, "builder": True,
    "validate": False,
}  # fmt: skip


# Their keys in daemon.json where these are not the flags' names.
IGNORED_JSON = frozenset({
    "runtimes", "log-opts", "storage-opts", "proxies", "exec-opts", "authorization-plugins", "node-generic-resources", "http-proxy",
    "https-proxy", "no-proxy", "min-api-version",
})  # fmt: skip


def parse(arguments: Sequence[str], read_file: Callable[[Path], str]) -> DaemonConfig:
    """The settings of a command line; Invalid with dockerd's sentence for a flag that is not known or does not parse. A flag beats the file."""
    given: dict[str, Any] = {}
    ignored: list[str] = []
    config_file: Path | None = None
    for name, value in flags(arguments):
        if name == "config-file":
            config_file = Path(value or "")
        elif name in IGNORED:
            ignored.append(name)
        elif name == "default-network-opt":
            take_option(given, value or "")
        else:
            take(given, BY_FLAG[name], value if value is not None else "true", f"--{name}")
    if config_file is not None:
        given = {**from_file(config_file, read_file, ignored), **given}
    exec_root = given.get("exec_root", DaemonConfig().exec_root)
    given.setdefault("pidfile", exec_root / "sanbashid.pid")
    given.setdefault("hosts", (f"unix://{exec_root}/sanbashi.sock",))
    for key in (s.key for s in SETTINGS if s.many and s.key != "hosts"):
        given[key] = tuple(given.get(key, ()))
    config = replace(DaemonConfig(), **{**given, "hosts": tuple(given["hosts"]), "ignored": tuple(dict.fromkeys(ignored))})
    return replace(config, debug=config.debug or config.log_level == "debug", tls=config.tls or config.tlsverify)


def flags(arguments: Sequence[str]) -> list[tuple[str, str | None]]:
    """(name, value) of each flag; value None for a boolean given alone."""
    found: list[tuple[str, str | None]] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            raise Invalid(f"unexpected argument {word!r}", hint="see sanbashid --help")
        name, equals, value = word.lstrip("-").partition("=")
        name = SHORT.get(name, name)
        if word[1] != "-" and name == word.lstrip("-")[: len(name)] and name not in BY_FLAG and word[1] in SHORT:  # -Hunix://...
            name, equals, value = SHORT[word[1]], "=", word[2:]
        if name not in BY_FLAG and name not in IGNORED and name not in ("config-file", "default-network-opt"):
            raise Invalid(f"unknown flag: --{name}", hint="see sanbashid --help")
        alone = IGNORED[name] is False if name in IGNORED else name in BY_FLAG and BY_FLAG[name].read is boolean
        if equals:
            found.append((name, value))
        elif alone:
            found.append((name, None))
        elif rest:
            found.append((name, rest.pop(0)))
        else:
            raise Invalid(f"flag needs an argument: --{name}")
    return found


def take_option(given: dict[str, Any], text: str) -> None:
    """--default-network-opt DRIVER=KEY=VALUE."""
    driver, _, option = text.partition("=")
    key, equals, value = option.partition("=")
    if not driver or not key or not equals:
        raise Invalid(f'invalid argument "{text}" for "--default-network-opt": wants DRIVER=KEY=VALUE')
    options: dict[str, dict[str, str]] = given.setdefault("default_network_opts", {})
    options.setdefault(driver, {})[key] = value


def take(given: dict[str, Any], setting: Setting, text: str, said: str) -> None:
    try:
        value = setting.read(text)
    except ValueError as error:
        raise Invalid(f'invalid argument "{text}" for "{said}": {error}') from error
    if setting.many:
        given.setdefault(setting.key, []).append(value)
    else:
        given[setting.key] = value


def from_file(path: Path, read_file: Callable[[Path], str], ignored: list[str]) -> dict[str, Any]:
    """The settings of a daemon.json."""
    try:
        document = json.loads(read_file(path))
    except OSError as error:
        raise Invalid(f"unable to configure the daemon with file {path}: {error.strerror}") from error
    except ValueError as error:
        raise Invalid(f"unable to configure the daemon with file {path}: {error}") from error
    if not isinstance(document, dict):
        raise Invalid(f"unable to configure the daemon with file {path}: it must hold one JSON object")
    given: dict[str, Any] = {}
    for key, value in document.items():
        setting = BY_JSON.get(key)
        if key == "default-network-opts":
            given["default_network_opts"] = network_options(value, path)
        elif key in IGNORED or key in IGNORED_JSON:
            ignored.append(key)
        elif setting is None:
            raise Invalid(f"unable to configure the daemon with file {path}: the following directives don't match any configuration option: {key}")
        else:
            for item in several(key, value):
                text = ",".join(f"{name}={part}" for name, part in item.items()) if isinstance(item, dict) else item
                take(given, setting, str(text).lower() if isinstance(item, bool) else str(text), f"{key} in {path}")
    return given


def network_options(value: object, path: Path) -> dict[str, dict[str, str]]:
    """default-network-opts: of each driver, its options."""
    if not isinstance(value, dict) or not all(isinstance(options, dict) for options in value.values()):
        raise Invalid(f"unable to configure the daemon with file {path}: default-network-opts wants an object of options for each driver")
    return {driver: {key: str(option) for key, option in options.items()} for driver, options in value.items()}


def several(key: str, value: Any) -> list[Any]:
    """The values of a key; limits stand by name."""
    if key == "default-ulimits" and isinstance(value, dict):
        limits = {name: (limit.get("Soft", 0), limit.get("Hard", 0)) for name, limit in value.items() if isinstance(limit, dict)}
        return [f"{name}={soft}:{hard}" for name, (soft, hard) in limits.items()]
    return value if isinstance(value, list) else [value]
