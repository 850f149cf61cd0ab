"""The writing half of the distribution API: what is there already, mounts from other repositories, blobs in pieces, manifests; blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin

import urllib3

from ..errors import Failed
from ..records import dataclass
from .blobs import CHUNK
from .refusals import Refusals, Unreachable
from .registry import ATTEMPTS, Session
from .registry_endpoints import Endpoint

MOUNTABLE = (200, 201, 202)
BYTES = "application/octet-stream"


@dataclass
class Uploader:
    """Writes into one repository by a session made for it. `open_` must come first: it finds the way that answers."""

    session: Session

    @property
    def base(self) -> str:
        return f"{self.session.endpoint.base}/v2/{self.session.reference.path}"

    def open_(self) -> None:
        """Find the endpoint that answers: TLS first, plain HTTP where that is allowed."""

        def ping(endpoint: Endpoint) -> None:
            response = self.session.send(endpoint, "GET", f"{endpoint.base}/v2/", {})
            response.drain_conn()
            response.close()
            if response.status not in (200, 401, 403, 404):
                raise Failed(f"received unexpected HTTP status: {response.status}")

        self.session.first(ping)

    def has(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        expected = (200, 404)
        with self.session.request(self.session.endpoint, f"{self.base}/blobs/{digest}", method="HEAD", expected=expected) as response:
            return response.status == 200

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the registry; False where it cannot be had from there."""
        query = urlencode({"mount": digest, "from": source})
        try:
            with self.session.request(self.session.endpoint, f"{self.base}/blobs/uploads/?{query}", method="POST", expected=MOUNTABLE) as response:
                response.drain_conn()
                if response.status == 202:  # the registry would rather be sent it; this upload is given up
                    self.cancel(self.location(response))
                return response.status == 201
        except Refusals:  # no right to read there
            return False

    def put(self, digest: str, data: bytes) -> None:
        """A small blob in one request."""
        url = with_query(self.begin(), digest=digest)
        headers = {"Content-Type": BYTES, "Content-Length": str(len(data))}
        with self.session.request(self.session.endpoint, url, headers, method="PUT", body=data, expected=(201,)) as response:
            response.drain_conn()

    def send(self, digest: str, file: Path, progress: Callable[[int], None]) -> None:
        """A blob from a file, streamed; a transfer that breaks goes on where the registry says it is. `progress` hears how many bytes are sent."""
        size, failures, start, best = file.stat().st_size, 0, 0, 0
        location = ""
        while True:
            try:
                location = location or self.begin()
                location = self.patch(location, file, start, size, progress)
                break
            except (Refusals, Unreachable) as error:
                at, location = self.reached(location)
                failures = 1 if at > best else failures + 1
                start, best = at, max(at, best)
                if not (error.passing or isinstance(error, Unreachable)) or failures >= ATTEMPTS:
                    raise
                self.session.pause(failures - 1, error.after)
        url = with_query(location, digest=digest)
        headers = {"Content-Length": "0", "Content-Type": BYTES}
        with self.session.request(self.session.endpoint, url, headers, method="PUT", expected=(201,)) as response:
            response.drain_conn()

    def begin(self) -> str:
        """Begin an upload; its address."""
        headers = {"Content-Length": "0"}
        with self.session.request(self.session.endpoint, f"{self.base}/blobs/uploads/", headers, method="POST", expected=(202,)) as response:
            response.drain_conn()
            return self.location(response)

    def patch(self, location: str, file: Path, start: int, size: int, progress: Callable[[int], None]) -> str:
        """Send the rest of a file; where the upload goes on."""
        if start >= size > 0:
            return location

        def pieces() -> Iterator[bytes]:
            sent = start
            with file.open("rb") as opened:
                opened.seek(start)
                while piece := opened.read(CHUNK):
                    self.session.check()
                    yield piece
                    sent += len(piece)
                    progress(sent)

        headers = {"Content-Type": BYTES, "Content-Length": str(size - start)} | ({"Content-Range": f"{start}-{size - 1}"} if start else {})
        accepted = (202, 204)
        with self.session.request(self.session.endpoint, location, headers, method="PATCH", body=pieces, expected=accepted) as response:
            response.drain_conn()
            return self.location(response)

    def reached(self, location: str) -> tuple[int, str]:
        """How many bytes of a broken upload the registry has, and where it goes on; from the start where it has forgotten it."""
        if not location:
            return 0, ""
        try:
            with self.session.request(self.session.endpoint, location, expected=(204,)) as response:
                _, _, last = response.headers.get("Range", "").removeprefix("bytes=").partition("-")
                # "0-0" stands for nothing as well as for one byte: an upload of one byte is no loss.
                return (int(last) + 1 if last.isdigit() and int(last) else 0), self.location(response)
        except (Refusals, Unreachable):
            return 0, ""

    def cancel(self, location: str) -> None:
        """Give an upload up; a registry that does not know how keeps it until it is too old."""
        try:
            with self.session.request(self.session.endpoint, location, method="DELETE", expected=(200, 202, 204, 404, 405)) as response:
                response.drain_conn()
        except (Refusals, Unreachable):
            return

    def manifest(self, target: str, data: bytes, media_type: str) -> None:
        """Put a manifest under a tag or its digest."""
        url = f"{self.base}/manifests/{quote(target, safe=':')}"
        with self.session.request(self.session.endpoint, url, {"Content-Type": media_type}, method="PUT", body=data, expected=(200, 201)) as response:
            response.drain_conn()

    def location(self, response: urllib3.BaseHTTPResponse) -> str:
        """Where an answer sends us; relative addresses are of the registry."""
        found = response.headers.get("Location", "")
        if not found:
            raise Failed("the registry's answer to an upload has no Location")
        return urljoin(f"{self.base}/", found)


def with_query(url: str, **more: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(more)}"
