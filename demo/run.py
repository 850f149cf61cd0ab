"""`make run`: a daemon in private namespaces and a shell to use it from; when the shell ends, everything is gone.

make run                       sanbashi and docker both speak to it; Docker Hub where it answers, else the stand-ins of the tests
make run ARGS="-- --debug"     with options of the daemon
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence

from tests.harness import PROJECT, engine, machine, registry

from .__main__ import HUB, answers


def main(arguments: Sequence[str]) -> int:
    """Run a shell beside a daemon; its exit status."""
    words = [word for word in arguments if word != "--"]
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(machine(way_out=True))
        if not answers(where, HUB):
            words.append(f"--registry-mirror={stack.enter_context(registry(where))}")
        running = stack.enter_context(engine(where, options=words))
        print(f"sanbashid runs; its socket is {running.url}, its log {running.log}. Type exit to end it all.", flush=True)
        path = f"{PROJECT}/.venv/bin:{os.environ['PATH']}"
        return subprocess.run(
            where.command(["bash", "-i"]), env=where.variables({**running.variables(), "PATH": path, "PS1": "machine # "})
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
