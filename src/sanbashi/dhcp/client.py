"""A DHCP client as a state machine: what has happened, when it is to be woken, and what is to be done; the clock and chance are arguments.

RFC 2131 section 4.4, from INIT to REBINDING; a lease that was kept is taken up where it stands, so that a new keeper asks nobody before it must.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Literal

from ..network.lease import Lease
from ..records import dataclass
from . import wire
from .deeds import Bound, Deed, Lost, Probe, Refused, Send
from .frames import Arp
from .wire import Malformed, Message

Phase = Literal["selecting", "requesting", "probing", "bound", "renewing", "rebinding"]
NEVER = float("inf")
SLOWEST = 64.0  # seconds between two questions, RFC 2131 4.1
REQUESTS = 4  # unanswered, until another offer is looked for
REST = 60.0  # seconds, at the least, between two renewals that nobody answers; less where the lease is short
RELUCTANT = 2.0  # seconds until a refused client asks anew: two servers that contradict each other would else be asked without end
WEARY = 10.0  # the same from the second address on that somebody else was found to have, RFC 2131 3.1
PROBES = 2  # questions whether somebody has the address already; RFC 5227 wants three and seven seconds, a start is not to take so long
PROBE_WAIT = 0.1  # seconds for an answer to each; on one network segment it takes a thousandth
LEAST_RETRY = 1.0  # seconds between two renewals, however short the lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who asks and for what. `ask`: the address that it had or wants; `insist`: no other will do."""

    hardware: bytes
    client_id: bytes
    hostname: str = ""
    ask: IPv4Address | None = None
    insist: bool = False
    link_mtu: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Where a client stands. `due`: when it is to be woken; `begun`: since when it asks; `offer`: what it has requested, and then probes.

    `declined`: addresses in a row that somebody else has.
    """

    wish: Wish
    phase: Phase = "selecting"
    due: float = NEVER
    xid: int = 0
    begun: float = 0.0
    tries: int = 0
    declined: int = 0
    offer: Lease | None = None
    lease: Lease | None = None


Turn = tuple[Client, tuple[Deed, ...]]


def begin(wish: Wish, now: float, chance: float, lease: Lease | None = None) -> Turn:
    """A client that looks for a server, or goes on with a lease that it had. `chance` is from 0 up to 1, here and below."""
    if lease is None:
        return discover(Client(wish=wish), now, chance)
    client = Client(wish=wish, phase="bound", lease=lease, due=moment(lease, lease.renew))
    if lease.ends and now >= moment(lease, lease.ends):
        return lose(client, "it ended while nobody could renew it", now, chance)
    return client, ()


def wake(client: Client, now: float, chance: float) -> Turn:
    """The time that the client was to be woken at has come."""
    if now < client.due:
        return client, ()
    if client.phase == "selecting":
        return discover(client, now, chance, tries=client.tries)
    if client.phase == "requesting":
        if client.tries >= REQUESTS:
            return discover(client, now, chance)
        return request(client, now, chance)
    if client.phase == "probing":
        return probe(client, now)
    return renew(client, now, chance)


def hear(client: Client, message: Message, sender: str, now: float, chance: float) -> Turn:
    """A message has come; one that is not for us, or makes no sense now, changes nothing. `sender`: the MAC address that it came from."""
    if not message.reply or message.xid != client.xid or message.hardware != client.wish.hardware:
        return client, ()
    if client.phase in ("probing", "bound"):
        return client, ()
    if message.kind == wire.NAK and client.phase != "selecting":
        return denied(client, message, now, chance)
    if message.kind != (wire.OFFER if client.phase == "selecting" else wire.ACK):
        return client, ()
    held = client.offer or client.lease
    if held is not None and wire.SERVER not in message.options:
        message = replace(message, options={**message.options, wire.SERVER: held.server.packed})
    try:
        lease = wire.lease_in(message, client.begun if client.phase != "selecting" else now, sender, link_mtu=client.wish.link_mtu)
    except Malformed:
        return client, ()
    if client.wish.insist and lease.address.ip != client.wish.ask:
        refused = Refused(lease.address.ip)
        if client.phase in ("renewing", "rebinding"):
            after, deeds = lose(client, f"the server gives {lease.address.ip} in its place", now, chance)
            return after, (*deeds, refused)
        return client, (refused,)
    if client.phase == "selecting":
        return request(replace(client, offer=lease, tries=0), now, chance)
    if client.phase == "requesting":
        return probe(replace(client, phase="probing", offer=lease, tries=0), now)
    return hold(client, lease)


def hear_arp(client: Client, said: Arp, now: float) -> Turn:
    """Somebody has spoken of an address: of the one that is being probed, as its holder or as another who probes it (RFC 5227 2.1.1)."""
    if client.phase != "probing" or client.offer is None or said.hardware == client.wish.hardware:
        return client, ()
    address = client.offer.address.ip
    if said.sender != address and not (said.sender == wire.NOWHERE and said.target == address):
        return client, ()
    message = Message(
        kind=wire.DECLINE,
        xid=client.xid,
        hardware=client.wish.hardware,
        options={wire.ADDRESS: address.packed, wire.SERVER: client.offer.server.packed, wire.CLIENT: client.wish.client_id},
    )
    wish = client.wish if client.wish.insist or client.wish.ask != address else replace(client.wish, ask=None)
    rest = WEARY if client.declined else RELUCTANT
    client = replace(client, wish=wish, phase="selecting", offer=None, tries=0, declined=client.declined + 1, due=now + rest)
    return client, (Send(wire.write(message)), Refused(address, f"{said.hardware.hex(':')} has that address"))


def release(client: Client, chance: float) -> tuple[Deed, ...]:
    """What gives the lease back; nothing where there is none."""
    lease = client.lease or (client.offer if client.phase == "probing" else None)
    if lease is None:
        return ()
    message = Message(
        kind=wire.RELEASE,
        xid=number(chance),
        hardware=client.wish.hardware,
        client=lease.address.ip,
        options={wire.SERVER: lease.server.packed, wire.CLIENT: client.wish.client_id},
    )
    return (Send(wire.write(message), lease.address.ip, lease.server, lease.server_mac),)


# -- the ways on


def discover(client: Client, now: float, chance: float, *, tries: int = 0) -> Turn:
    """Ask whoever is there for an address."""
    first = client.phase != "selecting" or not tries
    client = replace(
        client, phase="selecting", offer=None, xid=number(chance) if first else client.xid, begun=now if first else client.begun,
        tries=tries + 1, due=now + pause(tries, chance),
    )  # fmt: skip
    options = asking(client.wish)
    last = client.wish.ask
    if last is not None:
        options = {wire.ADDRESS: last.packed, **options}
    return client, (Send(write(client, wire.DISCOVER, now, options)),)


def request(client: Client, now: float, chance: float) -> Turn:
    """Take what was offered."""
    assert client.offer is not None
    offer = client.offer
    # The lease runs from when it was asked for, so that we never believe in it longer than the server.
    client = replace(client, phase="requesting", begun=now, tries=client.tries + 1, due=now + pause(client.tries, chance))
    options = {wire.ADDRESS: offer.address.ip.packed, wire.SERVER: offer.server.packed, **asking(client.wish)}
    return client, (Send(write(client, wire.REQUEST, now, options)),)


def probe(client: Client, now: float) -> Turn:
    """Ask whether somebody has the address already; the lease is ours when nobody has answered."""
    assert client.offer is not None
    if client.tries >= PROBES:
        return hold(client, client.offer)
    return replace(client, tries=client.tries + 1, due=now + PROBE_WAIT), (Probe(client.offer.address.ip),)


def hold(client: Client, lease: Lease) -> Turn:
    """The lease is ours, new or renewed."""
    return replace(client, phase="bound", lease=lease, offer=None, tries=0, declined=0, due=moment(lease, lease.renew)), (Bound(lease),)


def renew(client: Client, now: float, chance: float) -> Turn:
    """Ask for more time: the server that gave the lease, from the second time on whoever is there; lost when there is none left."""
    lease = client.lease
    assert lease is not None
    ends, rebind = moment(lease, lease.ends), moment(lease, lease.rebind)
    if now >= ends:
        return lose(client, "no server renewed it", now, chance)
    rebinding = now >= rebind
    until = ends if rebinding else rebind
    due = min(until, now + max((until - now) / 2, LEAST_RETRY, min(REST, lease.ends / 16)))
    client = replace(client, phase="rebinding" if rebinding else "renewing", xid=number(chance), begun=now, offer=None, due=due)
    message = write(client, wire.REQUEST, now, asking(client.wish), lease.address.ip)
    if rebinding:
        return client, (Send(message, lease.address.ip),)
    return client, (Send(message, lease.address.ip, lease.server, lease.server_mac),)


def denied(client: Client, message: Message, now: float, chance: float) -> Turn:
    """A server says that the address is not ours. While renewing only the one that gave it can know."""
    said = wire.one_address(message.options.get(wire.SERVER))
    if client.lease is not None and client.phase in ("renewing", "rebinding"):
        if client.phase == "renewing" and said not in (None, client.lease.server):
            return client, ()
        return lose(client, f"the server {said or client.lease.server} took it back", now, chance)
    if client.offer is not None and said not in (None, client.offer.server):
        return client, ()
    return replace(client, phase="selecting", offer=None, tries=0, due=now + RELUCTANT), ()


def lose(client: Client, reason: str, now: float, chance: float) -> Turn:
    """The lease is over; a new one is looked for."""
    after, deeds = discover(replace(client, lease=None, phase="bound"), now, chance)
    return after, (Lost(reason), *deeds)


# -- words


def asking(wish: Wish) -> Mapping[int, bytes]:
    """What every question of ours carries."""
    hostname = wish.hostname.encode("ascii", "ignore")[:63]
    return {
        wire.CLIENT: wish.client_id,
        wire.LARGEST: wire.LARGEST_REPLY.to_bytes(2, "big"),
        **({wire.HOSTNAME: hostname} if hostname else {}),
        wire.PARAMETERS: bytes(wire.WISHED),
    }


def write(client: Client, kind: int, now: float, options: Mapping[int, bytes], have: IPv4Address = wire.NOWHERE) -> bytes:
    return wire.write(
        Message(
            kind=kind,
            xid=client.xid,
            hardware=client.wish.hardware,
            seconds=max(0, int(now - client.begun)),
            client=have,
            options=options,
        )
    )


def moment(lease: Lease, after: float) -> float:
    """A lease's time on the clock; never, where it lasts for ever."""
    return lease.begun + after if lease.ends else NEVER


def pause(tries: int, chance: float) -> float:
    """1, 2, 4, ... seconds, a tenth more or less, so that a rack that comes up does not speak with one voice."""
    return min(2.0**tries, SLOWEST) * (0.9 + 0.2 * chance)


def number(chance: float) -> int:
    return int(chance * 2**32) & 0xFFFFFFFF
