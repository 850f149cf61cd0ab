"""The resolver of one sandbox: its sockets, and the way of a question from them to a reply.

The hot path are two dictionaries from a question's bytes to its reply, one for names of ours and one for kept answers of others; only the id
is patched.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import socket
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from sanbashi.network.picture import Resolver
from sanbashi.resolver import wire
from sanbashi.resolver.answer import answer
from sanbashi.resolver.forhost import is_for_host
from sanbashi.resolver.names import Directory, View
from sanbashi.resolver.prepared import Prepared, Scope
from sanbashi.resolver.upstreams import Upstreams

from .asking import Asked, Asking, Group
from .conversation import Conversation
from .hostservers import HostServers
from .loop import READ, Loop
from .streams import NO_ROOM

if TYPE_CHECKING:
    from .exchange import Exchange

BATCH = 32  # datagrams taken from one sandbox before the others have their turn
FEW = 2  # of them that are taken one by one; where more wait they are taken all at once
BUFFER = 4096  # the longest question that we read; a longer one is malformed for us
MAX_READY = 4096  # ready answers of one view
MAX_CONVERSATIONS = 64  # TCP connections of one sandbox; the oldest makes room

Ready = dict[bytes, Iterator[bytes]]
shuffle: Callable[[list[bytes]], None] = random.Random(int.from_bytes(os.urandom(8), "big")).shuffle


class Answering:
    """What all resolvers share: the names, the servers of others, and the ready answers of each view."""

    def __init__(self, loop: Loop, asking: Asking, host: HostServers) -> None:
        self.loop, self.asking, self.host = loop, asking, host
        self.directory = Directory()
        self.prepared = Prepared()
        self.host_is_told = False  # the host itself can ask us for the names of all networks
        self._ready: dict[View, Ready] = {}
        self._views: dict[str, dict[View, int]] = {}  # network -> views that see it -> how many sandboxes have them

    @cached_property
    def exchange(self) -> Exchange:
        """Room for many questions at once."""
        from .exchange import Exchange  # only who is asked much needs it, and ctypes costs 1 MB

        return Exchange()

    def open(self, view: View) -> Ready:
        """The ready answers of a view; to be given back with `close`."""
        for network in view.networks:
            users = self._views.setdefault(network, {})
            users[view] = users.get(view, 0) + 1
        return self._ready.setdefault(view, {}) if view.networks else {}

    def close(self, view: View) -> None:
        for network in view.networks:
            users = self._views[network]
            users[view] -= 1
            if not users[view]:
                del users[view]
                self._ready.pop(view, None)
            if not users:
                del self._views[network]

    def changed(self, network: str) -> None:
        """The names of a network are others now: what was ready for those who see it is not."""
        for view in self._views.get(network, ()):
            self._ready[view].clear()
        # A name of ours wins over what others say of it, and a name of any network is not asked of servers that may ask us.
        self.prepared.clear()

    def tell_host(self, told: bool) -> None:
        """The host can ask us from now on, or not."""
        self.host_is_told = told
        self.prepared.clear()


class Served:
    """A sandbox's resolver. `namespace` is a descriptor of its network namespace, where it has servers of its own."""

    def __init__(self, shared: Answering, item: Resolver, udp: socket.socket, tcp: socket.socket, namespace: int | None) -> None:
        self._shared, self._loop = shared, shared.loop
        self._udp, self._tcp, self._namespace = udp, tcp, namespace
        self._conversations: dict[Conversation, None] = {}
        self.item = item
        self._view = View.of(item)
        self._ready = shared.open(self._view)
        self._prepared: Scope = {}
        self._group = self._own_group()
        udp.setblocking(False)
        tcp.setblocking(False)
        self._receive_from, self._send_to = udp.recvfrom, udp.sendto
        self._few = FEW if udp.family == socket.AF_INET else BATCH
        self._loop.watch(udp.fileno(), READ, self.receive)
        self._loop.watch(tcp.fileno(), READ, self._accept)

    def _own_group(self) -> Group | None:
        return Group(self.item.sandbox, Upstreams(self.item.upstreams), self._namespace) if self.item.upstreams else None

    def change(self, item: Resolver, namespace: int | None) -> None:
        """Go on as another item says, on the same sockets: a question is lost only if its servers are no longer to be asked."""
        before, self.item = self.item, item
        self._shared.prepared.drop(self._prepared)
        if namespace is not None or item.upstreams != before.upstreams:
            self._leave()
            if namespace is not None:
                self._close_namespace()
                self._namespace = namespace
            self._group = self._own_group()
        view = View.of(item)
        ready = self._shared.open(view)
        self._shared.close(self._view)
        self._view, self._ready = view, ready

    def receive(self, events: int) -> None:
        """Answer what has come over UDP."""
        receive_from, send_to, ready, prepared, now = self._receive_from, self._send_to, self._ready, self._prepared, self._loop.now
        try:
            for _ in range(self._few):
                data, client = receive_from(BUFFER)
                asked = data[2:]
                if (replies := ready.get(asked)) is not None:
                    send_to(data[:2] + next(replies), client)
                elif (reply := prepared.get(asked)) is not None and now() < reply[0]:
                    send_to(data[:2] + reply[1], client)
                else:
                    self._consider(data, client)
        except OSError:  # nothing more; or the reply found no room or no way, and the client asks again
            return
        if self._few == FEW:
            self._receive_many()

    def _receive_many(self) -> None:
        """The same for as many as wait, at half the cost of each."""
        exchange, descriptor = self._shared.exchange, self._udp.fileno()
        ready, prepared, now = self._ready, self._prepared, self._loop.now()
        begin = 0
        questions = exchange.receive(descriptor)
        for index, asked in enumerate(questions):
            if (replies := ready.get(asked)) is not None:
                rest = next(replies)
            elif (kept := prepared.get(asked)) is not None and now < kept[0]:
                rest = kept[1]
            else:
                rest = b""
            if not rest or not exchange.answer(index, rest):
                exchange.send(descriptor, begin, index)
                begin = index + 1
                self._consider(exchange.whole(index), exchange.client(index))
        exchange.send(descriptor, begin, len(questions))

    def _consider(self, data: bytes, client: tuple[str, int]) -> None:
        """Answer what was not ready."""

        def reply(whole: bytes) -> None:
            try:
                self._send_to(whole, client)
            except OSError:
                return  # no room, or the sandbox is gone

        try:
            question = wire.read_question(data)
        except wire.Unanswerable as no:
            if no.rcode is not None:
                reply(wire.refusal(data, no.rcode))
            return
        tails = self._own(data, question, question.size)
        if tails is None:
            self._ask(data, question, question.size, False, reply)
            return
        replies = itertools.cycle(tails)
        if question.plain and self._view.networks:
            if len(self._ready) >= MAX_READY:
                self._ready.clear()
            self._ready[data[2:]] = replies
        reply(data[:2] + next(replies))

    def consider(self, data: bytes, reply: Callable[[bytes], None]) -> None:
        """Answer a question that came over TCP; `reply` is called once, now or later."""
        try:
            question = wire.read_question(data)
        except wire.Unanswerable as no:
            reply(wire.refusal(data, no.rcode) if no.rcode is not None else b"")
            return
        tails = self._own(data, question, wire.LARGEST)
        if tails is None:
            self._ask(data, question, wire.LARGEST, True, reply)
        else:
            reply(data[:2] + tails[0])

    def _own(self, data: bytes, question: wire.Question, size: int) -> tuple[bytes, ...] | None:
        return answer(data, question, self._view, self._shared.directory, size=size, shuffle=shuffle)

    def _ask(self, data: bytes, question: wire.Question, size: int, stream: bool, reply: Callable[[bytes], None]) -> None:
        group, until = self._group, math.inf
        if group is None and self.item.forward and self.item.follow_host:
            group = self._shared.host.group()
            until = self._shared.host.until
            # The host's servers may ask us, who would tell them what this sandbox is not to see.
            if self._shared.host_is_told and is_for_host(question, self._shared.directory):
                reply(wire.refusal(data, wire.NXDOMAIN, question.end))
                return
        if group is None or not group.upstreams.servers:
            reply(wire.refusal(data, wire.SERVFAIL, question.end))
            return
        if (kept := self._shared.asking.kept(group, data, question, size)) is not None:
            reply(kept.reply)
            if question.plain and not stream:
                self._shared.prepared.put(self._prepared, data[2:], kept.reply[2:], min(kept.until, until))
            return
        self._shared.asking.ask(group, Asked(self.item.sandbox, data, question, size, stream, reply))

    def _accept(self, events: int) -> None:
        try:
            client, _ = self._tcp.accept()
        except OSError as error:
            if error.errno in NO_ROOM and self._conversations:
                next(iter(self._conversations)).close()
            return
        client.setblocking(False)
        if len(self._conversations) >= MAX_CONVERSATIONS:
            next(iter(self._conversations)).close()
        self._conversations[Conversation(self._loop, self, client)] = None

    def ended(self, conversation: Conversation) -> None:
        self._conversations.pop(conversation, None)

    def _leave(self) -> None:
        """Let go of questions under way and of answers kept for this sandbox alone."""
        self._shared.asking.leave(self.item.sandbox)
        self._shared.prepared.drop(self._prepared)
        if self._group:
            self._shared.asking.cache.forget(self._group.key)

    def _close_namespace(self) -> None:
        if self._namespace is not None:
            os.close(self._namespace)
            self._namespace = None

    def close(self) -> None:
        self._leave()
        for conversation in list(self._conversations):
            conversation.close()
        for listener in (self._udp, self._tcp):
            self._loop.forget(listener.fileno())
            listener.close()
        self._close_namespace()
        self._shared.close(self._view)
