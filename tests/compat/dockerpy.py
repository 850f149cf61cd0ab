"""The integration suite of the docker SDK for Python, run against our daemon in a machine of its own.

The suite is on GitHub alone, so a checkout of github.com/docker/docker-py is given by the caller; Swarm, services, plugins, configs, secrets,
nodes and credential helpers are no part of what we claim and are left out.
"""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as xml
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness import PROJECT, Engine, engine, machine, registry

LEFT_OUT = ("api_swarm_test", "api_service_test", "api_plugin_test", "api_config_test", "api_secret_test")
LEFT_OUT += ("models_swarm_test", "models_services_test", "models_nodes_test", "credentials")
TIMEOUT = 3600
# Docker's own switch: without it Docker, too, has given up the words that links put into environments.
LEGACY = {"DOCKER_KEEP_DEPRECATED_LEGACY_LINKS_ENV_VARS": "1"}


@dataclass(frozen=True)
class Result:
    """One test of the suite: its name, what came of it ("passed", "failed" or "skipped") and the last line of why."""

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
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True, env={"SETUPTOOLS_SCM_PRETEND_VERSION": "7.3.0"})
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
    with machine() as where, registry(where) as url:
        where.run([sys.executable, "-m", "tests.compat.images", url])
        with engine(where, options=[f"--registry-mirror={url}", "--debug"], environment=LEGACY) as running:
            return suite(running, python, checkout, selection)


def suite(running: Engine, python: Path, checkout: Path, selection: Sequence[str]) -> list[Result]:
    """The suite against a daemon that runs."""
    report = running.machine.scratch / "docker-py.xml"
    folder = checkout / "tests" / "integration"
    ignored = [f"--ignore={folder / name}{'' if name == 'credentials' else '.py'}" for name in LEFT_OUT]
    words = [python, "-m", "pytest", "-q", "-rfE", "--tb=short", "--timeout=120", f"--junitxml={report}", *ignored, *(selection or [folder])]
    environment = {**running.variables(), "HOME": str(running.machine.scratch)}
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
        bad = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        skipped = case.find("skipped")
        said = bad if bad is not None else skipped
        reason = (said.get("message") or "").strip().splitlines()[:1] if said is not None else []
        found.append(Result(name, "failed" if bad is not None else "skipped" if skipped is not None else "passed", reason[0] if reason else ""))
    return found


if __name__ == "__main__":
    every = run(Path(sys.argv[1]), sys.argv[2:])
    print({kind: sum(r.outcome == kind for r in every) for kind in ("passed", "failed", "skipped")})
