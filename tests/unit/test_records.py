"""Records beside the standard library's dataclasses: whatever can be asked of the two is answered alike."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import field, replace
from typing import Any

import pytest

from sanbashi.records import record

OPTIONS = (
    {},
    {"frozen": True},
    {"slots": True},
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "kw_only": True},
    {"frozen": True, "slots": True, "order": True},
    {"eq": False},
    {"frozen": True, "slots": True, "eq": False},
)


def plain() -> type[Any]:
    class Ship:
        """A ship."""

        name: str
        crew: list[str] = field(default_factory=list)
        length: int = 3
        noted: str = field(default="", compare=False)
        hidden: str = field(default="", repr=False)

        def __len__(self) -> int:
            return self.length

    return Ship


@pytest.fixture(params=OPTIONS, ids=str)
def both(request: pytest.FixtureRequest) -> tuple[type[Any], type[Any]]:
    return record(**request.param)(plain()), dataclasses.dataclass(**request.param)(plain())


def told(ask: Any, cls: type[Any]) -> tuple[Any, str]:
    """What asking came to, and what it refused with; reprs of the class itself are the same for both."""
    try:
        return ask(cls), ""
    except Exception as error:
        return type(error), str(error)


ASKED = (
    lambda c: repr(c(name="a", length=4)),
    lambda c: [(p.name, p.kind, p.annotation) for p in inspect.signature(c).parameters.values()],
    lambda c: [(f.name, f.type, f.default, f.compare, f.kw_only) for f in dataclasses.fields(c)],
    lambda c: c.__match_args__,
    lambda c: (c.__doc__, c.__qualname__, c.__module__, c.__init__.__qualname__),
    lambda c: dataclasses.asdict(c(name="a", crew=["b"])),
    lambda c: repr(replace(c(name="a"), crew=["x"], noted="y")),
    lambda c: c(name="a") == c(name="a"),
    lambda c: c(name="a") == c(name="a", noted="b"),
    lambda c: c(name="a") == c(name="a", hidden="b"),
    lambda c: c(name="a") == "a",
    lambda c: c(name="a") < c(name="b"),
    lambda c: c(name="a") >= c(name="b"),
    lambda c: c(name="a") <= 1,
    lambda c: (c.__hash__ is None, c.__hash__ is object.__hash__),
    lambda c: {c(name="a", crew=()), c(name="a", crew=(), noted="b")} and c.__eq__ is object.__eq__,
    lambda c: len({c(name="a", crew=()), c(name="a", crew=())}),
    lambda c: c(name="a").crew is c(name="a").crew,
    lambda c: setattr(c(name="a"), "name", "b"),
    lambda c: setattr(c(name="a"), "length", 4),
    lambda c: delattr(c(name="a"), "name"),
    lambda c: len(c("a", [], 7)),
    lambda c: c("a", [], 7, "", "").length,
    lambda c: hasattr(c(name="a"), "__dict__"),
    lambda c: getattr(c, "__slots__", None),
)


@pytest.mark.parametrize("ask", ASKED, ids=range(len(ASKED)))
def test_a_record_answers_as_a_dataclass_does(ask: Any, both: tuple[type[Any], type[Any]]) -> None:
    ours, theirs = both

    assert told(ask, ours) == told(ask, theirs)


def test_what_is_missing_or_too_much_is_refused_in_the_same_words(both: tuple[type[Any], type[Any]]) -> None:
    ours, theirs = both

    for arguments in ({}, {"name": "a", "other": 1}):
        assert told(lambda c, given=arguments: c(**given), ours) == told(lambda c, given=arguments: c(**given), theirs)


def test_methods_of_ones_own_stay() -> None:
    @record(frozen=True, slots=True)
    class Port:
        """A port."""

        number: int

        def __repr__(self) -> str:
            return f"<port {self.number}>"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Port) and self.number % 2 == other.number % 2

        def __hash__(self) -> int:
            return self.number % 2

    assert (repr(Port(1)), {Port(1), Port(3)}) == ("<port 1>", {Port(5)})


def test_what_comes_after_the_fields_is_set() -> None:
    @record
    class Part:
        """A part that makes another."""

        name: str
        made: str = field(init=False)
        counted: dict[str, int] = field(init=False, default_factory=dict)

        def __post_init__(self) -> None:
            self.made = f"{self.name}!"

    @record
    class Wider(Part):
        """One with more."""

        width: int = 2

    assert (Part("a").made, Part("a").counted, repr(Wider("b", 3))) == ("a!", {}, f"{Wider.__qualname__}(name='b', made='b!', counted={{}}, width=3)")


def test_no_name_of_a_field_is_in_the_way() -> None:
    for options in ({}, {"frozen": True}, {"frozen": True, "slots": True}):

        @record(**options)
        class Odd:
            """Fields that are called as what makes them might be."""

            put: int
            missing: int = 1
            default_missing: int = 2
            make: list[int] = field(default_factory=list)
            object: int = 4
            known: str = "5"

        made = Odd(0)
        assert (made.put, made.missing, made.default_missing, made.make, made.object, made.known) == (0, 1, 2, [], 4, "5")


def test_the_classes_of_the_engine_are_made_so() -> None:
    from sanbashi.network.standing import Veth

    assert Veth.__eq__.__code__.co_filename == record.__code__.co_filename
