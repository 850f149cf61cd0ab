"""Dockerfiles as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.errors import Invalid
from sanbashi.images.dockerfile import expand, parse_dockerfile

TEXT = """# syntax=docker/dockerfile:1
# a comment
ARG VERSION=1.36
ARG BASE=busybox:${VERSION}
FROM --platform=linux/amd64 ${BASE} AS Build
RUN echo one && \\
    # said in between

    echo two
SHELL ["/bin/ash", "-c"]
RUN --mount=type=bind,from=tools:2,target=/t echo three

from build
COPY --from=build /a /b
COPY --from=alpine:3 --chown=1:1 /c /d
FROM scratch AS last
COPY --from=0 /a /
"""


IDS = {("busybox:1.36", "linux/amd64"): "b" * 64, ("tools:2", ""): "c" * 64, ("alpine:3", ""): "a" * 64}


def test_stages_and_instructions() -> None:
    file = parse_dockerfile(TEXT)
    assert [(s.base, s.name, s.platform) for s in file.stages] == [
        ("busybox:1.36", "build", "linux/amd64"),
        ("build", "", ""),
        ("scratch", "last", ""),
    ]
    assert [i.text for i in file.head] == ["ARG VERSION=1.36", "ARG BASE=busybox:${VERSION}"]
    assert file.stages[0].instructions[1].text == "RUN echo one &&     echo two"
    assert len(file.instructions) == 11
    assert file.images() == (("busybox:1.36", "linux/amd64"), ("tools:2", ""), ("alpine:3", ""))


def test_arguments_choose_the_base() -> None:
    assert parse_dockerfile(TEXT, arguments={"VERSION": "2"}).stages[0].base == "busybox:2"
    assert parse_dockerfile(TEXT, target="1").last_base == ("busybox:1.36", "linux/amd64")
    assert parse_dockerfile(TEXT).last_base == ("scratch", "")
    assert parse_dockerfile(TEXT, arguments={"BASE": "x"}).images()[0] == ("x", "linux/amd64")


@pytest.mark.parametrize(("target", "count"), [("build", 1), ("BUILD", 1), ("1", 2), ("last", 3), ("", 3)])
def test_target(target: str, count: int) -> None:
    assert len(parse_dockerfile(TEXT, target=target).stages) == count


def test_with_images_names_ids_and_keeps_every_other_line() -> None:
    file = parse_dockerfile(TEXT, target="1")
    lines = file.with_images(IDS, {("busybox:1.36", "linux/amd64"): "linux/arm64"}).split("\n")
    before = TEXT.split("\n")
    assert lines[4] == f"FROM --platform=linux/arm64 {'b' * 64} AS build"
    assert lines[10] == f"RUN --mount=type=bind,from={'c' * 64},target=/t echo three"
    assert lines[14] == f"COPY --from={'a' * 64} --chown=1:1 /c /d"
    assert [x for i, x in enumerate(lines[:15]) if i not in (4, 10, 14)] == [x for i, x in enumerate(before[:15]) if i not in (4, 10, 14)]
    assert lines[15:] == [""], "what follows the target is left out"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file with no instructions"),
        ("# only\n\n# comments", "file with no instructions"),
        ("FROM x\nFOO bar", "dockerfile parse error on line 2: unknown instruction: FOO"),
        ("RUN x", "dockerfile parse error on line 1: no build stage in current context"),
        ("ARG x", "no build stage in current context"),
        ("FROM", "dockerfile parse error on line 1: FROM requires at least one argument"),
        ("FROM a b", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        ("FROM --tag=1 a", "dockerfile parse error on line 1: unknown flag: --tag"),
        ("FROM a\nRUN --mount=type=cache,target=/c --bogus=1 x", "dockerfile parse error on line 2: unknown flag: --bogus"),
        ("FROM a\nENV --x=1 a=b", "dockerfile parse error on line 2: unknown flag: --x"),
        ("FROM $nothing", "base name ($nothing) should not be blank"),
        ("# escape=x\nFROM a", "dockerfile parse error on line 1: invalid escape token 'x' does not match ` or \\"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_dockerfile(text)
    assert refused.value.message == message


def test_unknown_target() -> None:
    with pytest.raises(Invalid, match='target stage "x" could not be found'):
        parse_dockerfile(TEXT, target="x")


def test_here_documents_are_explained() -> None:
    with pytest.raises(Invalid) as refused:
        parse_dockerfile("FROM a\nRUN <<EOF\necho hi\nEOF")
    assert refused.value.hint == "here-documents are not supported by this builder"


def test_escape_directive() -> None:
    file = parse_dockerfile("# escape=`\nFROM a\nRUN c:\\x `\n  y\n")
    assert file.stages[0].instructions[1].text == "RUN c:\\x   y"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$x", "1"),
        ("${x}2", "12"),
        ("${y:-d}", "d"),
        ("${y:-$x}", "1"),
        ("${x:+t}", "t"),
        ("${y:+t}", ""),
        ("\\$x", "$x"),
        ('"$x"', "1"),
        ("a$y/b", "a/b"),
    ],
)
def test_expand(text: str, value: str) -> None:
    assert expand(text, {"x": "1"}.get) == value


def test_shell_of_a_run() -> None:
    file = parse_dockerfile(TEXT)
    runs = [i for i in file.stages[0].instructions if i.name == "RUN"]
    assert file.shell(0, runs[0], ()) == ("/bin/sh", "-c")
    assert file.shell(0, runs[0], ("/bin/bash", "-c")) == ("/bin/bash", "-c")
    assert file.shell(0, runs[1], ()) == ("/bin/ash", "-c")


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("RUN --mount=type=secret,id=x true", "mount"),
        ("RUN --mount=type=cache,target=/c --mount=type=ssh true", "mount"),
        ("RUN --network=none true", "network"),
        ("COPY --chmod=600 --exclude=x a b", "exclude"),
        ("ADD --checksum=sha256:0 a b", "checksum"),
        ("RUN --mount=target=/c --mount=type=tmpfs,target=/t -- --network", ""),
        ("COPY --link --chown=1 a b", ""),
        ("HEALTHCHECK --interval=1s CMD true", ""),
    ],
)
def test_what_only_buildkit_does(text: str, option: str) -> None:
    assert parse_dockerfile(f"FROM a\n{text}").stages[0].instructions[1].undone == option


def test_link_is_nothing_to_be_done() -> None:
    file = parse_dockerfile("FROM a\nCOPY --link --from=b --chown=1 x y\nADD --link=false x y")
    ids = {("a", ""): "1" * 64, ("b", ""): "2" * 64}
    assert file.with_images(ids).splitlines()[1:] == [f"COPY --from={'2' * 64} --chown=1 x y", "ADD x y"]


def test_from_knows_the_platforms() -> None:
    given = {"BUILDPLATFORM": "linux/amd64", "TARGETARCH": "arm64"}
    text = "FROM --platform=$BUILDPLATFORM a AS b\nFROM c-$TARGETARCH"
    assert parse_dockerfile(text, given=given).images() == (("a", "linux/amd64"), ("c-arm64", ""))
    assert parse_dockerfile(text, given=given, arguments={"TARGETARCH": "x"}).images()[1] == ("c-x", "")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        file = parse_dockerfile(text)
    except Invalid as refused:
        assert refused.message
    else:
        assert file.stages


@given(st.lists(st.sampled_from(["FROM a AS b", "RUN x \\", "  y", "# c", "", "COPY --from=b x y", "ARG q=1"]), max_size=12))
def test_rewriting_keeps_the_instructions(lines: list[str]) -> None:
    try:
        file = parse_dockerfile("\n".join(lines))
    except Invalid:
        return
    again = parse_dockerfile(file.with_images({("a", ""): "f" * 64, ("b", ""): "e" * 64}))
    assert [i.name for i in again.instructions] == [i.name for i in file.instructions]
    assert [(i.first, i.last) for i in again.instructions] == [(i.first, i.last) for i in file.instructions]
