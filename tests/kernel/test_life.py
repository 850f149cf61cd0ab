"""What comes and goes while others talk: ports that move, networks joined and left, names, a stop that leaves nothing."""

from __future__ import annotations

import socket
import struct

import pytest
from tests.kernel.chain import an_id
from tests.kernel.town import Question, Town, refused
from tests.kernel.world import NB4, NB6, UP4, UP6

pytestmark = pytest.mark.root


def name_asked(server: tuple[str, int], name: str, protocol: str = "udp") -> str:
    """The address that a resolver gives for a name, or what went wrong."""
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
    data = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + question
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(server)
            client.sendall(data if protocol == "udp" else struct.pack("!H", len(data)) + data)
            reply = client.recv(2000)
        except OSError as error:
            return str(error)
    reply = reply if protocol == "udp" else reply[2:]
    return socket.inet_ntoa(reply[-4:]) if struct.unpack("!H", reply[6:8])[0] else f"rcode {reply[3] & 15}"


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


def test_an_isolated_host_address(town: Town) -> None:
    """Not even at the bridge's MAC; an internal network's container reaches its own gateway's address in the same way."""
    bridges = {n.name: n.bridge for n in town.chain.state.networks.values()}
    for name, network, gateway in (("s1", "iso", "10.81.4.200"), ("i1", "int", "10.81.3.1")):
        mac = town.world.host.sh(f"ip -br link show {bridges[network]}").split()[2]
        neighbour, route = f"{gateway} lladdr {mac} dev eth0 nud permanent", f"default via {gateway} dev eth0 onlink"
        town.world.places[name].sh(f"ip neigh replace {neighbour} && ip route replace {route}")
    assert town.world.ask("s1", "udp", UP4, 7000) == "no answer"
    assert town.world.ask("i1", "udp", "10.81.3.1", 7000) == f"host {town.four('i1')}"
    assert town.world.ask("i1", "udp", UP4, 7000) == "no answer"
