"""What clients of this and that version say and hear: fields, platforms, logs with details, and what compose 2 asks of the API."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from tests.harness import Engine, Unix, docker_clis, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

ARM, AMD = (json.dumps({"os": "linux", "architecture": name}) for name in ("arm64", "amd64"))


def ask(engine: Engine, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request: (status, headers, body) as they come."""
    with contextlib.closing(Unix(str(engine.socket), 60)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def made(engine: Engine, name: str, *, version: str = "v1.56", start: bool = False, **config: Any) -> str:
    """A container of busybox that sleeps."""
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], **config}
    status, said = engine.call("POST", f"/{version}/containers/create?name={name}", body)
    assert status == 201, said
    if start:
        assert engine.call("POST", f"/containers/{name}/start")[0] == 204
    return str(said["Id"])


def filters(**named: list[str] | dict[str, bool]) -> str:
    return "filters=" + quote(json.dumps(named))


def names(engine: Engine, query: str) -> list[str]:
    status, rows = engine.call("GET", f"/containers/json?{query}")
    assert status == 200, rows
    return sorted(row["Names"][0].removeprefix("/") for row in rows)


def test_details_of_a_log(clean: Engine) -> None:
    """Between the time and the line stands what --log-opt chose, as Docker writes it; a space where it chose nothing."""
    options = {"labels": "app", "env": "MODE", "tag": "{{.Name}}"}
    log = {"LogConfig": {"Type": "json-file", "Config": options}}
    made(clean, "told", Cmd=["sh", "-c", "echo out; echo err >&2"], Labels={"app": "web"}, Env=["MODE=a b"], HostConfig=log, start=True)
    clean.call("POST", "/containers/told/wait")
    told = "MODE=a+b,app=web,tag=told"
    _, headers, out = ask(clean, "GET", "/containers/told/logs?stdout=1&details=1")
    line = f"{told} out\n".encode()
    assert (headers["Content-Type"], out) == ("application/vnd.docker.multiplexed-stream", b"\1\0\0\0" + len(line).to_bytes(4) + line)
    _, _, out = ask(clean, "GET", "/containers/told/logs?stderr=1&details=1&timestamps=1")
    assert out[8:].split(b" ", 1)[1] == f"{told} err\n".encode()
    for program in (*docker_clis(), sanbashi_cli()):
        assert clean.cli("logs", "--details", "told", program=program).stdout == f"{told} out\n"
    made(clean, "plain", Cmd=["echo", "out"], Tty=True, start=True)
    clean.call("POST", "/containers/plain/wait")
    assert ask(clean, "GET", "/containers/plain/logs?stdout=1&details=1")[2] == b" out\r\n"


def test_the_platform_of_an_image(clean: Engine) -> None:
    """One platform an image: asked for another one there is none, be it by create, by save, by load or by its removal."""
    missing = "image with reference busybox was found but does not provide the specified platform (linux/arm64)"
    assert clean.call("POST", "/containers/create?platform=linux/arm64", {"Image": "busybox"}) == (404, {"message": missing})
    for path in ("/images/busybox/get?", "/images/get?names=busybox&"):
        assert clean.call("GET", f"{path}platform={quote(ARM)}") == (404, {"message": missing})
    twice = f"/images/get?names=busybox&platform={quote(AMD)}&platform={quote(AMD)}"
    assert clean.call("GET", f"/v1.51{twice}")[1]["message"].startswith("multiple platform parameters are not supported in this API version")
    status, _, archive = ask(clean, "GET", twice)
    assert status == 200
    clean.call("POST", "/images/busybox/tag?repo=other&tag=1")
    assert clean.call("DELETE", f"/images/other:1?platforms={quote(ARM)}")[0] == 404
    assert clean.call("DELETE", f"/images/other:1?platforms={quote(AMD)}")[0] == 200
    said = ask(clean, "POST", f"/images/load?platform={quote(ARM)}", archive)[2]
    assert json.loads(said)["error"] == "no image of the archive provides the specified platform (linux/arm64)"
    assert b"Loaded image" in ask(clean, "POST", f"/images/load?platform={quote(ARM)}&platform={quote(AMD)}", archive)[2]
    assert b"multiple platform" in ask(clean, "POST", f"/v1.51/images/load?platform={quote(ARM)}&platform={quote(AMD)}", archive)[2]


def test_log_drivers_that_info_names_are_taken(clean: Engine) -> None:
    """What --log-driver is completed from."""
    named = clean.call("GET", "/info")[1]["Plugins"]["Log"]
    assert named == ["json-file", "local"]
    for driver in named:
        clean.cli("run", "--rm", "--log-driver", driver, "busybox", "true")


def test_a_client_is_told_what_its_version_knows(clean: Engine) -> None:
    made(clean, "web", start=True, HostConfig={"Annotations": {"a": "b"}})
    network = clean.call("POST", "/networks/create", {"Name": "app"})[1]["Id"]
    assert "Status" in clean.call("GET", f"/v1.52/networks/{network}")[1] and "Status" not in clean.call("GET", f"/v1.51/networks/{network}")[1]
    assert "FirewallBackend" in clean.call("GET", "/v1.49/info")[1] and "FirewallBackend" not in clean.call("GET", "/v1.48/info")[1]
    assert "BridgeNfIptables" in clean.call("GET", "/v1.49/info")[1] and "BridgeNfIptables" not in clean.call("GET", "/v1.50/info")[1]
    rows = [clean.call("GET", f"/v1.{minor}/containers/json")[1][0] for minor in (45, 46, 51, 52)]
    assert ["Annotations" in row["HostConfig"] for row in rows] == [False, True, True, True]
    assert ["Health" in row for row in rows] == [False, False, False, True]
    assert ["VirtualSize" in clean.call("GET", f"/v1.{minor}/images/json")[1][0] for minor in (43, 44)] == [True, False]
    usage = [set(clean.call("GET", f"/v1.{path}")[1]) for path in ("51/system/df", "52/system/df", "52/system/df?verbose=1", "41/system/df?type=x")]
    old = {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"}
    new = {"ImageUsage", "ContainerUsage", "VolumeUsage", "BuildCacheUsage"}
    assert usage == [old, old | new, new, old]
    kinds = [ask(clean, "GET", f"/v1.{minor}/events?until=1")[1]["Content-Type"] for minor in (51, 52)]
    assert kinds == ["application/json", "application/jsonl"]
    past = f"/events?since=1&until={time.time():.9f}&{filters(event=['start'])}"
    _, headers, said = ask(clean, "GET", past, Accept="application/json-seq")
    assert (headers["Content-Type"], said[:1], json.loads(said.splitlines()[-1][1:])["Action"]) == ("application/json-seq", b"\x1e", "start")
    assert {"Api-Version", "Ostype", "Server"} <= set(headers)


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/events?since=20&until=10", 400, "`since` time (20) cannot be after `until` time (10)"),
        ("GET", "/networks/bridge?verbose=maybe", 400, 'invalid value for verbose: maybe: strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("GET", "/networks/bridge?scope=swarm", 404, "network bridge not found"),
        ("GET", "/images/json?identity=1", 400, "conflicting options: identity requires manifests=1"),
        ("POST", "/images/busybox/tag?repo=sha256", 400, "refusing to create an ambiguous tag using digest algorithm as name"),
        ("GET", "/containers/web/logs", 400, "must specify at least one of 'stdout' or 'stderr'"),
        ("GET", "/containers/web/logs?stdout=1&format=xml", 400, "unsupported log format"),
        ("POST", "/containers/web/start?checkpoint=one", 501, "checkpoints are not supported"),
        ("GET", "/containers/web/checkpoints", 501, "checkpoints are not supported"),
        ("POST", "/containers/web/checkpoints", 501, "checkpoints are not supported"),
        ("DELETE", "/containers/web/checkpoints/one", 501, "checkpoints are not supported"),
        ("POST", "/containers/web/wait?condition=never", 400, 'invalid condition: "never"'),
    ],
)
def test_queries_that_are_refused(clean: Engine, method: str, path: str, status: int, sentence: str) -> None:
    made(clean, "web")
    assert clean.call(method, path) == (status, {"message": sentence})


def test_bodies_are_json_and_say_so(clean: Engine) -> None:
    for path in ("/containers/create", "/networks/create", "/volumes/create", "/commit?container=x", "/auth", "/containers/x/update"):
        for kind, named in (("text/plain", "text/plain"), ("", "")):
            status, _, said = ask(clean, "POST", path, b'{"Name": "x"}', **({"Content-Type": kind} if kind else {}))
            assert (status, json.loads(said)["message"]) == (400, f"unsupported Content-Type header ({named}): must be 'application/json'"), path
        status, _, said = ask(clean, "POST", path, b'{"Name": "x"} {}', **{"Content-Type": "application/json; charset=utf-8"})
        assert (status, json.loads(said)["message"]) == (400, "unexpected content after JSON"), path
    made(clean, "web")
    status, said = clean.call("POST", "/containers/web/start", {"Binds": ["/:/host"]})
    assert (status, said["message"].partition(" was")[0]) == (400, "starting container with non-empty request body")
    assert clean.call("POST", "/containers/web/start", {})[0] == 204


# -- compose 2


def test_several_endpoints_at_create(clean: Engine) -> None:
    """Each with names, addresses and a priority of its own; all are joined by the start, and shown before it."""
    for name, subnet in (("front", "10.91.0.0/24"), ("back", "10.92.0.0/24")):
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.network": name}
        body = {"Name": f"shop_{name}", "Labels": labels, "IPAM": {"Config": [{"Subnet": subnet}]}}
        assert clean.call("POST", "/v1.44/networks/create", body)[0] == 201
        status, said = clean.call("POST", "/v1.44/networks/create", body)
        assert (status, said["message"]) == (409, f"network with name shop_{name} already exists")
    listed = clean.call("GET", f"/networks?{filters(label=['com.docker.compose.project=shop', 'com.docker.compose.network=back'])}")[1]
    assert [row["Name"] for row in listed] == ["shop_back"]
    endpoints = {
        "shop_front": {"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.91.0.7"}, "MacAddress": "02:42:0a:5b:00:07"},
        "shop_back": {"Aliases": ["store"], "GwPriority": 5},
    }
    made(clean, "shop-web-1", HostConfig={"NetworkMode": "shop_front"}, NetworkingConfig={"EndpointsConfig": endpoints})
    before = clean.call("GET", "/containers/shop-web-1/json")[1]["NetworkSettings"]["Networks"]
    assert {name: entry["Aliases"] for name, entry in before.items()} == {"shop_front": ["web"], "shop_back": ["store"]}
    assert clean.call("POST", "/containers/shop-web-1/start")[0] == 204
    after = clean.call("GET", "/containers/shop-web-1/json")[1]["NetworkSettings"]["Networks"]
    assert (after["shop_front"]["IPAddress"], after["shop_front"]["MacAddress"]) == ("10.91.0.7", "02:42:0a:5b:00:07")
    assert after["shop_back"]["IPAddress"].startswith("10.92.0.") and "store" in after["shop_back"]["DNSNames"]
    assert "via 10.92.0.1" in clean.cli("exec", "shop-web-1", "ip", "route", "show", "default").stdout
    status, said = clean.call("DELETE", "/networks/shop_front")
    assert (status, "has active endpoints" in said["message"]) == (403, True)
    assert clean.call("POST", "/networks/shop_back/disconnect", {"Container": "shop-web-1", "Force": True})[0] == 200
    assert set(clean.call("GET", "/containers/shop-web-1/json")[1]["NetworkSettings"]["Networks"]) == {"shop_front"}


def test_containers_by_label_status_and_name(clean: Engine) -> None:
    """What compose lists: every condition holds, and of the values of one a single one is enough, but for labels, which all have to be there."""
    project = {"com.docker.compose.project": "shop"}
    made(clean, "shop-web-1", Labels={**project, "com.docker.compose.service": "web", "com.docker.compose.oneoff": "False"}, start=True)
    made(clean, "shop-run-1", Labels={**project, "com.docker.compose.service": "web", "com.docker.compose.oneoff": "True"}, Cmd=["false"], start=True)
    made(clean, "shop-db-1", Labels={**project, "com.docker.compose.service": "db", "com.docker.compose.oneoff": "False"})
    made(clean, "stranger", start=True)
    clean.call("POST", "/containers/shop-run-1/wait")
    label = ["com.docker.compose.project=shop"]
    assert names(clean, f"all=1&{filters(label=label)}") == ["shop-db-1", "shop-run-1", "shop-web-1"]
    assert names(clean, f"all=1&{filters(label=[*label, 'com.docker.compose.oneoff=False'])}") == ["shop-db-1", "shop-web-1"]
    assert names(clean, f"all=1&{filters(label={label[0]: True, 'com.docker.compose.service=db': True})}") == ["shop-db-1"]
    assert names(clean, filters(label=label)) == ["shop-web-1"]
    assert names(clean, filters(label=label, status=["created", "exited"])) == ["shop-db-1", "shop-run-1"]
    assert names(clean, f"all=1&{filters(label=label, status=['running'], name=['^/shop-web-1$'])}") == ["shop-web-1"]
    assert names(clean, f"all=1&{filters(name=['web', 'db'], label=['com.docker.compose.service'])}") == ["shop-db-1", "shop-web-1"]
    assert names(clean, f"all=1&{filters(label=label, exited=['1'])}") == ["shop-run-1"]
    assert names(clean, f"all=1&{filters(label=label, network=['bridge'], ancestor=['busybox'])}") == ["shop-db-1", "shop-run-1", "shop-web-1"]
    status, said = clean.call("GET", f"/containers/json?{filters(status=['sleeping'])}")
    assert (status, said["message"]) == (400, "invalid filter 'status=sleeping'")


def test_a_container_is_made_anew_beside_the_old_one(clean: Engine) -> None:
    """Compose's recreate: the new one under a name for the time being, the old one stopped and removed, then renamed; waits hear of each."""
    made(clean, "shop-web-1", start=True)
    made(clean, "abcdef_shop-web-1")
    assert clean.call("POST", "/containers/shop-web-1/stop?t=0")[0] == 204
    assert clean.call("POST", "/containers/shop-web-1/wait?condition=not-running")[1] == {"StatusCode": 137}
    assert clean.call("DELETE", "/containers/shop-web-1?v=1")[0] == 204
    assert clean.call("POST", "/containers/abcdef_shop-web-1/rename?name=shop-web-1")[0] == 204
    assert clean.call("POST", "/containers/shop-web-1/start")[0] == 204
    assert names(clean, "all=1") == ["shop-web-1"]


# -- events


def test_events_of_a_life(clean: Engine) -> None:
    """What happens to a container, its volume and its network, in Docker's order and words, and each filter's part of it."""
    since = time.time()
    network = clean.call("POST", "/networks/create", {"Name": "told"})[1]["Id"]
    host = {"NetworkMode": "told", "Binds": ["toldvol:/data"]}
    id_ = made(clean, "told", HostConfig=host, Labels={"app": "web"}, start=True)
    run = clean.call("POST", "/containers/told/exec", {"Cmd": ["true"]})[1]["Id"]
    clean.call("POST", f"/exec/{run}/start", {})
    clean.call("POST", "/containers/told/stop?t=0")
    clean.call("DELETE", "/containers/told?v=1")
    clean.call("DELETE", "/networks/told")
    clean.call("DELETE", "/volumes/toldvol")
    until = time.time()

    def told(**named: list[str]) -> list[dict[str, Any]]:
        _, _, said = ask(clean, "GET", f"/events?since={since:.9f}&until={until:.9f}&{filters(**named)}")
        return [json.loads(line) for line in said.splitlines()]

    def actions(**named: list[str]) -> list[str]:
        return [f"{event['Type']} {event['Action'].partition(':')[0]}" for event in told(**named)]

    life = ["create", "start", "exec_create", "exec_start", "exec_die", "kill", "kill", "die", "stop", "destroy"]
    assert actions(type=["container"]) == [f"container {action}" for action in life]
    assert actions(type=["volume"]) == ["volume create", "volume mount", "volume unmount", "volume destroy"]
    assert actions(type=["network"]) == ["network create", "network connect", "network disconnect", "network destroy"]
    assert actions(event=["die", "mount"]) == ["volume mount", "container die"]
    assert actions(container=["told"], event=["start"]) == actions(container=[id_[:12]], event=["start"]) == ["container start"]
    assert actions(network=["told"], event=["connect"]) == actions(network=[network], event=["connect"]) == ["network connect"]
    assert actions(volume=["toldvol"], event=["mount"]) == ["volume mount"]
    assert actions(image=["busybox"], event=["create"]) == actions(label=["app=web"], event=["create"]) == ["container create"]
    assert actions(label=["app=nosuch"]) == actions(type=["plugin"]) == []
    attributes = {event["Action"]: event["Actor"]["Attributes"] for event in told()}
    assert attributes["mount"] == {"driver": "local", "container": id_, "destination": "/data", "read/write": "true", "propagation": ""}
    assert {"image": "busybox", "name": "told", "app": "web", "exitCode": "137"}.items() <= attributes["die"].items()
    assert attributes["connect"] == {"container": id_, "name": "told", "type": "bridge"}


def test_a_container_that_runs_out_of_memory_says_so(clean: Engine) -> None:
    since = time.time()
    made(clean, "hungry", Cmd=["sh", "-c", "tail /dev/zero"], HostConfig={"Memory": 8 << 20, "MemorySwap": 8 << 20}, start=True)
    assert clean.call("POST", "/containers/hungry/wait")[1] == {"StatusCode": 137}
    _, _, said = ask(clean, "GET", f"/events?since={since:.9f}&until={time.time():.9f}&{filters(type=['container'])}")
    assert [json.loads(line)["Action"] for line in said.splitlines()] == ["create", "start", "oom", "die"]
    assert clean.call("GET", "/containers/hungry/json")[1]["State"]["OOMKilled"]


@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_short_command_said_is_in_its_log_when_it_was_waited_for(clean: Engine, terminal: bool) -> None:
    """conmon writes the log out before it records the end, and nothing here may tell of an end before that."""
    for index in range(5):
        name = f"brief-{index}"
        clean.call("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["seq", "400"], "Tty": terminal})
        clean.call("POST", f"/containers/{name}/start")
        clean.call("POST", f"/containers/{name}/wait")
        assert clean.cli("logs", name).stdout.split() == [str(number) for number in range(1, 401)]
