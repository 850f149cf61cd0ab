"""The settings that the daemon can be given, a line each, how their texts are read, and those of dockerd that mean nothing here."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..network.model import IPAddress, IPNetwork
from ..records import dataclass

ALL_BITS, OUR_MARKS = 0xFFFFFFFF, 0x0C000000


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
