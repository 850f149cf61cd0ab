"""Bad input of any shape, made by schemathesis from the description: no traceback, no leak, a daemon that answers, and no 5xx that Docker has not."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from tests.conformance.description import description
from tests.harness import Engine, Kind, Machine, machine, registry

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: make setup")

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

EXAMPLES = 6  # of good and of bad input, for each operation
PATIENCE = 30.0  # seconds for an answer's head; what streams without an end is left after it
# What facts.md lists with 500 (Docker's sentences for ordinary mistakes), and what a registry that is not there gives.
SERVER_ERRORS = re.compile(
    r"port is already allocated|address already in use|all ports are allocated|no available IPv[46] addresses|joining network namespace of container"
    r"|is not connected to (the )?network|failed to allocate gateway|can only be used for an internal network|marked for removal"
    r"|dial tcp|no such host|connection refused|ps: |Couldn't find PID field|Error processing tar file|failed to build|unable to"
)
# Not asked: what a container of random words could do to the host that this machine shares its files with.
LEFT_OUT = {("POST", "/containers/{id}/start"), ("POST", "/containers/{id}/restart")}
# What path parameters are called where something is there to find.
NAMES = ("fixed", "busybox", "bridge", "nosuch", "..", "a/b", "%00", "\u00e9", "x" * 300)

FIXED = {"Image": "busybox", "Cmd": ["sleep", "1000"], "OpenStdin": True, "HostConfig": {"Init": True}}


def derived() -> dict[str, Any]:
    """The description with archives as plain bytes, which schemathesis can make."""
    document = json.loads(json.dumps(description(), default=str).replace('"application/x-tar"', '"application/octet-stream"'))
    return {**document, "paths": {path: item for path, item in document["paths"].items()}}


def cases() -> Iterator[tuple[str, str, Any]]:
    """(method, path, operation) of every one that is asked."""
    for found in schemathesis.openapi.from_dict(derived()).get_all_operations():
        operation = found.ok()
        if (operation.method.upper(), operation.path) not in LEFT_OUT:
            yield operation.method.upper(), operation.path, operation


def made(operation: Any, mode: Any) -> list[Any]:
    """Input for an operation, good or bad; none where bad input is not possible (nothing is asked for)."""
    found: list[Any] = []

    @settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], derandomize=True)
    @given(operation.as_strategy(mode))
    def collect(case: Any) -> None:
        found.append(case)

    with contextlib.suppress(Unsatisfiable):
        collect()
    return found


def target_of(path: str, case: Any, chance: random.Random) -> str:
    """The request's target; half of the names in a path are those of things that are there."""
    values = dict(case.path_parameters or {})

    def value(match: re.Match[str]) -> str:
        given = values.get(match[1], "x")
        return quote(chance.choice(NAMES) if chance.random() < 0.5 else str(given), safe="")

    query = urlencode({k: v for k, v in (case.query or {}).items() if v is not None}, doseq=True) if isinstance(case.query, dict) else ""
    return f"/v1.56{re.sub(r'{(.+?)}', value, path)}{'?' + query if query else ''}"


def body_of(case: Any) -> tuple[bytes | None, str]:
    """(body, content type) of a case."""
    body = case.body
    if isinstance(body, bytes):
        return body, case.media_type or "application/octet-stream"
    if type(body).__name__ == "NotSet":
        return None, ""
    return json.dumps(body, default=str).encode("utf-8", "surrogatepass"), case.media_type or "application/json"


def ask(engine: Engine, method: str, target: str, body: bytes | None, kind: str) -> tuple[int, str]:
    """(status, the beginning of the body); (0, "") where the connection was cut."""
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(PATIENCE)
    connection.sock.connect(str(engine.socket))
    with contextlib.closing(connection):
        connection.request(method, target, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        connection.sock.settimeout(0.3 if answer.status < 500 else PATIENCE)
        said = b""
        with contextlib.suppress(TimeoutError, http.client.IncompleteRead):
            said = answer.read(4096)
        return answer.status, said.decode(errors="replace")


def furnish(engine: Engine) -> None:
    """What the names in paths stand for: a running container (its id begins with 0, so that "0" is one too) and a volume."""
    if engine.call("GET", "/containers/fixed/json")[0] != 200:
        engine.pull("busybox")
        while not create(engine).startswith("0"):
            engine.call("DELETE", "/containers/fixed?force=1")
    engine.call("POST", "/volumes/create", {"Name": "fixed"})
    engine.call("POST", "/containers/fixed/unpause")
    engine.call("POST", "/containers/fixed/start")


def create(engine: Engine) -> str:
    """The id of a container that ends at the stop signal: under its init, for a first process has no default for signals.

    One that does not end is rightly given ten seconds by `stop`, which is longer than what we call hanging.
    """
    status, made = engine.call("POST", "/containers/create?name=fixed", FIXED)
    assert status == 201, made
    return str(made["Id"])


@pytest.fixture(scope="module")
def where() -> Iterator[Machine]:
    """A machine whose name server refuses at once: registries are asked for by many a bad name."""
    with machine(resolv_conf="nameserver 127.0.0.1\n") as made:
        yield made


STAMP = re.compile(r"^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} )", re.MULTILINE)


def tracebacks(engine: Engine) -> str:
    """What of the daemon's log tells of something that nobody foresaw: the line that was logged and the end of what followed it."""
    entries = {entry for entry in STAMP.split(engine.log.read_text(errors="replace")) if "Traceback" in entry}
    return "\n".join(f"{entry.splitlines()[0]}\n{entry[-1500:]}" for entry in sorted(entries, key=len)[:20])


def test_any_shape(clean: Engine) -> None:
    chance = random.Random(5)
    wrong: list[str] = []
    asked = 0
    for method, path, operation in cases():
        furnish(clean)
        for mode in schemathesis.GenerationMode:
            for case in made(operation, mode):
                target, (body, kind) = target_of(path, case, chance), body_of(case)
                asked += 1
                try:
                    status, said = ask(clean, method, target, body, kind)
                except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
                    wrong.append(f"{method} {target} {(body or b'')[:300]!r}: {type(error).__name__} {error}")
                    continue
                if status >= 500 and status not in (501, 503) and not SERVER_ERRORS.search(said):
                    wrong.append(f"{method} {target} {(body or b'')[:300]!r}: {status} {said[:300]}")
    for name in [v["Name"] for v in clean.call("GET", "/volumes")[1]["Volumes"]]:
        clean.call("DELETE", f"/volumes/{quote(name, safe='')}?force=1")
    clean.pull("busybox:latest")
    wrong += filter(None, [tracebacks(clean)])
    assert not wrong, f"{len(wrong)} of {asked}:\n" + "\n".join(wrong)
    assert asked > 500
    assert clean.call("GET", "/_ping")[0] == 200


def wait_for(what: Callable[[], bool]) -> None:
    """Until something is so; an assertion where it does not come."""
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Narrow(Engine):
    """An engine that is started with as few descriptors as most shells give."""

    def command(self) -> list[str]:
        return ["prlimit", "--nofile=256:4096", *super().command()]


@pytest.fixture
def narrow(engine_kind: Kind) -> Iterator[Engine]:
    """Such an engine with busybox, in a machine of its own."""
    with machine() as own, registry(own) as images:
        made = Narrow(own, engine_kind, name="narrow", options=[f"--registry-mirror={images}"])
        try:
            made.start()
            made.pull("busybox")
            yield made
            made.clear()
        finally:
            made.end()


def test_a_thousand_connections_to_a_daemon_that_was_given_few_descriptors(narrow: Engine) -> None:
    before = narrow.descriptors()
    held = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(1000)]
    for sock in held:
        # The queue is short: who finds it full waits, and not for ever. (A time-out of Python's would not wait at all: connect(2), EAGAIN.)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(PATIENCE), 0))
        sock.connect(str(narrow.socket))
    wait_for(lambda: narrow.descriptors() > 1000)
    assert narrow.call("GET", "/_ping") == (200, "OK")
    limits = ["sh", "-c", "ulimit -Sn; ulimit -Hn"]
    narrow.cli("run", "-d", "--name", "box", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn; sleep 1000")
    assert narrow.cli("exec", "box", *limits).stdout == "256\n4096\n", "what is started has what the daemon was given"
    assert narrow.cli("logs", "box").stdout == "256\n4096\n"
    narrow.clear()
    for sock in held:
        sock.close()
    wait_for(lambda: narrow.descriptors() <= before + 4)
    assert not tracebacks(narrow), tracebacks(narrow)


REQUEST = b"POST /v1.56/containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n" + b"{" + b" " * 1500
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing is a reset


@pytest.mark.parametrize("how", ["idle", "cut"])
def test_a_thousand_connections(clean: Engine, how: str) -> None:
    """Connections that say nothing, and connections that stop in the middle of anything, cost nobody else anything."""
    chance = random.Random(7)
    before = clean.descriptors()
    held = []
    for number in range(1000):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(clean.socket))
        held.append(sock)
        if how == "cut":
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(
                    chance.choice([REQUEST, b"GET /v1.56/events HTTP/1.1\r\nHost: x\r\n\r\n", chance.randbytes(200)])[: chance.randrange(1, 1600)]
                )
            if chance.random() < 0.7:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sock.close()
        if how == "idle" and number == 999:
            wait_for(lambda: clean.descriptors() > 1000)
        if number % 100 == 99:
            assert clean.call("GET", "/_ping") == (200, "OK")
    assert clean.call("GET", "/containers/json")[0] == 200
    for sock in held:
        sock.close()
    deadline = time.monotonic() + 60
    while clean.descriptors() > before + 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert clean.descriptors() <= before + 4
    assert not tracebacks(clean), tracebacks(clean)
