"""What comes and goes while others talk: ports that move, networks joined and left, names, a stop that leaves nothing."""

from __future__ import annotations

import socket
import struct

import pytest
from tests.kernel.chain import an_id
from tests.kernel.town import Question, Town, refused
from tests.kernel.world import ANSWERED, NB4, NB6, UP4, UP6

pytestmark = pytest.mark.root
ARRIVES = 0.3  # seconds in which a datagram that passes has long passed


def name_asked(server: tuple[str, int], name: str, protocol: str = "udp") -> str:
    """The address that a resolver gives for a name, or what went wrong."""
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
    data = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + question
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM) as client:
        client.settimeout(ANSWERED)
        try:
            client.connect(server)
            client.sendall(data if protocol == "udp" else struct.pack("!H", len(data)) + data)
            reply = client.recv(2000)
        except OSError as error:
            return str(error)
    reply = reply if protocol == "udp" else reply[2:]
    return socket.inet_ntoa(reply[-4:]) if struct.unpack("!H", reply[6:8])[0] else f"rcode {reply[3] & 15}"


def say(address: str, port: int, words: str) -> None:
    """A datagram that asks for no answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(words.encode(), (address, port))


def test_an_old_udp_flow_follows_the_port(town: Town) -> None:
    """Without forgetting, the client's flow would stay with the container that is gone, or with the host it began with."""
    chain, client = town.chain, ("", 5555)
    assert town.world.ask("neighbour", "udp", UP4, 8100, source=client) == "refused"
    town.add("moving1", "web", ports=("8100:80/udp",))
    assert town.world.ask("neighbour", "udp", UP4, 8100, source=client) == f"moving1 {NB4}"
    assert town.world.ask("neighbour", "udp", UP6, 8100, source=client) == f"moving1 {NB6}"
    chain.stop("moving1")
    town.add("moving2", "data", ports=("8100:80/udp",))
    assert town.world.ask("neighbour", "udp", UP4, 8100, source=client) == f"moving2 {NB4}"
    assert town.world.ask("neighbour", "udp", UP6, 8100, source=client) == f"moving2 {NB6}"
    chain.stop("moving2")
    assert town.world.ask("neighbour", "udp", UP4, 8100, source=client) == "refused"


def test_a_published_port_is_held_against_others(town: Town) -> None:
    town.add("holder", "web", ports=("8101:80",))

    def bind() -> str:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("0.0.0.0", 8101))
            except OSError as error:
                return str(error.strerror)
        return "free"

    assert town.world.inside("host", bind) == "Address already in use"
    town.chain.stop("holder")
    assert town.world.inside("host", bind) == "free"
    assert town.mistakes(refused(("neighbour", "tcp", UP4, 8101), "neighbour", "tcp", UP4, 8080, f"w1 {NB4}")) == []


def test_connect_and_disconnect(town: Town) -> None:
    """A second network opens what only it opens, takes the published port along with the gateway, and leaves nothing when it is left."""
    town.add("guest", "web", ports=("8102:80",))
    before = town.chain.everything()
    stranger = refused(("guest", "tcp", town.four("d1"), 80), "guest", "tcp", town.four("w2"), 80, f"w2 {town.four('guest')}")
    assert town.mistakes(stranger) == []
    inside = town.world.places["guest"]
    inside.sh("nft add rule ip sanbashi dns counter comment '\"mark\"'")
    town.chain.connect("data", "guest")
    assert "mark" in inside.sh("nft list table ip sanbashi"), "the way to the resolver stands already, and is not loaded again"
    assert town.world.inside("guest", lambda: name_asked(("127.0.0.11", 53), "d1", "udp")) == town.four("d1")
    guest = town.four("guest", "data")
    assert (
        town.mistakes(
            Question("guest", "tcp", town.four("d1"), 80, f"d1 {guest}"),
            Question("d1", "tcp", guest, 80, f"guest {town.four('d1')}"),
            Question("guest", "tcp", town.four("w2"), 80, f"w2 {town.four('guest', 'web')}"),
            Question("guest", "tcp", NB4, 80, f"neighbour {UP4}"),
            Question("neighbour", "tcp", UP4, 8102, f"guest {NB4}"),
            Question("w2", "tcp", UP4, 8102, "guest 10.81.2.1"),
        )
        == []
    )
    town.chain.disconnect("data", "guest")
    assert (
        town.mistakes(
            stranger,
            Question("neighbour", "tcp", UP4, 8102, f"guest {NB4}"),
            Question("guest", "tcp", NB6, 80, f"neighbour {UP6}"),
        )
        == []
    )
    assert town.chain.everything() == before
    assert town.kernel.observe(None, like=before) == before
    town.chain.stop("guest")


def test_names_beside_a_server_of_the_containers_own(town: Town) -> None:
    """127.0.0.11:53 is the resolver's, every other address and port 53 the container's own server's; no flow of it is tracked."""
    town.add("named", "web", listening=False)
    place = town.world.places["named"]
    place.do(town.world.servers.listen, "own", (53,), (socket.AF_INET,))
    for protocol in ("udp", "tcp"):
        answer = town.world.inside("named", lambda protocol=protocol: name_asked(("127.0.0.11", 53), "w1", protocol))  # type: ignore[misc]
        assert answer == town.four("w1")
        assert town.world.ask("named", protocol, "127.0.0.1", 53) == "own 127.0.0.1"
    assert "127.0.0.11" not in place.sh("conntrack -L 2>/dev/null", check=False)
    town.chain.stop("named")


def test_what_stands_is_what_the_state_says_and_a_stop_leaves_nothing(town: Town) -> None:
    before = town.chain.everything()
    assert town.kernel.observe(None, like=before) == before
    town.add("brief", "web", "data", ports=("8103:80", "8103:80/udp", "127.0.0.1:8104:80"), listening=False)
    with_it = town.chain.everything()
    assert town.kernel.observe(None, like=with_it) == with_it
    town.world.places.pop("brief").end()
    town.chain.stop("brief")
    assert town.kernel.observe(None, like=before) == before
    assert an_id("sandbox brief")[:12] not in town.world.host.sh(f"ls {town.world.root}/netns")


def test_routes_of_a_containers_own_lead_nowhere(town: Town) -> None:
    """Out of internal and isolated networks by the bridge's MAC address. With the networks' elements gone all of it passes, so the test can fail."""
    host, bridges = town.world.places["host"], {n.name: n.bridge for n in town.chain.state.networks.values()}
    for name, network, gateways in (("s1", "iso", ("10.81.4.200", "fd81:4::c8")), ("i1", "int", ("10.81.3.1", "fd81:3::1"))):
        mac = host.sh(f"ip -br link show {bridges[network]}").split()[2]
        for gateway in gateways:
            neighbour, family = f"{gateway} lladdr {mac} dev eth0 nud permanent", "-6" if ":" in gateway else "-4"
            town.world.places[name].sh(f"ip neigh replace {neighbour} && ip {family} route replace default via {gateway} dev eth0 onlink")
    four, six, true4, true6 = town.four("i1"), town.six("i1"), town.four("w2"), town.six("w2")
    beyond = {(NB4, 80): f"neighbour {four}", (NB6, 80): f"neighbour {six}", (UP4, 7000): f"host {four}", (UP6, 7000): f"host {six}"}
    seen = {NB4: f"neighbour {UP4}", NB6: f"neighbour {UP6}", UP4: f"host {true4}", UP6: f"host {true6}"}

    def heard(token: str, others: float) -> dict[str, bool]:
        """Whose datagrams to the host arrive; an isolated network's container could not be answered."""
        for who in ("s1", "i1", "w2"):
            town.world.inside(who, lambda who=who: say(UP4, 7000, f"{token} {who}"))  # type: ignore[misc]
        # The last of them always arrives, and as soon as it has the others had their time too.
        return {who: town.world.servers.arrived("host", f"{token} {who}", wait) for who, wait in (("w2", ANSWERED), ("s1", others), ("i1", others))}

    assert town.world.ask("i1", "tcp", "10.81.3.1", 7000) == f"host {four}"
    assert town.mistakes(*(refused(("i1", "tcp", *to), "w2", "tcp", *to, seen[to[0]]) for to in beyond)) == []
    assert heard("closed", ARRIVES) == {"s1": False, "i1": False, "w2": True}
    policies = {"int": "goto host_from_internal", "iso": "drop"}
    elements = [f"inet sanbashi {name} {{ {bridges[network]} }}" for network in policies for name in ("leaving", "to_host")]
    host.sh("nft '" + "; ".join(f"delete element {element}" for element in elements) + "'")
    opened = [f"inet sanbashi outward {{ {bridges[network]} }}" for network in policies]
    try:
        # As for a packet that is under way when the tables go: their maps are out of use before their sets.
        assert town.mistakes(*(refused(("i1", "tcp", *to), "w2", "tcp", *to, seen[to[0]]) for to in beyond)) == []
        assert heard("left", ARRIVES) == {"s1": False, "i1": False, "w2": True}
        host.sh("nft '" + "; ".join(f"add element {element}" for element in opened) + "'")
        assert town.mistakes(*(Question("i1", "tcp", *to, right) for to, right in beyond.items())) == []
        assert heard("opened", ANSWERED) == {"s1": True, "i1": True, "w2": True}
        host.sh("nft '" + "; ".join(f"delete element {element}" for element in opened) + "'")
    finally:
        for network, policy in policies.items():
            host.sh(f"nft 'add element inet sanbashi leaving {{ {bridges[network]} : drop }}'")
            host.sh(f"nft 'add element inet sanbashi to_host {{ {bridges[network]} : {policy} }}'")
        for name in ("s1", "i1"):
            town.world.places[name].sh("ip -4 route del default; ip -6 route del default; ip neigh flush nud permanent dev eth0")
