"""Container names: which are allowed, and one made up where the user gave none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from ..errors import Invalid

ALLOWED = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

# Ours, not Docker's: how a bridge may be, and bridges, crossings and towns of bridges.
QUALITIES = """
    airy ample arched ancient basalt bold brave bright brisk broad calm cedar clear coastal covered curved deft distant dry eager early even fair
    firm fluent foggy frosty gentle golden granite graceful grand humble iron keen kind lasting level light lively lofty long lucid mellow merry
    mighty mossy narrow nimble noble northern open patient placid plain polished proud quick quiet ready rustic serene sharp shining silent silver
    simple slender smooth snowy solid southern steady still stone strong sturdy sunny supple swift tall tender timber tranquil trusty upright
    vivid warm western wide windy wise wooden
"""
PLACES = """
    akashi alcantara alamillo arthursstone azuma bifrost bosphorus brooklyn capilano chapel charles clifton confederation coronado erasmus forth
    gaoliang garabit golden hikawa howrah humber iwakuni jamuna kappa kawazu kintai kurushima lupu megami menai millau minato mostar nihon
    oresund oshima pontine pulteney rainbow rialto royal sagami sanjo seto severn shinkyo shinobazu sighs skye sunshine sydney tatara
    tower tsing togetsu tyne uji vasco verrazzano vecchio wakato wye yahagi yatsu yokohama zhaozhou zubizuri
"""


class Chance(Protocol):
    """Where chance comes from: a random.Random."""

    def choice(self, seq: Sequence[str]) -> str: ...

    def randrange(self, start: int) -> int: ...


def check_name(name: str) -> None:
    """Invalid in Docker's words where a container must not be called so."""
    if ALLOWED.fullmatch(name) is None:
        raise Invalid(refused_name(name))


def refused_name(name: str) -> str:
    """Docker's sentence for a name that is none."""
    return f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"


def random_name(taken: Callable[[str], bool], random: Chance) -> str:
    """quality_place, with a number after it where that is taken too often."""
    qualities, places = QUALITIES.split(), PLACES.split()
    for attempt in range(1000):
        name = f"{random.choice(qualities)}_{random.choice(places)}"
        if attempt >= 5:
            name += str(random.randrange(10 ** (1 + attempt // 100)))
        if not taken(name):
            return name
    raise Invalid("no name is left: give one with --name")
