"""The registry that misbehaves as told, now with uploads: a transfer may break after so many bytes, mounts may be refused."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.contract.faulty_registry import Faulty, Handler, sha


@dataclass
class Writable(Faulty):
    """`broken` are the byte counts after which the next uploads break off; `resumable` whether it tells how far one has come."""

    uploads: dict[str, bytes] = field(default_factory=dict)
    broken: list[int] = field(default_factory=list)
    resumable: bool = True
    mountable: bool = True
    said: list[str] = field(default_factory=list)  # "METHOD path"
    scopes: list[str] = field(default_factory=list)
    refresh: str = ""  # given with a token to who asks for one
    found: list[dict[str, object]] = field(default_factory=list)  # what a search finds


class WritableHandler(Handler):
    """One request."""

    faulty: Writable

    def note(self) -> bool:
        with self.faulty.lock:
            self.faulty.said.append(f"{self.command} {urlsplit(self.path).path}")
        return self.is_allowed()

    def do_HEAD(self) -> None:
        if self.note():
            digest = self.path.rpartition("/")[2]
            data = self.faulty.blobs.get(digest)
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/v2/":
            if self.note():
                self.answer(200, b"{}", {})
        elif path == "/v1/search":
            self.answer(200, json.dumps({"results": self.faulty.found}).encode(), {})
        elif "/uploads/" in path:
            if self.note():
                known = self.faulty.uploads.get(path)
                if known is None or not self.faulty.resumable:
                    return self.answer(404, b"{}", {})
                self.answer(204, b"", {"Location": path, "Range": f"0-{max(0, len(known) - 1)}"})
        else:
            super().do_GET()
        return None

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/token":
            size = int(self.headers.get("Content-Length", 0))
            fields = parse_qs(self.rfile.read(size).decode())
            self.faulty.scopes += fields.get("scope", [])
            if fields.get("refresh_token") != [self.faulty.refresh]:
                return self.answer(401, json.dumps({"details": "invalid refresh token"}).encode(), {})
            return self.answer(200, json.dumps({"access_token": self.faulty.token}).encode(), {})
        if not self.note():
            return None
        asked = parse_qs(query)
        if "mount" in asked and self.faulty.mountable and asked["mount"][0] in self.faulty.blobs:
            return self.answer(201, b"", {"Location": f"{path}x"})
        location = f"{path}{uuid.uuid4()}"
        self.faulty.uploads[location] = b""
        return self.answer(202, b"", {"Location": location})

    def do_PATCH(self) -> None:
        size, path = int(self.headers["Content-Length"]), self.path
        if not self.note():
            self.rfile.read(size)
            return None
        with self.faulty.lock:
            cut = self.faulty.broken.pop(0) if self.faulty.broken else None
        at = len(self.faulty.uploads[path])
        given = self.headers.get("Content-Range", f"0-{size - 1}")
        assert given.split("-")[0] == str(at), "the upload goes on where it was"
        self.faulty.uploads[path] += self.rfile.read(size if cut is None else min(cut, size))
        if cut is not None:
            self.close_connection = True
            return None
        return self.answer(202, b"", {"Location": path, "Range": f"0-{len(self.faulty.uploads[path]) - 1}"})

    def do_PUT(self) -> None:
        path, _, query = self.path.partition("?")
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.note():
            return None
        if "/manifests/" in path:
            target = path.rpartition("/")[2]
            self.faulty.manifests |= {target: (self.headers["Content-Type"], data), sha(data): (self.headers["Content-Type"], data)}
            return self.answer(201, b"", {"Docker-Content-Digest": sha(data)})
        data = self.faulty.uploads.pop(path) + data
        digest = parse_qs(query)["digest"][0]
        if sha(data) != digest:
            return self.answer(400, json.dumps({"errors": [{"code": "DIGEST_INVALID", "message": "provided digest did not match"}]}).encode(), {})
        self.faulty.blobs[digest] = data
        return self.answer(201, b"", {})

    def do_DELETE(self) -> None:
        if self.note():
            self.faulty.uploads.pop(self.path, None)
            self.answer(204, b"", {})

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().answer(status, b"" if self.command == "HEAD" else body, headers)

    def answer_token(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        self.faulty.scopes += asked.get("scope", [])
        login = self.faulty.login
        wanted = f"Basic {base64.b64encode(f'{login[0]}:{login[1]}'.encode()).decode()}"
        if login[0] and self.headers.get("Authorization") != wanted:
            return self.answer(401, json.dumps({"details": "incorrect username or password"}).encode(), {})
        more = {"refresh_token": self.faulty.refresh} if asked.get("offline_token") == ["true"] and self.faulty.refresh else {}
        return self.answer(200, json.dumps({"token": self.faulty.token, **more}).encode(), {})


@contextlib.contextmanager
def serve(registry: Writable) -> Iterator[str]:
    """Run it; gives host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (WritableHandler,), {"faulty": registry}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
