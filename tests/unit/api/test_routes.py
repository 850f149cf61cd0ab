"""What each route asks of the engine and answers, and what the JSON looks like to old and new clients."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import quote

import msgspec
import pytest

from sanbashi.api.container_rows import Rows
from sanbashi.containers.model import Container, ContainerState, ExecConfig, HostPort
from sanbashi.errors import Invalid, NotSupported, Unauthorized
from sanbashi.network.model import NetworkRequest

from .conftest import APP, BRIDGE, CREATED, DB, IMAGE, STARTED, WEB, Client, FakeExec, sample_state


def test_what_is_kept_follows_the_state(run):
    """Answers are kept as bytes: by version, and until anything changes."""

    async def scenario(client: Client) -> None:
        async def seen() -> list[tuple[list[str], list[str], str]]:
            asked = [(f"/v{v}/networks", f"/v{v}/containers/db/json") for v in ("1.24", "1.50", "1.56", "1.50")]
            listed, one = zip(*[[(await client.ask("GET", target)).json for target in pair] for pair in asked], strict=True)
            return [(sorted(n[0]), sorted(n["Name"] for n in n), c["State"]["Status"]) for n, c in zip(listed, one, strict=True)]

        old, new, newest, again = await seen()
        assert "Containers" in old[0] and "Containers" not in new[0]
        assert new == again == newest and new[1:] == (["app", "bridge"], "created")
        state = client.engine.state
        db = msgspec.structs.replace(state.containers[DB], state=ContainerState(status="exited", started_at=STARTED))
        other = replace(state.network.networks[APP], id="0" * 64, name="other")
        network = replace(state.network, networks=state.network.networks.set(other.id, other))
        client.engine.state = replace(state, network=network).with_container(db)
        assert all(found[1:] == (["app", "bridge", "other"], "exited") for found in await seen())
        assert len((await client.ask("GET", "/networks?filters=%7B%22name%22:%5B%22other%22%5D%7D")).json) == 1
        assert len((await client.ask("GET", "/networks")).json) == 3
        client.engine.execs.known["9" * 64] = FakeExec("9" * 64, DB, ExecConfig(cmd=("true",)))
        assert (await client.ask("GET", "/containers/db/json")).json["ExecIDs"] == ["9" * 64]
        client.engine.execs.known.clear()
        assert (await client.ask("GET", "/containers/db/json")).json["ExecIDs"] is None

    run(scenario)


def test_inspect_in_docker_s_shape(run):
    async def scenario(client: Client) -> None:
        reply = await client.ask("GET", "/v1.50/containers/web/json")
        found = reply.json
        assert list(found) == sorted(found)  # older clients get sorted objects, as recorded
        assert found["Name"] == "/web"
        assert found["State"]["Running"] is True
        assert found["Config"]["Labels"] == {"a": "1", "b": "2"}
        assert not {"OnBuild", "StopSignal", "ExposedPorts", "MacAddress", "Healthcheck"} & set(found["Config"])
        assert not {"Annotations", "Mounts", "Tmpfs", "Init"} & set(found["HostConfig"])
        assert found["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
        network = found["NetworkSettings"]
        assert network["Ports"] == {"443/tcp": None, "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]}
        assert (network["IPAddress"], network["IPPrefixLen"], network["Gateway"]) == ("172.17.0.2", 16, "172.17.0.1")
        assert network["SandboxKey"] == "/exec/netns/555555555555"
        assert network["Networks"]["bridge"] == {
            "Aliases": None,
            "DNSNames": None,
            "DriverOpts": None,
            "EndpointID": "1" * 64,
            "Gateway": "172.17.0.1",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "GwPriority": 0,
            "IPAMConfig": None,
            "IPAddress": "172.17.0.2",
            "IPPrefixLen": 16,
            "IPv6Gateway": "",
            "Links": None,
            "MacAddress": "3e:7c:95:f9:c3:03",
            "NetworkID": BRIDGE,
        }
        assert network["Networks"]["app"]["DNSNames"] == ["web", "www", WEB[:12]]
        old = (await client.ask("GET", "/v1.44/containers/web/json")).json
        assert old["NetworkSettings"]["Networks"]["app"]["Aliases"] == ["www", WEB[:12]]
        new = (await client.ask("GET", "/v1.56/containers/web/json?size=1")).json
        assert new["NetworkSettings"]["IPAddress"] == "172.17.0.2"  # kept for scripts, whatever the version
        assert (new["SizeRw"], new["SizeRootFs"]) == (12, 1012)
        db = (await client.ask("GET", f"/containers/{DB}/json")).json
        assert db["NetworkSettings"]["Ports"] == {}
        assert db["NetworkSettings"]["Networks"]["app"]["NetworkID"] == ""
        assert db["HostnamePath"] == ""
        missing = await client.ask("GET", "/containers/nosuch/json")
        assert (missing.status, missing.json) == (404, {"message": "No such container: nosuch"})

    run(scenario)


def test_list_filters_and_limits(run):
    async def scenario(client: Client) -> None:
        async def names(query: str = "", **filters: list[str]) -> list[str]:
            text = f"{query}&filters={quote(json.dumps(filters))}" if filters else query
            return [c["Names"][0] for c in (await client.ask("GET", f"/v1.50/containers/json?{text}")).json]

        assert await names() == ["/web"]
        assert await names("all=1") == ["/web", "/db"]
        assert await names("limit=1") == ["/web"]
        assert await names("", status=["created"]) == ["/db"]
        assert await names("all=1", name=["^/?d"]) == ["/db"]
        assert await names("all=1", id=[WEB[:5]]) == ["/web"]
        assert await names("all=1", label=["a=1", "b"]) == ["/web"]
        assert await names("all=1", ancestor=["httpd:2.4"]) == ["/web", "/db"]
        assert await names("all=1", ancestor=["nosuch"]) == []
        assert await names("", before=["web"]) == ["/db"]
        assert await names("", since=["db"]) == ["/web"]
        assert await names("all=1", network=["bridge"]) == ["/web"]
        assert await names("all=1", network=[APP]) == ["/web"]
        assert await names("", publish=["8000-9000"]) == ["/web"]
        assert await names("", publish=["80"]) == []
        assert await names("", expose=["443"]) == ["/web"]
        assert await names("all=1", exited=["0"]) == []
        assert await names("all=1", volume=["data"]) == []
        legacy = quote(json.dumps({"status": {"created": True, "running": False}}))
        assert len((await client.ask("GET", f"/containers/json?filters={legacy}")).json) == 1
        for bad, sentence in (
            ({"foo": ["1"]}, "invalid filter 'foo'"),
            ({"status": ["x"]}, "invalid filter 'status=x'"),
            ({"exited": ["x"]}, "invalid filter 'exited=x'"),
            ({"publish": ["x"]}, "invalid filter 'publish=x'"),
        ):
            reply = await client.ask("GET", f"/containers/json?filters={quote(json.dumps(bad))}")
            assert (reply.status, reply.json["message"]) == (400, sentence)

    run(scenario)


def test_rows_are_rendered_once_and_follow_what_they_show():
    rows, state, now = Rows(), sample_state(), 1_795_456_000_000_000_000
    web: Container = state.containers[WEB]

    def render() -> dict:
        return json.loads(rows.render(state, [web], (1, 50), now))[0]

    first = render()
    kept = rows.kept[WEB]
    assert first["Command"] == "httpd -D 'FORE GROUND'"
    assert {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"} in first["Ports"]
    assert {"PrivatePort": 443, "Type": "tcp"} in first["Ports"]
    assert first["NetworkSettings"]["Networks"]["app"]["DNSNames"] is None
    assert rows.kept[WEB] is kept
    now += 7_200_000_000_000
    assert render()["Status"] != first["Status"]
    assert rows.kept[WEB] is kept
    state = state.with_image(msgspec.structs.replace(state.images[IMAGE], id="sha256:new"))  # the name moves to another image
    assert render()["Image"] == IMAGE
    web = msgspec.structs.replace(web, name="other")
    assert render()["Names"] == ["/other"]


@pytest.mark.parametrize(
    ("verb", "method", "target", "call", "status"),
    [
        ("stop", "POST", "/containers/web/stop?t=3&signal=INT", ("stop", "web", 3, "INT"), 204),
        ("restart", "POST", "/containers/web/restart", ("restart", "web", None, ""), 204),
        ("kill", "POST", "/containers/web/kill", ("kill", "web", "KILL"), 204),
        ("unpause", "POST", "/containers/web/unpause", ("unpause", "web"), 204),
        ("rename", "POST", "/containers/web/rename?name=n", ("rename", "web", "n"), 204),
        ("resize", "POST", "/containers/web/resize?h=3&w=4", ("resize", "web", 3, 4), 200),
        ("remove", "DELETE", "/containers/web?force=true&v=1", ("remove", "web", ("force", True), ("volumes", True)), 204),
        ("resize_exec", "POST", "/exec/e/resize?h=3&w=4", ("resize_exec", "e", 3, 4), 200),
        ("remove_network", "DELETE", "/networks/bad%20name", ("remove_network", "bad name"), 204),
        ("remove_volume", "DELETE", "/volumes/data?force=1", ("remove_volume", "data", True), 204),
        ("tag", "POST", "/images/a/b:1/tag?repo=r&tag=2", ("tag", "a/b:1", "r:2"), 201),
        ("save", "GET", "/images/get?names=a&names=b", ("save", "a", "b"), 200),
        ("save", "GET", "/images/library/a/get", ("save", "library/a"), 200),
    ],
)
def test_verbs(run, verb, method, target, call, status):
    async def scenario(client: Client) -> None:
        assert (await client.ask(method, f"/v1.50{target}")).status == status
        assert call in client.engine.calls

    run(scenario)


@pytest.mark.parametrize(
    "target", ["/containers/web/resize?h=x&w=1", "/containers/web/resize", "/containers/web/stop?t=x", "/containers/web/stop?t=99999999999"]
)
def test_numbers_that_are_none(run, target):
    async def scenario(client: Client) -> None:
        reply = await client.ask("POST", target)
        assert reply.status == 400
        assert "\n" not in reply.json["message"]

    run(scenario)


def test_create(run):
    async def scenario(client: Client) -> None:
        body = {
            "Image": "busybox",
            "Cmd": "true",
            "Tty": None,
            "HostConfig": {
                "NetworkMode": "app",
                "MemorySwappiness": -1,
                "PidsLimit": 0,
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81/tcp": None},
            },
            "NetworkingConfig": {
                "EndpointsConfig": {
                    "app": {
                        "IPAMConfig": {"IPv4Address": "172.18.0.7", "IPv6Address": ""},
                        "Aliases": ["a"],
                        "MacAddress": "0A-0b-0C-00-00-01",
                        "DriverOpts": None,
                        "DNSNames": ["ignored"],
                    }
                }
            },
        }
        reply = await client.ask("POST", "/v1.50/containers/create?name=n&platform=linux/amd64", body)
        assert (reply.status, reply.json) == (201, {"Id": "f" * 64, "Warnings": ["a warning"]})
        _, config, host, wishes, name, platform = client.engine.calls[-1]
        assert (config.cmd, config.tty, name, platform) == (("true",), False, ("name", "n"), ("platform", "linux/amd64"))
        assert (host.memory_swappiness, host.pids_limit, host.port_bindings["81/tcp"]) == (None, None, (HostPort(),))
        ((network, wish),) = wishes
        assert (network, wish.ipv4, wish.mac, wish.aliases) == ("app", ip_address("172.18.0.7"), "0a:0b:0c:00:00:01", ("a",))
        assert (wish.has_ipam, wish.has_aliases, wish.has_driver_options) == (True, True, False)

    run(scenario)


def endpoints(**settings) -> dict:
    return {"Image": "x", "NetworkingConfig": {"EndpointsConfig": {"app": settings or None}}}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "invalid JSON: got EOF while reading request body"),
        (b"null", "config cannot be empty in order to create a container"),
        (b"[]", "invalid JSON: the body: expected object"),
        (b"{} {}", "unexpected content after JSON"),
        (b'{"Image": 1}', "invalid JSON: Image: expected str, got int"),
        (b'{"Image": "x", "HostConfig": 7}', "invalid JSON: HostConfig: expected object"),
        (b'{"HostConfig": {"Memory": "1"}}', "invalid JSON: HostConfig.Memory: expected int, got str"),
        (b'{"HostConfig": {"Memory": 99999999999999999999}}', "invalid JSON: the number 99999999999999999999 does not fit 64 bits"),
        (b'{"Cmd": [1]}', "invalid JSON: Cmd[0]: expected str, got int"),
        (json.dumps(endpoints()).encode(), "invalid config for network app: EndpointsConfig is nil"),
        (json.dumps(endpoints(IPAMConfig={"IPv4Address": "x"})).encode(), 'invalid JSON: ParseAddr("x"): unable to parse IP'),
        (
            json.dumps(endpoints(IPAMConfig={"IPv4Address": "fd00::1"})).encode(),
            "invalid config for network app: invalid endpoint settings:\ninvalid IPv4 address: fd00::1",
        ),
        (json.dumps(endpoints(MacAddress="zz")).encode(), "invalid JSON: address zz: invalid MAC address"),
    ],
)
def test_bodies_that_are_refused(run, body, sentence):
    async def scenario(client: Client) -> None:
        reply = await client.ask("POST", "/containers/create", body=body, headers={"Content-Type": "application/json"})
        assert (reply.status, reply.json["message"]) == (400, sentence)

    run(scenario)


def test_json_that_is_not_said_to_be(run):
    async def scenario(client: Client) -> None:
        reply = await client.ask("POST", "/networks/create", body=b"{}", headers={"Content-Type": "text/plain"})
        assert (reply.status, reply.json["message"]) == (400, "unsupported Content-Type header (text/plain): must be 'application/json'")
        nested = b"[" * 100_000 + b"]" * 100_000
        for body in (nested, b'{"Labels": {"a": ' + nested + b"}}", b'"\xff"', b'{"Name": "\\ud800"}'):
            reply = await client.ask("POST", "/networks/create", body=body, headers={"Content-Type": "application/json"})
            assert reply.status == 400
            assert reply.json["message"].startswith("invalid JSON")

    run(scenario)


def test_networks(run):
    async def scenario(client: Client) -> None:
        names = [n["Name"] for n in (await client.ask("GET", "/v1.50/networks/")).json]
        assert sorted(names) == ["app", "bridge"]
        dangling = quote(json.dumps({"dangling": ["true"]}))
        assert (await client.ask("GET", f"/networks?filters={dangling}")).json == []
        for filters, sentence in (
            ({"nosuch": ["1"]}, "invalid filter 'nosuch'"),
            ({"dangling": ["x"]}, 'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'),
            ({"dangling": ["1", "0"]}, 'got more than one value for filter key "dangling"'),
            ({"type": ["x"]}, "invalid filter: 'type'='x'"),
            ({"name": 5}, "invalid filter"),
            ({"name": [5]}, "invalid filter"),
            ({"name": {"app": 5}}, "invalid filter"),
            (["name"], "invalid filter"),
        ):
            reply = await client.ask("GET", f"/networks?filters={quote(json.dumps(filters))}")
            assert (reply.status, reply.json["message"]) == (400, sentence)
        for malformed in ("{", "x", " ", '{"name": ["app"],}', '{"name": ["app"]} x'):
            reply = await client.ask("GET", f"/networks?filters={quote(malformed)}")
            assert (reply.status, reply.json["message"]) == (400, "invalid filter") and reply.json["hint"]
        for empty in ("null", "{}", '{"name": null}', '{"name": []}'):
            assert len((await client.ask("GET", f"/networks?filters={quote(empty)}")).json) == 2
        said = (await client.ask("GET", "/networks/app?verbose=x")).json["message"]
        assert said == 'invalid value for verbose: x: strconv.ParseBool: parsing "x": invalid syntax'
        app = (await client.ask("GET", "/v1.50/networks/app")).json
        assert list(app)[:4] == ["Name", "Id", "Created", "Scope"]
        assert app["IPAM"] == {
            "Driver": "default",
            "Options": {},
            "Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1", "AuxiliaryAddresses": {"a": "172.18.0.9"}}],
        }
        assert app["Containers"] == {
            WEB: {"Name": "web", "EndpointID": "2" * 64, "MacAddress": "3e:7c:95:f9:c3:04", "IPv4Address": "172.18.0.2/16", "IPv6Address": ""}
        }
        assert "Status" not in app
        assert app["SanbashiCreated"] == ["db"] and "SanbashiStopped" not in app  # of one that never ran there is its name to tell
        db = client.engine.find_container("db")
        ran = msgspec.structs.replace(db, state=ContainerState(status="exited", started_at=STARTED), last_addresses=((APP, "172.18.0.3/16", ""),))
        client.engine.state = client.engine.state.with_container(ran)
        app = (await client.ask("GET", "/v1.50/networks/app")).json
        assert app["SanbashiStopped"] == {DB: {"Name": "db", "Status": "exited", "LastIPv4Address": "172.18.0.3/16"}}
        assert "SanbashiCreated" not in app
        new = (await client.ask("GET", "/v1.52/networks/app")).json
        assert new["Status"] == {"IPAM": {"Subnets": {"172.18.0.0/16": {"IPsInUse": 5, "DynamicIPsAvailable": 65531}}}}
        assert (await client.ask("GET", "/networks/nosuch")).json == {"message": "network nosuch not found"}
        ambiguous = Invalid("network a is ambiguous (2 matches found based on ID prefix)")
        client.engine.networking.find = lambda ref: (_ for _ in ()).throw(ambiguous)
        assert (await client.ask("GET", "/networks/a")).json == {"message": "2 matches found based on ID prefix: network a is ambiguous"}
        reply = await client.ask("POST", "/networks/app/connect", {"Container": "db", "EndpointConfig": {"Aliases": []}})
        assert reply.status == 200
        call = client.engine.calls[-1]
        assert call[:3] == ("connect", "app", "db")
        assert call[3].has_aliases
        await client.ask("POST", "/networks/app/disconnect", {"Container": "db", "Force": True})
        assert client.engine.calls[-1] == ("disconnect", "app", "db", True)
        assert (await client.ask("POST", "/networks/prune")).json == {"NetworksDeleted": ["old"]}

    run(scenario)


def test_create_network(run):
    async def scenario(client: Client) -> None:
        async def create(**body) -> object:
            reply = await client.ask("POST", "/networks/create", {"Name": "n", **body})
            return client.engine.calls[-1][1] if reply.status == 201 else reply.json["message"]

        request = await create(
            CheckDuplicate=True,
            EnableIPv6=None,
            IPAM={
                "Driver": "",
                "Options": {},
                "Config": [{"Subnet": "10.0.0.0/8", "IPRange": "", "Gateway": "10.0.0.9", "AuxiliaryAddresses": {"a": "10.0.0.1"}}],
            },
            ConfigFrom={"Network": ""},
        )
        assert isinstance(request, NetworkRequest)
        assert (request.driver, request.enable_ipv6, request.ipam_options) == ("bridge", None, {})
        assert request.subnets[0].auxiliary == {"a": ip_address("10.0.0.1")}
        (written,) = (await create(IPAM={"Config": [{"Subnet": "10.0.0.1/8", "IPRange": "10.1.1.1/16"}]})).subnets  # refused by the command
        assert (str(written.subnet), written.subnet_word, str(written.ip_range), written.range_word) == (
            "10.0.0.0/8", "10.0.0.1/8", "10.1.0.0/16", "10.1.1.1/16",
        )  # fmt: skip
        assert (await create(EnableIPv4=False)).enable_ipv4 is False
        await client.ask("POST", "/v1.47/networks/create", {"Name": "n", "EnableIPv4": False})
        assert client.engine.calls[-1][1].enable_ipv4 is None  # the field came with 1.48
        assert await create(IPAM={"Config": [{"Subnet": "x"}]}) == "invalid JSON: netip.ParsePrefix(\"x\"): no '/'"
        assert await create(IPAM={"Config": [{"Gateway": "x"}]}) == 'invalid JSON: ParseAddr("x"): unable to parse IP'
        assert await create(IPAM=[]) == "invalid JSON: IPAM: expected object, got array"

    run(scenario)


def test_images(run):
    async def scenario(client: Client) -> None:
        (image,) = (await client.ask("GET", "/v1.50/images/json")).json
        assert (image["RepoTags"], image["Created"], "VirtualSize" in image) == (["httpd:2.4"], 1795455960, False)
        assert "VirtualSize" in (await client.ask("GET", "/v1.43/images/json")).json[0]
        assert (await client.ask("GET", "/v1.50/images/httpd:2.4/json")).json["Config"] == {"Cmd": ["sh"]}
        assert (await client.ask("GET", "/v1.40/images/httpd:2.4/json")).json["Config"]["Hostname"] == ""
        for version in ("1.38", "1.56"):
            assert "Volumes" in (await client.ask("GET", f"/v{version}/images/httpd:2.4/json")).json["ContainerConfig"]
        assert (await client.ask("GET", "/images/nosuch/json")).json == {"message": "No such image: nosuch:latest"}
        pulled = await client.ask("POST", "/images/create?fromImage=httpd&tag=2.4", headers={"X-Registry-Auth": "eyJ1c2VybmFtZSI6ICJtZSJ9"})
        assert json.loads(pulled.body.partition(b"\r\n")[0])["status"] == "Pulling from library/httpd"
        assert ("pull", "httpd:2.4", ("all_tags", False), ("auth", {"username": "me"}), ("platform", "")) in client.engine.calls
        client.engine.images.late = Unauthorized("late", hint="h")
        pulled = await client.ask("POST", "/images/create?fromImage=httpd&tag=sha256:ab")
        assert pulled.status == 200
        assert json.loads(pulled.body.split(b"\r\n")[-2]) == {"errorDetail": {"message": "late"}, "error": "late", "hint": "h"}
        client.engine.images.failure = Unauthorized("pull access denied")
        assert (await client.ask("POST", "/images/create?fromImage=httpd")).status == 401
        assert (await client.ask("POST", "/images/create")).status == 400
        assert (await client.ask("POST", "/images/create?fromImage=x", headers={"X-Registry-Auth": "!"})).status == 400
        assert (await client.ask("POST", "/images/load", body=bytes(1000))).json == {"stream": "1000 bytes\n"}
        saved = await client.ask("GET", "/images/get?names=x")
        assert (len(saved.body), saved.headers["content-type"]) == (300_000, "application/x-tar")
        assert (await client.ask("GET", "/images/get")).status == 400
        assert (await client.ask("DELETE", "/images/httpd:2.4")).status == 409

    run(scenario)


def test_logs(run):
    async def scenario(client: Client) -> None:
        reply = await client.ask("GET", "/v1.42/containers/web/logs?stdout=1&stderr=1&tail=5&since=1795455960.5")
        assert reply.headers["content-type"] == "application/vnd.docker.multiplexed-stream"
        assert reply.body == b"\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n"
        assert ("since", "2026-11-23T17:46:00.500000000Z") in client.engine.calls[-1]
        assert ("tail", 5) in client.engine.calls[-1]
        reply = await client.ask("GET", "/v1.41/containers/db/logs?stdout=1&timestamps=1&tail=all")
        assert reply.headers["content-type"] == "application/vnd.docker.raw-stream"
        assert reply.body.startswith(b"2026-11-23T17:46:01Z out\n")
        assert (await client.ask("GET", "/containers/web/logs")).json["message"] == "must specify at least one of 'stdout' or 'stderr'"
        assert (await client.ask("GET", "/containers/nosuch/logs?stdout=1")).status == 404
        client.engine.fails["logs"] = NotSupported("configured logging driver does not support reading")
        assert (await client.ask("GET", "/containers/web/logs?stdout=1&follow=1")).status == 501

    run(scenario)


def test_volumes(run):
    async def scenario(client: Client) -> None:
        data = {
            "CreatedAt": "2026-11-23T17:46:00Z",
            "Driver": "local",
            "Labels": None,
            "Mountpoint": "/v/data/_data",
            "Name": "data",
            "Options": None,
            "Scope": "local",
        }
        assert (await client.ask("GET", "/volumes")).json == {"Volumes": [data], "Warnings": None}
        assert (await client.ask("GET", "/volumes/data")).json == data
        assert (await client.ask("GET", "/volumes/nosuch")).json == {"message": "get nosuch: no such volume"}
        assert (await client.ask("POST", "/volumes/create", {"Name": "v"})).status == 201
        assert client.engine.calls[-1] == ("create_volume", "v", "local", {}, {}, ("anonymous", False))
        assert (await client.ask("POST", "/volumes/create", {"ClusterVolumeSpec": {}})).status == 503
        assert (await client.ask("POST", "/volumes/prune")).json == {"VolumesDeleted": None, "SpaceReclaimed": 0}
        only_anonymous = client.engine.calls[-1][1]
        assert not only_anonymous(client.engine.state.volumes["data"])
        for target in ("/v1.41/volumes/prune", "/volumes/prune?filters=" + quote('{"all":["1"]}')):
            await client.ask("POST", target)
            assert client.engine.calls[-1][1](client.engine.state.volumes["data"])

    run(scenario)


def test_what_is_not_there_is_said_in_one_sentence(run):
    async def scenario(client: Client) -> None:
        for method, target in (
            ("GET", "/containers/web/checkpoints"),
            ("POST", "/build?remote=https://example.com/x.git"),
            ("POST", "/build?version=2"),
            ("POST", "/grpc"),
            ("POST", "/session"),
            ("POST", "/swarm/init"),
        ):
            reply = await client.ask(method, f"/v1.50{target}")
            assert reply.status == 501
            assert "\n" not in reply.json["message"]
        for target in ("/swarm", "/services", "/nodes/x", "/tasks", "/secrets", "/configs/a"):
            reply = await client.ask("GET", target)
            assert (reply.status, reply.json["message"][:40]) == (503, 'This node is not a swarm manager. Use "d')
        assert (await client.ask("GET", "/plugins")).json == []
        assert (await client.ask("GET", "/plugins/x/json")).json == {"message": 'plugin "x" not found'}

    run(scenario)


def test_disk_usage_and_prunes(run):
    async def scenario(client: Client) -> None:
        used = (await client.ask("GET", "/system/df")).json
        assert used["LayersSize"] == 1000
        assert used["Volumes"][0]["UsageData"] == {"RefCount": 0, "Size": 4}
        assert used["BuildCache"][0] == {
            "ID": "c" * 64,
            "Parents": ["b" * 64],
            "Type": "regular",
            "Description": "RUN x",
            "InUse": False,
            "Shared": False,
            "Size": 7,
            "CreatedAt": "1970-01-01T00:00:01.000000001Z",
            "LastUsedAt": None,
            "UsageCount": 0,
        }
        assert used["BuildCache"][1]["Parents"] is None
        assert used["BuildCacheUsage"] == {"ActiveCount": 1, "TotalCount": 2, "Reclaimable": 7, "TotalSize": 9}
        old = (await client.ask("GET", "/v1.41/system/df")).json
        assert [record["Parent"] for record in old["BuildCache"]] == ["b" * 64, ""] and "BuildCacheUsage" not in old
        verbose = (await client.ask("GET", "/v1.53/system/df?verbose=1&type=build-cache")).json
        assert list(verbose) == ["BuildCacheUsage"] and len(verbose["BuildCacheUsage"]["Items"]) == 2
        until = quote(json.dumps({"until": ["2026-11-23T17:45:00Z"], "label!": ["x"]}))
        assert (await client.ask("POST", f"/containers/prune?filters={until}")).json == {"ContainersDeleted": ["x"], "SpaceReclaimed": 5}
        matches = client.engine.calls[-1][1]
        state = client.engine.state
        assert [matches(state.containers[i]) for i in (WEB, DB)] == [False, True]
        assert CREATED > "2026-11-23T17:45"
        bad = quote(json.dumps({"until": ["soon"]}))
        assert (await client.ask("POST", f"/networks/prune?filters={bad}")).status == 400

    run(scenario)
