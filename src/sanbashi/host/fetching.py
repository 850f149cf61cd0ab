"""A file of somebody's web server, for `import ADDRESS`: blocking, for worker threads."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, ResponseError, URLSchemeUnknown

from ..errors import Failed, Forbidden, Invalid, NotFound, SanbashiError, Unauthorized
from .authorization import AGENT, REDIRECTS
from .blobs import CHUNK
from .refusals import Unreachable, reason, unreachable
from .registry_endpoints import TIMEOUT, proxy_for

LONGEST = 4096  # bytes of what a server says beside its refusal
REFUSED: dict[int, type[SanbashiError]] = {400: Invalid, 401: Unauthorized, 403: Forbidden, 404: NotFound}


class Fetched:
    """A file on its way: `size` in bytes, 0 where the server does not tell."""

    def __init__(self, url: str, response: urllib3.BaseHTTPResponse) -> None:
        self.url = url
        self.response = response
        length = response.headers.get("Content-Length", "")
        self.size = int(length) if length.isdigit() else 0

    def read(self) -> bytes:
        """The next piece, as it was sent; b"" at the end, Unreachable where the rest does not come."""
        try:
            return bytes(self.response.read(CHUNK, decode_content=False))
        except HTTPError as error:
            raise without_hint(unreachable(self.url, error)) from error


def checked_address(text: str) -> str:
    """An address as it is asked, `http://` before one without a scheme; Invalid where nobody can be asked."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise Invalid(f'parse "{url}": {error}') from error
    if parts.scheme not in ("http", "https"):
        raise Invalid(f'Get "{url}": unsupported protocol scheme "{parts.scheme}"')
    if not parts.hostname:
        raise Invalid(f'Get "{url}": http: no Host in request URL')
    return url


@contextmanager
def fetched(url: str) -> Iterator[Fetched]:
    """The answer to a GET; what Docker says where it is a refusal."""
    parts = urlsplit(url)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    proxy = proxy_for(parts.scheme, parts.netloc)
    pool = urllib3.ProxyManager(proxy, ssl_context=context, timeout=TIMEOUT) if proxy else urllib3.PoolManager(ssl_context=context, timeout=TIMEOUT)
    with pool:
        try:
            # Not packed on the way: an archive that is packed itself is unpacked by whoever asked for it.
            headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
            response = pool.request("GET", url, headers=headers, preload_content=False, retries=REDIRECTS)
        except URLSchemeUnknown as error:
            raise Failed(f'Get "{url}": unsupported protocol scheme "{error.scheme}"') from error
        except LocationValueError as error:  # that the server leads to
            raise Failed(f'Get "{url}": http: no Host in request URL') from error
        except MaxRetryError as error:
            if isinstance(error.reason, ResponseError):
                raise Failed(f'Get "{url}": stopped after {REDIRECTS.redirect} redirects') from error
            raise without_hint(unreachable(url, error)) from error
        except HTTPError as error:
            raise without_hint(unreachable(url, error)) from error
        try:
            if response.status >= 400:
                said = response.read(LONGEST, decode_content=False).decode(errors="replace").strip()
                kind = REFUSED.get(response.status, Failed)
                raise kind(f"failed to GET {url} with status {response.status} {reason(response.status)}: {said}")
            yield Fetched(url, response)
        finally:
            response.close()


def without_hint(error: Unreachable) -> Unreachable:
    """An error without what it says of registries."""
    error.hint = ""
    return error
