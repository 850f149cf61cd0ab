"""Addresses and prefixes, as far as a client has to know them."""

from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton


def packed(text: str) -> bytes | None:
    """The address in 4 or 16 bytes; None where the text is none."""
    family = AF_INET6 if ":" in text else AF_INET
    if family == AF_INET and (text.count(".") != 3 or any(len(part) > 1 and part[0] == "0" for part in text.split("."))):
        return None
    try:
        data = inet_pton(family, text)
    except (OSError, ValueError):
        return None
    mapped = b"\0" * 10 + b"\xff\xff"
    return data[12:] if data.startswith(mapped) else data


def canonical(text: str) -> str | None:
    """The address as Go prints it; None where the text is none."""
    data = packed(text)
    return None if data is None else inet_ntop(AF_INET if len(data) == 4 else AF_INET6, data)


def parse_cidr(text: str) -> tuple[bytes, int]:
    """(address, length of the prefix); ValueError with Go's words."""
    address, slash, length = text.partition("/")
    data = packed(address)
    if data is None or not slash or not length.isdigit() or int(length) > len(data) * 8:
        raise ValueError(f"invalid CIDR address: {text}")
    return data, int(length)


def contains(subnet: str, address: bytes | None) -> bool:
    """Whether the subnet holds the address; ValueError when the subnet is none."""
    try:
        base, length = parse_cidr(subnet)
    except ValueError as problem:
        raise ValueError(f"invalid subnet: {problem}") from None
    if address is None or len(address) != len(base):
        return False
    shift = len(base) * 8 - length
    return int.from_bytes(base) >> shift == int.from_bytes(address) >> shift


def is_loopback(text: str) -> bool:
    """127.0.0.0/8 or ::1."""
    data = packed(text)
    return data is not None and (data[0] == 127 if len(data) == 4 else data == b"\0" * 15 + b"\1")
