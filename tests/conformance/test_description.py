"""Answers of the API are as its description has them: types, required fields, enumerations, statuses."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.conformance.description import description, documented, faults
from tests.harness import Engine

pytestmark = pytest.mark.root

# Statuses that Docker answers with and its description does not name.
UNTOLD = {304, 400, 409}

# Where Docker itself answers otherwise: both are pointers in its code, and null where there is nothing to tell.
KNOWN = ("HostConfig/MemorySwappiness: null", "/exec/{id}/json 200: ExitCode: null")


class Caller:
    """Calls the API and keeps what was not as described."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.faults: list[str] = []
        self.seen: set[tuple[str, str]] = set()

    def __call__(self, method: str, path: str, body: Any = None, *, query: str = "", **names: str) -> Any:
        """One request; `path` as the description writes it, `names` for what is in braces. Gives the parsed body."""
        self.seen.add((method, path))
        target = re.sub(r"\{(\w+)\}", lambda m: names[m[1]], path)
        status, said = self.engine.call(method, f"/v1.56{target}{'?' + query if query else ''}", body)
        if status not in documented(method, path) | UNTOLD:
            self.faults.append(f"{method} {path}: the status {status} is not described: {said}")
        if isinstance(said, str) and said and "\n" in said.strip():  # a stream: each line is one value
            for line in said.splitlines():
                self.faults += faults(method, path, status, json.loads(line)) if line.startswith("{") else []
        else:
            self.faults += faults(method, path, status, said) if said != "" else []
        return said


def test_answers(clean: Engine) -> None:
    call = Caller(clean)
    for path in ("/_ping", "/version", "/info", "/system/df", "/plugins", "/networks", "/volumes", "/images/json"):
        call("GET", path)
    call("GET", "/system/df", query="verbose=1")
    network = call("POST", "/networks/create", {"Name": "described", "IPAM": {"Config": [{"Subnet": "10.90.0.0/24", "IPRange": "10.90.0.128/25"}]}})
    call("GET", "/networks/{id}", id=network["Id"])
    call("GET", "/networks/{id}", id="bridge", query="verbose=1")
    call("POST", "/networks/create", {"Name": "described"})
    call("GET", "/networks/{id}", id="nosuch")
    call("POST", "/volumes/create", {"Name": "described", "Labels": {"a": "b"}})
    call("GET", "/volumes/{name}", name="described")
    call("GET", "/volumes/{name}", name="nosuch")
    made = call(
        "POST",
        "/containers/create",
        {
            "Image": "busybox",
            "Cmd": ["sh", "-c", "echo out; echo err >&2; sleep 1000"],
            "Env": ["A=b"],
            "Labels": {"a": "b"},
            "ExposedPorts": {"80/tcp": {}},
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 3600_000_000_000},
            "HostConfig": {
                "Binds": ["described:/data"],
                "Mounts": [{"Type": "tmpfs", "Target": "/scratch"}],
                "PortBindings": {"80/tcp": [{"HostPort": ""}]},
                "Memory": 64 << 20,
                "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
                "NetworkMode": "described",
            },
            "NetworkingConfig": {"EndpointsConfig": {"described": {"Aliases": ["one"], "IPAMConfig": {"IPv4Address": "10.90.0.7"}}}},
        },
        query="name=described",
    )
    id_ = made["Id"]
    call("POST", "/containers/create", {"Image": "nosuchimage"})
    call("POST", "/containers/create", {"Image": 7})
    call("GET", "/containers/{id}/json", id=id_)
    call("POST", "/containers/{id}/start", id=id_)
    call("POST", "/containers/{id}/start", id=id_)
    call("GET", "/containers/{id}/json", id=id_, query="size=1")
    call("GET", "/containers/json", query="all=1&size=1")
    call("GET", "/containers/{id}/top", id=id_)
    call("GET", "/containers/{id}/stats", id=id_, query="stream=0&one-shot=1")
    call("GET", "/containers/{id}/changes", id=id_)
    call("GET", "/containers/{id}/json", id="nosuch")
    call("POST", "/networks/{id}/connect", {"Container": id_}, id="bridge")
    call("GET", "/networks/{id}", id="described")
    call("POST", "/networks/{id}/disconnect", {"Container": id_}, id="bridge")
    run = call("POST", "/containers/{id}/exec", {"Cmd": ["true"], "AttachStdout": True}, id=id_)
    call("GET", "/exec/{id}/json", id=run["Id"])
    call("POST", "/exec/{id}/start", {"Detach": True}, id=run["Id"])
    call("POST", "/containers/{id}/update", {"Memory": 96 << 20, "MemorySwap": -1}, id=id_)
    call("POST", "/containers/{id}/pause", id=id_)
    call("POST", "/containers/{id}/unpause", id=id_)
    call("POST", "/containers/{id}/rename", id=id_, query="name=renamed")
    call("POST", "/containers/{id}/restart", id=id_, query="t=0")
    image = call("POST", "/commit", {}, query="container=renamed&repo=described&tag=1")
    call("GET", "/images/{name}/json", name="described:1")
    call("GET", "/images/{name}/json", name="busybox")
    call("GET", "/images/{name}/json", name="nosuch")
    call("GET", "/images/{name}/history", name="described:1")
    call("POST", "/images/{name}/tag", name="busybox", query="repo=described&tag=2")
    call("DELETE", "/images/{name}", name="described:2")
    call("DELETE", "/containers/{id}", id=id_)
    call("POST", "/containers/{id}/stop", id=id_, query="t=0")
    call("POST", "/containers/{id}/stop", id=id_)
    call("POST", "/containers/{id}/wait", id=id_)
    call("POST", "/containers/{id}/kill", id=id_)
    call("DELETE", "/containers/{id}", id=id_, query="v=1")
    call("DELETE", "/images/{name}", name=image["Id"])
    call("DELETE", "/networks/{id}", id="described")
    call("DELETE", "/networks/{id}", id="bridge")
    call("DELETE", "/volumes/{name}", name="described")
    for path in ("/containers/prune", "/images/prune", "/networks/prune", "/volumes/prune"):
        call("POST", path)
    for path in ("/swarm", "/services", "/nodes", "/tasks", "/secrets", "/configs"):
        call("GET", path)
    call("GET", "/events", query="since=1&until=2")
    unknown = [fault for fault in call.faults if not any(words in fault for words in KNOWN)]
    assert not unknown, "\n".join(unknown)
    assert len(call.seen) >= 50, f"{len(call.seen)} of {sum(len(item) for item in description()['paths'].values())} operations"
