"""The demo itself: a wrong expectation is a cross and status 1, and an interrupted one leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from demo.chapter import fill, read_chapter
from demo.terminal import plain
from tests.harness import PROJECT, docker_clis

CHAPTER = PROJECT / "demo" / "chapter.toml"


def demo(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo", "--images", "local", *words], cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_the_chapter_reads() -> None:
    sections = read_chapter(CHAPTER)
    assert [s.title.split()[0] for s in sections][:2] == ["6.1", "6.2"]
    assert sum(len(step.facts) for s in sections for step in s.steps) > 80
    assert fill("br-<<id>>", {"id": "a.b"}, quote=True) == r"br-a\.b"


def test_what_a_terminal_shows() -> None:
    assert plain("one\r\n\x1b[32mtwo\x1b[0m\r\n") == "one\ntwo\n"
    assert plain("layer: 10%\r\nother\r\n\x1b[2A\x1b[2K\rlayer: done\r\x1b[2B") == "layer: done\nother\n"
    assert plain("\x1b]0;title\x07root@host:/# ") == "root@host:/# "


@pytest.mark.root
@pytest.mark.parametrize(("wrong", "status"), [(False, 0), (True, 1)])
def test_a_wrong_expectation_is_a_cross(tmp_path: Path, wrong: bool, status: int) -> None:
    text = CHAPTER.read_text(encoding="utf-8")
    altered = text.replace("+null +local$'", "+bridge +local$'") if wrong else text
    assert (altered != text) == wrong
    file = tmp_path / "chapter.toml"
    file.write_text(altered, encoding="utf-8")
    process = demo("--chapter", str(file), "--only", "6.1")
    said, _ = process.communicate(timeout=280)
    assert process.returncode == status, said
    assert said.count("✗") == int(wrong)
    assert ("✗ none is there" if wrong else "✓ none is there") in said


@pytest.mark.root
def test_the_shell_beside_a_daemon_has_the_socket_where_the_documents_say_and_a_home_of_its_own() -> None:
    lines = 'docker -H unix:///run/sanbashi/sanbashi.sock network ls -q | wc -l; sanbashi network create mine; echo "home:$HOME:$(ls -A ~)"'
    done = subprocess.run([sys.executable, "-m", "demo.run"], cwd=PROJECT, input=f"{lines}\n", text=True, capture_output=True, timeout=280)
    assert re.search(r"^3\n[0-9a-f]{64}\nhome:/.*/home:$", done.stdout, re.MULTILINE), done
    assert os.environ["HOME"] not in re.findall("home:(.*):", done.stdout)
    assert not Path(done.stdout.rpartition("home:")[2].partition(":")[0]).exists()


@pytest.mark.root
@pytest.mark.timeout(900)
@pytest.mark.parametrize("cli", ["sanbashi", *docker_clis()])
def test_the_whole_chapter_holds(cli: str) -> None:
    process = demo("--cli", cli)
    said, _ = process.communicate(timeout=880)
    lines = said.splitlines()
    crosses = [line for number, line in enumerate(lines) if any("✗" in near for near in lines[number : number + 12])]
    assert not crosses, "\n".join(crosses)
    assert process.returncode == 0, said
    assert int(re.search(r"(\d+) facts hold", said)[1]) > 80  # type: ignore[index]


@pytest.mark.root
def test_an_interrupted_demo_leaves_nothing() -> None:
    before = traces()
    process = demo("--only", "6.2 ")
    assert process.stdout is not None
    for line in process.stdout:
        if "docker run" in line or "sanbashi run" in line:
            break
    os.kill(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=180)
    assert process.returncode == 130, rest
    assert "interrupted" in rest
    assert traces() - before == set()


def traces() -> set[str]:
    """This machine's links, mounts of the project and processes of an engine; other tests may run beside this one, not in this project."""
    links = {f"link {entry.name}" for entry in Path("/sys/class/net").iterdir()}
    mounts = {f"mount {line.split()[4]}" for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return links | mounts
