"""`make demo`: run the chapter and say of every fact whether it holds.

    ✓ the fact holds    ✗ it does not    – it could not be looked at (no mirror of Debian answers from here)

Exit status 0 only when no fact fails. The engine, its containers and its registry run in namespaces of their own; ^C ends them too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.harness import Engine, Machine, docker_clis, engine, machine, registry, sanbashi_cli

from .chapter import Section, Step, fill, read_chapter
from .terminal import Terminal

MIRROR = "http://deb.debian.org/debian/dists/stable/InRelease"
HUB = "https://registry-1.docker.io/v2/"


class Show:
    """What is printed, and the count of ticks, crosses and third marks."""

    def __init__(self, colour: bool) -> None:
        self.counts = {"✓": 0, "✗": 0, "–": 0}
        self.paint = {"✓": "32", "✗": "31;1", "–": "33", "$": "1", "#": "36;1"} if colour else {}

    def coloured(self, kind: str, text: str) -> str:
        return f"\x1b[{self.paint[kind]}m{text}\x1b[0m" if kind in self.paint else text

    def line(self, text: str = "") -> None:
        print(text, flush=True)

    def title(self, text: str) -> None:
        self.line("\n" + self.coloured("#", text))

    def command(self, prompt: str, text: str) -> None:
        self.line("\n" + self.coloured("$", f"{prompt} {text}"))

    def output(self, text: str) -> None:
        lines = text.strip("\n").split("\n") if text.strip() else []
        if len(lines) > 34:
            lines = [*lines[:14], f"… {len(lines) - 28} lines …", *lines[-14:]]
        self.line(textwrap.indent("\n".join(lines), "    ", lambda _: True))

    def mark(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        self.line("  " + self.coloured(kind, f"{kind} {text}"))


class Play:
    """The chapter as it runs: the engine, the terminal that is open, what was remembered."""

    def __init__(self, on: Engine, show: Show, cli: str, lacking: dict[str, str]) -> None:
        self.engine, self.show, self.cli, self.lacking = on, show, cli, lacking
        self.kind = "sanbashi" if Path(cli).name == "sanbashi" else "docker"
        self.terminal: Terminal | None = None
        self.prompt = ""
        self.names: dict[str, str] = {}
        self.broken = ""

    def section(self, section: Section) -> None:
        self.show.title(section.title)
        for step in section.steps:
            if step.cli in ("", self.kind):
                self.step(step)

    def step(self, step: Step) -> None:
        """Run one step and mark each of its facts."""
        try:
            command = fill(step.command, self.names)
        except KeyError as unknown:
            self.show.mark("✗", f"{step.command}: {unknown} is not known, for the step that shows it failed")
            return
        typed = re.sub(r"(?<![\w./:-])docker (?=[a-z])", f"{self.kind} ", command)
        if step.where == "terminal":
            self.show.command(self.prompt or "#", typed)
        else:
            self.show.command({"host": "host $", "neighbour": "neighbour $"}[step.where], typed)
        if step.needs in self.lacking:
            for fact in step.facts:
                self.show.mark("–", f"{fact.says}: {self.lacking[step.needs]}")
            return
        if step.where == "terminal" and self.terminal is None:
            self.show.mark("✗", "no terminal is open, for the step that opens it failed")
            return
        status, output = self.perform(step, command)
        self.show.output(output)
        if step.exit is not None and status != step.exit:
            self.show.mark("✗", f"exit status {step.exit} (it is {status})")
        for fact in step.facts:
            try:
                holds = fact.holds(output, self.names)
            except KeyError as unknown:
                self.show.mark("✗", f"{fact.says}: {unknown} is not known, for the step that shows it failed")
                continue
            self.show.mark("✓" if holds else "✗", fact.says)
        for name, pattern in step.remember.items():
            if found := re.search(pattern, output, re.MULTILINE):
                self.names[name] = found[1]

    def perform(self, step: Step, command: str) -> tuple[int | None, str]:
        """(exit status, output) of a step; what a shell in a container typed has status None unless it ends the shell."""
        where = self.engine.machine
        if step.where == "neighbour":
            done = where.outside.run(command, check=False, timeout=step.patience)
            return done.exit, done.text
        if step.opens:
            self.terminal = Terminal(where.command(self.line(command)), where.variables(self.engine.variables()), step.size or (40, 120))
            output, prompted = self.terminal.read(step.patience)
            if not prompted:
                self.hang_up()
                return None, output + "\n(no prompt came)"
            self.prompt = output.rsplit("\n", 1)[-1].strip()
            return 0, output
        if step.where == "terminal":
            return self.perform_typed(step, command)
        done = where.run(self.line(command), check=False, timeout=step.patience, environment=self.engine.variables())
        return done.exit, done.text

    def perform_typed(self, step: Step, command: str) -> tuple[int | None, str]:
        assert self.terminal is not None
        deadline = time.monotonic() + 10
        while step.size and time.monotonic() < deadline:
            # The CLI may not listen yet for the signal that tells of a new size, and no signal comes where the size is what it was.
            self.terminal.resize(step.size[0], step.size[1] - 1)
            self.terminal.resize(*step.size)
            self.terminal.type(command)
            output, _ = self.terminal.read(step.patience)
            if all(fact.holds(output, self.names) for fact in step.facts):
                self.terminal.read(0.5, prompt=False)  # prompts that the changes of size drew
                return 0, output.partition("\n")[2].rpartition("\n")[0] + "\n"
        self.terminal.type(command)
        output, prompted = self.terminal.read(step.patience, prompt=not step.closes)
        output = output.partition("\n")[2]  # what was typed comes back first
        if step.closes:
            status = self.terminal.wait(step.patience)
            self.hang_up()
            return status, output
        return (0, output.rpartition("\n")[0] + "\n") if prompted else (None, output + "\n(the prompt did not come back)")

    def line(self, command: str) -> str:
        """The line as bash runs it: `docker` is the CLI that was chosen."""
        return f'docker() {{ "{self.cli}" "$@"; }}; {command}'

    def hang_up(self) -> None:
        if self.terminal is not None:
            self.terminal.close()
        self.terminal, self.prompt = None, ""


def answers(where: Machine, url: str) -> bool:
    """Whether somebody answers at a URL, from inside the machine."""
    done = where.run(["curl", "--silent", "--output", "/dev/null", "--max-time", "10", "--write-out", "%{http_code}", url], check=False)
    return done.stdout not in ("", "000")


def perform(options: argparse.Namespace, show: Show) -> int:
    """The whole demo; the exit status."""
    sections = [s for s in read_chapter(Path(options.chapter)) if not options.only or s.title.startswith(tuple(options.only))]
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(machine(way_out=True))
        before = where.traces()
        lacking = {}
        if not answers(where, MIRROR):
            lacking["mirror"] = "no mirror of Debian answers from here"
        daemon_options: list[str] = []
        images = options.images if options.images != "auto" else "hub" if answers(where, HUB) else "local"
        if images == "hub":
            show.line("Images: httpd:2.4 and ubuntu of Docker Hub.")
        else:
            show.line("Images: Docker Hub does not answer; stand-ins built from Debian's packages, through the daemon's registry mirror.")
            # The tools that the chapter installs are in the image already where nothing can be installed.
            url = stack.enter_context(registry(where, "recordings" if lacking else "chapter"))
            daemon_options.append(f"--registry-mirror={url}")
            before = where.traces()
        running = stack.enter_context(engine(where, options.engine, options=daemon_options))
        show.line(f"Engine: {options.engine}, CLI: {options.cli}, in namespaces of their own.")
        play = Play(running, show, options.cli, lacking)
        stack.callback(play.hang_up)
        for section in sections:
            play.section(section)
        play.hang_up()
        show.title("Afterwards")
        running.clear()
        running.end()
        stays = ["/netns/default$", "^docker0$", "^ip6? (filter|nat|raw|mangle)$", "^(inet|bridge) sanbashi$"]
        deadline = time.monotonic() + 15
        while (left := where.left(before, stays)) and time.monotonic() < deadline:
            time.sleep(0.1)  # the keeper lingers for some seconds in case somebody needs it again
        show.mark("✗" if left else "✓", f"left behind: {left}" if left else "no container's process, link, namespace or mount is left")
    show.line(f"\n{show.counts['✓']} facts hold, {show.counts['✗']} do not, {show.counts['–']} could not be looked at.")
    return 1 if show.counts["✗"] else 0


def interrupt(number: int, frame: FrameType | None) -> None:
    """^C, a closed terminal and a polite kill end the demo alike: once, in order."""
    for deaf in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(deaf, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="demo", description="Run the chapter and say of every fact whether it holds.")
    parser.add_argument("--cli", default="sanbashi", help="sanbashi, docker, or the path of a docker CLI")
    parser.add_argument("--engine", default="sanbashi", choices=["sanbashi", "docker"], help="whose daemon runs (docker: Debian's dockerd)")
    parser.add_argument("--images", default="auto", choices=["auto", "hub", "local"], help="where httpd and ubuntu come from")
    parser.add_argument("--chapter", default=str(Path(__file__).with_name("chapter.toml")), help="the file of steps")
    parser.add_argument("--only", action="append", help="only sections whose title begins so")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("namespaces need root: sudo make demo")
    if options.cli == "sanbashi":
        options.cli = sanbashi_cli()
    elif options.cli == "docker":
        if not (found := docker_clis()):
            parser.error("no docker CLI is on the PATH")
        options.cli = next(iter(found))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        return perform(options, Show(sys.stdout.isatty()))
    except KeyboardInterrupt:
        print("\ninterrupted; everything that was started is ended", flush=True)
        return 130


if __name__ == "__main__":
    sys.exit(main())
