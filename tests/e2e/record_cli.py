"""Records what docker's own CLI makes of flags and templates: the golden files of tests/unit/cli.

usage: python -m tests.e2e.record_cli DOCKER    (docker CLI 28.2; no daemon is needed: a stand-in here answers)

commands.txt: a command line a line -> commands.json: exit status, what was printed, the requests that were sent.
templates.txt: a template a line -> templates.json: what `container inspect --format` of inspected.json gives.
"""

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden" / "cli"
CREATED = {"containers/create": {"Id": "abc", "Warnings": []}, "networks/create": {"Id": "abc"}, "volumes/create": {"Name": "abc"}}


class StandIn(threading.Thread):
    """A daemon that agrees to everything and remembers what it was asked to change."""

    def __init__(self, path: Path, inspected: bytes) -> None:
        super().__init__(daemon=True)
        self.inspected = inspected
        self.requests: list[tuple[str, str, Any]] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(16)

    def run(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while line := stream.readline():
            method, path, _ = line.decode().split()
            headers = {}
            while header := stream.readline().decode().strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", 0)))
            answer = b"" if method == "HEAD" else self.answer(method, path.partition("/v1.50/")[2], body)
            head = f"HTTP/1.1 200 OK\r\nApi-Version: 1.50\r\nOstype: linux\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
            connection.sendall(head.encode() + answer)

    def answer(self, method: str, path: str, body: bytes) -> bytes:
        if method == "GET":
            return b'{"OSType":"linux"}' if path == "info" else self.inspected
        self.requests.append((method, path, json.loads(body) if body.strip() else None))
        return json.dumps(CREATED.get(path.partition("?")[0], {})).encode()


def pruned(value: Any) -> Any:
    """A body without what is empty: absent, null, zero and empty are one to the API."""
    if isinstance(value, dict):
        kept = {key: pruned(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, "", 0, False, [], {})}
    return [pruned(each) for each in value] if isinstance(value, list) else value


def main() -> None:
    """Writes both golden files."""
    docker = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        stand_in = StandIn(Path(folder) / "socket", (GOLDEN / "inspected.json").read_bytes())
        stand_in.start()
        environment = {"DOCKER_HOST": f"unix://{folder}/socket", "HOME": folder, "FOO": "bar", "PATH": os.defpath}

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            stand_in.requests.clear()
            return subprocess.run(
                [docker, *arguments], env=environment, cwd="/", capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
            )

        commands = []
        for line in (GOLDEN / "commands.txt").read_text().splitlines():
            done = run(*shlex.split(line))
            requests = [[method, path, pruned(body)] for method, path, body in stand_in.requests]
            commands.append({"command": line, "exit": done.returncode, "stderr": done.stderr, "requests": requests})
        templates = []
        for line in (GOLDEN / "templates.txt").read_text().splitlines():
            done = run("container", "inspect", "--format", line, "x")
            templates.append({"template": line, "exit": done.returncode, "stdout": done.stdout, "stderr": done.stderr})
    for name, rows in (("commands", commands), ("templates", templates)):
        (GOLDEN / f"{name}.json").write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
