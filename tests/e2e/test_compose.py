"""docker-compose against our socket, and what compose v2 asks of the API beyond what compose 1 does."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from tests.harness import Engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
needs_compose = pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed: make setup")

PROJECT_FILE = """
version: "2.4"
services:
  web:
    image: busybox
    command: sh -c "echo It works! > /var/www/index.html; exec httpd -f -h /var/www"
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


TOWN = """
version: "2.4"
services:
  store:
    image: busybox
    command: sh -c "sleep 1; touch /tmp/ready; exec httpd -f -p 6379"
    stop_grace_period: 1s
    networks:
      back:
        ipv4_address: 10.91.0.10
        aliases: [redis, cache]
    volumes: ["kept:/data", "/scratch"]
    healthcheck: {test: ["CMD", "test", "-e", "/tmp/ready"], interval: 1s, timeout: 5s, retries: 10}
  api:
    image: busybox
    command: sh -c "echo api is up; exec httpd -f -p 80"
    stop_grace_period: 1s
    depends_on: {store: {condition: service_healthy}}
    environment: {TIER: middle}
    labels: {tier: middle}
    networks: [front, back]
    ports: ["80"]
    restart: on-failure
  edge:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    depends_on: [api]
    networks:
      front: {aliases: [door]}
networks:
  front: {}
  back:
    driver: bridge
    internal: true
    ipam: {config: [{subnet: 10.91.0.0/24, gateway: 10.91.0.1}]}
volumes:
  kept: {labels: {kind: data}}
"""


def composed(engine: Engine, name: str, text: str) -> Callable[..., str]:
    """docker-compose for a project; gives its output."""
    folder = engine.machine.scratch / name
    folder.mkdir()
    (folder / "docker-compose.yml").write_text(text)

    def compose(*words: str, check: bool = True) -> str:
        return engine.cli("-f", str(folder / "docker-compose.yml"), "-p", name, *words, program="docker-compose", check=check).text

    return compose


@needs_compose
def test_a_town(clean: Engine) -> None:
    """Two networks, aliases, a static address, volumes, a health check that others wait for: every verb of compose 1."""
    compose = composed(clean, "city", TOWN)
    assert "10.91.0.10" in compose("config")
    compose("up", "-d")
    rows = compose("ps")
    assert rows.count("Up") == 3 and "Up (healthy)" in rows
    assert clean.address("city_store_1", "city_back") == "10.91.0.10"
    clean.shell("until docker logs city_api_1 | grep -q 'api is up'; do sleep 0.1; done")  # it was started, and may not have come to it
    assert "api is up" in compose("logs", "api")
    assert "middle" in compose("exec", "-T", "api", "sh", "-c", "echo $TIER")
    for name in ("redis", "cache", "store"):
        assert "10.91.0.10" in compose("exec", "-T", "api", "nslookup", "-type=a", name)
    assert "10.91.0.10" not in compose("exec", "-T", "edge", "timeout", "2", "nslookup", "-type=a", "store", check=False)
    assert "Address" in compose("exec", "-T", "api", "nslookup", "-type=a", "door")
    address, _, port = compose("port", "api", "80").strip().rpartition(":")
    assert address == "0.0.0.0" and 1024 < int(port) < 65536
    assert clean.machine.run(f"curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/").stdout == "404"
    assert "hello" in compose("run", "--rm", "-T", "--no-deps", "edge", "echo", "hello")
    compose("pause", "edge")
    assert "Paused" in compose("ps", "edge")
    compose("unpause", "edge")
    compose("restart", "-t", "0", "edge")
    assert "Up" in compose("ps", "edge")
    compose("kill", "-s", "KILL", "edge")
    assert "Exit 137" in compose("ps", "edge")
    compose("rm", "-f", "edge")
    assert "edge" not in compose("ps", "-a")
    compose("up", "-d", "--scale", "edge=3")
    assert len(compose("ps", "-q", "edge").split()) == 3
    compose("scale", "edge=1")
    assert len(compose("ps", "-q", "edge").split()) == 1
    before = compose("ps", "-q", "api").strip()
    compose("up", "-d", "--force-recreate", "--no-deps", "-t", "0", "api")
    assert compose("ps", "-q", "api").strip() != before
    assert "sleep 1000" in compose("top", "edge")
    compose("stop", "-t", "0")
    assert compose("ps").count("Exit") == 3
    compose("start")
    assert compose("ps").count("Up") == 3
    compose("down", "-v", "--remove-orphans", "-t", "0")
    assert clean.call("GET", "/containers/json?all=1")[1] == []
    assert "city_kept" not in [v["Name"] for v in clean.call("GET", "/volumes")[1]["Volumes"]]


SHOW = """
version: "2.4"
services:
  player: {image: busybox, command: sh -c "echo playing; sleep 6; exit 7"}
  again: {image: busybox, command: sh -c "sleep 1; echo once more; sleep 1; exit 1", restart: "on-failure:2"}
"""


@needs_compose
def test_up_in_the_foreground(clean: Engine) -> None:
    """Who starts again and who ends is heard by the events; compose 1 speaks the newest version that we offer, and reads the oldest fields."""
    compose = composed(clean, "show", SHOW)
    said = compose("--no-ansi", "up")
    assert "Traceback" not in said, said
    assert said.count("once more") > 1 and "playing" in said and "player_1 exited with code 7" in said, said
    compose("down", "-t", "0")


@needs_compose
def test_up_and_down(clean: Engine) -> None:
    compose = composed(clean, "town", PROJECT_FILE)
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


def filtered(**words: list[str]) -> str:
    return f"filters={quote(json.dumps(words))}"


def test_labels_as_compose_asks(clean: Engine) -> None:
    """compose v2 finds all that is its own by labels, several of them at once."""
    own = {"com.docker.compose.project": "shop", "com.docker.compose.network": "default", "com.docker.compose.oneoff": "False"}
    _, network = clean.call("POST", "/networks/create", {"Name": "shop_default", "Labels": own, "CheckDuplicate": True, "Driver": ""})
    _, volume = clean.call("POST", "/volumes/create", {"Name": "shop_data", "Labels": own})
    status, made = clean.call("POST", "/containers/create?name=shop-web-1", {"Image": "busybox", "Cmd": ["true"], "Labels": own})
    assert status == 201
    project = filtered(label=["com.docker.compose.project=shop", "com.docker.compose.oneoff=False"])
    other = filtered(label=["com.docker.compose.project=other"])
    assert [c["Id"] for c in clean.call("GET", f"/containers/json?all=1&{project}")[1]] == [made["Id"]]
    assert [n["Id"] for n in clean.call("GET", f"/networks?{project}")[1]] == [network["Id"]]
    assert [v["Name"] for v in clean.call("GET", f"/volumes?{project}")[1]["Volumes"]] == [volume["Name"]]
    for path in ("/containers/json?all=1&", "/networks?"):
        assert clean.call("GET", f"{path}{other}")[1] == []
    assert not clean.call("GET", f"/volumes?{other}")[1]["Volumes"]
    assert clean.call("DELETE", "/containers/shop-web-1")[0] == 204
    assert clean.call("DELETE", "/volumes/shop_data")[0] == 204


def test_a_network_twice(clean: Engine) -> None:
    """compose v2 tries to create, and takes 409 for "somebody was quicker"; of a network in use it reads why it stays."""
    assert clean.call("POST", "/networks/create", {"Name": "twice"})[0] == 201
    assert clean.call("POST", "/networks/create", {"Name": "twice"}) == (409, {"message": "network with name twice already exists"})
    clean.call("POST", "/containers/create?name=holds", {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "twice"}})
    assert clean.call("POST", "/containers/holds/start")[0] == 204
    status, said = clean.call("DELETE", "/networks/twice")
    assert status == 403 and 'has active endpoints (name:"holds"' in said["message"]
    assert clean.call("DELETE", "/networks/nosuch")[0] == 404


def test_several_endpoints_at_create(clean: Engine) -> None:
    """compose v2 joins all networks of a service in create, each with its aliases, address, link-local address, options and priority."""
    for name, subnet in (("ea", "10.92.0.0/24"), ("eb", "10.93.0.0/24")):
        assert clean.call("POST", "/networks/create", {"Name": name, "IPAM": {"Config": [{"Subnet": subnet}]}})[0] == 201
    wishes: dict[str, Any] = {
        "ea": {"Aliases": ["web", "shop-web-1"], "IPAMConfig": {"IPv4Address": "10.92.0.7"}, "GwPriority": 0, "MacAddress": "02:42:0a:5c:00:07"},
        "eb": {"Aliases": ["web"], "DriverOpts": {"com.docker.network.endpoint.ifname": "inner0"}, "GwPriority": 100},
    }
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "ea"}, "NetworkingConfig": {"EndpointsConfig": wishes}}
    status, said = clean.call("POST", "/containers/create?name=both", body)
    assert (status, said["Warnings"]) == (201, []), said
    assert clean.call("POST", "/containers/both/start")[0] == 204
    networks = clean.call("GET", "/containers/both/json")[1]["NetworkSettings"]["Networks"]
    assert (networks["ea"]["IPAddress"], networks["ea"]["MacAddress"]) == ("10.92.0.7", "02:42:0a:5c:00:07")
    assert networks["eb"]["DNSNames"][:2] == ["both", "web"]
    assert "default via 10.93.0.1 dev inner0" in clean.cli("exec", "both", "ip", "route").stdout


def test_statuses_that_compose_waits_for(clean: Engine) -> None:
    """service_completed_successfully and service_healthy are read off inspect; events tell when to look."""
    since = int(time.time())
    check = {"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Retries": 1}
    for name, command, health in (("once", ["true"], None), ("checked", ["sleep", "1000"], check)):
        clean.call("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": command, **({"Healthcheck": health} if health else {})})
        assert clean.call("POST", f"/containers/{name}/start")[0] == 204
    assert clean.call("POST", "/containers/once/wait")[1]["StatusCode"] == 0
    state = clean.call("GET", "/containers/once/json")[1]["State"]
    assert (state["Status"], state["Running"], state["ExitCode"]) == ("exited", False, 0)
    deadline = time.monotonic() + 60
    while (now := clean.call("GET", "/containers/checked/json")[1]["State"]["Health"]["Status"]) != "healthy" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert now == "healthy"
    status, said = clean.call(
        "GET", f"/events?since={since}&until={int(time.time()) + 1}&{filtered(container=['checked'], event=['health_status: healthy', 'start'])}"
    )
    actions = [json.loads(line)["Action"] for line in said.splitlines()] if isinstance(said, str) else [said["Action"]]
    assert status == 200 and actions[0] == "start"
    listed = clean.call("GET", f"/containers/json?{filtered(health=['healthy'])}")[1]
    assert [row["Names"] for row in listed] == [["/checked"]]
