"""`dataclass` as the standard library has it, for less: of a class's methods `__init__` alone is made of text, where the library makes up to ten so.

Two hundred classes are made at every start of the daemon, and half of what its imports took was the compiling of that text. What the classes do is
the same; `fields`, `replace` and FrozenInstanceError are the library's. Left out, for nobody needs them: slots below a class that has some, pickling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter, ge, gt, le, lt
from typing import TYPE_CHECKING, Any

Maker = Callable[[type[Any]], type[Any]]


def record(
    cls: type[Any] | None = None, *, frozen: bool = False, slots: bool = False, kw_only: bool = False, eq: bool = True, order: bool = False
) -> type[Any] | Maker:
    """`dataclasses.dataclass` with these of its options."""

    def make(cls: type[Any]) -> type[Any]:
        own = cls.__dict__
        cls = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
        fields = dataclasses.fields(cls)
        cls = with_slots(cls, [f.name for f in fields]) if slots else cls
        compared = by_names([f.name for f in fields if f.compare])
        methods: dict[str, Any] = {"__repr__": told(cls, [f.name for f in fields if f.repr])}
        if eq:
            methods |= {"__eq__": equal(compared), "__hash__": hashed(compared) if frozen else None}
        if order:
            methods |= {f"__{compare.__name__}__": ordered(compared, compare) for compare in (lt, le, gt, ge)}
        if frozen:
            methods |= {"__setattr__": refuse_to_set, "__delattr__": refuse_to_delete}
        for name, method in methods.items():
            if name not in own:
                setattr(cls, name, method)
        cls.__init__ = initial(cls, fields, frozen=frozen, slots=slots)
        return cls

    return make if cls is None else make(cls)


def with_slots(cls: type[Any], names: list[str]) -> type[Any]:
    """The class made again with a slot for each field; whatever defaults stood in their place are in the fields."""
    parts = {name: value for name, value in cls.__dict__.items() if name not in (*names, "__dict__", "__weakref__")}
    maker: Callable[..., type[Any]] = type(cls)
    made = maker(cls.__name__, cls.__bases__, parts | {"__slots__": tuple(names)})
    made.__qualname__ = cls.__qualname__
    return made


def initial(cls: type[Any], fields: tuple[dataclasses.Field[Any], ...], *, frozen: bool, slots: bool) -> Callable[..., None]:
    """`__init__`, of text: nothing else has the parameters' names, and calls that are as quick."""
    # Names that no field has.
    known: dict[str, Any] = {"_MISSING": dataclasses.MISSING, "_PUT": object.__setattr__}
    first: list[str] = []
    named: list[str] = []
    body: list[str] = []
    for f in fields:
        name, parameter, value = f.name, f.name, f.name
        if f.default_factory is not dataclasses.MISSING:
            known[f"_MAKE_{name}"] = f.default_factory
            parameter, value = f"{name}=_MISSING", f"_MAKE_{name}() if {name} is _MISSING else {name}" if f.init else f"_MAKE_{name}()"
        elif f.default is not dataclasses.MISSING:
            known[f"_DEFAULT_{name}"] = f.default
            parameter, value = f"{name}=_DEFAULT_{name}", name if f.init else f"_DEFAULT_{name}"
        elif not f.init:
            continue  # whoever makes it ready sets it
        if f.init:
            (named if f.kw_only else first).append(parameter)
        if frozen and slots:  # a slot's own setter is quicker
            known[f"_PUT_{name}"] = getattr(cls, name).__set__
            body.append(f"_PUT_{name}(self, {value})")
        else:
            body.append(f"_PUT(self, '{name}', {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join(["self", *first, *(["*", *named] if named else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join(body or ["pass"]), known)
    made: Callable[..., None] = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    made.__annotations__ = {f.name: f.type for f in fields if f.init} | {"return": None}
    return made


def by_names(names: list[str]) -> Callable[[Any], Any]:
    """The values of these attributes, in a tuple where they are not one."""
    return attrgetter(*names) if names else lambda _: ()


def told(cls: type[Any], names: list[str]) -> Callable[[Any], str]:
    def __repr__(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def equal(values: Callable[[Any], Any]) -> Callable[[Any, object], bool]:
    def __eq__(self: Any, other: object) -> bool:
        return bool(values(self) == values(other)) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def ordered(values: Callable[[Any], Any], compare: Callable[[Any, Any], Any]) -> Callable[[Any, object], bool]:
    def compared(self: Any, other: object) -> bool:
        return bool(compare(values(self), values(other))) if other.__class__ is self.__class__ else NotImplemented

    return compared


def hashed(values: Callable[[Any], Any]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


def refuse_to_set(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def refuse_to_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # what a reader and a checker of types know
else:
    dataclass = record
