"""What a verb imports: nothing that costs more than the request itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from sanbashi.cli.command import Command
from sanbashi.cli.help import command_help, group_help, root_help
from sanbashi.cli.main import load
from sanbashi.cli.verbs import GROUPS, TOP

SOURCES = Path(__file__).parents[3] / "src"
HEAVY = {"re", "json", "argparse", "socket", "http", "urllib", "typing", "enum", "dataclasses", "threading", "signal", "pathlib", "os", "functools"}


@pytest.mark.parametrize("verb", ["network ls", "ps", "run -d busybox", "rm x", "stop x", "exec x true", "images", "network create n", "inspect x"])
def test_light_imports(verb: str) -> None:
    words = [*verb.split()]
    program = (
        f"import sys; sys.path.insert(0, {str(SOURCES)!r})\n"
        "from sanbashi.cli.main import answer\n"
        f"answer(['-H', 'unix:///nowhere/at/all.sock', *{words!r}])\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert "Cannot connect to the Sanbashi daemon" in done.stderr
    loaded = set(done.stdout.split())
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith("sanbashi.") and not name.startswith("sanbashi.cli")}


def all_commands() -> list[tuple[str, Command]]:
    verbs = [(f"sanbashi {name}", verb) for name, verb in TOP.items()]
    verbs += [(f"sanbashi {group} {name}", verb) for group, (_, names) in GROUPS.items() for name, verb in names.items()]
    return [(path, load(module, key)) for path, (module, key, _) in verbs]


def test_every_verb_has_help() -> None:
    for path, command in all_commands():
        text = command_help(command, path)
        assert text.startswith(f"Usage:  {path}")
        assert all(line == line.rstrip() for line in text.split("\n"))
    assert all(group_help(name).startswith(f"Usage:  sanbashi {name} COMMAND") for name in GROUPS)
    assert "Common Commands:" in root_help()
