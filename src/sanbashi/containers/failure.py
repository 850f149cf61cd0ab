"""What a runtime said when it could not run something, in Docker's words and with the exit code that Docker gives it.

runc and crun say the same thing differently and every version a little; Docker's clients match on the sentences of runc under containerd,
so these are what we answer whichever runtime ran. 127: no such command; 126: it is there and cannot be executed; 128: anything else.
"""

from __future__ import annotations

import re
from typing import Literal

from ..errors import Failed, Invalid

Phase = Literal["create", "start", "exec"]

PREFIX: dict[Phase, str] = {
    "create": "failed to create task for container: failed to create shim task: OCI runtime create failed: ",
    "start": "failed to start task for container: OCI runtime start failed: ",
    "exec": "OCI runtime exec failed: ",
}
# What runc 1.2 and later put before the cause when the container's init, or the exec, could not run the command.
CAUSE: dict[Phase, str] = {
    "create": "runc create failed: unable to start container process: error during container init: ",
    "start": "runc start failed: unable to start container process: error during container init: ",
    "exec": "exec failed: unable to start container process: ",
}
NOT_FOUND, NOT_EXECUTABLE, NOT_STARTED = 127, 126, 128


class CannotRun(Invalid):
    """The command is not there or cannot be executed; `exit_code` 127 or 126, as a shell has it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RuntimeFailed(Failed):
    """The runtime refused or failed for a reason of its own; `exit_code` is 128."""

    def __init__(self, message: str, exit_code: int = NOT_STARTED, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


CHDIR = r"chdir(?: to cwd)? [`(\"']+(.+?)[`)\"']+.*"
# What Docker puts behind whatever ends so: it thinks of mounts alone.
NO_DIRECTORY = "not a directory"
MOUNTING = ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type"
# (what a runtime said, Docker's cause, exit code); {0} is the first group, or the command that was asked for where the runtime names none.
SAID: tuple[tuple[re.Pattern[str], str, int], ...] = (
    (re.compile(r"executable file [`'\"]([^/`'\"]*)[`'\"] not found"), 'exec: "{0}": executable file not found in $PATH', NOT_FOUND),
    (re.compile(r"executable file [`'\"](.+?)[`'\"] not found"), 'exec: "{0}": stat {0}: no such file or directory', NOT_FOUND),
    (re.compile(r'exec: "(.*?)": executable file not found in \$PATH'), 'exec: "{0}": executable file not found in $PATH', NOT_FOUND),
    (re.compile(r'exec: "(.*?)": stat .*: no such file or directory'), 'exec: "{0}": stat {0}: no such file or directory', NOT_FOUND),
    (re.compile(r'exec: "(.*?)": is a directory'), 'exec: "{0}": is a directory', NOT_EXECUTABLE),
    (re.compile(r'exec: "(.*?)": permission denied'), 'exec: "{0}": permission denied', NOT_EXECUTABLE),
    (re.compile(r"open executable: Operation not permitted"), 'exec: "{0}": is a directory', NOT_EXECUTABLE),
    (re.compile(r"open executable: Permission denied"), 'exec: "{0}": permission denied', NOT_EXECUTABLE),
    # crun 1.21, Debian 13's
    (re.compile(r"the path [`'\"](.+?)[`'\"] exists but it is not executable"), 'exec: "{0}": permission denied', NOT_EXECUTABLE),
    (re.compile(r"exec container process [`'\"](.+?)[`'\"]: Permission denied"), 'exec: "{0}": permission denied', NOT_EXECUTABLE),
    (re.compile(r"exec container process [`'\"](.+?)[`'\"]: No such file"), 'exec: "{0}": no such file or directory', NOT_FOUND),
    (re.compile(rf"{CHDIR}: [Nn]o such file"), 'chdir to cwd ("{0}") set in config.json failed: no such file or directory', NOT_FOUND),
    (re.compile(rf"{CHDIR}: [Nn]ot a directory"), 'chdir to cwd ("{0}") set in config.json failed: not a directory', NOT_FOUND),
    (re.compile(rf"{CHDIR}: [Pp]ermission denied"), 'chdir to cwd ("{0}") set in config.json failed: permission denied', NOT_EXECUTABLE),
)
RLIMIT = re.compile(r"setrlimit|error setting rlimit", re.IGNORECASE)


def failure(phase: Phase, runtime: str, said: str, command: str) -> CannotRun | RuntimeFailed:
    """The error that stands for what `runtime` said while it tried to run `command` (the first word of what was asked for)."""
    said = " ".join(said.split())
    for pattern, cause, exit_code in SAID:
        match = pattern.search(said)
        if match is not None:
            behind = MOUNTING if cause.endswith(NO_DIRECTORY) else ""
            return CannotRun(f"{PREFIX[phase]}{CAUSE[phase]}{cause.format(match[1] if pattern.groups else command)}: unknown{behind}", exit_code)
    own = said if said.startswith(runtime) else f"{runtime} {phase} failed: {said or 'it said nothing'}"
    hint = "the daemon may not raise hard limits: it lacks CAP_SYS_RESOURCE; ask for a lower --ulimit" if RLIMIT.search(said) else ""
    return RuntimeFailed(f"{PREFIX[phase]}{own}: unknown", hint=hint)
