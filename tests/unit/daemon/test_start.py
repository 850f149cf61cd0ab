"""What a start of the daemon reads in: nothing that only a rare verb needs."""

import subprocess
import sys

# Who asks a registry, and why one does not reach another.
LATER = {
    "urllib3",
    "http.client",
    "urllib.request",
    "sanbashi.host.registry",
    "sanbashi.host.fetching",
    "sanbashi.daemon.why",
    "sanbashi.network.why",
}
PROGRAM = """
import sys
import sanbashi.daemon.main, sanbashi.daemon.building, sanbashi.api.server
print(" ".join(sys.modules))
"""


def test_what_few_ask_for_is_not_read_in_at_the_start() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())

    assert "sanbashi.daemon.images" in loaded
    assert not {name for name in loaded if any(name == one or name.startswith(f"{one}.") for one in LATER)}
