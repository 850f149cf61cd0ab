"""Readers of flag values: what the user typed to what the API takes; ValueError with docker's words."""

from sanbashi.cli.addresses import canonical
from sanbashi.cli.gotemplate.text import quote
from sanbashi.cli.output import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SYSCTLS = frozenset("kernel." + name for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"))
_ULIMITS = frozenset(
    ("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack")
)


def label(text: str) -> str:
    """`key` or `key=value`."""
    key = text.partition("=")[0].lstrip(" \t")
    if not key:
        raise ValueError(f"invalid label '{text}': empty name")
    if " " in key or "\t" in key:
        raise ValueError(f"label '{key}' contains whitespaces")
    return text


def link(text: str) -> str:
    """`name` or `name:alias`."""
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text


def env(text: str) -> str:
    """`NAME=value`; `NAME` takes the value of our own environment where it has one."""
    name, equals, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    value = None if equals else lookup(name)
    return text if value is None else f"{name}={value}"


def attach(text: str) -> str:
    """stdin, stdout or stderr."""
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def address(text: str) -> str:
    """An IP address in its usual form."""
    found = canonical(text.strip())
    if found is None:
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return found


def search_domain(text: str) -> str:
    """A domain, or the dot that stands for none."""
    text = text.strip(" ")
    if text == ".":
        return text
    domain = text.rstrip().removesuffix(".")
    parts = domain.split(".")
    good = all(part and part.isascii() and part.replace("-", "a").isalnum() and part[0] != "-" and part[-1] != "-" for part in parts)
    if not good or len(domain) >= 255 or not any(char.isalpha() for char in domain):
        raise ValueError(f"{text} is not a valid domain")
    return domain


def extra_host(text: str) -> str:
    """`name:address` or `name=address`; the address may stand in brackets or be host-gateway."""
    name, mark, value = text.partition("=")
    if not mark:
        name, mark, value = text.partition(":")
    if not mark or not name or ":" in name:
        raise ValueError(f"bad format for add-host: {quote(text)}")
    if value != "host-gateway":
        if len(value) > 2 and value[0] == "[" and value[-1] == "]":
            value = value[1:-1]
        if canonical(value.strip()) is None:
            raise ValueError(f"invalid IP address in add-host: {quote(value)}")
    return f"{name}:{value}"


def sysctl(text: str) -> str:
    """`net.x=1`: only what has a namespace of its own."""
    name, equals, _ = text.partition("=")
    if not equals or not name or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


def ulimit(text: str) -> "dict[str, Any]":
    """`nofile=1024:2048`."""
    from sanbashi.cli.flags import read_int

    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise ValueError(f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")
    hard = read_int(parts[-1])
    soft = read_int(parts[0])
    if hard != -1 and soft == -1:
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}")
    if hard != -1 and soft > hard:
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def cpus(text: str) -> int:
    """A decimal number or a fraction, in billionths."""
    from sanbashi.cli.gotemplate.numbers import show_float

    try:
        numerator, slash, denominator = text.partition("/")
        value = float(numerator) / (float(denominator) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"failed to parse {text} as a rational number") from None
    nano = round(value * 1_000_000_000)
    if abs(nano / 1_000_000_000 - value) > 1e-12 and show_float(value):
        raise ValueError("value is too precise")
    return nano


def swap(text: str) -> int:
    """Bytes, or -1 for no limit."""
    from sanbashi.cli.units import ram_in_bytes

    return -1 if text == "-1" else ram_in_bytes(text)


def device_rule(text: str) -> str:
    """`c 1:3 rwm`."""
    parts = text.split(" ")
    numbers = parts[1].split(":") if len(parts) == 3 else []
    good = (
        len(numbers) == 2
        and parts[0] in ("a", "b", "c")
        and all(number == "*" or number.isdigit() for number in numbers)
        and 1 <= len(parts[2]) <= 3
        and set(parts[2]) <= set("rwm")
    )
    if not good:
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def _device_path(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, value


def bps(text: str) -> "dict[str, Any]":
    """`/dev/sda:1mb`."""
    from sanbashi.cli.units import ram_in_bytes

    path, value = _device_path(text)
    try:
        return {"Path": path, "Rate": ram_in_bytes(value)}
    except ValueError:
        form = "The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        raise ValueError(f"invalid rate for device: {text}. {form}") from None


def iops(text: str) -> "dict[str, Any]":
    """`/dev/sda:1000`."""
    path, value = _device_path(text)
    if not value.isdigit():
        form = "The correct format is <device-path>:<number>. Number must be a positive integer"
        raise ValueError(f"invalid rate for device: {text}. {form}")
    return {"Path": path, "Rate": int(value)}


def weight(text: str) -> "dict[str, Any]":
    """`/dev/sda:500`."""
    path, value = _device_path(text)
    if not value.isdigit() or not (int(value) == 0 or 10 <= int(value) <= 1000):
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(value)}


def gpus(text: str) -> str:
    """No GPU can be passed on."""
    raise ValueError("GPUs are not supported: pass their devices with --device")


def network(text: str) -> "dict[str, Any]":
    """A network's name, or name=...,alias=...,ip=...: as docker, the whole field in small letters."""
    from sanbashi.cli.flags import read_csv, read_int

    if not long_form(text):
        return {"Target": text}
    found: dict[str, Any] = {"Target": "", "Aliases": [], "LinkLocalIPs": [], "DriverOpts": {}}
    for field in read_csv(text):
        key, equals, value = field.lower().partition("=")
        if not equals or not key:
            raise ValueError(f"invalid field {field}")
        key, value = key.strip(), value.strip()
        if key in _NETWORK_FIELDS:
            found[_NETWORK_FIELDS[key]] = value
        elif key == "alias":
            found["Aliases"].append(value)
        elif key == "link-local-ip":
            found["LinkLocalIPs"].append(value)
        elif key == "driver-opt":
            name, equals, setting = value.partition("=")
            if not equals or not name:
                raise ValueError("invalid key value pair format in driver options")
            found["DriverOpts"][name.strip()] = setting.strip()
        elif key == "gw-priority":
            try:
                found["GwPriority"] = read_int(value)
            except ValueError as problem:
                raise ValueError(f"invalid gw-priority ({value}): {str(problem).rpartition(': ')[2]}") from None
        else:
            raise ValueError(f"invalid field key {key}")
    if not found["Target"]:
        raise ValueError("network name/id is not specified")
    return found


_NETWORK_FIELDS = {"name": "Target", "ip": "IPv4Address", "ip6": "IPv6Address", "mac-address": "MacAddress"}


def long_form(text: str) -> bool:
    """Whether a word stands on both sides of some equals sign."""
    return any(char == "=" and word_char(text[at - 1 : at]) and word_char(text[at + 1 : at + 2]) for at, char in enumerate(text))


def word_char(char: str) -> bool:
    """A letter, digit or underscore of ASCII."""
    return char.isascii() and (char.isalnum() or char == "_")


def key_values(files: list[str], more: list[str], look: "Callable[[str], str | None] | None") -> list[str]:
    """The pairs of the files, then those given; a name without a value asks `look` (None: left out)."""
    pairs: list[str] = []
    for name in files:
        try:
            with open(name, "rb") as file:  # noqa: PTH123 - pathlib costs more than the command
                data = file.read()
        except OSError as problem:
            raise ValueError(f"open {name}: {(problem.strerror or '').lower()}") from None
        try:
            pairs += file_pairs(data, look)
        except ValueError as problem:
            raise ValueError(f"invalid env file ({name}): {problem}") from None
    return pairs + more


def file_pairs(data: bytes, look: "Callable[[str], str | None] | None") -> list[str]:
    """The pairs of one file: a line each; empty lines and lines that begin with # are left out."""
    pairs: list[str] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        raw = raw.removesuffix(b"\r")
        try:
            line = raw.decode().removeprefix("\ufeff" if number == 1 else "").lstrip()
        except UnicodeDecodeError:
            shown = "[" + " ".join(str(byte) for byte in raw) + "]"
            raise ValueError(f"invalid utf8 bytes at line {number}: {shown}") from None
        if not line or line[0] == "#":
            continue
        key, equals, _ = line.partition("=")
        if not key:
            raise ValueError(f"no variable name on line '{line}'")
        if " " in key or "\t" in key:
            raise ValueError(f"variable '{key}' contains whitespaces")
        if equals:
            pairs.append(line)
        elif look is not None and (value := look(key)) is not None:
            pairs.append(f"{key}={value}")
    return pairs


def as_map(pairs: list[str]) -> dict[str, str]:
    """`key=value` texts as a map."""
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
