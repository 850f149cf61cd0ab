"""Frames made by hand: addresses of others, loopback addresses over a wire. Each beside the same frame told truly."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from tests.kernel.town import Town
from tests.kernel.world import ANSWERED, UP4, UP6, advert6, arp_reply, eventually, send_frame, udp4, udp6

pytestmark = pytest.mark.root
ARRIVES = 0.3  # seconds in which a frame that passes has long passed, once one that was sent after it has come
LIES, TRUTHS = ("four", "mac", "six", "lease4", "lease6"), ("own4", "own6")
IP, IP6, ARP = 0x0800, 0x86DD, 0x0806


def mac(town: Town, name: str) -> str:
    return town.chain.endpoint(name, "web").mac


def send(town: Town, who: str, to: str, by: str, kind: int, payload: bytes) -> None:
    town.world.inside(who, lambda: send_frame("eth0", to, by, kind, payload))


def spoof(town: Town, token: str, patience: float) -> dict[str, bool]:
    """What of w2's frames to w1 arrives: as w3's IPv4, MAC and IPv6 address, as a DHCP server's of either family, and as its own."""
    w1, w2 = mac(town, "w1"), mac(town, "w2")
    target4, target6 = town.four("w1"), town.six("w1")
    send(town, "w2", w1, w2, IP, udp4(town.four("w3"), target4, 80, token + "four"))
    send(town, "w2", w1, mac(town, "w3"), IP, udp4(town.four("w2"), target4, 80, token + "mac"))
    send(town, "w2", w1, w2, IP6, udp6(town.six("w3"), target6, 80, token + "six"))
    send(town, "w2", w1, w2, IP, udp4(town.four("w2"), target4, 68, token + "lease4", by=67))
    send(town, "w2", w1, w2, IP6, udp6(town.six("w2"), target6, 546, token + "lease6", by=547))
    send(town, "w2", w1, w2, IP, udp4(town.four("w2"), target4, 80, token + "own4"))
    send(town, "w2", w1, w2, IP6, udp6(town.six("w2"), target6, 80, token + "own6"))
    return arrived(town, token, TRUTHS, ANSWERED) | arrived(town, token, LIES, patience)


def arrived(town: Town, token: str, words: Sequence[str], patience: float) -> dict[str, bool]:
    """Which of w1's datagrams have come, or come within the time."""
    return dict(zip(words, town.world.together(*((lambda w=w: town.world.servers.arrived("w1", token + w, patience)) for w in words)), strict=True))


def taken_over(town: Town, patience: float) -> list[str]:
    """Of w3's addresses, those that w1 believes to be at w2 after w2 said so in ARP and ND."""
    w1, w2 = mac(town, "w1"), mac(town, "w2")
    place = town.world.places["w1"]
    place.sh("sysctl -qw net.ipv4.neigh.eth0.locktime=0 net.ipv6.neigh.eth0.locktime=0")
    found = []
    for address in (town.four("w3"), town.six("w3")):
        place.sh(f"ip neigh flush to {address}", check=False)
        assert town.world.ask("w1", "udp", address, 80).startswith("w3")
    lies = (
        (town.four("w3"), ARP, arp_reply(town.four("w3"), w2, w1, town.four("w1"))),
        (town.six("w3"), IP6, advert6(town.six("w2"), town.six("w1"), town.six("w3"), w2)),
    )
    for address, kind, payload in lies:

        def believed(address: str = address, kind: int = kind, payload: bytes = payload) -> bool:
            # Said again and again: an entry confirmed in this very tick is kept even with locktime 0.
            send(town, "w2", w1, w2, kind, payload)
            return w2 in place.sh(f"ip neigh show {address}")

        try:
            eventually(believed, patience)
            found.append(address)
        except AssertionError:
            pass
    return found


def learned(town: Town) -> str:
    """At whose port the bridge believes w3 to be, after w2 told the truth in ARP, but in a frame with w3's MAC address."""
    w1, w2, w3 = mac(town, "w1"), mac(town, "w2"), mac(town, "w3")
    send(town, "w3", w1, w3, ARP, arp_reply(town.four("w3"), w3, w1, town.four("w1")))
    send(town, "w2", w1, w3, ARP, arp_reply(town.four("w2"), w2, w1, town.four("w1")))
    ports = {town.chain.endpoint(name, "web").host_interface: name for name in ("w1", "w2", "w3")}
    known = town.world.host.sh("bridge -j fdb show")
    return next(ports[entry["ifname"]] for entry in json.loads(known) if entry["mac"] == w3 and entry.get("master") and entry["ifname"] in ports)


def test_a_guarded_port_sends_from_its_own_addresses_alone(town: Town) -> None:
    """And with the guard taken away by the endpoint's option all of it succeeds, so the test can fail."""
    town.world.places["w1"].do(town.world.servers.listen, "w1", (68, 546))
    assert spoof(town, "guarded ", ARRIVES) == dict.fromkeys(LIES, False) | dict.fromkeys(TRUTHS, True)
    assert taken_over(town, ARRIVES) == [] and learned(town) == "w3"
    town.chain.unguard("w2")
    assert spoof(town, "unguarded ", ANSWERED) == dict.fromkeys(LIES + TRUTHS, True)
    assert taken_over(town, ANSWERED) == [town.four("w3"), town.six("w3")]
    eventually(lambda: learned(town) == "w2")  # w3 itself may speak in between, and be learned again


def test_loopback_addresses_do_not_come_over_a_wire(town: Town) -> None:
    """Even where the administrator has route_localnet on for the uplink."""
    host, neighbour = town.world.places["host"], town.world.places["neighbour"]
    host.sh("sysctl -qw net.ipv4.conf.up0.route_localnet=1")
    up0 = host.sh("cat /sys/class/net/up0/address 2>/dev/null || ip -br link show up0 | awk '{print $3}'").strip()
    up0 = host.sh("ip -br link show up0").split()[2] if ":" not in up0 else up0
    own = neighbour.sh("ip -br link show eth0").split()[2]
    bridge = host.sh(f"ip -br link show {town.chain.state.networks[town.chain.endpoint('d1').network_id].bridge}").split()[2]
    d1 = town.chain.endpoint("d1")
    send(town, "neighbour", up0, own, IP, udp4("192.0.2.2", "127.0.0.1", 8082, "wire four"))
    send(town, "neighbour", up0, own, IP6, udp6("2001:db8::2", "::1", 8080, "wire six"))
    send(town, "d1", bridge, d1.mac, IP, udp4(town.four("d1"), "127.0.0.1", 8082, "bridge four"))
    send(town, "d1", bridge, d1.mac, IP6, udp6(town.six("d1"), "::1", 8080, "bridge six"))
    send(town, "neighbour", up0, own, IP6, udp6("2001:db8::2", "100::ff00", 8080, "wire lent"))
    send(town, "d1", bridge, d1.mac, IP6, udp6(town.six("d1"), "100::ff00", 8080, "bridge lent"))
    send(town, "neighbour", up0, own, IP, udp4("192.0.2.2", UP4, 8080, "truly four"))
    send(town, "neighbour", up0, own, IP6, udp6("2001:db8::2", UP6, 8080, "truly six"))
    send(town, "d1", bridge, d1.mac, IP, udp4(town.four("d1"), UP4, 8080, "truly bridge"))
    assert all(arrived(town, "truly ", ("four", "six", "bridge"), ANSWERED).values())
    kept_out = [f"{by} {what}" for by in ("wire", "bridge") for what in ("four", "six", "lent")]
    assert not any(arrived(town, "", kept_out, ARRIVES).values())
    host.sh("sysctl -qw net.ipv4.conf.up0.route_localnet=0")
