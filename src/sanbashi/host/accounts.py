"""What is asked of registries beside images: whether credentials are right, and what they have that is called so."""

from __future__ import annotations

import threading
from urllib.parse import urlencode

import msgspec
from urllib3.exceptions import HTTPError

from ..errors import Failed, SanbashiError, Unauthorized
from ..images.reference import DEFAULT_DOMAIN, Reference
from .authorization import AGENT, REDIRECTS, Keyring
from .refusals import Unreachable, reason, refusal, unreachable
from .registry import Registry, Session
from .registry_endpoints import Endpoint
from .transfers import Credentials

INDEX = "https://index.docker.io"
MAX_RESULTS = 4 << 20  # bytes


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One repository that a search has found, with the API's names."""

    name: str = ""
    description: str | None = ""
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False


class Results(msgspec.Struct, frozen=True):
    """The search API's answer."""

    results: tuple[Found, ...] | None = None


def login(registry: Registry, domain: str, credentials: Credentials) -> str:
    """Try credentials at a registry; the refresh token that it gave instead of a password, "" where none. Unauthorized where they are wrong."""
    reference = Reference(domain, "")
    session = registry.writer(reference, credentials, threading.Event())
    keyring = Keyring(credentials, offline=True)
    failure: SanbashiError | None = None
    for endpoint in session.endpoints:
        try:
            return login_at(registry, endpoint, keyring, reference)
        except Unauthorized:
            raise
        except SanbashiError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def login_at(registry: Registry, endpoint: Endpoint, keyring: Keyring, reference: Reference) -> str:
    """Try credentials at one endpoint."""
    url = f"{endpoint.base}/v2/"
    pool = registry.pool(endpoint)
    headers = {"User-Agent": AGENT}
    try:
        response = pool.request("GET", url, headers=headers, retries=REDIRECTS)
        if response.status == 401:
            try:
                given = keyring.answer(response.headers.get("WWW-Authenticate", ""), pool, reference, "")
            except Unreachable:
                raise
            except SanbashiError as error:
                raise Unauthorized(f'Get "{url}": {error.message}') from error
            if given:
                response = pool.request("GET", url, headers={**headers, "Authorization": given}, retries=REDIRECTS)
    except HTTPError as error:
        raise unreachable(url, error) from error
    if response.status == 200:
        return keyring.identity
    sentence = f"login attempt to {url} failed with status: {response.status} {reason(response.status)}".rstrip()
    raise Unauthorized(sentence) if response.status in (401, 403) else Failed(sentence)


def search(registry: Registry, domain: str, term: str, limit: int, credentials: Credentials) -> tuple[Found, ...]:
    """Ask a registry's search API (Docker Hub's, and those that have the same)."""
    reference = Reference(domain, term)
    query = urlencode({"n": limit, "q": term})
    endpoints = (Endpoint(INDEX),) if domain == DEFAULT_DOMAIN else registry.ways(f"https://{domain}")
    session = Session(registry, reference, Keyring(credentials), threading.Event(), endpoints)

    def ask(endpoint: Endpoint) -> tuple[Found, ...]:
        url = f"{endpoint.base}/v1/search?{query}"
        headers = {"User-Agent": AGENT} | ({"Authorization": session.keyring.basic} if session.keyring.basic else {})
        try:
            response = registry.pool(endpoint).request("GET", url, headers=headers, retries=REDIRECTS, preload_content=False)
            data = response.read(MAX_RESULTS)
            response.close()
        except HTTPError as error:
            raise unreachable(url, error) from error
        if response.status != 200:
            if response.status in (401, 403):
                raise refusal(reference, response.status, data, response.headers, writing=True)
            raise Failed(f"Unexpected status code {response.status}", hint="not every registry can be searched; Docker Hub can")
        try:
            return msgspec.json.decode(data, type=Results).results or ()
        except msgspec.DecodeError as error:
            raise Failed(f"error decoding registry search results: {error}") from error

    return session.first(ask)
