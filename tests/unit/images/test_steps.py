"""buildah's words become Docker's."""

from __future__ import annotations

from collections.abc import Iterable

from sanbashi.images.dockerfile import parse_dockerfile
from sanbashi.images.steps import Steps

BASE = "65fe2d90987a" + "0" * 52
LAST = "44875d88acef" + "1" * 52


def steps(text: str, *, labels: str = "") -> Steps:
    return Steps(parse_dockerfile(text), {("busybox", ""): f"sha256:{BASE}"}, {}, labels, container="c" * 12)


def told(steps: Steps, lines: Iterable[str]) -> str:
    return "".join(text for line in lines for text in (steps.err(line[2:]) if line.startswith("2 ") else steps.out(line)))


def test_unused_arguments_are_those_that_were_given() -> None:
    run = Steps(parse_dockerfile("FROM busybox"), {}, {}, given=("B", "A", "HTTP_PROXY"))
    line = "[Warning] one or more build args were not consumed: [{}]"
    assert list(run.out(line.format("A B HTTP_PROXY TARGETARCH"))) == ["[Warning] One or more build-args [A B] were not consumed\n"]
    assert list(run.out(line.format("HTTP_PROXY TARGETARCH TARGETOS"))) == []


def test_a_build() -> None:
    run = steps("ARG V=1\nFROM busybox\nENV FOO=bar\nRUN echo hi\nCMD x", labels="LABEL k=v")
    lines = [
        f"STEP 1/5: FROM {BASE}",
        "STEP 2/5: ENV FOO=bar",
        "--> f84ae536e19",
        "STEP 3/5: RUN echo hi",
        "hi",
        "2 oh",
        "--> a6b786e300d",
        "STEP 4/5: CMD x",
        f"--> Using cache {LAST}",
        "--> 44875d88ace",
        'STEP 5/5: LABEL "k"="v"',
        "COMMIT x",
        "--> 1200a88c9b5",
        LAST,
    ]
    assert told(run, lines) == (
        "Step 1/6 : ARG V=1\n"
        "Step 2/6 : FROM busybox\n ---> 65fe2d90987a\n"
        "Step 3/6 : ENV FOO=bar\n ---> f84ae536e19\n"
        "Step 4/6 : RUN echo hi\n ---> Running in cccccccccccc\nhi\n\x1b[91moh\n\x1b[0m"
        " ---> Removed intermediate container cccccccccccc\n ---> a6b786e300d\n"
        "Step 5/6 : CMD x\n ---> Using cache\n ---> 44875d88acef\n"
        "Step 6/6 : LABEL k=v\n ---> 1200a88c9b5\n"
    )
    assert run.image == f"sha256:{LAST}"


def test_ids_are_made_whole() -> None:
    run = Steps(
        parse_dockerfile("FROM busybox\nENV A=1\nENV B=2"), {("busybox", ""): f"sha256:{BASE}"}, {}, whole=lambda beginning: beginning + "f" * 53
    )
    assert " ---> f84ae536e19f\n" in told(run, [f"STEP 1/3: FROM {BASE}", "STEP 2/3: ENV A=1", "--> f84ae536e19"])


def test_stages_are_counted_through() -> None:
    run = steps("FROM busybox AS one\nRUN a\nFROM one\nRUN b\nFROM scratch\nCOPY x /")
    lines = [f"[1/3] STEP 1/2: FROM {BASE} AS one", "[1/3] STEP 2/2: RUN a", "--> aaaaaaaaaaa", "[2/3] STEP 1/2: FROM one", "[2/3] STEP 2/2: RUN b"]
    text = told(run, [*lines, "--> bbbbbbbbbbb", "[3/3] STEP 1/2: FROM scratch", "[3/3] STEP 2/2: COPY x /", "[3/3] COMMIT", "--> ddddddddddd"])
    assert [line for line in text.splitlines() if line.startswith("Step")] == [
        "Step 1/6 : FROM busybox AS one",
        "Step 2/6 : RUN a",
        "Step 3/6 : FROM one",
        "Step 4/6 : RUN b",
        "Step 5/6 : FROM scratch",
        "Step 6/6 : COPY x /",
    ]
    assert "Step 3/6 : FROM one\n ---> aaaaaaaaaaa\n" in text
    assert "Step 5/6 : FROM scratch\n ---> \n" in text


def test_triggers_of_the_base_are_no_steps() -> None:
    run = steps("FROM busybox\nCMD x")
    text = told(run, [f"STEP 1/2: FROM {BASE}", 'STEP 2/3: RUN echo "on"', "on", "--> aaaaaaaaaaa", "STEP 3/3: CMD x", "COMMIT", "--> bbbbbbbbbbb"])
    assert "# Executing 1 build trigger\n ---> Running in cccccccccccc\non\n" in text
    assert "Step 2/2 : CMD x\n ---> bbbbbbbbbbb\n" in text


def test_a_run_that_prints_an_id_is_not_the_result() -> None:
    run = steps("FROM busybox\nRUN a\nRUN b")
    told(run, [f"STEP 1/3: FROM {BASE}", "STEP 2/3: RUN a", LAST])
    assert run.image == ""


def failed(text: str, lines: Iterable[str]) -> tuple[str, int]:
    run = steps(text)
    told(run, lines)
    return run.failure(1)


def test_failures_in_dockers_words() -> None:
    start = [f"STEP 1/2: FROM {BASE}", "STEP 2/2: RUN exit 7"]
    error = '2 Error: building at STEP "RUN exit 7": while running runtime: exit status 7'
    assert failed("FROM busybox\nRUN exit 7", [*start, error]) == ("The command '/bin/sh -c exit 7' returned a non-zero code: 7", 7)
    assert failed('FROM busybox\nRUN ["a", "b"]', [start[0], "STEP 2/2: RUN a b", error])[0] == "The command 'a b' returned a non-zero code: 7"
    copy = '2 Error: building at STEP "COPY no /": checking on sources under "/x/context": copier: stat: "/no": no such file or directory'
    where = "file not found in build context or excluded by .dockerignore"
    assert failed("FROM busybox\nCOPY no /", [start[0], "STEP 2/2: COPY no /", copy]) == (f"COPY failed: {where}: stat no: file does not exist", 0)
    user = [start[0], "STEP 2/2: USER x", '2 Error: building at STEP "USER x": something else']
    assert failed("FROM busybox\nUSER x", user) == ("something else", 0)
    cause = 'unable to start container process: exec: "no": executable file not found'
    quoted = cause.replace('"', '\\"')
    refused = f'2 time="2026-11-23T20:53:17Z" level=error msg="runc create failed: {quoted}"'
    message, code = failed('FROM busybox\nRUN ["no"]', [start[0], "STEP 2/2: RUN no", refused, error])
    assert (message.rpartition("runc create failed: ")[2], code) == (f"{cause}: unknown", 0)
    assert failed("FROM busybox", [start[0]]) == ("the builder ended with status 1", 0)
