"""What the engine says of its containers, held against the kernel: read with ip, nft and /proc, never with the engine's own code."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from tests.harness import Engine


def audit(engine: Engine) -> list[str]:
    """Every sentence is something wrong: a container's part that is missing, or a part that belongs to no container."""
    where = engine.machine
    wrong: list[str] = []
    listed = engine.call("GET", "/containers/json?all=1")[1]
    inspected = [engine.call("GET", f"/containers/{c['Id']}/json")[1] for c in listed]
    running = [c for c in inspected if c["State"]["Running"]]
    networks = [engine.call("GET", f"/networks/{n['Id']}")[1] for n in engine.call("GET", "/networks")[1]]
    links = {link["ifname"]: link for link in json.loads(where.run(["ip", "-j", "-d", "link"]).stdout)}

    bridges = {bridge_of(n) for n in networks if n["Driver"] == "bridge"}
    there = {name for name, link in links.items() if link.get("linkinfo", {}).get("info_kind") == "bridge"}
    wrong += [f"bridge {name} is missing" for name in bridges - there]
    wrong += [f"bridge {name} belongs to no network" for name in there - bridges]

    endpoints = 0
    pinned = set()
    for container in running:
        name = container["Name"]
        if not (where.path("/proc") / str(container["State"]["Pid"])).exists():
            wrong.append(f"{name} is said to run, and its process {container['State']['Pid']} does not")
            continue
        if container["HostConfig"]["NetworkMode"].startswith(("host", "container:")):
            continue
        pinned.add(container["Id"])
        inside = json.loads(where.run(["nsenter", "--target", str(container["State"]["Pid"]), "--net", "ip", "-j", "addr"]).stdout)
        has = {f"{a['local']}/{a['prefixlen']}" for link in inside for a in link["addr_info"] if a["family"] == "inet" and link["ifname"] != "lo"}
        wanted = set()
        for endpoint in container["NetworkSettings"]["Networks"].values():
            if endpoint["IPAddress"]:
                wanted.add(f"{endpoint['IPAddress']}/{endpoint['IPPrefixLen']}")
                endpoints += 1
        if has != wanted:
            wrong.append(f"{name} should have {sorted(wanted)} and has {sorted(has)}")
    veths = {name for name, link in links.items() if link.get("linkinfo", {}).get("info_kind") == "veth" and name != "eth0"}
    if len(veths) != endpoints:
        labels = sorted(f"{name} ({links[name].get('ifalias', '')}, {links[name]['operstate']})" for name in veths)
        wrong.append(f"{len(veths)} pairs of interfaces for {endpoints} endpoints: {labels}")

    mounts = [line.split() for line in where.path("/proc/1/mountinfo").read_text().splitlines()]
    roots = [m[4] for m in mounts if " - overlay " in " ".join(m)]
    for container in running:
        if not any(container["Id"] in root for root in roots):
            wrong.append(f"{container['Name']} runs without a root file system")
    wrong += [f"mount {root} belongs to no running container" for root in roots if not any(c["Id"] in root for c in running)]
    spaces = [m[4] for m in mounts if m[3].startswith("net:")]
    if len(spaces) != len(pinned):
        wrong.append(f"{len(spaces)} pinned namespaces for {len(pinned)} containers")

    monitors = [line for line in where.processes().values() if re.match(r"\S*conmon ", line)]
    for line in monitors:
        if "exec" not in line and not any(c["Id"] in line for c in running):
            wrong.append(f"a monitor without a container: {line[:160]}")

    wanted_ports = {
        (binding["HostPort"], port.split("/")[1])
        for container in running
        for port, bindings in (container["NetworkSettings"]["Ports"] or {}).items()
        for binding in bindings or []
    }
    held = {(str(port), protocol) for port, protocol in published(engine)}
    wrong += [f"port {p} is published by nobody" for p in held - wanted_ports]
    wrong += [f"port {p} is not in the table" for p in wanted_ports - held]
    return wrong


def settled(engine: Engine, patience: float = 15) -> list[str]:
    """What is still wrong when the engine has had some seconds to finish what it began."""
    deadline = time.monotonic() + patience
    while (wrong := audit(engine)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return wrong


def bridge_of(network: dict[str, Any]) -> str:
    """The name of a network's interface on the host."""
    options = network.get("Options") or {}
    return str(options.get("com.docker.network.bridge.name") or f"br-{network['Id'][:12]}")


def published(engine: Engine) -> set[tuple[int, str]]:
    """(port, protocol) of every element of the maps of published ports."""
    table = json.loads(engine.machine.run(["nft", "-j", "list", "table", "inet", "sanbashi"]).stdout)["nftables"]
    found = set()
    for entry in table:
        named = entry.get("map", {})
        if named.get("name", "").startswith("published"):
            for key, _ in named.get("elem", []):
                parts = key["concat"]
                found.add((int(parts[-1]), str(parts[-2])))
    return found
