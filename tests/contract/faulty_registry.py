"""A registry that misbehaves as told, for the client's tests: an HTTP server on loopback with one image in it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(files: Mapping[str, bytes]) -> bytes:
    """A plain tar of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Faulty:
    """What the registry has, and how it misbehaves. A fault that counts is used up."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)  # blob digest -> after how many bytes the next answers break off
    rotten: dict[str, int] = field(default_factory=dict)  # blob digest -> how many answers have a wrong byte
    busy: int = 0  # so many answers are 503
    ranges: bool = True
    token: str = ""  # a bearer token is asked for, and is this
    login: tuple[str, str] = ("", "")  # basic: name and password; with `token`: what the token server wants
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, tag: str, *plain: bytes, media_type: str = OCI, pack: Any = gzip.compress, **config: Any) -> str:
        """Put an image in; its manifest's digest."""
        packed = [pack(data) for data in plain]
        document = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["sh"]},
                "rootfs": {"type": "layers", "diff_ids": [sha(d) for d in plain]},
                **config,
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": media_type,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(document), "size": len(document)},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": sha(d), "size": len(d)} for d in packed],
            }
        ).encode()
        self.blobs |= {sha(d): d for d in (*packed, document)}
        self.manifests |= {tag: (media_type, manifest), sha(manifest): (media_type, manifest)}
        return sha(manifest)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    faulty: Faulty

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        faulty = self.faulty
        with faulty.lock:
            faulty.requests.append((self.path, dict(self.headers)))
            busy, faulty.busy = faulty.busy, max(0, faulty.busy - 1)
        if self.path.startswith("/token"):
            return self.answer_token()
        if not self.is_allowed():
            return None
        if busy:
            return self.answer(503, b"{}", {"Retry-After": "0"})
        kind, _, target = self.path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[2], "", self.path.rpartition("/")[2]
        if kind == "manifests":
            if target not in faulty.manifests:
                return self.answer(404, error("MANIFEST_UNKNOWN", "manifest unknown"), {})
            media_type, data = faulty.manifests[target]
            return self.answer(200, data, {"Content-Type": media_type})
        if target == "list":
            return self.answer(200, json.dumps({"tags": [t for t in faulty.manifests if ":" not in t]}).encode(), {})
        return self.answer_blob(target)

    def answer_blob(self, digest: str) -> None:
        faulty = self.faulty
        if digest not in faulty.blobs:
            return self.answer(404, error("BLOB_UNKNOWN", "blob unknown to registry"), {})
        data = faulty.blobs[digest]
        status, headers = 200, {"Content-Type": "application/octet-stream"}
        asked = self.headers.get("Range", "")
        if asked and faulty.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            status, headers["Content-Range"] = 206, f"bytes {start}-{len(data) - 1}/{len(data)}"
            data = data[start:]
        with faulty.lock:
            cuts = faulty.cut.get(digest, [])
            cut = cuts.pop(0) if cuts else None
            if faulty.rotten.get(digest, 0):
                faulty.rotten[digest] -= 1
                data = bytes([data[0] ^ 255]) + data[1:]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if cut is None else data[:cut])
        if cut is not None:
            self.close_connection = True
        return None

    def is_allowed(self) -> bool:
        faulty, given = self.faulty, self.headers.get("Authorization", "")
        if faulty.token:
            if given == f"Bearer {faulty.token}":
                return True
            host = self.headers["Host"]
            challenge = f'Bearer realm="http://{host}/token",service="registry of tests",scope="repository:team/web:pull"'
        elif faulty.login[0]:
            if given == basic(*faulty.login):
                return True
            challenge = 'Basic realm="basic-realm"'
        else:
            return True
        self.answer(401, error("UNAUTHORIZED", "authentication required"), {"WWW-Authenticate": challenge})
        return False

    def answer_token(self) -> None:
        if self.faulty.login[0] and self.headers.get("Authorization") != basic(*self.faulty.login):
            return self.answer(401, json.dumps({"details": "incorrect username or password"}).encode(), {})
        return self.answer(200, json.dumps({"token": self.faulty.token}).encode(), {})

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def error(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@contextlib.contextmanager
def serve(faulty: Faulty) -> Iterator[str]:
    """Run it; gives host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"faulty": faulty}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
