"""kill -9 at every step boundary of run, connect, disconnect and rm, and at seeded random moments, of the daemon and of the keeper.

After each: a running container has kept its process, its address and an open connection through a published port; names were answered all
the while (the keeper's own end aside, and then they are answered again before the next command is done); what was acknowledged stands, what
was not is whole or absent; nothing is orphaned; and the next command works.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from tests.e2e.audit import settled
from tests.harness import Engine, Kind, Machine, Space, engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

SEED = int(os.environ.get("CRASH_SEED", "20261123"))
MOMENTS = int(os.environ.get("CRASH_MOMENTS", "50"))
VICTIMS = ("daemon", "keeper")
ARM = "/run/crash-armed"
# Debian's perl-base is all that the image has.
ECHO = (
    "$SIG{CHLD}='IGNORE'; $s = IO::Socket::INET->new(LocalPort => 7, Listen => 9, ReuseAddr => 1) or die;"
    " while ($c = $s->accept) { if (!fork) { while (<$c>) { print $c $_; $c->flush } exit } }"
)


class Companion:
    """A program of tests.e2e.companions."""

    def __init__(self, where: Space, *words: str, inside: Sequence[str] = ()) -> None:
        command = [*inside, sys.executable, "-m", "tests.e2e.companions", *words]
        self.process = where.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Companion:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def hear(self) -> str:
        return str(self.process.stdout.readline().strip())

    def answer(self, line: str) -> str:
        """What it says to a line, "" where it is gone."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        return self.hear()


class Asked(NamedTuple):
    """What became of the questions for a name so far; `gaps` are runs of questions in vain, `longest` the seconds that one lasted."""

    questions: int
    vain: int
    gaps: int
    longest: float


@dataclass
class Standing:
    """What must survive: a container with its process and address, a connection that is open to it, somebody who asks for its name."""

    on: Engine
    id: str
    pid: int
    address: str
    client: Companion
    visitor: Companion
    rival: Companion
    asker: Companion

    def check(self) -> None:
        _, seen = self.on.call("GET", f"/containers/{self.id}/json")
        assert seen["State"]["Running"] and seen["State"]["Pid"] == self.pid, seen["State"]
        assert seen["NetworkSettings"]["Networks"]["crashes"]["IPAddress"] == self.address
        word = f"word{time.monotonic_ns()}"
        assert self.client.answer(word) == word, "the open connection is gone"
        assert self.visitor.answer(word) == word, "a new connection does not come through"
        assert self.rival.answer("7007") == "held", "the published port can be taken by anybody"
        assert (self.rival.answer("7009") == "held") == (subject(self.on) is not None and subject(self.on)["State"]["Running"])

    def asked(self) -> Asked:
        questions, vain, gaps, longest = self.asker.answer("?").split()
        return Asked(int(questions), int(vain), int(gaps), float(longest))

    def names_are_back(self) -> None:
        """Until a question that is asked from now on has been answered."""
        before, deadline = self.asked(), time.monotonic() + 60
        while (now := self.asked()).questions - before.questions == now.vain - before.vain:
            assert time.monotonic() < deadline, "names are not answered any more"
            time.sleep(0.02)


@pytest.fixture
def daemon(where: Machine, images: str, engine_kind: Kind) -> Iterator[Engine]:
    if engine_kind != "sanbashi":
        pytest.skip("dockerd has no crash points")
    with engine(where, name="crash", options=[f"--registry-mirror={images}"], environment={"SANBASHI_CRASH": ARM}) as made:
        made.pull("busybox", "ubuntu")
        made.call("POST", "/networks/create", {"Name": "crashes"})
        made.call("POST", "/networks/create", {"Name": "second"})
        yield made
        made.machine.path(ARM).unlink(missing_ok=True)
        if made.process is None:
            made.start()


@pytest.fixture
def standing(daemon: Engine) -> Iterator[Standing]:
    body = {
        "Image": "ubuntu",
        "Cmd": ["perl", "-MIO::Socket::INET", "-e", ECHO],
        "HostConfig": {"NetworkMode": "crashes", "PortBindings": {"7/tcp": [{"HostPort": "7007"}]}},
    }
    status, made = daemon.call("POST", "/containers/create?name=stands", body)
    assert status == 201, made
    assert daemon.call("POST", f"/containers/{made['Id']}/start")[0] == 204
    seen = daemon.call("GET", f"/containers/{made['Id']}/json")[1]
    pid = int(seen["State"]["Pid"])
    within = ["nsenter", "--target", str(pid), "--net"]
    daemon.machine.run([*within, "bash", "-c", "for i in $(seq 1000); do ss -ltn | grep -q ':7 ' && exit; sleep 0.05; done; exit 1"])
    outside = daemon.machine.outside
    with (
        Companion(outside, "talk", "198.51.100.2", "7007") as client,
        Companion(outside, "knock", "198.51.100.2", "7007") as visitor,
        Companion(daemon.machine, "bind") as rival,
        Companion(daemon.machine, "ask", "stands", inside=within) as asker,
    ):
        assert client.hear() == "connected" and asker.hear() == "asking"
        yield Standing(daemon, made["Id"], pid, seen["NetworkSettings"]["Networks"]["crashes"]["IPAddress"], client, visitor, rival, asker)


def request(on: Engine, method: str, path: str, body: Any = None) -> int:
    """The status of a request, 0 where the daemon died before it answered."""
    try:
        return on.call(method, path, body, timeout=60)[0]
    except (ConnectionError, http.client.HTTPException, FileNotFoundError):
        return 0


SUBJECT = {
    "Image": "busybox",
    "Cmd": ["sleep", "1000"],
    "HostConfig": {"NetworkMode": "crashes", "PortBindings": {"9/tcp": [{"HostPort": "7009"}], "9/udp": [{"HostPort": "7009"}]}},
}


def create_and_start(on: Engine) -> int:
    if status := request(on, "POST", "/containers/create?name=subject", SUBJECT):
        assert status == 201
        return request(on, "POST", "/containers/subject/start")
    return 0


def prepared(on: Engine) -> None:
    assert create_and_start(on) == 204


def connected(on: Engine) -> None:
    prepared(on)
    assert request(on, "POST", "/networks/second/connect", {"Container": "subject"}) == 200


def subject(on: Engine) -> Any:
    """What inspect says of the subject, None where there is none."""
    status, seen = on.call("GET", "/containers/subject/json")
    return seen if status == 200 else None


def on_second(on: Engine) -> bool:
    return "second" in subject(on)["NetworkSettings"]["Networks"]


@dataclass(frozen=True)
class Operation:
    """Something that is interrupted: what must be there first, the request, and whether its work is done (asked when it was acknowledged)."""

    name: str
    before: Callable[[Engine], None]
    act: Callable[[Engine], int]
    done: Callable[[Engine], bool]


OPERATIONS = (
    Operation("run", lambda on: None, create_and_start, lambda on: subject(on)["State"]["Running"]),
    Operation("connect", prepared, lambda on: request(on, "POST", "/networks/second/connect", {"Container": "subject"}), on_second),
    Operation(
        "disconnect", connected, lambda on: request(on, "POST", "/networks/second/disconnect", {"Container": "subject"}), lambda on: not on_second(on)
    ),
    Operation("rm", prepared, lambda on: request(on, "DELETE", "/containers/subject?force=1"), lambda on: subject(on) is None),
)


def is_whole(on: Engine, standing: Standing) -> None:
    """Everything that must hold after a restart, whatever was interrupted."""
    standing.check()
    wrong = settled(on)
    assert not wrong, "\n".join(wrong)
    next_command_works(on)


def next_command_works(on: Engine) -> None:
    """A container runs in the network, finds the one that stands by name, and is gone again."""
    body = {"Image": "busybox", "Cmd": ["ping", "-c1", "-W5", "stands"], "HostConfig": {"NetworkMode": "crashes"}}
    assert on.call("POST", "/containers/create?name=next", body)[0] == 201
    status, said = on.call("POST", "/containers/next/start")
    assert status == 204, said
    assert on.call("POST", "/containers/next/wait") == (200, {"StatusCode": 0}), on.call("GET", "/containers/next/logs?stdout=1&stderr=1")
    assert on.call("DELETE", "/containers/next")[0] == 204


def clear_subject(on: Engine) -> None:
    on.call("DELETE", "/containers/subject?force=1")
    assert subject(on) is None


def keeper_of(on: Engine) -> int:
    """The keeper's pid inside the machine."""
    (keeper,) = (pid for pid, line in on.machine.processes().items() if "keeper/__main__.py --path" in line and str(on.exec_root) in line)
    return keeper


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=[o.name for o in OPERATIONS])
def test_at_every_boundary(daemon: Engine, standing: Standing, operation: Operation, victim: str) -> None:
    arm = daemon.machine.path(ARM)
    passed: list[str] = []
    earlier = len(daemon.log.read_text(errors="replace"))
    for boundary in range(1, 60):
        operation.before(daemon)
        before = standing.asked()
        arm.write_text(f"{boundary} {keeper_of(daemon) if victim == 'keeper' else 0}")
        status = operation.act(daemon)
        arm.unlink()
        found = re.findall(r"crash point \d+: (.*)", daemon.log.read_text(errors="replace")[earlier:])
        reached = len(found) > len(passed)
        passed = found
        assert reached or status, f"the daemon ended by itself at boundary {boundary} of {operation.name}:\n{daemon.tail()}"
        if not status:
            assert daemon.process is not None
            daemon.process.wait(30)
            daemon.process = None
            daemon.start()
        try:
            if status:
                assert status < 300 and operation.done(daemon), f"acknowledged with {status}, and not done"
            else:
                assert victim == "daemon"
            standing.names_are_back()
            is_whole(daemon, standing)
            check_names(before, standing.asked(), victim)
        except AssertionError as error:
            moment = f"after the {victim}'s end at boundary {boundary} ({passed[-1:]}) of {operation.name}"
            raise AssertionError(f"{moment}:\n{error}\n--- log\n{daemon.tail()}") from error
        clear_subject(daemon)
        if not reached:
            break
    assert len(passed) >= 5, f"{operation.name} passed only {passed}"
    assert standing.asked().questions > 20
    report(standing, f"{operation.name}, {victim}: {len(passed)} boundaries: {', '.join(passed)}")


def check_names(before: Asked, now: Asked, victim: str) -> None:
    """Whether names were answered through one death; the keeper's own costs one run of questions and no more."""
    vain, gaps = now.vain - before.vain, now.gaps - before.gaps
    assert gaps <= (victim == "keeper"), f"{vain} questions in {gaps} runs were not answered, of {now.questions - before.questions}"


def report(standing: Standing, line: str) -> None:
    """One line for whoever runs pytest -s."""
    asked = standing.asked()
    print(f"\n{line}; {asked.vain} of {asked.questions} questions in vain, names away for {asked.longest:.3f} s at most")


@dataclass
class Acknowledged:
    """What was said to be done of each container (absent: either): that it runs, that it is gone, that it is in a network."""

    runs: dict[str, bool]
    joined: dict[tuple[str, str], bool]
    refused: list[str]

    def forget(self, name: str, network: str = "") -> None:
        """A request is on its way: until it is acknowledged either holds."""
        for key in [k for k in self.joined if k[0] == name and network in ("", k[1])]:
            del self.joined[key]
        if not network:
            self.runs.pop(name, None)

    def check(self, on: Engine) -> None:
        assert not self.refused, self.refused
        there = {c["Names"][0].lstrip("/"): c for c in on.call("GET", "/containers/json?all=1")[1]}
        for name, runs in self.runs.items():
            state = there[name]["State"] if name in there else "gone"
            assert (state == "running") == runs, f"{name} was acknowledged as {'started' if runs else 'removed'} and is {state}"
        for (name, network), joined in self.joined.items():
            said = f"{name} was acknowledged to be {'in' if joined else 'out of'} {network}"
            assert (network in there[name]["NetworkSettings"]["Networks"]) == joined, said


def churn(on: Engine, dice: random.Random, until: threading.Event, told: Acknowledged) -> None:
    """Commands without end, until the daemon is gone."""
    while not until.is_set():
        name = f"churn{dice.randrange(4)}"
        if dice.random() < 0.6:
            told.forget(name)
            body = {
                **SUBJECT,
                "HostConfig": {"NetworkMode": dice.choice(["crashes", "second", "bridge"]), "PublishAllPorts": True},
                "ExposedPorts": {"9/tcp": {}},
            }
            created = request(on, "POST", f"/containers/create?name={name}", body)
            started = request(on, "POST", f"/containers/{name}/start") if created in (201, 409) else 0
            told.refused += [f"create {created}"] * (created >= 500) + [f"start {started}"] * (started >= 500)
            if started in (204, 304):
                told.runs[name] = True
        elif dice.random() < 0.5:
            network, verb = dice.choice(["crashes", "second"]), dice.choice(["connect", "disconnect"])
            told.forget(name, network)
            if request(on, "POST", f"/networks/{network}/{verb}", {"Container": name}) == 200:
                told.joined[name, network] = verb == "connect"
        else:
            told.forget(name)
            status = request(on, "DELETE", f"/containers/{name}?force=1")
            told.refused += [f"remove {status}"] * (status >= 500)
            if status in (204, 404):
                told.runs[name] = False
        if not on.socket.exists() or on.process is None or on.process.poll() is not None:
            return


@pytest.mark.parametrize("victim", VICTIMS)
def test_at_random_moments(daemon: Engine, standing: Standing, victim: str) -> None:
    dice = random.Random(SEED)
    for moment in range(MOMENTS):
        until, told = threading.Event(), Acknowledged({}, {}, [])
        worker = threading.Thread(target=churn, args=(daemon, random.Random(dice.random()), until, told))
        quiet = standing.asked()
        worker.start()
        until.wait(dice.uniform(0.02, 0.8))
        before = standing.asked()
        if victim == "daemon":
            daemon.kill()
            until.set()
            worker.join(90)
            daemon.start()
        else:
            daemon.machine.run(["kill", "-KILL", str(keeper_of(daemon))])
            until.wait(dice.uniform(0, 0.3))
            until.set()
            worker.join(90)
        try:
            standing.names_are_back()
            is_whole(daemon, standing)
            told.check(daemon)
            assert before.vain == quiet.vain, "names were not answered before anybody was killed"
            check_names(before, standing.asked(), victim)
        except AssertionError as error:
            raise AssertionError(f"after the end of the {victim}, moment {moment} of seed {SEED}:\n{error}\n--- log\n{daemon.tail()}") from error
    assert standing.asked().questions > 20
    report(standing, f"{MOMENTS} moments, {victim}")
    done = daemon.cli("run", "--rm", "--net", "crashes", "busybox", "echo", "next", check=False)
    assert done.stdout == "next\n", done.text


@pytest.mark.parametrize("verb", ["pause", "unpause"])
def test_a_pause_that_was_cut(daemon: Engine, verb: str) -> None:
    """Whether a container stands still is what the kernel says: what nobody was told of may be either, and must be told truly."""
    prepared(daemon)
    if verb == "unpause":
        assert request(daemon, "POST", "/containers/subject/pause") == 204
    daemon.machine.path(ARM).write_text("1 0")
    assert request(daemon, "POST", f"/containers/subject/{verb}") == 0
    daemon.machine.path(ARM).unlink()
    assert daemon.process is not None
    daemon.process.wait(30)
    daemon.process = None
    daemon.start()
    assert subject(daemon)["State"]["Paused"] == (verb == "pause")
    if verb == "pause":
        assert request(daemon, "POST", "/containers/subject/unpause") == 204
    assert daemon.cli("exec", "subject", "echo", "moves").stdout == "moves\n"
    clear_subject(daemon)
