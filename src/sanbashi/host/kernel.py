"""The kernel's network: `apply` is the one place where it changes, `observe` says what is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path

from ..errors import SanbashiError, StepFailed
from ..network.model import Protocol
from ..network.picture import Element, Item, Picture, Veth, singly
from ..network.plan import Add, Forget, ForgetFrom, Remove, Step, plan
from ..network.ruleset import TABLE
from . import regaining, sysctl
from .announcing import Announcer
from .changing import Change
from .conntrack import Conntrack, Flows
from .counts import Counts
from .facts import HostFacts, filters_bridges, looked_again
from .gathering import Hands, Keeper
from .guard import SETS, Guard
from .namespaces import Namespaces, enter_new, on_thread
from .netlink import ROUTE, Netlink
from .nft import Nft, NftError, fixed_tables
from .observing import Sight
from .settings import not_forwarding, turn_forwarding_on
from .sublinks import missing
from .sweeping import OURS, Sweeper

FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


class Kernel:
    """Network state of the namespace in which the daemon runs, and of the containers' namespaces pinned under EXEC_ROOT/netns.

    Ours are: the tables `sanbashi`, links whose alias begins with sanbashi:, routes, addresses and neighbours of protocol 83. Nothing else
    is ever changed, but for forwarding. Any thread may call; `close` when done.
    """

    def __init__(self, exec_root: Path, keeper: Keeper, facts: HostFacts, *, accepted_mark: tuple[int, int] | None = None) -> None:
        self.counts = Counts()
        self.tables = fixed_tables(accepted_mark)
        self.namespaces = Namespaces(exec_root / "netns")
        self.keeper = keeper
        self.facts = facts
        self.sweeper = Sweeper(self.counts)
        self.announcer = Announcer()
        self.falling: set[str] = set()
        self._tools: tuple[Nft, Conntrack, Guard] | None = None
        self._reference = ""
        self._lock = threading.Lock()

    def namespace(self, sandbox: str) -> Path:
        """The file that pins a sandbox's network namespace."""
        return self.namespaces.path(sandbox)

    @property
    def nft(self) -> Nft:
        """libnftables in the host's namespace."""
        return self.hands.nft

    @property
    def hands(self) -> Hands:
        """What changes work with; the library and the sockets are opened when first needed."""
        with self._lock:
            if self._tools is None:
                self._tools = Nft(self.counts, self.tables), Conntrack(self.counts), Guard(self.counts)
            tables, conntrack, guard = self._tools
            return Hands(
                self.namespaces, self.keeper, tables, conntrack, self.sweeper, self.counts, self.facts.ipv6, guard, self.announcer, self.falling
            )

    @property
    def ports(self) -> frozenset[int]:
        """The netlink ports by which the notifications of our own changes of rules are known."""
        hands = self.hands
        return hands.nft.ports | hands.guard.ports

    def close(self) -> None:
        """Finish what is under way, close the library's context and the sockets; nothing else in the kernel changes."""
        self.sweeper.finish()
        self.announcer.close()
        with self._lock:
            if self._tools is not None:
                for tool in self._tools:
                    tool.close()
                self._tools = None

    def settle(self) -> None:
        """Wait for links of removed containers to be gone; `observe` does so by itself."""
        self.sweeper.settle()

    # -- at start

    def prepare(self) -> tuple[str, ...]:
        """Have the fixed tables, forwarding and the folder of namespaces; a sentence for each thing that was not so. Repeatable."""
        said: list[str] = []
        try:
            self.namespaces.prepare()
            for name in self.namespaces.leftovers():
                self.namespaces.clear(name)
        except OSError as error:
            raise StepFailed(f"folder {self.namespaces.folder}", errno=error.errno or 0, stderr=str(error)) from error
        try:
            said += self.prepare_tables()
            self.hands.guard.follow(self.nft.of_sets(SETS))
        except NftError as error:
            raise StepFailed("load the fixed tables", errno=error.errno, stderr=error.words) from error
        return (*said, *self.prepare_forwarding())

    def prepare_tables(self) -> Iterable[str]:
        """Load the fixed tables where they are absent or differ from what our text makes; elements that stand are kept."""
        there = self.nft.definition()
        if there == on_thread(self.reference):
            return
        elements = tuple(self.nft.all())
        try:
            self.nft.load_tables(elements)
        except NftError:
            # Elements of another version's sets; reconciling puts the right ones in.
            self.nft.load_tables()
        yield "replaced the firewall tables, which differed from ours" if there else "loaded the firewall tables"

    def restore(self, elements: Callable[[], Iterable[Element]]) -> int:
        """Put the fixed tables with all their elements in the place of what somebody made of them, in one transaction; how many elements.

        `elements` is called when no other change of rules is under way, so that nothing that was added meanwhile is lost. StepFailed.
        """
        try:
            found = self.nft.reload(elements)
            self.hands.guard.follow(found)
        except NftError as error:
            raise StepFailed("restore the fixed tables", errno=error.errno, stderr=error.words) from error
        return sum(element.count for element in found)

    def forget_untranslated(self, ports: Iterable[tuple[Protocol, int]]) -> None:
        """Forget flows to these published ports that met the host itself while the tables were gone. StepFailed."""
        try:
            self.hands.conntrack.forget([Flows(protocol, port) for protocol, port in ports])
        except OSError as error:
            raise StepFailed("forget flows that were not translated", errno=error.errno or 0, stderr=str(error)) from error

    def forget_admitted(self) -> None:
        """Have every client of a gated port meet the host's input policy anew: it has changed. StepFailed."""
        try:
            self.nft.forget_admitted()
        except NftError as error:
            raise StepFailed("forget the admitted clients of gated ports", errno=error.errno, stderr=error.words) from error

    def look_again(self, facts: HostFacts) -> HostFacts:
        """The facts with the links, addresses, routes and name servers of now. StepFailed."""
        try:
            return looked_again(facts)
        except OSError as error:
            raise StepFailed("look at the host's links and routes", errno=error.errno or 0, stderr=str(error)) from error

    def filters_bridges(self, version: int) -> bool:
        """Whether bridged packets of a family pass its hooks (br_netfilter). One file is read; it does not block."""
        return filters_bridges(version, self.counts)

    def not_forwarding(self, ours: Container[str]) -> tuple[str, ...]:
        """A sentence for each link of the host's, none of `ours`, that takes no part in forwarding. StepFailed."""
        try:
            return not_forwarding(ours, self.counts)
        except OSError as error:
            raise StepFailed("look at the host's settings", errno=error.errno or 0, stderr=str(error)) from error

    def standing(self) -> dict[str, dict[str, int]]:
        """How many elements each set of our tables has: table -> set -> number; those with none are left out. StepFailed."""
        found: dict[str, dict[str, int]] = {}
        try:
            for element in self.nft.all():
                sets = found.setdefault(f"{element.family} {TABLE}", {})
                sets[element.set] = sets.get(element.set, 0) + 1
        except NftError as error:
            raise StepFailed("count the elements", errno=error.errno, stderr=error.words) from error
        return found

    def reference(self) -> str:
        """What our text looks like once the kernel has it: loaded into a namespace that goes with this thread."""
        enter_new()
        with Nft(Counts(), self.tables) as nft:
            nft.load_tables()
            return nft.definition()

    def fixed_as_ours(self) -> bool:
        """Whether the fixed chains in the kernel are what our text makes, which is found out once. StepFailed."""
        try:
            if not self._reference:
                self._reference = on_thread(self.reference)
            return self.nft.definition() == self._reference
        except NftError as error:
            raise StepFailed("look at the fixed tables", errno=error.errno, stderr=error.words) from error

    def prepare_forwarding(self) -> Iterable[str]:
        """Turn forwarding on. For IPv6 that ends the listening to router advertisements, so uplinks that listened are told to go on."""
        for path in FORWARDING:
            value = sysctl.read(path, self.counts)
            if value is None or value == "1":
                continue
            step = f"sysctl {path}=1"
            try:
                if "ipv6" in path:
                    for link in self.facts.links:
                        here = f"net/ipv6/conf/{link.name}/accept_ra"
                        if sysctl.read(here, self.counts) == "1" and not link.alias.startswith(OURS):
                            sysctl.write(here, "2")
                sysctl.write(path, "1")
            except OSError as error:
                hint = f"let the administrator run: sysctl -w {path.replace('/', '.')}=1"
                raise StepFailed(step, errno=error.errno or 0, stderr=error.strerror or "", hint=hint) from error
            yield f"turned on {path.replace('/', '.')}"

    # -- change and look

    def lacks(self, kinds: Iterable[str]) -> frozenset[str]:
        """Those of these kinds of link (macvlan, ipvlan, vlan, dummy) that the kernel cannot make. StepFailed."""
        try:
            return missing(kinds, self.counts)
        except OSError as error:
            raise StepFailed("ask the kernel for kinds of link", errno=error.errno or 0, stderr=str(error)) from error

    def apply(self, steps: Sequence[Step]) -> tuple[Item, ...]:
        """Carry the steps out, gathered by what does them. What the keeper keeps now, resolvers with their ports.

        StepFailed names the first that failed; what was done before stands, and the caller observes and reconciles. The keeper's own
        failures (a host port that is taken) come as they are.
        """
        change = Change(
            hands=self.hands,
            add=[s.item for s in steps if isinstance(s, Add)],
            remove=[s.item for s in steps if isinstance(s, Remove)],
            flows=[Flows(s.protocol, s.port, s.address) for s in steps if isinstance(s, Forget)],
            left=[s.address for s in steps if isinstance(s, ForgetFrom)],
            replaced={s.item.key: s.was for s in steps if isinstance(s, Add) and s.was is not None},
        )
        change.carry_out()
        return change.stand

    def observe(self, scope: Picture | None, *, like: Picture | None = None) -> Picture:
        """What is there of the keys in `scope`, at the scope's cost; None: everything of ours.

        What a wish leaves open (an MTU of 0, a resolver's port 0) is reported as in the scope, or in `like`; settings, which nothing marks as
        ours, are reported where one of the two names them. StepFailed.
        """
        self.sweeper.settle(None if scope is None else [i.name for i in scope if isinstance(i, Veth)])
        sight = Sight(self.hands, {i.key: i for i in singly(scope or like or ())})
        try:
            return sight.everything() if scope is None else sight.scope()
        except OSError as error:
            raise StepFailed("observe", errno=error.errno or 0, stderr=str(error)) from error
        except NftError as error:
            raise StepFailed("observe the rules", errno=error.errno, stderr=error.words) from error

    def connect(self, links: Iterable[str]) -> tuple[str, ...]:
        """Put back routes to the subnets of these bridges, and their forwarding, that somebody took; each in words. StepFailed."""
        try:
            with Netlink(ROUTE, self.counts) as netlink:
                return tuple(words for link in links for words in (*regaining.connect(netlink, link), *turn_forwarding_on(link, self.counts)))
        except OSError as error:
            raise StepFailed("routes and forwarding of our bridges", errno=error.errno or 0, stderr=str(error)) from error

    def rename(self, now: str, before: str) -> bool:
        """Give a link of ours that somebody renamed its name back; False where that was none of ours. StepFailed."""
        try:
            with Netlink(ROUTE, self.counts) as netlink:
                return regaining.rename(netlink, now, before)
        except OSError as error:
            raise StepFailed(f"rename {now} to {before}", errno=error.errno or 0, stderr=str(error)) from error

    def remove_everything(self) -> None:
        """Take away all that is ours: links, rules, namespaces, what the keeper holds. What can go goes; ExceptionGroup of what could not."""
        failures: list[Exception] = []
        steps = plan(self.observe(None), Picture())
        try:
            self.apply(steps)
        except SanbashiError:
            for step in steps:  # one by one, so that the rest still goes
                try:
                    self.apply([step])
                except SanbashiError as error:
                    failures.append(error)
        try:
            self.hands.guard.close()
            self.nft.delete_tables()
        except NftError as error:
            failures.append(StepFailed("delete the fixed tables", errno=error.errno, stderr=error.words))
        self.sweeper.finish()
        for name in self.namespaces.leftovers():
            self.namespaces.clear(name)
        if failures:
            raise ExceptionGroup("not everything could be removed", failures)
