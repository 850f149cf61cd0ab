"""Every operation of the description is asked once where nothing that it names is there, and the streams and archives where it is."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.description import documented, faults, operations
from tests.harness import Engine, Machine, Unix, machine

pytestmark = pytest.mark.root

# Statuses beside the described ones, and why: what is refused for good says so, and a wrong request is told from a failure.
REFUSED, WRONG, MISSING = {501, 503}, {400}, {404}
# What an operation needs to come as far as what it names; without `until`, events never end.
QUERIES = {"/events": "until=1", "/containers/{id}/logs": "stdout=1", "/containers/{id}/archive": "path=/", "/images/search": "term=x"}
BODIES: dict[str, Any] = {
    "/containers/create": {"Image": "nosuch"},
    "/containers/{id}/exec": {"Cmd": ["true"]},
    "/networks/{id}/connect": {"Container": "nosuch"},
    "/networks/{id}/disconnect": {"Container": "nosuch"},
    "/auth": {"serveraddress": "registry.invalid"},
}
NO_BODY = ("GET", "HEAD", "DELETE")


@pytest.fixture(scope="module")
def where() -> Iterator[Machine]:
    """A machine whose name server refuses at once: three operations ask for registries that are not there, and each would wait five seconds."""
    with machine(resolv_conf="nameserver 127.0.0.1\n") as made:
        yield made


def ask(engine: Engine, method: str, target: str, body: bytes | None = None, kind: str = "application/json") -> tuple[int, str, bytes]:
    """(status, content type, body) of one request."""
    with contextlib.closing(Unix(str(engine.socket), 60)) as connection:
        connection.request(method, f"/v1.56{target}", body, {"Content-Type": kind} if body is not None else {})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type") or "", answer.read()


def wrong_with(method: str, path: str, status: int, kind: str, said: bytes) -> list[str]:
    """What of an answer is not as described: its status, its body, and the type that the body claims."""
    found = []
    if status not in documented(method, path) | REFUSED | WRONG | MISSING:
        found.append(f"{method} {path}: the status {status} is not described: {said[:200]!r}")
    if kind.startswith("application/json") and said and b"\n{" not in said.strip():
        body = json.loads(said)
        found += faults(method, path, status, body)
        if status >= 400 and not (isinstance(body, dict) and isinstance(body.get("message"), str) and body["message"]):
            found.append(f"{method} {path} {status}: an error without a message: {body}")
    return found


def test_where_nothing_is_there(clean: Engine) -> None:
    found, asked = [], 0
    for method, path, _ in operations():
        if path.startswith("/networks/prune") or path == "/images/prune":  # asked below, where there is something
            continue
        target = re.sub(r"\{\w+\}", "nosuch", path)
        target += f"?{QUERIES[path]}" if path in QUERIES else ""
        body = None if method in NO_BODY else json.dumps(BODIES.get(path, {})).encode()
        found += wrong_with(method, path, *ask(clean, method, target, body))
        asked += 1
    assert not found, "\n".join(found)
    assert asked > 100


def tar_of(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_streams_and_archives(clean: Engine) -> None:
    """(method, path, names and query, body, its type, the type of the answer)."""
    box = clean.call("POST", "/containers/create?name=box", {"Image": "busybox", "Cmd": ["sleep", "1000"], "Tty": True})[1]["Id"]
    assert clean.call("POST", "/containers/box/start")[0] == 204
    run = clean.call("POST", "/containers/box/exec", {"Cmd": ["sleep", "1000"], "Tty": True})[1]["Id"]
    assert clean.call("POST", f"/exec/{run}/start", {"Detach": True, "Tty": True})[0] == 200
    saved = ask(clean, "GET", "/images/busybox/get")[2]
    tar, progress, raw = "application/x-tar", "application/json", "application/vnd.docker.raw-stream"
    rows: tuple[tuple[str, str, str, bytes | None, str], ...] = (
        ("GET", "/containers/{id}/logs", f"/containers/{box}/logs?stdout=1", None, raw),
        ("GET", "/containers/{id}/export", f"/containers/{box}/export", None, "application/octet-stream"),
        ("HEAD", "/containers/{id}/archive", f"/containers/{box}/archive?path=/etc", None, ""),
        ("GET", "/containers/{id}/archive", f"/containers/{box}/archive?path=/etc", None, tar),
        ("PUT", "/containers/{id}/archive", f"/containers/{box}/archive?path=/tmp", tar_of("new", "text"), ""),
        ("GET", "/containers/{id}/changes", f"/containers/{box}/changes", None, progress),
        ("GET", "/containers/{id}/stats", f"/containers/{box}/stats?stream=0&one-shot=1", None, progress),
        ("POST", "/containers/{id}/resize", f"/containers/{box}/resize?h=20&w=70", b"", ""),
        ("POST", "/exec/{id}/resize", f"/exec/{run}/resize?h=20&w=70", b"", ""),
        ("GET", "/images/{name}/get", "/images/busybox/get", None, tar),
        ("GET", "/images/get", "/images/get?names=busybox", None, tar),
        ("POST", "/images/load", "/images/load", saved, progress),
        ("POST", "/images/create", "/images/create?fromImage=busybox&tag=latest", b"", progress),
        ("POST", "/images/create", "/images/create?fromSrc=-&repo=brought&tag=1", tar_of("file", "text"), progress),
        ("GET", "/images/{name}/json", "/images/brought:1/json", None, progress),
        ("DELETE", "/images/{name}", "/images/brought:1", None, progress),
        ("GET", "/distribution/{name}/json", "/distribution/busybox/json", None, progress),
        ("GET", "/images/json", "/images/json?all=1&shared-size=1", None, progress),
        ("GET", "/events", "/events?since=1&until=2", None, "application/jsonl"),
        ("POST", "/build/prune", "/build/prune", b"", progress),
        ("POST", "/images/prune", "/images/prune", b"", progress),
        ("POST", "/networks/prune", "/networks/prune", b"", progress),
        ("GET", "/info", "/info", None, progress),
        ("GET", "/system/df", "/system/df?verbose=1", None, progress),
        ("HEAD", "/_ping", "/_ping", None, ""),
        ("GET", "/_ping", "/_ping", None, "text/plain"),
    )
    found = []
    for method, path, target, body, wanted in rows:
        status, kind, said = ask(clean, method, target, body, tar if body else progress)
        if status not in (200, 201, 204):
            found.append(f"{method} {target}: {status}: {said[:300]!r}")
        elif not kind.startswith(wanted) or (not wanted and kind and method != "HEAD"):
            found.append(f"{method} {target}: the content type is {kind!r}, not {wanted!r}")
        found += wrong_with(method, path, status, kind, said)
        if wanted == progress and b"\r\n" in said:  # a stream of progress: each line is an object, none an error
            found += [f"{method} {target}: {line!r}" for line in said.splitlines() if "error" in json.loads(line)]
        if wanted == tar:
            with tarfile.open(fileobj=io.BytesIO(said)) as archive:
                assert archive.getnames()
    assert not found, "\n".join(found)
