"""What a registry's refusal, or the way to it, means in Docker's sentences."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from ..errors import Failed, NotFound, SanbashiError
from ..images.reference import Reference


class RegistryError(msgspec.Struct, frozen=True):
    """One error of the distribution API."""

    code: str = "UNKNOWN"
    message: str = ""


class RegistryErrors(msgspec.Struct, frozen=True):
    """The body of a refusal; token servers put their text into `details`."""

    errors: tuple[RegistryError, ...] | None = None
    details: str = ""
    message: str = ""


class Refusals(SanbashiError):
    """The registry answered no. `passing`: it may answer otherwise in `after` seconds."""

    passing = False
    after = 0.0


class Unreachable(Failed):
    """The registry did not answer, or not to the end. `restart`: what has come is of no use."""

    def __init__(self, message: str, *, hint: str = "", passing: bool = False, restart: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.passing = passing
        self.restart = restart
        self.after = 0.0


class Missing(Refusals, NotFound):
    """The repository or the manifest is not there, or not for us."""


class Denied(Refusals, Failed):
    """Any other refusal; Docker answers 500."""


# What Docker makes of the distribution API's codes (moby, distribution/errors.go), by the code of the first error.
SENTENCES = {
    "DENIED": "pull access denied for {name}, repository does not exist or may require 'docker login'",
    "MANIFEST_UNKNOWN": "manifest for {familiar} not found",
    "NAME_UNKNOWN": "repository {name} not found",
}
# What the status says where the body says nothing.
CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 429: "TOOMANYREQUESTS"}
TEXTS = {"UNAUTHORIZED": "authentication required", "DENIED": "requested access to the resource is denied"}


def refusal(
    reference: Reference, status: int, body: bytes, headers: Mapping[str, str], *, passing: bool = False, source: str = "", writing: bool = False
) -> Missing | Denied:
    """A registry's answer as an error. `source` is the token server's address where it was the one to refuse; `writing` is a push."""
    try:
        said = msgspec.json.decode(body, type=RegistryErrors)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = RegistryErrors()
    first = said.errors[0] if said.errors else None
    code = first.code if first and first.code else CODES.get(status, "UNKNOWN")
    text = (first.message if first else "") or said.details or said.message or TEXTS.get(code, "")
    cause = f"{code.lower().replace('_', ' ')}: {text}".rstrip(": ")
    if code == "UNAUTHORIZED" and source:
        cause = f"unauthorized: {text}"
    if code == "UNKNOWN" and not first:
        cause = f"received unexpected HTTP status: {status} {reason(status)}".rstrip()
    error: Missing | Denied
    if writing and code in (*SENTENCES, "NOT_FOUND"):
        error = Denied(cause, hint=f"log in with `docker login {reference.domain}`" if code == "DENIED" else "")
    elif sentence := SENTENCES.get(code):
        error = Missing(f"{sentence.format(name=reference.familiar_name, familiar=reference.familiar)}: {cause}")
    elif status == 404:
        error = Missing(f"manifest for {reference.familiar} not found: {cause}")
    else:
        error = Denied(cause, hint="log in with `docker login`, or see whether the name is right" if code == "UNAUTHORIZED" else "")
    error.passing = passing
    error.after = seconds(headers.get("Retry-After", ""))
    return error


def reason(status: int) -> str:
    """The words of an HTTP status."""
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def seconds(text: str) -> float:
    """A Retry-After header in seconds; 0 where there is none."""
    return float(text) if text.isdigit() else 0.0


def unreachable(url: str, error: HTTPError) -> Unreachable:
    """A failed request in the words of Go's client, which Docker shows; the hint says what mends it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    prefix = f'Get "{url}": '
    causes = list(chain(error))
    certificate = next((c for c in causes if isinstance(c, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        hint = f"put the authority's certificate into /etc/sanbashi/certs.d/{parts.netloc}/ca.crt, or name {parts.netloc} in insecure-registries"
        return Unreachable(f"{prefix}tls: failed to verify certificate: x509: {certificate.verify_message}", hint=hint)
    if any(isinstance(c, ssl.SSLError) and c.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE") for c in causes):
        return Unreachable(f"{prefix}http: server gave HTTP response to HTTPS client", hint=f"name {parts.netloc} in insecure-registries")
    if any(isinstance(c, NameResolutionError | socket.gaierror) for c in causes):
        return Unreachable(f"{prefix}dial tcp: lookup {host}: no such host", hint="see that the host's resolver answers and the name is right")
    if any(isinstance(c, ConnectionRefusedError) for c in causes):
        return Unreachable(f"{prefix}dial tcp {host}:{port}: connect: connection refused", hint=f"nothing listens on {host}:{port}")
    if any(isinstance(c, ConnectTimeoutError) and not isinstance(c, NewConnectionError) for c in causes):
        return Unreachable(f"{prefix}dial tcp {host}:{port}: i/o timeout", hint="is there a way out, or a mirror to configure (registry-mirrors)?")
    if any(isinstance(c, ReadTimeoutError | TimeoutError) for c in causes):
        return Unreachable(f"{prefix}net/http: timeout awaiting response", passing=True)
    if any(isinstance(c, ssl.SSLError | SSLError) for c in causes):
        return Unreachable(f"{prefix}{causes[-1]}")
    told = next((c for c in causes if isinstance(c, OSError) and c.strerror), None)
    if told is not None and not isinstance(told, ConnectionError):
        return Unreachable(f"{prefix}dial tcp {host}:{port}: connect: {str(told.strerror).lower()}")
    return Unreachable(f"{prefix}unexpected EOF", passing=True)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and everything that it came from: urllib3 keeps causes in three places."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [getattr(found, "reason", None), found.__cause__, found.__context__, *found.args]
