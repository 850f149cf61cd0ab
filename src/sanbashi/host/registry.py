"""The registry client: the distribution API over urllib3, blocking, for worker threads; mirrors first, transfers resumed, every digest checked."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TypeVar

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from ..errors import Failed, SanbashiError
from ..images.manifest import ACCEPTED, MAX_MANIFEST, Descriptor, digest_of
from ..images.reference import Reference
from ..records import dataclass
from .authorization import AGENT, BUSY, REDIRECTS, Keyring
from .blobs import CHUNK, DigestMismatch, Ingest
from .refusals import Denied, Refusals, Unreachable, refusal, unreachable
from .registry_endpoints import Endpoint, Endpoints
from .transfers import Credentials, Stopped

T = TypeVar("T")
ATTEMPTS = 6  # without a byte of progress between them
PAUSES = (0.1, 0.5, 1.0, 3.0, 5.0)  # seconds before each further attempt
NEXT = re.compile(r'<[^>]*?(tags/list\?[^>]+)>;\s*rel="?next"?')


class Tags(msgspec.Struct, frozen=True):
    """The tags of a repository."""

    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A small document from the registry, its digest checked where one was asked for."""

    data: bytes
    media_type: str
    digest: str


class Registry(Endpoints):
    """Registries to talk with."""

    def session(self, reference: Reference, credentials: Credentials, stopped: threading.Event) -> Session:
        """A conversation about one repository."""
        return Session(self, reference, Keyring(credentials), stopped, self.endpoints(reference.domain))

    def writer(self, reference: Reference, credentials: Credentials, stopped: threading.Event) -> Session:
        """A conversation in which a repository is written: with the registry itself, never with a mirror."""
        return Session(self, reference, Keyring(credentials), stopped, self.itself(reference.domain), writing=True)


@dataclass
class Session:
    """A conversation about one repository. `stopped` ends it from another thread; `passed` are the failures of endpoints that were passed over."""

    registry: Endpoints
    reference: Reference
    keyring: Keyring
    stopped: threading.Event
    endpoints: Sequence[Endpoint]
    at: int = 0
    writing: bool = False
    authorization: dict[Endpoint, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> Endpoint:
        return self.endpoints[self.at]

    def manifest(self, target: str) -> Answer:
        """A manifest by tag or digest, from the first endpoint that has it; errors are Docker's sentences."""
        return self.first(lambda endpoint: self.document(endpoint, target))

    def tags(self) -> tuple[str, ...]:
        """All tags of the repository, from the first endpoint that answers."""
        return self.first(self.listing)

    def first(self, ask: Callable[[Endpoint], T]) -> T:
        """What the first endpoint that can answers; the error of the last one, with what those before said as its hint."""
        failure: SanbashiError | None = None
        asked = ""
        for index, endpoint in enumerate(self.endpoints):
            if asked == endpoint.host and isinstance(failure, Refusals):
                continue  # it has answered: another way to the same host says no more
            try:
                answer = ask(endpoint)
            except Stopped:
                raise
            except SanbashiError as error:
                if failure is not None and asked != endpoint.host:
                    error.hint = "; ".join(filter(None, (f"{asked} said before: {failure.message}", error.hint)))
                failure, asked = error, endpoint.host
                continue
            self.at = index
            return answer
        assert failure is not None
        raise failure

    def listing(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The tags as one endpoint lists them, page by page."""
        found: list[str] = []
        path = "tags/list"
        while path:
            with self.request(endpoint, f"{endpoint.base}/v2/{self.reference.path}/{path}") as response:
                found.extend(msgspec.json.decode(self.body(response), type=Tags).tags or ())
                link = NEXT.search(response.headers.get("Link", ""))
                path = link[1] if link else ""
        return tuple(found)

    def document(self, endpoint: Endpoint, target: str) -> Answer:
        """A manifest from one endpoint, its digest checked; tried again where the registry is busy."""
        url = f"{endpoint.base}/v2/{self.reference.path}/manifests/{target}"
        for attempt in range(3):
            try:
                with self.request(endpoint, url, {"Accept": ", ".join(ACCEPTED)}) as response:
                    data = self.body(response)
                    if target.startswith("sha256:") and digest_of(data) != target:
                        raise Failed(f"manifest verification failed for digest {target}")
                    return Answer(data, response.headers.get("Content-Type", "").partition(";")[0].strip(), digest_of(data))
            except (Refusals, Unreachable) as error:
                if not error.passing or attempt == 2:
                    raise
                self.pause(attempt, error.after)
        raise AssertionError("every attempt returns or raises")

    def body(self, response: urllib3.BaseHTTPResponse) -> bytes:
        try:
            data = response.read(MAX_MANIFEST + 1)
        except HTTPError as error:
            raise unreachable(response.url or "", error) from error
        if len(data) > MAX_MANIFEST:
            raise Failed(f"the registry's answer is longer than {MAX_MANIFEST} bytes: {response.url}")
        return data

    def small(self, descriptor: Descriptor) -> bytes:
        """A small blob, its digest checked."""
        with self.request(self.endpoint, f"{self.endpoint.base}/v2/{self.reference.path}/blobs/{descriptor.digest}") as response:
            data = self.body(response)
        if digest_of(data) != descriptor.digest:
            raise DigestMismatch(f"filesystem layer verification failed for digest {descriptor.digest}")
        return data

    def blob(self, descriptor: Descriptor, ingest: Ingest, progress: Callable[[int], None]) -> None:
        """Bring a blob into an ingest, from the point where it is. `progress` hears how many bytes are there.

        A transfer that breaks is resumed with Range, or begun again where the server cannot; after ATTEMPTS without a byte the next endpoint is
        asked. The caller's ingest checks the digest at the end.
        """
        failures, index, before = 0, self.at, ingest.offset
        while ingest.offset < descriptor.size or not descriptor.size:
            try:
                self.transfer(self.endpoints[index], descriptor, ingest, progress)
                return
            except (Refusals, Unreachable) as error:
                if isinstance(error, Unreachable) and error.restart:
                    ingest.restart()
                failures = 1 if ingest.offset > before else failures + 1
                before = ingest.offset
                if failures < ATTEMPTS and error.passing:
                    self.pause(failures - 1, error.after)
                elif index + 1 < len(self.endpoints):
                    index, failures = index + 1, 0
                else:
                    raise

    def transfer(self, endpoint: Endpoint, descriptor: Descriptor, ingest: Ingest, progress: Callable[[int], None]) -> None:
        """One attempt at a blob."""
        headers = {"Range": f"bytes={ingest.offset}-"} if ingest.offset else {}
        url = f"{endpoint.base}/v2/{self.reference.path}/blobs/{descriptor.digest}"
        with self.request(endpoint, url, headers) as response:
            resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {ingest.offset}-")
            if ingest.offset and not resumed:
                ingest.restart()
            try:
                while piece := response.read(CHUNK):
                    self.check()
                    ingest.write(piece)
                    if ingest.offset > descriptor.size > 0:
                        ingest.restart()
                        raise DigestMismatch(f"filesystem layer verification failed for digest {descriptor.digest}")
                    progress(ingest.offset)
            except HTTPError as error:
                raise unreachable(url, error) from error
        if ingest.offset < descriptor.size:
            raise Unreachable(f'Get "{url}": unexpected EOF', passing=True)

    @contextlib.contextmanager
    def request(
        self,
        endpoint: Endpoint,
        url: str,
        headers: Mapping[str, str] = {},
        *,
        method: str = "GET",
        body: Callable[[], Iterator[bytes]] | bytes | None = None,
        expected: Collection[int] = (200, 206),
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """One request, with a token fetched and the request repeated where the registry asks for one; its body is read inside of the block."""
        self.check()
        challenge = ""
        for attempt in range(2):
            response = self.send(endpoint, method, url, headers, body() if callable(body) else body)
            if response.status == 401 and attempt == 0:
                challenge = response.headers.get("WWW-Authenticate", "")
                response.drain_conn()
                if self.authorize(endpoint, challenge):
                    continue
            break
        try:
            if response.status == 416:  # what we have is not the beginning of what they have: from the start
                raise Unreachable(f'Get "{url}": range not satisfiable', passing=True, restart=True)
            if response.status not in expected:
                if response.status == 401 and self.writing and challenge.lower().startswith("basic") and not self.keyring.credentials.username:
                    raise Denied("no basic auth credentials", hint=f"log in with `docker login {self.reference.domain}`")
                said = self.body(response)
                raise refusal(self.reference, response.status, said, response.headers, passing=response.status in BUSY, writing=self.writing)
            yield response
        finally:
            response.close()  # where all was read the connection is back in the pool already

    def send(
        self, endpoint: Endpoint, method: str, url: str, headers: Mapping[str, str], body: Iterator[bytes] | bytes | None = None
    ) -> urllib3.BaseHTTPResponse:
        """One request as it stands, with what authorization there is."""
        own = {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
        if authorization := self.authorization.get(endpoint):
            own["Authorization"] = authorization
        redirects = REDIRECTS if body is None else False
        try:
            pool = self.registry.pool(endpoint)
            return pool.request(method, url, headers=own, body=body, preload_content=False, decode_content=False, retries=redirects)
        except HTTPError as error:
            raise unreachable(f"{endpoint.base}/v2/", error) from error

    def authorize(self, endpoint: Endpoint, challenge: str) -> bool:
        """Get what a challenge asks for; False where nothing more can be offered."""
        with self.lock:
            given = self.keyring.answer(challenge, self.registry.pool(endpoint), self.reference, f"repository:{self.reference.path}:pull")
            known = self.authorization.get(endpoint)
            if given:
                self.authorization[endpoint] = given
            return bool(given) and (given != known or not given.startswith("Basic"))

    def check(self) -> None:
        """Stop where the one who asked has gone."""
        if self.stopped.is_set():
            raise Stopped

    def pause(self, attempt: int, after: float) -> None:
        """Wait before another attempt, as long as the registry asked for where it did."""
        self.stopped.wait(min(after, 60.0) or PAUSES[min(attempt, len(PAUSES) - 1)])
        self.check()
