"""Docker's grammar of flags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.cli.flags import FlagError, FlagParser, Given, HelpWanted, read_csv, read_int, read_table

TABLE = """
-d, --detach  In the background
-i, --interactive  Keep stdin open
-t, --tty  A terminal
-p, --publish list  A port
-n, --number int  A number
    --name string  A name
    --subnet strings  Subnets
-f, --filter filter  A filter
~--net string  Hidden
"""


def parse(*words: str, interspersed: bool = False) -> Given:
    return FlagParser(read_table(TABLE), {}, interspersed).parse(list(words))


def test_cluster_of_short_flags() -> None:
    found = parse("-dit", "image", "-x")
    assert (found.on("detach"), found.on("interactive"), found.on("tty"), found.args) == (True, True, True, ["image", "-x"])


@pytest.mark.parametrize("text", ["-p80:80", "-p=80:80", "-p 80:80", "--publish=80:80", "--publish 80:80", "-dp80:80", "-dp 80:80"])
def test_forms_of_a_value(text: str) -> None:
    assert parse(*text.split()).many("publish") == ["80:80"]


def test_options_end_at_the_first_argument_or_after_two_dashes() -> None:
    assert parse("-d", "image", "--name", "x").args == ["image", "--name", "x"]
    assert parse("image", "-d", interspersed=True).on("detach")
    assert parse("--", "-d").args == ["-d"]
    assert parse("-", "-d").args == ["-", "-d"]


def test_booleans() -> None:
    assert parse("--tty=false").on("tty", True) is False
    assert parse("-t=0").on("tty") is False
    assert parse().on("tty", True) is True


def test_lists_gather_and_filters_group() -> None:
    assert parse("--subnet", "a,b", "--subnet", "c").many("subnet") == ["a", "b", "c"]
    assert parse("-f", "label=a", "-f", "Label = b=c").values["filter"] == {"label": {"a": True, "b=c": True}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nam"], "unknown flag: --nam\ndid you mean --name?"),
        (["--zzz"], "unknown flag: --zzz"),
        (["-dx"], "unknown shorthand flag: 'x' in -x"),
        (["-dp"], "flag needs an argument: 'p' in -p"),
        (["--name"], "flag needs an argument: --name"),
        (["--=a"], "bad flag syntax: --=a"),
        (["-n", "x"], 'invalid argument "x" for "-n, --number" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (["--tty=x"], 'invalid argument "x" for "-t, --tty" flag: strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
def test_mistakes(words: list[str], message: str) -> None:
    with pytest.raises(FlagError) as problem:
        parse(*words)
    assert (problem.value.text(), problem.value.status) == (message, 125)


def test_help() -> None:
    for words in (["--help"], ["-h"], ["-dh"]):
        with pytest.raises(HelpWanted):
            parse(*words)


@given(st.lists(st.text(min_size=1).filter(lambda text: '"' not in text and "," not in text), min_size=1))
def test_plain_csv(fields: list[str]) -> None:
    assert read_csv(",".join(fields)) == fields


@given(st.lists(st.text(), min_size=1))
def test_quoted_csv(fields: list[str]) -> None:
    text = ",".join('"' + field.replace('"', '""') + '"' for field in fields)
    assert read_csv(text) == fields


@given(st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1))
def test_integers(number: int) -> None:
    assert read_int(str(number)) == number
    assert read_int(hex(number)) == number


@given(st.lists(st.text(alphabet="-=abdipt 0\"'", max_size=6), max_size=5))
def test_any_words_parse_or_fail_with_a_sentence(words: list[str]) -> None:
    try:
        parse(*words)
    except FlagError as problem:
        assert problem.message
    except HelpWanted:
        pass
