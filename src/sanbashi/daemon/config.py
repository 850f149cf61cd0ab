"""The daemon's settings: dockerd's flag names and the same keys in a JSON file; parsed once, frozen."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from ..errors import Invalid
from ..network.model import IPAddress, IPInterface, IPNetwork
from ..records import dataclass
from .options import BY_FLAG, BY_JSON, IGNORED, IGNORED_JSON, SETTINGS, SHORT, Setting, boolean

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
