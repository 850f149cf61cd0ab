"""Completion as the shells themselves do it: a line typed at a terminal, the tabulator, and what stands there then."""

from __future__ import annotations

import os
import re
import select
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.terminal import Terminal, plain
from tests.harness import Engine, sanbashi_cli

pytestmark = pytest.mark.root

# How each shell is told to load the script, plainly: no prompt but `> `, no files of the user's.
SHELLS = {
    "bash": (["bash", "--noprofile", "--norc", "-i"], "PS1='> '; bind 'set enable-bracketed-paste off'; source <(sanbashi completion bash)"),
    "zsh": (["zsh", "-f", "-i"], "PS1='> '; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; source <(sanbashi completion zsh)"),
    "fish": (["fish", "--no-config", "-i"], "function fish_prompt; printf '> '; end; sanbashi completion fish | source"),
}


class Shell:
    """An interactive shell inside the machine, with our program on its path."""

    def __init__(self, engine: Engine, name: str, home: Path) -> None:
        command, prepare = SHELLS[name]
        environment = {**engine.variables(), "HOME": str(home), "TERM": "xterm", "PATH": f"{Path(sanbashi_cli()).parent}:{os.environ['PATH']}"}
        self.terminal = Terminal(
            engine.machine.command(["env", *(f"{k}={v}" for k, v in environment.items()), *command]), dict(os.environ), size=(40, 200)
        )
        self.terminal.send(f"{prepare}; echo rea''dy\n".encode())
        self.until(re.compile(r"^ready", re.MULTILINE))

    def until(self, wanted: re.Pattern[str], patience: float = 60) -> str:
        """What stands on the screen once `wanted` is on it, or when patience ends."""
        came, deadline = b"", time.monotonic() + patience
        while not wanted.search(seen := plain(came.decode(errors="replace"))) and (left := deadline - time.monotonic()) > 0:
            if select.select([self.terminal.master], [], [], left)[0]:
                came += os.read(self.terminal.master, 65536)
        return seen

    def completes(self, typed: str, wanted: str) -> None:
        """Type, press the tabulator, and see the line end in `wanted`; then the line is given up."""
        self.terminal.send(typed.encode() + b"\t")
        seen = self.until(re.compile(re.escape(wanted)))
        assert wanted in seen, f"{typed!r} and the tabulator gave {seen!r}"
        self.terminal.send(b"\x15")


@pytest.fixture(params=list(SHELLS))
def shell(request: pytest.FixtureRequest, clean: Engine, tmp_path: Path) -> Iterator[Shell]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed: make setup")
    made = Shell(clean, request.param, tmp_path)
    yield made
    made.terminal.close()


def test_verbs_flags_and_names(shell: Shell, clean: Engine) -> None:
    clean.cli("network", "create", "harbour", program=sanbashi_cli())
    clean.cli("create", "--name", "lighthouse", "busybox", "true", program=sanbashi_cli())
    shell.completes("sanbashi netw", "sanbashi network")
    shell.completes("sanbashi network disc", "sanbashi network disconnect")
    shell.completes("sanbashi run --network-al", "sanbashi run --network-alias")
    shell.completes("sanbashi network inspect harb", "sanbashi network inspect harbour")
    shell.completes("sanbashi run --network harb", "sanbashi run --network harbour")
    shell.completes("sanbashi inspect lightho", "sanbashi inspect lighthouse")
    shell.completes("sanbashi why lightho", "sanbashi why lighthouse")
    shell.completes("sanbashi rmi busybox:la", "sanbashi rmi busybox:latest")
