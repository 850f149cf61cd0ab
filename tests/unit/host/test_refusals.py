"""Registries' refusals and failed connections in Docker's sentences."""

from __future__ import annotations

import errno
import json
import socket
import ssl

import pytest
from urllib3.exceptions import (
    HTTPError,
    IncompleteRead,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from sanbashi.errors import Failed, NotFound
from sanbashi.host.refusals import refusal, unreachable
from sanbashi.host.registry import Registry
from sanbashi.host.registry_endpoints import Endpoint
from sanbashi.images.reference import parse_reference

WEB = parse_reference("team/web:1")
URL = "https://registry.example/v2/"


def body(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()


@pytest.mark.parametrize(
    ("status", "data", "message", "kind"),
    [
        (404, body("MANIFEST_UNKNOWN", "manifest unknown"), "manifest for team/web:1 not found: manifest unknown: manifest unknown", NotFound),
        (
            404,
            body("NAME_UNKNOWN", "repository name not known to registry"),
            "repository team/web not found: name unknown: repository name not known to registry",
            NotFound,
        ),
        (
            403,
            body("DENIED", "requested access to the resource is denied"),
            "pull access denied for team/web, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied",
            NotFound,
        ),
        (401, body("UNAUTHORIZED", "authentication required"), "unauthorized: authentication required", Failed),
        (401, b"<html>", "unauthorized: authentication required", Failed),
        (429, body("TOOMANYREQUESTS", "You have reached your pull rate limit."), "toomanyrequests: You have reached your pull rate limit.", Failed),
        (500, b"oops", "received unexpected HTTP status: 500 Internal Server Error", Failed),
        (404, b"", "manifest for team/web:1 not found: not found", NotFound),
    ],
)
def test_refusal(status: int, data: bytes, message: str, kind: type[Exception]) -> None:
    error = refusal(WEB, status, data, {})
    assert error.message == message
    assert isinstance(error, kind)


def test_the_registry_says_when_to_come_again() -> None:
    assert refusal(WEB, 429, b"", {"Retry-After": "7"}).after == 7
    assert refusal(WEB, 503, b"", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}).after == 0


def caused(error: HTTPError, cause: BaseException) -> HTTPError:
    error.__cause__ = cause
    return MaxRetryError(None, URL, error)  # type: ignore[arg-type]


def certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "unable to get local issuer certificate"
    return error


def wrong_version() -> ssl.SSLError:
    error = ssl.SSLError(1, "wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


@pytest.mark.parametrize(
    ("error", "message", "passing"),
    [
        (
            caused(NewConnectionError(None, "x"), ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")),  # type: ignore[arg-type]
            "dial tcp registry.example:443: connect: connection refused",
            False,
        ),
        (
            caused(NewConnectionError(None, "x"), OSError(errno.ENETUNREACH, "Network is unreachable")),  # type: ignore[arg-type]
            "dial tcp registry.example:443: connect: network is unreachable",
            False,
        ),
        (
            MaxRetryError(None, URL, NameResolutionError("registry.example", None, socket.gaierror(-2, "x"))),  # type: ignore[arg-type]
            "dial tcp: lookup registry.example: no such host",
            False,
        ),
        (caused(SSLError("x"), certificate()), "tls: failed to verify certificate: x509: unable to get local issuer certificate", False),
        (caused(SSLError("x"), wrong_version()), "http: server gave HTTP response to HTTPS client", False),
        (ReadTimeoutError(None, URL, "x"), "net/http: timeout awaiting response", True),  # type: ignore[arg-type]
        (ProtocolError("broken", IncompleteRead(3, 7)), "unexpected EOF", True),
        (ProtocolError("aborted", ConnectionResetError(errno.ECONNRESET, "reset")), "unexpected EOF", True),
    ],
)
def test_unreachable(error: HTTPError, message: str, passing: bool) -> None:
    found = unreachable(URL, error)
    assert (found.message, found.passing) == (f'Get "{URL}": {message}', passing)


@pytest.mark.parametrize(
    ("domain", "endpoints"),
    [
        ("docker.io", [Endpoint("http://mirror:5000"), Endpoint("https://tls.mirror"), Endpoint("https://registry-1.docker.io")]),
        ("registry.example", [Endpoint("https://registry.example")]),
        ("named.example:5000", [Endpoint("https://named.example:5000", careless=True), Endpoint("http://named.example:5000")]),
        ("10.1.2.3:5000", [Endpoint("https://10.1.2.3:5000", careless=True), Endpoint("http://10.1.2.3:5000")]),
        ("10.2.2.3", [Endpoint("https://10.2.2.3")]),
        ("127.0.0.9:5000", [Endpoint("https://127.0.0.9:5000", careless=True), Endpoint("http://127.0.0.9:5000")]),
        ("[::1]:5000", [Endpoint("https://[::1]:5000", careless=True), Endpoint("http://[::1]:5000")]),
        ("localhost", [Endpoint("https://localhost", careless=True), Endpoint("http://localhost")]),
    ],
)
def test_endpoints(domain: str, endpoints: list[Endpoint]) -> None:
    registry = Registry(("http://mirror:5000/", "https://tls.mirror"), ("named.example:5000", "10.1.0.0/16"))
    assert list(registry.endpoints(domain)) == endpoints
