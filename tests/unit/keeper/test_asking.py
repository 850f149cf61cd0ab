"""Who is asked when, and whose answer is taken; the servers and the clock are ours."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanbashi.keeper import asking, latecomers
from sanbashi.keeper.asking import MAX_ASKS, Asked, Asking, Group
from sanbashi.keeper.loop import Loop
from sanbashi.resolver import wire
from sanbashi.resolver.upstreams import EXTRA, HEDGE, MISSES, PATIENCE, ROUNDS, SHORTEST_HEDGE, UNKNOWN, Upstreams

FINE, NONE, EMPTY, CANNOT, NO, BROKEN = "fine", "NXDOMAIN", "no such record", "SERVFAIL", "REFUSED", "one record announced and none there"
CODES = {FINE: 0, EMPTY: 0, NONE: wire.NXDOMAIN, CANNOT: wire.SERVFAIL, NO: wire.REFUSED, BROKEN: 0}
DATA = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + b"\4name\7example\0" + struct.pack(">HH", wire.A, 1)


class FakeTry:
    def __init__(self, server: str, since: float, heard: Callable[[FakeTry, bytes | None], None]) -> None:
        self.server, self.since, self.heard, self.open = server, since, heard, True

    def close(self) -> None:
        assert self.open
        self.open = False


class Table:
    """A resolver and its servers; `asked` has who was asked when."""

    def __init__(self, *servers: str) -> None:
        self.at = 0.0
        self.loop = Loop()
        self.loop.now = lambda: self.at  # type: ignore[method-assign, assignment]
        self.lines: list[str] = []
        self.asking = Asking(self.loop, self.lines.append)
        self.group = Group("host", Upstreams(servers))
        self.tries: list[FakeTry] = []
        self.replies: list[str] = []
        self.away: set[str] = set()

    def opened(self, loop: Loop, server: str, data: bytes, end: int, namespace: int | None, *, stream: bool, heard: object) -> FakeTry:
        if server in self.away:
            raise OSError(101, "unreachable")
        self.tries.append(FakeTry(server, self.at, heard))  # type: ignore[arg-type]
        return self.tries[-1]

    def ask(self, *, stream: bool = False, asker: str = "box") -> None:
        def reply(data: bytes) -> None:
            assert data[:2] == DATA[:2]
            self.replies.append(f"{data[3] & 15} {data[-1] if data[7] else '-'} at {self.at:.2f}")

        self.asking.ask(self.group, Asked(asker, DATA, wire.read_question(DATA), 512, stream, reply))

    def until(self, at: float) -> None:
        while self.loop._timers and self.loop._timers[0][0] <= at:
            self.at = max(self.at, self.loop._timers[0][0])
            self.loop.turn(0)
        self.at = at

    def say(self, server: str, what: str | None) -> None:
        """The server's first open question is answered (None: its port is closed)."""
        tried = next(tried for tried in self.tries if tried.server == server and tried.open)
        if what is None:
            tried.heard(tried, None)
            return
        records = [wire.record(wire.A, 0, b"\xc0\0\2" + server[-1:].encode())] if what == FINE else []
        tried.heard(tried, DATA[:2] + struct.pack(">5H", 0x8180 | CODES[what], 1, what in (FINE, BROKEN), 0, 0) + DATA[12:] + b"".join(records))

    def answers(self, server: str) -> str:
        """What a client sees who is told by this server."""
        return f"0 {ord(server[-1])}"

    @property
    def asked(self) -> list[str]:
        return [f"{tried.server} at {tried.since:.2f}" for tried in self.tries]

    @property
    def open(self) -> list[str]:
        return [tried.server for tried in self.tries if tried.open]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Table]:
    def make(*servers: str, proven: bool = False) -> Table:
        made = Table(*servers)
        monkeypatch.setattr(asking, "Try", made.opened)
        if proven:
            made.group.upstreams.answered(servers[0], 0.001)
        return made

    return make


Make = Callable[..., Table]


def test_a_race_is_won_by_the_first_listed_within_its_time(table: Make) -> None:
    world = table("a", "b", "c")
    world.ask()
    assert world.asked == ["a at 0.00", "b at 0.00", "c at 0.00"]
    world.say("b", FINE)
    world.until(0.05)
    assert world.replies == []
    world.say("a", FINE)
    assert world.replies == [f"{world.answers('a')} at 0.05"]
    assert len(world.asking.latecomers) == 1  # c is still listened to, for its standing
    world.until(3)
    assert world.open == []
    world.ask()
    assert world.asked[3:] == ["a at 3.00"]  # the good one is remembered


@pytest.mark.parametrize("what", [FINE, NONE, EMPTY])
def test_a_dead_first_costs_a_moment_and_is_remembered(table: Make, what: str) -> None:
    """That there is nothing is believed of a later server only after HEDGE: the first may know names that it does not."""
    world = table("a", "b")
    took = []
    for number in range(MISSES + 1):
        world.until(number * 10.0)
        world.ask()
        world.say("b", what)
        world.until(number * 10.0 + 5)
        took.append(round(float(world.replies[-1].split()[-1]) - number * 10.0, 3))
    assert took == ([UNKNOWN, UNKNOWN, 0, 0] if what == FINE else [HEDGE, HEDGE, HEDGE, 0])
    assert sum(tried.server == "a" for tried in world.tries) == MISSES
    assert len(world.lines) == 1


def test_one_that_is_late_is_not_taken_for_dead(table: Make) -> None:
    world = table("a", "b")
    for number in range(6):
        world.until(number * 10.0)
        world.ask()
        if "b" in world.open:
            world.say("b", FINE)
        world.until(number * 10.0 + 0.2)
        world.say("a", FINE)
    assert [line.split()[1] for line in world.replies] == [str(ord("b")), *[str(ord("a"))] * 5]
    assert world.lines == []


def test_one_that_is_late_by_far_is_as_good_as_dead(table: Make) -> None:
    world = table("a", "b")
    for number in range(MISSES):
        world.until(number * 10.0)
        world.ask()
        world.say("b", FINE)
        world.until(number * 10.0 + HEDGE + 0.1)
        world.say("a", FINE)
    world.until(25)
    world.ask()
    assert world.asked[-1] == "b at 25.00"
    assert world.group.upstreams.order() == ("b", "a")


def test_a_proven_one_is_asked_alone_and_the_next_after_its_usual_time(table: Make) -> None:
    world = table("a", "b", proven=True)
    world.ask()
    world.until(SHORTEST_HEDGE / 2)
    assert world.asked == ["a at 0.00"]
    world.until(SHORTEST_HEDGE)
    assert world.asked == ["a at 0.00", "b at 0.05"]
    world.say("b", FINE)
    assert world.replies == [f"{world.answers('b')} at 0.05"]
    world.ask()
    assert world.asked[2:] == ["a at 0.05", "b at 0.05"]  # it is doubtful until it has answered


def test_what_a_later_server_does_not_know_an_earlier_one_may(table: Make) -> None:
    world = table("a", "b", proven=True)
    world.ask()
    world.until(0.1)
    world.say("b", NONE)
    world.until(0.2)
    world.say("a", FINE)
    assert world.replies == [f"{world.answers('a')} at 0.20"]


@pytest.mark.parametrize("what", [CANNOT, NO, BROKEN, None])
def test_a_failure_moves_on_at_once_and_only_a_closed_port_is_remembered(table: Make, what: str | None) -> None:
    world = table("a", "b", "c", proven=True)
    for number in range(2 * MISSES):
        world.until(number * 3.0)
        world.ask()
        if "a" in world.open:
            world.say("a", what)
        world.say("b", FINE)
    assert world.replies == [f"{world.answers('b')} at {number * 3.0:.2f}" for number in range(2 * MISSES)]
    assert world.group.upstreams.order() == (("a", "b", "c") if what else ("b", "c", "a"))
    assert len(world.lines) == (0 if what else 1)


@pytest.mark.parametrize("what", [CANNOT, NO])
@pytest.mark.parametrize("proven", [False, True])
def test_a_first_that_fails_for_others_names_is_heard_for_its_own(table: Make, what: str, proven: bool) -> None:
    """A company's server that refuses all names but its own, or that finds some in a broken zone: the next one's denial is no word on the rest."""
    world = table("a", "b", proven=proven)
    for _ in range(2 * MISSES):
        world.ask()
        if "a" in world.open:
            world.say("a", what)
        world.say("b", FINE)
    world.ask()
    if "b" in world.open:
        world.say("b", NONE)
    assert "a" in world.open
    world.say("a", FINE)
    assert world.replies[-1] == f"{world.answers('a')} at 0.00"


@pytest.mark.parametrize("what", [CANNOT, NO])
def test_a_failure_that_comes_late_is_no_silence(table: Make, what: str) -> None:
    """How long a server takes to find that it cannot tell is up to the name."""
    world = table("a", "b")
    for number in range(2 * MISSES):
        world.until(number * 10.0)
        world.ask()
        world.say("b", FINE)
        world.until(number * 10.0 + HEDGE + 0.1)
        if "a" in world.open:
            world.say("a", what)
    assert world.group.upstreams.order() == ("a", "b")
    assert world.lines == []
    assert [float(line.split()[-1]) % 10 for line in world.replies[2:]] == [0.0] * (2 * MISSES - 2)  # nor is it waited for


def test_one_that_was_silent_and_now_refuses_is_there_again(table: Make) -> None:
    world = table("a", "b")
    for number in range(MISSES):
        world.until(number * 10.0)
        world.ask()
        world.say("b", FINE)
    world.until(50)
    assert world.group.upstreams.order() == ("b", "a")
    world.ask()
    world.say("a", NO)
    assert world.group.upstreams.order() == ("a", "b")


@pytest.mark.parametrize("what", [CANNOT, BROKEN])
def test_a_name_that_all_fail_at_is_nobodys_fault(table: Make, what: str) -> None:
    world = table("a", "b", proven=True)
    for _ in range(2 * MISSES):
        world.ask()
        world.say("a", what)
        world.say("b", what)
    assert {line.split()[0] for line in world.replies} == {str(wire.SERVFAIL)}
    assert world.group.upstreams.way(0.0).at_once == ("a",)


def test_a_failure_frees_an_answer_that_waits(table: Make) -> None:
    world = table("a", "b", "c")
    world.ask()
    world.say("c", NONE)
    world.say("b", CANNOT)
    assert world.replies == []
    world.say("a", CANNOT)
    assert world.replies == [f"{wire.NXDOMAIN} - at 0.00"]


def test_one_that_is_away_is_tried_beside_the_others_and_comes_back(table: Make) -> None:
    world = table("a", "b", proven=True)
    world.away = {"a"}
    world.ask()
    assert world.asked == ["b at 0.00"]
    world.say("b", FINE)
    world.until(11)
    world.away = set()
    world.ask()
    assert world.asked[1:] == ["b at 11.00", "a at 11.00"]
    world.say("b", NONE)  # whose word counts, even that there is nothing
    assert world.replies[1:] == [f"{wire.NXDOMAIN} - at 11.00"]
    world.say("a", FINE)
    assert world.group.upstreams.way(11).at_once == ("a",)


def test_nobody_answers(table: Make) -> None:
    world = table("a", "b", "c")
    world.ask()
    world.until(PATIENCE + 1)
    assert world.replies == [f"{wire.SERVFAIL} - at {PATIENCE:.2f}"]
    assert world.asked == ["a at 0.00", "b at 0.00", "c at 0.00", "a at 0.30", "b at 0.90", "c at 1.50"]
    assert world.open == []


def test_a_burst_is_not_made_three_of(table: Make) -> None:
    """However slow the servers are, what is asked in addition is counted, and each is asked twice at the most."""
    world = table("a", "b", "c")
    for _ in range(200):
        world.ask()
    assert len(world.tries) == 200 + EXTRA
    world.until(HEDGE - 0.01)
    assert len(world.tries) == 200 + EXTRA
    world.until(PATIENCE)
    assert len(world.tries) <= 200 * 3 * ROUNDS
    times = sorted(tried.since for tried in world.tries)
    assert all(after - before <= HEDGE * 4 for before, after in pairwise(times))


@pytest.mark.parametrize("what", [FINE, NONE])
def test_one_that_was_passed_over_is_asked_before_a_denial_is_believed(table: Make, what: str) -> None:
    world = table("a", "b")
    while world.group.upstreams.spend():
        pass
    world.group.upstreams.waited("a")
    world.group.upstreams.waited("a")
    world.ask()
    world.say("b", what)
    assert world.open == ([] if what == FINE else ["a"])
    if what == NONE:
        world.say("a", FINE)
    assert world.replies == [f"{world.answers('b' if what == FINE else 'a')} at 0.00"]


def test_latecomers_are_counted_and_leave_with_their_sandbox(table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latecomers, "MOST", 3)
    world = table("a", "b")
    for _ in range(5):
        world.ask()
        world.say("b", FINE)
        world.until(world.at + UNKNOWN)
    assert len(world.asking.latecomers) == 3
    assert len(world.asking) == 0
    world.ask(asker="other")
    world.asking.leave("box")
    assert len(world.asking.latecomers) == 0
    world.asking.leave("other")
    assert world.open == []


def test_tcp_asks_in_order_and_listens_to_no_latecomer(table: Make) -> None:
    world = table("a", "b", proven=True)
    world.ask(stream=True)
    world.until(SHORTEST_HEDGE)
    world.say("b", FINE)
    assert len(world.replies) == 1
    assert world.open == []


def test_too_many(table: Make) -> None:
    world = table("a")
    for _ in range(MAX_ASKS + 1):
        world.ask()
    assert world.replies == [f"{wire.REFUSED} - at 0.00"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_servers_do_each_question_has_one_answer_in_time_and_no_socket_stays(table: Make, data: st.DataObject) -> None:
    servers = "abc"[: data.draw(st.integers(1, 3))]
    world = table(*servers)
    asked = 0
    for _ in range(data.draw(st.integers(1, 40))):
        move = data.draw(st.sampled_from(["ask", "ask by TCP", "wait", "say", "say"]))
        if move == "wait":
            world.until(world.at + data.draw(st.sampled_from([0.01, 0.06, 0.11, 0.31, 1.0, 11.0])))
        elif move == "say" and world.open:
            world.say(data.draw(st.sampled_from(world.open)), data.draw(st.sampled_from([FINE, FINE, NONE, EMPTY, CANNOT, NO, None])))
        elif move.startswith("ask"):
            world.away = data.draw(st.sets(st.sampled_from(servers)))
            world.ask(stream=move != "ask")
            asked += 1
        assert len(world.replies) + len(world.asking) == asked
    assert len(world.tries) <= asked * len(servers) * ROUNDS
    world.until(world.at + PATIENCE)
    assert len(world.replies) == asked and len(world.asking) == len(world.asking.latecomers) == 0 and world.open == []
