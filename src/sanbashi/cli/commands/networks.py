"""network ls, create, connect, disconnect, rm."""

from sanbashi.cli.client import filters_text, named
from sanbashi.cli.command import FORMAT_TABLE, Call, Command
from sanbashi.cli.failure import DaemonError, Failure
from sanbashi.cli.output import err, out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def ls(call: Call) -> None:
    """The networks by name."""
    networks = call.daemon.get("/networks", filters=filters_text(call.given.values.get("filter", {}))) or []
    if len(networks) > 1:
        from sanbashi.cli.units import natural_key

        networks.sort(key=lambda network: natural_key(network["Name"]))
    form = call.given.text("format")
    if not form and not call.given.on("quiet"):
        from sanbashi.cli.settings import setting

        form = setting("networksFormat")
    quiet = call.given.on("quiet")
    if form in ("", "table"):
        form = "{{.ID}}" if quiet else "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"
    elif form == "raw":
        form = "network_id: {{.ID}}" if quiet else "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"
    from sanbashi.cli.networkrows import HEADINGS, NetworkRow
    from sanbashi.cli.table import render

    out(render(form, [NetworkRow(network, not call.given.on("no-trunc")) for network in networks], HEADINGS))


def create(call: Call) -> None:
    """Creates a network and prints its id."""
    from sanbashi.cli.network_request import ipam_of

    given = call.given
    options = given.pairs("opt")
    if routes := given.many("route"):
        options["io.sanbashi.routes"] = ",".join(map(route_of, routes))
    if given.on("no-default-route"):
        options["io.sanbashi.no_default_route"] = "true"
    body: dict[str, Any] = {
        "Name": call.args[0],
        "Driver": given.text("driver", "bridge"),
        "Scope": given.text("scope"),
        "IPAM": ipam_of(given),
        "Internal": given.on("internal"),
        "Attachable": given.on("attachable"),
        "Ingress": given.on("ingress"),
        "ConfigOnly": given.on("config-only"),
        "ConfigFrom": {"Network": given.text("config-from")} if given.text("config-from") else None,
        "Options": options,
        "Labels": given.pairs("label"),
    }
    for family in ("4", "6"):
        if given.changed(f"ipv{family}"):
            body[f"EnableIPv{family}"] = given.on(f"ipv{family}")
    answer = call.daemon.post("/networks/create", body)
    if answer.get("Warning"):
        err(f"WARNING: {answer['Warning']}\n")
    out(answer["Id"] + "\n")


def route_of(text: str) -> str:
    """10.9.0.0/16=10.5.0.2, or with " via ", as the daemon reads it."""
    destination, equals, gateway = text.partition("=")
    if not equals and " via " not in text:
        raise Failure(f"invalid route {text!r}: it should be of the form 10.9.0.0/16=10.5.0.2")
    return f"{destination.strip()} via {gateway.strip()}" if equals else text


def connect(call: Call) -> None:
    """Connects a container."""
    given = call.given
    options: dict[str, str] = {}
    for option in given.many("driver-opt"):
        key, equals, value = option.partition("=")
        if not equals or not key.strip():
            raise Failure("invalid key/value pair format in driver options")
        options[key.strip()] = value.strip()
    addresses = {
        "IPv4Address": given.text("ip"),
        "IPv6Address": given.text("ip6"),
        "LinkLocalIPs": given.many("link-local-ip"),
    }
    endpoint = {
        "IPAMConfig": {key: value for key, value in addresses.items() if value},
        "Links": given.many("link") or None,
        "Aliases": given.many("alias"),
        "DriverOpts": options,
        "GwPriority": given.number("gw-priority"),
    }
    network, container = named("network", call.args[0]), call.args[1].strip()
    named("container", container)
    call.daemon.post(f"/networks/{network}/connect", {"Container": container, "EndpointConfig": endpoint})


def disconnect(call: Call) -> None:
    """Disconnects a container."""
    network, container = named("network", call.args[0]), call.args[1].strip()
    named("container", container)
    call.daemon.post(f"/networks/{network}/disconnect", {"Container": container, "Force": call.given.on("force")})


# What one flag of `network update` sets.
SETTINGS = {
    "gateway-mode-ipv4": "com.docker.network.bridge.gateway_mode_ipv4",
    "gateway-mode-ipv6": "com.docker.network.bridge.gateway_mode_ipv6",
    "host-input": "io.sanbashi.host_input",
    "icc": "com.docker.network.bridge.enable_icc",
    "masquerade": "com.docker.network.bridge.enable_ip_masquerade",
    "mtu": "com.docker.network.driver.mtu",
}


def update(call: Call) -> None:
    """Changes a network; what no flag names stays as it is."""
    given = call.given
    labels: dict[str, str | None] = {**given.pairs("label"), **dict.fromkeys(given.many("label-rm"))}
    options: dict[str, str | None] = {**given.pairs("opt"), **dict.fromkeys(given.many("opt-rm"))}
    options |= {key: given.text(flag) for flag, key in SETTINGS.items() if given.changed(flag)}
    body: dict[str, Any] = {"Labels": labels, "Options": options}
    if given.changed("dns"):
        body["DNS"] = [each for each in given.many("dns") if each]
    answer = call.daemon.post(f"/sanbashi/networks/{named('network', call.args[0])}/update", body)
    for warning in answer.get("Warnings") or []:
        err(f"WARNING: {warning}\n")
    out(call.args[0] + "\n")


def rm(call: Call) -> None:
    """Removes networks one after the other; failures are printed as they come."""
    failed = False
    for name in call.args:
        try:
            call.daemon.request("DELETE", f"/networks/{named('network', name)}").read()
        except Failure as problem:
            if call.given.on("force") and isinstance(problem, DaemonError) and problem.code == 404:
                continue
            err(problem.text() + "\n")
            failed = True
            continue
        out(name + "\n")
    if failed:
        raise Failure("exit status 1")


def _label(text: str) -> str:
    from sanbashi.cli.values import label

    return label(text)


def _link(text: str) -> str:
    from sanbashi.cli.values import link

    return link(text)


COMMANDS = {
    "ls": Command(
        "[OPTIONS]",
        ls,
        flags=f"""
-f, --filter filter  Provide filter values (e.g. "driver=bridge")
    --format string  {FORMAT_TABLE}
    --no-trunc  Do not truncate the output
-q, --quiet  Only display network IDs
""",
        most=0,
        aliases="network ls, network list",
    ),
    "create": Command(
        "[OPTIONS] NETWORK",
        create,
        flags="""
    --attachable  Enable manual container attachment
    --aux-address map  Auxiliary IPv4 or IPv6 addresses used by Network driver (default map[])
    --config-from string  The network from which to copy the configuration
    --config-only  Create a configuration only network
-d, --driver string  Driver to manage the Network (default "bridge")
    --gateway strings  IPv4 or IPv6 Gateway for the master subnet
    --ingress  Create swarm routing-mesh network
    --internal  Restrict external access to the network
    --ip-range strings  Allocate container ip from a sub-range
    --ipam-driver string  IP Address Management Driver (default "default")
    --ipam-opt map  Set IPAM driver specific options (default map[])
    --ipv4  Enable or disable IPv4 address assignment (default true)
    --ipv6  Enable or disable IPv6 address assignment
    --label list  Set metadata on a network
    --no-default-route  Give containers no default route by this network
-o, --opt map  Set driver specific options (default map[])
    --route list  Route that containers on this network get (e.g. 10.9.0.0/16=10.5.0.2)
    --scope string  Control the network's scope
    --subnet strings  Subnet in CIDR format that represents a network segment
""",
        least=1,
        most=1,
        readers={"label": _label},
    ),
    "connect": Command(
        "[OPTIONS] NETWORK CONTAINER",
        connect,
        flags="""
    --alias strings  Add network-scoped alias for the container
    --driver-opt strings  driver options for the network
    --gw-priority int  Highest gw-priority provides the default gateway. Accepts positive and negative values.
    --ip string  IPv4 address (e.g., "172.30.100.104")
    --ip6 string  IPv6 address (e.g., "2001:db8::33")
    --link list  Add link to another container
    --link-local-ip strings  Add a link-local address for the container
""",
        least=2,
        most=2,
        readers={"link": _link},
    ),
    "disconnect": Command(
        "[OPTIONS] NETWORK CONTAINER",
        disconnect,
        flags="-f, --force  Force the container to disconnect from a network",
        least=2,
        most=2,
    ),
    "update": Command(
        "[OPTIONS] NETWORK",
        update,
        flags="""
    --dns strings  Name servers for the containers on it ("" for the host's own)
    --gateway-mode-ipv4 string  "nat", "nat-unprotected" or "routed"
    --gateway-mode-ipv6 string  "nat", "nat-unprotected" or "routed"
    --host-input string  Whether published ports pass the host's own input policy ("true" or "false")
    --icc string  Whether its containers may talk to each other ("true" or "false")
    --label list  Set metadata on a network
    --label-rm list  Take a label away
    --masquerade string  Whether what leaves bears the host's address ("true" or "false")
    --mtu string  Largest packet, in bytes
-o, --opt map  Set driver specific options (default map[])
    --opt-rm list  Take a driver specific option away
""",
        least=1,
        most=1,
        readers={"label": _label},
    ),
    "rm": Command(
        "NETWORK [NETWORK...]",
        rm,
        flags="-f, --force  Do not error if the network does not exist",
        least=1,
        aliases="network rm, network remove",
    ),
}
