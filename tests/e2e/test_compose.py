"""docker-compose against our socket: a project with two services on a network of its own."""

from __future__ import annotations

import shutil

import pytest
from tests.harness import Engine

pytestmark = [pytest.mark.root, pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")]

PROJECT_FILE = """
version: "2.4"
services:
  web:
    image: httpd:2.4
    ports: ["8090:80"]
    volumes: ["kept:/data"]
  asks:
    image: busybox
    command: sleep 1000
    depends_on: [web]
    networks:
      default:
        aliases: [curious]
volumes:
  kept: {}
"""


def test_up_and_down(clean: Engine) -> None:
    folder = clean.machine.scratch / "town"
    folder.mkdir()
    (folder / "docker-compose.yml").write_text(PROJECT_FILE)

    def compose(*words: str) -> str:
        return clean.cli("-f", str(folder / "docker-compose.yml"), "-p", "town", *words, program="docker-compose").text

    compose("up", "-d")
    assert "web" in compose("ps") and "asks" in compose("ps")
    page = clean.machine.run("curl -s --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8090/").stdout
    assert "It works!" in page
    networks = [n["Name"] for n in clean.call("GET", "/networks")[1]]
    assert "town_default" in networks
    assert "Address" in compose("exec", "-T", "asks", "nslookup", "-type=a", "web")
    compose("up", "-d", "--scale", "asks=2")
    assert len(clean.call("GET", '/containers/json?filters={"label":["com.docker.compose.service=asks"]}')[1]) == 2
    compose("down", "-v", "-t", "0")
    assert "town_default" not in [n["Name"] for n in clean.call("GET", "/networks")[1]]
    assert clean.call("GET", "/containers/json?all=1")[1] == []
