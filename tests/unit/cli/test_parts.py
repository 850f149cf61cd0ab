"""The small parts: tables, units, ports, keys, frames, progress, names, suggestions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.cli.containers import show_ports
from sanbashi.cli.failure import Failure
from sanbashi.cli.frames import Frames
from sanbashi.cli.imagename import ImageName
from sanbashi.cli.keys import DetachKeys, read_keys
from sanbashi.cli.ports import parse_spec
from sanbashi.cli.progress import Display, messages, progress_bar
from sanbashi.cli.suggest import nearest
from sanbashi.cli.table import align
from sanbashi.cli.times import parse_duration, show_duration, show_instant
from sanbashi.cli.units import bytes_size, ellipsis, human_duration, human_size, natural_key, ram_in_bytes, short_id


def test_columns_have_three_spaces_between_them_and_are_ten_wide_at_least() -> None:
    assert align("ID\tNAME\nabcdefghijkl\tx\n1\tlong name") == "ID             NAME\nabcdefghijkl   x\n1              long name"
    assert align("A\tB") == "A         B"


def test_wide_characters_count_twice() -> None:
    assert align("NAME\tX\n日本語の名前\ty") == "NAME           X\n日本語の名前   y"


@pytest.mark.parametrize(("text", "size"), [("1k", 1024), ("1.5g", 1610612736), ("2 GiB", 2147483648), ("10", 10), ("5b", 5), ("1MB", 1048576)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert ram_in_bytes(text) == size


def test_sizes_are_written() -> None:
    assert [human_size(size, 3) for size in (0, 999, 1000, 1982464, 123456789)] == ["0B", "999B", "1kB", "1.98MB", "123MB"]
    assert bytes_size(2147483648) == "2GiB"


AGES = {0.5: "Less than a second", 1: "1 second", 59: "59 seconds", 60: "About a minute", 3599: "59 minutes", 3600: "About an hour"}
AGES |= {47 * 3600: "47 hours", 48 * 3600: "2 days", 14 * 86400: "2 weeks", 60 * 86400: "2 months", 800 * 86400: "2 years"}


@pytest.mark.parametrize(("seconds", "words"), AGES.items())
def test_ages(seconds: float, words: str) -> None:
    assert human_duration(seconds) == words


@given(st.integers(0, 10**15))
def test_durations_are_read_back(nanoseconds: int) -> None:
    assert parse_duration(show_duration(nanoseconds)) == nanoseconds


def test_instants() -> None:
    assert show_instant("2026-11-23T17:46:38.884412458Z") == "2026-11-23 17:46:38.884412458 +0000 UTC"
    assert show_instant("0001-01-01T00:00:00Z") == "0001-01-01 00:00:00 +0000 UTC"


def test_natural_order() -> None:
    names = ["n10", "n2", "n02", "1", "b", "a"]
    assert sorted(names, key=natural_key) == ["1", "a", "b", "n2", "n02", "n10"]


def test_shortening() -> None:
    assert ellipsis("apachectl -D FOREGROUND", 20) == "apachectl -D FOREGR…"
    assert short_id("sha256:0123456789abcdef") == "0123456789ab"


@given(st.integers(0, 65535), st.integers(0, 65535), st.sampled_from(["tcp", "udp", "sctp"]), st.sampled_from(["", "127.0.0.1:", "[::1]:"]))
def test_ports_are_read(host: int, inside: int, protocol: str, address: str) -> None:
    (port, binding), *rest = parse_spec(f"{address}{host}:{inside}/{protocol}")
    assert not rest
    assert (port, binding) == (f"{inside}/{protocol}", {"HostIp": address[:-1].strip("[]"), "HostPort": str(host)})


@given(st.text(alphabet="0123456789:-/[].tcpu", max_size=16))
def test_any_port_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        parse_spec(text)
    except ValueError as problem:
        assert str(problem)


def test_ports_are_shown_in_groups() -> None:
    def port(private: int, public: int = 0, address: str = "", protocol: str = "tcp") -> dict[str, object]:
        return {"PrivatePort": private, "Type": protocol} | ({"PublicPort": public, "IP": address} if public else {})

    ports = [port(80, 8080, "0.0.0.0"), port(80, 8080, "::"), port(9000, 9000, "0.0.0.0"), port(9001, 9001, "0.0.0.0"), port(53, protocol="udp")]
    assert show_ports(ports) == "53/udp, 0.0.0.0:9000-9001->9000-9001/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"


@given(st.binary(max_size=60), st.lists(st.integers(1, 7)))
def test_detach_keys_pass_everything_else(data: bytes, cuts: list[int]) -> None:
    keys = DetachKeys(b"\x10\x11")
    passed, rest, found = b"", data, False
    for cut in [*cuts, 60]:
        part, found = keys.feed(rest[:cut])
        passed, rest = passed + part, rest[cut:]
        if found:
            break
    expected, mark, _ = data.partition(b"\x10\x11")
    assert found == bool(mark)
    assert passed == expected or (not mark and data.endswith(b"\x10") and passed == data[:-1])


def test_keys_have_names() -> None:
    assert read_keys("ctrl-p,ctrl-q,x,DEL,ctrl-@") == b"\x10\x11x\x7f\x00"
    with pytest.raises(ValueError, match="Unknown character: 'ctrl-9'"):
        read_keys("ctrl-9")


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=30)), max_size=8), st.integers(1, 11))
def test_frames_come_out_whole_however_they_are_cut(parts: list[tuple[int, bytes]], step: int) -> None:
    data = b"".join(bytes([stream, 0, 0, 0]) + len(part).to_bytes(4, "big") + part for stream, part in parts)
    frames = Frames()
    out = [each for at in range(0, len(data), step) for each in frames.feed(data[at : at + step])]
    assert out == parts


def test_progress_on_a_terminal_and_elsewhere(capfd: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"status": "Pulling from library/ubuntu", "id": "latest"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 5, "total": 10}},
        {"status": "Pull complete", "id": "a", "progressDetail": {}},
        {"status": "Digest: sha256:x"},
    ]
    plain = Display(1, terminal=False)
    for line in lines:
        plain.show(line)
    assert capfd.readouterr().out == "latest: Pulling from library/ubuntu\na: Pull complete\nDigest: sha256:x\n"
    bars = Display(1, terminal=True)
    for line in lines[:2]:
        bars.show(line)
    assert capfd.readouterr().out.startswith("latest: Pulling from library/ubuntu\n\n\x1b[1A\x1b[2K\ra: Downloading [====")
    with pytest.raises(Failure, match="broken"):
        plain.show({"errorDetail": {"message": "broken"}, "error": "broken"})


def test_bars() -> None:
    assert progress_bar({"current": 5_000_000, "total": 10_000_000}, 200) == f"[{'=' * 25}>{' ' * 25}]      5MB/10MB"
    assert progress_bar({"current": 5_000_000, "total": 10_000_000}, 80) == "     5MB/10MB"
    assert progress_bar({}, 200) == ""


def test_messages_are_read_over_the_cuts_of_a_stream() -> None:
    assert list(messages([b'{"a":1}\r\n{"b"', b':2}\r\n{"c":3}'])) == [{"a": 1}, {"b": 2}, {"c": 3}]


@pytest.mark.parametrize(
    ("text", "familiar", "whole"),
    [
        ("ubuntu", "ubuntu:latest", "docker.io/library/ubuntu:latest"),
        ("docker.io/library/ubuntu:1", "ubuntu:1", "docker.io/library/ubuntu:1"),
        ("a/b", "a/b:latest", "docker.io/a/b:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest", "localhost:5000/a:latest"),
    ],
)
def test_image_names(text: str, familiar: str, whole: str) -> None:
    assert (ImageName(text).familiar(), ImageName(text).whole()) == (familiar, whole)


@pytest.mark.parametrize(("word", "found"), [("iprange", "ip-range"), ("subnets", "subnet"), ("gatway", "gateway"), ("zzzz", "")])
def test_suggestions(word: str, found: str) -> None:
    assert nearest(word, ["ip-range", "subnet", "gateway", "label"]) == found
