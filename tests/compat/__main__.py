"""docs/compat.md, written by a run: every endpoint asked, every field of create tried, every flag looked for.

make compat                              endpoints, fields and flags; the score of docker-py's suite stays as it was written last
make compat DOCKER_PY=/path/to/checkout  with that suite (github.com/docker/docker-py), some minutes
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.compat import dockerpy
from tests.compat.samples import CONFIG, FLAGS, HOST_CONFIG, PARTLY, UNTOLD, WINDOWS
from tests.conformance.description import description, operations
from tests.harness import PROJECT, Engine, engine, machine, registry, sanbashi_cli

FILE = PROJECT / "docs" / "compat.md"
SCORE = "## docker-py's own integration suite"
GROUPS = ("container", "image", "network", "volume", "system", "builder")
FLAG = re.compile(r"^\s+(?:-\w, )?(--[\w-]+)", re.MULTILINE)
VERB = re.compile(r"^  ([a-z]+) {2,}", re.MULTILINE)
Row = tuple[str, str, str]


def answer(running: Engine, method: str, path: str) -> tuple[int, str]:
    """What an operation says to a request about nothing that is there."""
    target = re.sub(r"\{\w+\}", "nosuch", path)
    if path == "/events":
        target += "?since=1&until=2"
    status, said = running.call(method, f"/v1.56{target}")
    return status, said.get("message", "") if isinstance(said, dict) else ""


def endpoints(running: Engine) -> Iterator[Row]:
    """(operation, verdict, why) of each."""
    for method, path, _ in operations():
        status, said = answer(running, method, path)
        if status in (501, 503) or (status == 404 and said == "page not found") or path in ("/session", "/grpc"):
            yield f"{method} {path}", "no", f"{status}: {said}"
        else:
            why = PARTLY.get((method, path), "")
            yield f"{method} {path}", "partly" if why else "yes", why


def fields(running: Engine) -> Iterator[Row]:
    """(field, verdict, why) of each field of create."""
    running.call("POST", "/containers/create?name=donor", {"Image": "busybox", "Cmd": ["sleep", "1000"]})
    running.call("POST", "/containers/donor/start")
    for owner, samples, definition in (("", CONFIG, "ContainerConfig"), ("HostConfig.", HOST_CONFIG, "HostConfig")):
        for name in properties(definition):
            if name not in samples:
                yield f"{owner}{name}", "no", "not known here: taken and ignored"
                continue
            verdict, why = field(running, owner.rstrip("."), name, samples[name])
            yield f"{owner}{name}", verdict, why


def properties(definition: str) -> list[str]:
    """The names of a definition's properties, those that it takes over from others first."""
    schema = description()["definitions"][definition]
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        if "$ref" in part:
            found |= dict.fromkeys(properties(part["$ref"].rpartition("/")[2]))
        found |= part.get("properties", {})
    return list(found)


def field(running: Engine, owner: str, name: str, value: Any) -> tuple[str, str]:
    """What becomes of one field: created, started, inspected."""
    body: dict[str, Any] = {"Image": "busybox", "Cmd": ["sleep", "1000"]}
    body |= {owner: {name: value}} if owner else {name: value}
    status, said = running.call("POST", "/containers/create?name=sample", body)
    if status != 201:
        return "no", f"{status}: {said['message']}"
    try:
        warned = " ".join(said["Warnings"] or ())
        shown = running.call("GET", "/containers/sample/json")[1]
        part = shown[owner] if owner else shown["Config"]
        status, said = running.call("POST", "/containers/sample/start")
        if status != 204:
            return "no", f"start {status}: {said['message']}"
        if name in WINDOWS:
            return "yes", "of Windows alone: taken and without effect, as in Docker"
        if warned and name != "Links":  # that they are deprecated says Docker, too
            return "partly", warned
        if part.get(name) != value and name != "Links" and name not in ("Image", "Volumes", "Env"):
            return "partly", f"inspect shows {json.dumps(part.get(name))} for {json.dumps(value)}"
        return "yes", ""
    finally:
        running.call("DELETE", "/containers/sample?force=1&v=1")


def answered(running: Engine) -> Iterator[Row]:
    """(definition, verdict, why): which described fields an answer has not."""
    running.call("POST", "/volumes/create", {"Name": "sample"})
    asked = {
        "ContainerInspectResponse": "/containers/donor/json",
        "ImageInspect": "/images/busybox/json",
        "NetworkInspect": "/networks/bridge",
        "Volume": "/volumes/sample",
        "SystemInfo": "/info",
        "SystemVersion": "/version",
    }
    for definition, path in asked.items():
        body = running.call("GET", path)[1]
        missing = [name for name in properties(definition) if name not in body]
        yield f"GET {path} ({definition})", "partly" if missing else "yes", "; ".join(f"{name}: {UNTOLD.get(name, 'not told')}" for name in missing)
    running.call("DELETE", "/containers/donor?force=1")


def flags(running: Engine) -> Iterator[Row]:
    """(command, verdict, why) of each command of docker's CLI."""
    for group in GROUPS:
        for verb in VERB.findall(helped(running, "docker", group)):
            ours, theirs = helped(running, sanbashi_cli(), group, verb), helped(running, "docker", group, verb)
            if f"{group} {verb}" not in ours.splitlines()[0]:
                yield f"{group} {verb}", "no", "not there"
                continue
            missing = [flag for flag in FLAG.findall(theirs) if flag not in FLAG.findall(ours) and flag != "--help"]
            words = [f"{flag}: {FLAGS[flag]}" if flag in FLAGS else flag for flag in missing]
            yield f"{group} {verb}", "partly" if missing else "yes", f"without {'; '.join(words)}" if missing else ""


def helped(running: Engine, program: str, *words: str) -> str:
    """What a command's --help prints."""
    return running.machine.run([program, *words, "--help"], check=False, environment=running.variables()).text.strip() or "\n"


def table(title: str, rows: Sequence[Row]) -> str:
    """A part of the page."""
    count = {verdict: sum(row[1] == verdict for row in rows) for verdict in ("yes", "partly", "no")}
    lines = [f"## {title}", "", ", ".join(f"{number} {verdict}" for verdict, number in count.items()) + f" of {len(rows)}.", ""]
    lines += ["| | | |", "|---|---|---|"]
    lines += [f"| `{what}` | {verdict} | {plain(why)} |" for what, verdict, why in rows]
    return "\n".join([*lines, ""])


def plain(why: str) -> str:
    """A reason as a cell: one line, and nothing that names this machine or this run."""
    why = re.sub(r"\b[0-9a-f]{64}\b", "ID", why.replace("|", "\\|").replace("\n", " "))
    return re.sub(r"(/[\w.-]+)*/\.cache/run/[\w/.-]+", "PATH", why)


def score(results: Sequence[dockerpy.Result], commit: str) -> str:
    """The part on docker-py."""
    count = {outcome: sum(r.outcome == outcome for r in results) for outcome in ("passed", "failed", "skipped")}
    lines = [
        SCORE,
        "",
        f"Commit {commit} of github.com/docker/docker-py; Swarm, services, plugins, configs, secrets, nodes and credential helpers aside.",
    ]
    lines += [f"**{count['passed']} of {count['passed'] + count['failed']} pass**, {count['skipped']} are skipped by the suite itself.", ""]
    for result in results:
        if result.outcome == "failed":
            lines.append(f"- `{result.name}`: {plain(dockerpy.REASONS.get(result.name.rpartition('.')[2], result.reason))}")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> int:
    """Write docs/compat.md; see the module's docstring."""
    with machine(resolv_conf="nameserver 127.0.0.1\n") as where, registry(where) as url:
        with engine(where, options=[f"--registry-mirror={url}"]) as running:
            running.pull("busybox")
            parts = [
                table("Endpoints", list(endpoints(running))),
                table("Fields of create", list(fields(running))),
                table("Fields of answers", list(answered(running))),
                table("Commands and flags of the CLI", list(flags(running))),
            ]
    if arguments and arguments[0]:
        checkout = Path(arguments[0])
        suite = score(dockerpy.run(checkout), dockerpy.commit(checkout))
    else:
        before = FILE.read_text() if FILE.exists() else ""
        suite = before[before.index(SCORE) :] if SCORE in before else ""
    head = "# What of Docker's is here\n\nWritten by `make compat`, which asks, tries and looks; do not edit. "
    head += "Version 1.56 of the Engine API, Docker's CLI 28.\n"
    head += "A field counts as there when a container with it is created, started and inspected as asked.\n"
    FILE.write_text("\n".join([head, *parts, suite]).rstrip() + "\n")
    print(FILE.relative_to(PROJECT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
