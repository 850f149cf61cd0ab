"""Whom a TCP address of the loopback serves: local clients, and no web page of somebody else's."""

from __future__ import annotations

import ipaddress

from ..errors import Forbidden


def check_origin(headers: dict[str, str]) -> None:
    """On TCP, refuse what a web page of somebody else's could make a browser send to our loopback address."""
    host = headers.get("host", "")
    if not is_loopback(host):
        raise Forbidden(f"the Host header {host!r} is no loopback address", hint="this address serves local clients only")
    origin = headers.get("origin", "")
    if origin and origin.partition("://")[2] != host:
        raise Forbidden(f"requests from the origin {origin!r} are refused")


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine's loopback; the docker CLI sends "docker" or the address, http+unix clients their own word."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]")
    if name in ("", "localhost", "docker", "api.moby.localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
