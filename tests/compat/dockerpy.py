"""The integration suite of the docker SDK for Python, run against our daemon in a machine of its own.

The suite is on GitHub alone, so a checkout of github.com/docker/docker-py is given by the caller; Swarm, services, plugins, configs, secrets,
nodes and credential helpers are no part of what we claim and are left out.

    .venv/bin/python -m tests.compat.dockerpy CHECKOUT [PYTEST'S ARGUMENTS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as xml
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness import PROJECT, Engine, engine, machine, registry

LEFT_OUT = ("api_swarm_test", "api_service_test", "api_plugin_test", "api_config_test", "api_secret_test")
LEFT_OUT += ("models_swarm_test", "models_services_test", "models_nodes_test", "credentials")
# They begin with a swarm.
SWARM = ("test_create_inspect_network_with_scope", "test_create_network_attachable", "test_create_network_ingress")
# docker-py has no websocket over a unix socket.
OVER_TCP = ("test_run_container_reading_socket_ws",)
TCP = "tcp://127.0.0.1:2375"
TIMEOUT = 3600
# Docker's own switch: without it Docker, too, has given up the words that links put into environments.
LEGACY = {"DOCKER_KEEP_DEPRECATED_LEGACY_LINKS_ENV_VARS": "1"}
REASONS = {
    "test_run_with_image_that_does_not_exist": "wants Docker Hub's own answer, and the machine that tests run in has no way there",
    "test_pull_with_sha": "wants a certain image of Docker Hub, and the machine that tests run in has no way there",
}


@dataclass(frozen=True)
class Result:
    """One test of the suite: its name, what came of it ("passed", "failed" or "skipped") and the first line of why."""

    name: str
    outcome: str
    reason: str


def interpreter(checkout: Path) -> Path:
    """A Python with the SDK of that checkout and what its tests import; made once for a commit."""
    home = PROJECT / ".cache" / "docker-py" / commit(checkout)
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        wanted = [str(checkout), "paramiko", "websocket-client", "pytest", "pytest-timeout"]
        # The checkout's tags, which its version is made of, need not be there.
        environment = {**os.environ, "SETUPTOOLS_SCM_PRETEND_VERSION": "7.3.0"}
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True, env=environment)
        (home / "ready").touch()
    return python


def commit(checkout: Path) -> str:
    """The commit that is checked out, or what a file COMMIT in the folder says of an unpacked archive."""
    noted = checkout / "COMMIT"
    if noted.exists():
        return noted.read_text().strip()
    return subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def run(checkout: Path, selection: Sequence[str] = ()) -> list[Result]:
    """Run the suite, or the tests that pytest's arguments in `selection` choose."""
    python = interpreter(checkout)
    # Shared as systemd makes it everywhere: the suite binds with rshared, which Docker refuses, as we do, where nothing propagates.
    with machine(set_up="mount --make-rshared /") as where, registry(where) as url:
        where.run([sys.executable, "-m", "tests.compat.images", url])
        (where.scratch / ".docker").mkdir()
        # Without a file of settings docker-py keeps its contexts in the checkout.
        (where.scratch / ".docker" / "config.json").write_text("{}")
        with engine(where, options=[f"--registry-mirror={url}", "--debug", f"--host={TCP}"], environment=LEGACY) as running:
            if selection:
                return suite(running, python, checkout, selection)
            integration = str(checkout / "tests" / "integration")
            unless = " and ".join(f"not {name}" for name in (*SWARM, *OVER_TCP))
            every = suite(running, python, checkout, [integration, "-k", unless])
            return every + suite(running, python, checkout, [integration, "-k", " or ".join(OVER_TCP)], {"DOCKER_HOST": TCP})


def suite(running: Engine, python: Path, checkout: Path, selection: Sequence[str], more: Mapping[str, str] = {}) -> list[Result]:
    """The suite against a daemon that runs."""
    report = running.machine.scratch / "docker-py.xml"
    folder = checkout / "tests" / "integration"
    ignored = [f"--ignore={folder / name}{'' if name == 'credentials' else '.py'}" for name in LEFT_OUT]
    words = [python, "-m", "pytest", "-q", "-rfE", "--tb=short", "--timeout=120", f"--junitxml={report}", *ignored, *selection]
    environment = {**running.variables(), "HOME": str(running.machine.scratch), **more}
    done = running.machine.run(["env", "-C", checkout, *words], check=False, timeout=TIMEOUT, environment=environment)
    print(done.text)
    if not report.exists():
        raise RuntimeError(f"docker-py's suite did not run:\n{done.text}")
    return results(report)


def results(report: Path) -> list[Result]:
    """What a JUnit file says, test by test."""
    found = []
    for case in xml.parse(report).iter("testcase"):
        name = f"{(case.get('classname') or '').removeprefix('tests.integration.')}.{case.get('name')}"
        bad = next((part for kind in ("failure", "error") if (part := case.find(kind)) is not None), None)
        skipped = case.find("skipped")
        said = bad if bad is not None else skipped
        reason = (said.get("message") or "").strip().splitlines()[:1] if said is not None else []
        found.append(Result(name, "failed" if bad is not None else "skipped" if skipped is not None else "passed", reason[0] if reason else ""))
    return found


if __name__ == "__main__":
    everything = run(Path(sys.argv[1]), sys.argv[2:])
    print({kind: sum(r.outcome == kind for r in everything) for kind in ("passed", "failed", "skipped")})
