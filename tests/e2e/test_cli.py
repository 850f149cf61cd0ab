"""A person's day with the docker CLI, every one that is found, and with ours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from demo.terminal import PROMPT, Terminal
from tests.e2e.verbs import ROWS, SET_UP
from tests.harness import Done, Engine, docker_clis, sanbashi_cli

pytestmark = pytest.mark.root
IMAGES = ("httpd:2.4", "ubuntu:latest")

CLIS = {**{f"docker-{version}": path for path, version in docker_clis().items()}, "sanbashi": sanbashi_cli()}
Run = Callable[..., Done]


@pytest.fixture(params=list(CLIS), ids=list(CLIS))
def cli(request: pytest.FixtureRequest) -> str:
    return CLIS[request.param]


@pytest.fixture
def run(clean: Engine, cli: str) -> Run:
    """Run one command of the CLI against the engine."""

    def call(*words: str, check: bool = True, given: str = "") -> Done:
        return clean.cli(*words, program=cli, check=check, given=given)

    return call


def test_life_of_a_container(run: Run) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}\n", run("create", "--name", "life", "busybox", "sleep", "100").stdout)
    assert run("inspect", "-f", "{{.State.Status}}", "life").stdout == "created\n"
    assert run("start", "life").stdout == "life\n"
    assert run("inspect", "-f", "{{.State.Status}} {{.State.Running}}", "life").stdout == "running true\n"
    assert run("pause", "life").stdout == "life\n"
    assert "(Paused)" in run("ps", "--filter", "name=life").stdout
    run("unpause", "life")
    first = run("inspect", "-f", "{{.State.Pid}}", "life").stdout
    assert run("restart", "-t", "0", "life").stdout == "life\n"
    assert run("inspect", "-f", "{{.State.Pid}}", "life").stdout != first
    run("rename", "life", "lives")
    assert run("stop", "-t", "0", "lives").stdout == "lives\n"
    assert run("wait", "lives").stdout == "137\n"
    assert "Exited (137)" in run("ps", "-a", "--filter", "name=lives").stdout
    assert run("rm", "lives").stdout == "lives\n"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["busybox", "sh", "-c", "exit 7"], 7),
        (["busybox", "nosuchcmd"], 127),
        (["busybox", "/etc/passwd"], 126),
        (["--net", "nosuch", "busybox", "true"], 125),
    ],
)
def test_exit_status_of_run(run: Run, words: list[str], status: int) -> None:
    assert run("run", "--rm", *words, check=False).exit == status


def test_streams_are_apart_and_input_ends(run: Run) -> None:
    done = run("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo said >&2", given="one\ntwo\n")
    assert (done.stdout, done.stderr) == ("one\ntwo\n", "said\n")


def test_much_output_arrives_whole(run: Run) -> None:
    done = run("run", "--rm", "busybox", "seq", "200000")
    assert done.stdout == "".join(f"{n}\n" for n in range(1, 200001))


def test_logs(run: Run) -> None:
    run("run", "-d", "--name", "talks", "busybox", "sh", "-c", "echo one; echo two >&2; echo three")
    run("wait", "talks")
    done = run("logs", "talks")
    assert (done.stdout, done.stderr) == ("one\nthree\n", "two\n")
    assert run("logs", "-f", "talks").stdout == "one\nthree\n"
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z one\n", run("logs", "-t", "talks").stdout)
    run("run", "-d", "--name", "counts", "busybox", "seq", "5")
    run("wait", "counts")
    assert run("logs", "--tail", "2", "counts").stdout == "4\n5\n"


def test_exec(run: Run) -> None:
    run("run", "-d", "--name", "works", "-e", "COLOUR=red", "busybox", "sleep", "100")
    assert run("exec", "works", "sh", "-c", "echo $COLOUR; exit 3", check=False) == Done(3, "red\n", "")
    assert run("exec", "-i", "works", "cat", given="to and fro").stdout == "to and fro"
    assert run("exec", "-u", "nobody", "-w", "/tmp", "works", "sh", "-c", "id -un; pwd").stdout == "nobody\n/tmp\n"
    assert run("exec", "works", "nosuchcmd", check=False).exit == 127
    assert run("exec", "-d", "works", "touch", "/tmp/there").text == ""
    assert "sleep 100" in run("top", "works").stdout


def test_terminal(clean: Engine, cli: str) -> None:
    where = clean.machine
    clean.cli("run", "-d", "--name", "screen", "ubuntu", "sleep", "100")
    terminal = Terminal(where.command([cli, "exec", "-it", "screen", "bash"]), where.variables(clean.variables()))
    try:
        output, prompted = terminal.read(60)
        assert prompted and PROMPT.search(output), output
        terminal.type("tty; test -t 0 && echo interactive")
        # An older CLI tells the size late, and bash then writes its prompt once more.
        assert any("interactive" in terminal.read(30)[0] for _ in range(2))
        terminal.type("exit 5")
        terminal.read(30, prompt=False)
        assert terminal.wait() == 5
    finally:
        terminal.close()


def test_detach_and_attach(clean: Engine, cli: str) -> None:
    where = clean.machine
    terminal = Terminal(where.command([cli, "run", "-it", "--name", "aside", "ubuntu"]), where.variables(clean.variables()))
    try:
        assert terminal.read(30)[1]
        terminal.send(b"\x10\x11")  # ctrl-p ctrl-q
        terminal.read(30, prompt=False)
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert clean.cli("inspect", "-f", "{{.State.Status}}", "aside").stdout == "running\n"
    terminal = Terminal(where.command([cli, "attach", "aside"]), where.variables(clean.variables()))
    try:
        terminal.type("echo back again")
        assert "back again" in terminal.read(30)[0]
        terminal.type("exit")
        terminal.read(30, prompt=False)
        assert terminal.wait() == 0
    finally:
        terminal.close()


def test_networks_and_names(run: Run) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}\n", run("network", "create", "--subnet", "10.77.0.0/24", "town").stdout)
    run("run", "-d", "--name", "house", "--net", "town", "--network-alias", "home", "busybox", "sleep", "100")
    for name in ("house", "home", "house.town"):
        assert "10.77.0.2" in run("run", "--rm", "--net", "town", "busybox", "nslookup", "-type=a", name).stdout
    run("run", "-d", "--name", "guest", "busybox", "sleep", "100")
    assert run("exec", "guest", "ping", "-c1", "-W1", "house", check=False).exit != 0
    run("network", "connect", "--ip", "10.77.0.9", "town", "guest")
    assert run("exec", "guest", "ping", "-c1", "-W2", "house").exit == 0
    assert "10.77.0.9/24" in run("network", "inspect", "town").stdout
    assert "active endpoints" in run("network", "rm", "town", check=False).stderr
    run("network", "disconnect", "town", "guest")
    run("rm", "-f", "house")
    assert run("network", "rm", "town").stdout == "town\n"


def test_published_port(run: Run, clean: Engine) -> None:
    run("run", "-d", "--name", "web", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "httpd:2.4")
    assert "80/tcp -> 0.0.0.0:8080" in run("port", "web").stdout
    fetch = ["curl", "-s", "--max-time", "5", "--retry", "20", "--retry-connrefused", "--retry-delay", "1"]
    assert "It works!" in clean.machine.run([*fetch, "http://127.0.0.1:8080/"]).stdout
    assert "It works!" in clean.machine.run([*fetch, "http://[::1]:8080/"]).stdout
    assert "It works!" in clean.machine.run([*fetch, "http://127.0.0.1:8081/"]).stdout
    neighbour = clean.machine.outside
    assert "It works!" in neighbour.run([*fetch, "http://198.51.100.2:8080/"]).stdout
    assert "It works!" in neighbour.run([*fetch, "http://[2001:db8:51::2]:8080/"]).stdout
    assert neighbour.run(["curl", "-s", "--max-time", "2", "http://198.51.100.2:8081/"], check=False).exit != 0
    taken = run("run", "-d", "--name", "late", "-p", "8080:80", "busybox", "sleep", "1", check=False)
    assert taken.exit == 125
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in taken.stderr


def test_volumes_and_files(run: Run) -> None:
    run("volume", "create", "kept")
    run("run", "--rm", "-v", "kept:/data", "busybox", "sh", "-c", "echo here > /data/file")
    assert run("run", "--rm", "--mount", "type=volume,src=kept,dst=/data", "busybox", "cat", "/data/file").stdout == "here\n"
    assert run("run", "--rm", "--tmpfs", "/quick", "busybox", "stat", "-f", "-c", "%T", "/quick").stdout == "tmpfs\n"
    assert run("volume", "rm", "kept").stdout == "kept\n"


def test_events(run: Run, clean: Engine) -> None:
    since = clean.machine.run(["date", "+%s.%N"]).stdout.strip()
    run("run", "--rm", "--name", "seen", "busybox", "true")
    until = clean.machine.run(["date", "+%s.%N"]).stdout.strip()
    said = run("events", "--since", since, "--until", until, "--format", "{{.Type}} {{.Action}}").stdout.splitlines()
    wanted = ["container create", "network connect", "container start", "network disconnect", "container die", "container destroy"]
    assert [line for line in said if line in wanted] == wanted


def as_docker(text: str) -> str:
    """Our sentences under Docker's name; what Docker's CLI logs of its own threads is chance."""
    text = re.sub(r"(?m)^time=.*\n", "", text)
    return text.replace("the Sanbashi daemon", "the Docker daemon").replace("Is sanbashid running?", "Is the docker daemon running?")


@pytest.mark.parametrize("name", [name for name in CLIS if not name.startswith("docker-20.")])
def test_verbs(name: str, clean: Engine) -> None:
    """Every row in order, on one set of containers; all that differ are told together."""
    where = {**clean.variables(), "D": CLIS[name]}
    clean.machine.run(SET_UP, environment=where)
    here = f"{clean.machine.scratch}/tmp/verbs"
    idle = clean.call("GET", "/containers/idle/json")[1]["Id"]
    different = []
    for command, status, out, err in ROWS:
        done = clean.machine.run(f"cd {here}; $D {command}", check=False, environment=where)
        found = Done(done.exit, done.stdout, as_docker(done.stderr))
        wanted = Done(status, out.replace("IDLE", idle), err.replace("IDLE", idle).replace("HERE", here))
        if found != wanted:
            different.append((command, found, wanted))
    assert not different, "\n".join(f"{command}\n  {found}\n  {wanted}" for command, found, wanted in different)
    kept = clean.machine.run(f"cd {here}; cat file; test -c device; test -L link; cat out/within; ls *.part", check=False).stdout
    assert kept == "f\nx\n"


def test_a_signal_that_is_none_changes_nothing(clean: Engine) -> None:
    """Neither that the container goes when it ends, nor that its policy starts it again."""
    clean.cli("run", "-d", "--rm", "--name", "passing", "busybox", "sleep", "1000")
    clean.cli("run", "-d", "--restart", "always", "--name", "lasting", "busybox", "sleep", "1000")
    for verb, name in (("restart", "passing"), ("stop", "lasting")):
        refused = clean.cli(verb, "-s", "NOSUCH", name, check=False)
        assert refused.exit == 1 and "NOSUCH" in refused.stderr
    assert clean.cli("inspect", "-f", "{{.HostConfig.AutoRemove}}", "passing").stdout == "true\n"
    pid = clean.cli("inspect", "-f", "{{.State.Pid}}", "lasting").stdout.strip()
    clean.machine.run(["kill", "-9", pid])
    deadline = time.monotonic() + 60
    while clean.cli("inspect", "-f", "{{.RestartCount}}", "lasting").stdout == "0\n" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert clean.cli("inspect", "-f", "{{.RestartCount}}", "lasting").stdout == "1\n"


def test_a_restart_is_told_as_a_stop_too(clean: Engine) -> None:
    clean.cli("run", "-d", "--name", "again", "--stop-signal", "KILL", "busybox", "sleep", "1000")
    since = clean.machine.run(["date", "+%s.%N"]).stdout.strip()
    clean.cli("restart", "again")
    clean.cli("exec", "again", "true")
    until = clean.machine.run(["date", "+%s.%N"]).stdout.strip()
    told = clean.cli("events", "--since", since, "--until", until, "--filter", "container=again", "--format", "{{.Action}}").stdout
    assert told.splitlines()[:5] == ["kill", "die", "stop", "start", "restart"]
    assert {"exec_create: true ", "exec_start: true "} <= set(told.splitlines())


def test_a_full_output_is_one_sentence(clean: Engine) -> None:
    """/dev/full takes nothing."""
    ours = clean.machine.run("$D network ls >/dev/full", check=False, environment={**clean.variables(), "D": sanbashi_cli()})
    assert ours == Done(1, "", "write /dev/stdout: no space left on device\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [(["context", "ls"], "-H or SANBASHI_HOST"), (["-c", "x", "ps"], "-H or SANBASHI_HOST"), (["swarm", "init"], "there is no swarm")],
)
def test_what_is_absent_says_so_and_what_to_do(words: list[str], hint: str, clean: Engine) -> None:
    done = clean.cli(*words, program=sanbashi_cli(), check=False)
    assert done.exit == 1 and "is not supported\n" in done.stderr and hint in done.stderr.splitlines()[1]
