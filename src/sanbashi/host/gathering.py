"""The steps of one change, gathered by kind, and how a failure is told by the name of its step."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar, cast

from ..errors import StepFailed
from ..network.model import IPAddress
from ..network.picture import (
    Bridge,
    Forwarder,
    HeldPort,
    HostResolver,
    Item,
    Leasing,
    Names,
    Namespace,
    Parent,
    Picture,
    Resolver,
    Sublink,
    Veth,
    Zone,
)
from ..network.plan import Add, Remove, claim
from ..records import dataclass
from . import conntrack, nft
from .announcing import Announcer
from .counts import Counts
from .crash import crash_point
from .guard import Guard
from .namespaces import Namespaces, inside
from .netlink import ROUTE, Message, Netlink, Refusal
from .sweeping import Sweeper

BRIDGE_PORTS = 1023  # BR_MAX_PORTS - 1, net/bridge/br_private.h

KEPT = (Zone, Names, Resolver, HostResolver, HeldPort, Forwarder, Leasing)  # what the keeper holds
GONE = frozenset({errno.ENODEV, errno.ESRCH, errno.ENOENT, errno.EADDRNOTAVAIL, errno.ENXIO})
THERE = frozenset({errno.EEXIST})
T = TypeVar("T")


class Keeper(Protocol):
    """The daemon's end of the keeper, as far as a change needs it."""

    def change(self, remove: Sequence[Item], add: Sequence[Item], *, namespaces: Callable[[str], Path] | None = None) -> tuple[Item, ...]: ...

    def changing(
        self, remove: Sequence[Item], add: Sequence[Item], *, namespaces: Callable[[str], Path] | None = None
    ) -> AbstractContextManager[Callable[[], tuple[Item, ...]]]: ...

    def items(self) -> Picture: ...


class BridgeFull(StepFailed):
    """A bridge without room for another endpoint; `link` is the endpoint's."""

    def __init__(self, link: Veth) -> None:
        words = f"adding interface {link.name} to bridge {link.master} failed: exchange full"
        super().__init__(
            words, errno=errno.EXFULL, stderr="Exchange full", hint=f"the kernel gives a bridge {BRIDGE_PORTS} ports: use another network"
        )
        self.message = words
        self.link = link


class NoBridge(StepFailed):
    """A link of the name that a bridge is to have is something else."""

    def __init__(self, name: str, kind: str) -> None:
        words = f"existing interface {name} is not a bridge"
        super().__init__(words, errno=errno.EEXIST, stderr="File exists", hint=f"{name} is {kind or 'a device'}: choose another name")
        self.message = words


@dataclass
class Hands:
    """What a change works with; all of it may be used by several threads at a time."""

    namespaces: Namespaces
    keeper: Keeper
    nft: nft.Nft
    conntrack: conntrack.Conntrack
    sweeper: Sweeper
    counts: Counts
    ipv6: bool
    guard: Guard
    announcer: Announcer
    falling: set[str]  # links and neighbours that we ourselves take down or delete: whoever watches has nothing to mend there


Work = tuple[Item, Message, frozenset[int]]  # what it is for, the message, the errors that mean it is so already


@dataclass
class Gathering:
    """Items to add and to remove, flows to forget, and addresses that go, of which those they began are."""

    hands: Hands
    add: Sequence[Item]
    remove: Sequence[Item]
    flows: Collection[conntrack.Flows] = ()
    left: Collection[IPAddress] = ()
    replaced: Mapping[tuple[object, ...], Item] = field(default_factory=dict)  # names and resolvers that change in place, as they were, by key
    fresh: list[tuple[Bridge, bytes]] = field(default_factory=list)  # bridges just made that have no link-local address yet
    resting: list[nft.Nft] = field(default_factory=list)  # contexts opened in a container's namespace, to be closed from here
    stand: tuple[Item, ...] = ()  # what the keeper keeps of it, resolvers with their ports
    opened: ExitStack = field(default_factory=ExitStack)  # for as long as it is carried out
    sockets: dict[str, Netlink] = field(default_factory=dict)  # by sandbox

    def __post_init__(self) -> None:
        # Hundreds of published ports are hundreds of items of three kinds: gathered once, and each phase sees its own kinds alone.
        self.coming, self.going = by_kind(self.add), by_kind(self.remove)
        # What goes with its link or namespace needs no message of its own.
        self.doomed = {i.name for i in self.removed(Veth)} | {i.name for i in self.removed(Bridge) if not i.adopted}
        self.doomed |= {i.name for i in self.removed(Parent)}
        self.doomed_inside = {(i.namespace, i.peer) for i in self.removed(Veth)} | {(i.namespace, i.name) for i in self.removed(Sublink)}
        self.doomed_namespaces = {i.sandbox for i in self.removed(Namespace)}

    def adding(self, kind: type[T]) -> list[T]:
        return cast(list[T], self.coming.get(kind, []))

    def removing(self, kind: type[T]) -> list[T]:
        """What goes, and what is replaced."""
        return cast(list[T], self.going.get(kind, []))

    def removed(self, kind: type[T]) -> list[T]:
        """What goes for good: not what is replaced."""
        return [i for i in self.removing(kind) if cast(Item, i).key not in self.added]

    @cached_property
    def added(self) -> set[tuple[object, ...]]:
        """The keys of what is added."""
        return {i.key for i in self.add}

    @cached_property
    def claims(self) -> set[tuple[object, ...]]:
        """What the host ports that are added cannot share."""
        return {claim(i) for i in self.add if isinstance(i, HeldPort | Forwarder)}

    @cached_property
    def host(self) -> Netlink:
        """A socket for all that is sent in the host's namespace; to be asked for first from there."""
        return self.opened.enter_context(Netlink(ROUTE, self.hands.counts))

    def within(self, sandbox: str, *, entered: bool = False) -> Netlink:
        """A socket of a sandbox's namespace, which it is in whatever its thread enters later; `entered`: the thread is there. OSError."""
        if sandbox not in self.sockets:
            with nullcontext() if entered else inside(self.hands.namespaces.path(sandbox)):
                self.sockets[sandbox] = self.opened.enter_context(Netlink(ROUTE, self.hands.counts))
        return self.sockets[sandbox]

    def fail(self, item: Item, code: int, words: str, hint: str = "") -> StepFailed:
        return StepFailed(self.step_of(item), errno=code, stderr=words, hint=hint)

    def step_of(self, item: Item) -> str:
        """How the step of an item describes itself; said only where one has failed."""
        if item.key in self.added:
            return str(Add(item))
        return str(Remove(item)) if any(item.key == i.key for i in self.remove) else str(item)

    @contextmanager
    def step(self, item: Item, *fine: int) -> Iterator[None]:
        """An OSError in here is the failure of this item's step, but for those errors that mean it is so already."""
        try:
            yield
        except OSError as error:
            if error.errno not in fine:
                raise self.fail(item, error.errno or 0, error.strerror or str(error)) from error

    def send(self, netlink: Netlink, work: Sequence[Work]) -> None:
        """Send a batch; the first refusal that matters is raised."""
        if work:
            for (item, _, fine), refused in zip(work, netlink.send([m for _, m, _ in work]), strict=True):
                self.judge(item, refused, fine)
            crash_point(work[-1][0])

    def judge(self, item: Item, refused: Refusal | None, fine: frozenset[int] = frozenset()) -> None:
        if refused is not None and refused.errno not in fine:
            if refused.errno == errno.EXFULL and isinstance(item, Veth):
                raise BridgeFull(item)
            raise self.fail(item, refused.errno, str(refused))

    def index(self, item: Item, link: str) -> int:
        """The index of a link in the namespace of this thread."""
        with self.step(item):
            return socket.if_nametoindex(link)
        raise AssertionError


def by_kind(items: Iterable[Item]) -> dict[type, list[Item]]:
    """Items by their type, in order."""
    found: dict[type, list[Item]] = {}
    for item in items:
        found.setdefault(type(item), []).append(item)
    return found


def place(item: Item) -> str:
    """The sandbox whose namespace an item is in, "" for the host's."""
    if isinstance(item, Resolver):
        return item.sandbox
    # A lease is the keeper's alone: nothing of it is looked for in the namespace.
    return str(getattr(item, "namespace", ""))


def exists(link: str) -> bool:
    """Whether the namespace of this thread has a link of this name."""
    try:
        return bool(socket.if_nametoindex(link))
    except OSError:
        return False
