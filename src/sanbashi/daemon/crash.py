"""Where a test may end the daemon: at the n-th step boundary, as kill -9 does.

SANBASHI_CRASH_AT=N ends the process at the N-th boundary after the file named by SANBASHI_CRASH_ARM appears (at once where that is unset).
"""

from __future__ import annotations

import os
import signal

AT = int(os.environ.get("SANBASHI_CRASH_AT", "0"))
ARM = os.environ.get("SANBASHI_CRASH_ARM", "")
passed = 0


def crash_point(name: str) -> None:
    """A step boundary; costs a comparison where no test asked."""
    global passed
    if not AT or (ARM and not os.path.exists(ARM)):  # noqa: PTH110 - this may run in a signal-like hurry, and os is what is here
        return
    passed += 1
    if passed == AT:
        os.write(2, f"crash point {passed}: {name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
