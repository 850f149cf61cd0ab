"""What registries want before they answer: basic login and bearer tokens (distribution, auth/token and auth/oauth specifications)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from ..errors import Failed
from ..images.reference import Reference
from ..records import dataclass
from .refusals import refusal, unreachable
from .transfers import Credentials

AGENT = "sanbashi/0.1"
CLIENT = "sanbashi"
REDIRECTS = urllib3.Retry(total=None, connect=0, read=0, other=0, status=0, redirect=8, raise_on_redirect=True)
BUSY = (408, 425, 429, 500, 502, 503, 504)
CHALLENGE = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"|(\w+)=([^\s,"]+)')


class Token(msgspec.Struct, frozen=True):
    """A token server's answer."""

    token: str = ""
    access_token: str = ""
    refresh_token: str = ""


@dataclass
class Keyring:
    """Credentials, and how they become what a challenge asks for. `offline` asks for a refresh token too, which is kept in `identity`."""

    credentials: Credentials
    offline: bool = False
    identity: str = ""

    @property
    def basic(self) -> str:
        """The header of a basic login, "" without a name."""
        pair = f"{self.credentials.username}:{self.credentials.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}" if self.credentials.username else ""

    def answer(self, challenge: str, pool: urllib3.PoolManager, reference: Reference, scope: str) -> str:
        """The Authorization header for a WWW-Authenticate header, "" where there is none to offer; `scope` where the challenge names none."""
        scheme, _, rest = challenge.partition(" ")
        asked = {a or c: b or d for a, b, c, d in CHALLENGE.findall(rest)}
        if scheme.lower() == "basic":
            return self.basic
        if scheme.lower() != "bearer" or "realm" not in asked:
            return ""
        token = self.credentials.registrytoken or self.token(pool, asked, reference, asked.get("scope", scope))
        return f"Bearer {token}" if token else ""

    def token(self, pool: urllib3.PoolManager, asked: Mapping[str, str], reference: Reference, scope: str) -> str:
        """A bearer token for a scope (several are parted by spaces, "" is none)."""
        realm, service = asked["realm"], asked.get("service", "")
        try:
            if self.credentials.identitytoken:
                fields = {
                    "grant_type": "refresh_token",
                    "service": service,
                    "scope": scope,
                    "client_id": CLIENT,
                    "refresh_token": self.credentials.identitytoken,
                }
                response = pool.request("POST", realm, fields=fields, encode_multipart=False, headers={"User-Agent": AGENT}, retries=REDIRECTS)
            else:
                query: list[tuple[str, str]] = [("service", service), *(("scope", one) for one in scope.split())]
                if self.basic:
                    query.append(("account", self.credentials.username))
                if self.offline:
                    query += [("client_id", CLIENT), ("offline_token", "true")]
                headers = {"User-Agent": AGENT} | ({"Authorization": self.basic} if self.basic else {})
                response = pool.request("GET", f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}", headers=headers, retries=REDIRECTS)
        except HTTPError as error:
            raise unreachable(realm, error) from error
        if response.status != 200:
            raise refusal(reference, response.status, response.data, response.headers, passing=response.status in BUSY, source=realm)
        try:
            found = msgspec.json.decode(response.data, type=Token)
        except msgspec.DecodeError as error:
            raise Failed(f"the token server's answer cannot be read: {error}") from error
        self.identity = found.refresh_token
        return found.token or found.access_token
