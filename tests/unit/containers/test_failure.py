"""What runtimes say, in Docker's words (the sentences on the right are recorded or Docker's own)."""

from __future__ import annotations

import pytest

from sanbashi.containers.failure import CannotRun, RuntimeFailed, failure
from sanbashi.host.runtime import message

CREATE = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
INIT = CREATE + "unable to start container process: error during container init: "
MOUNTING = ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type"
EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "


@pytest.mark.parametrize(
    ("runtime", "said", "command", "sentence", "code"),
    [
        (
            "crun",
            "executable file `nosuchcmd` not found in $PATH: No such file or directory",
            "nosuchcmd",
            'exec: "nosuchcmd": executable file not found in $PATH',
            127,
        ),
        (
            "crun",
            "executable file `/no` not found in $PATH: No such file or directory",
            "/no",
            'exec: "/no": stat /no: no such file or directory',
            127,
        ),
        ("crun", "open executable: Operation not permitted", "/etc", 'exec: "/etc": is a directory', 126),
        (
            "crun",
            "the path `/etc/passwd` exists but it is not executable: Operation not permitted",
            "/x",
            'exec: "/etc/passwd": permission denied',
            126,
        ),
        ("crun", "open executable: Permission denied", "/etc/passwd", 'exec: "/etc/passwd": permission denied', 126),
        (
            "runc",
            'runc create failed: unable to start container process: exec: "nosuchcmd": executable file not found in $PATH',
            "nosuchcmd",
            'exec: "nosuchcmd": executable file not found in $PATH',
            127,
        ),
        (
            "runc",
            'runc create failed: unable to start container process: exec: "/no": stat /no: no such file or directory',
            "/no",
            'exec: "/no": stat /no: no such file or directory',
            127,
        ),
        ("runc", 'exec failed: unable to start container process: exec: "/etc": permission denied', "/etc", 'exec: "/etc": permission denied', 126),
    ],
)
def test_a_command_that_cannot_run(runtime: str, said: str, command: str, sentence: str, code: int) -> None:
    created, executed = failure("create", runtime, said, command), failure("exec", runtime, said, command)
    assert isinstance(created, CannotRun) and isinstance(executed, CannotRun)
    assert (created.message, created.exit_code) == (f"{INIT}{sentence}: unknown", code)
    assert (executed.message, executed.exit_code) == (f"{EXEC}{sentence}: unknown", code)


@pytest.mark.parametrize(
    ("said", "why", "behind", "code"),
    [
        ("chdir `/there`: No such file or directory", "no such file or directory", "", 127),
        ('exec failed: chdir to cwd ("/there") set in config.json failed: no such file or directory', "no such file or directory", "", 127),
        ("chdir `/there`: Not a directory", "not a directory", MOUNTING, 127),
        ('exec failed: chdir to cwd ("/there") set in config.json failed: not a directory', "not a directory", MOUNTING, 127),
        ("chdir `/there`: Permission denied", "permission denied", "", 126),
    ],
)
def test_a_directory_that_cannot_be_worked_in(said: str, why: str, behind: str, code: int) -> None:
    """Sentences as Docker 20.10.24 gave them for `exec -w`; the exit codes are of newer ones, that one had 126 for all."""
    error = failure("exec", "runc", said, "pwd")
    assert isinstance(error, CannotRun)
    assert (error.message, error.exit_code) == (f'{EXEC}chdir to cwd ("/there") set in config.json failed: {why}: unknown{behind}', code)


def test_anything_else_is_the_runtimes_own_failure() -> None:
    error = failure("create", "crun", "setrlimit `RLIMIT_NOFILE`: Operation not permitted\n", "sh")
    assert isinstance(error, RuntimeFailed)
    assert error.exit_code == 128
    assert "OCI runtime create failed: crun create failed: setrlimit `RLIMIT_NOFILE`: Operation not permitted: unknown" in error.message
    assert "CAP_SYS_RESOURCE" in error.hint


def test_the_sentence_in_what_a_runtime_printed() -> None:
    assert message('{"level":"warning","msg":"nothing"}\n{"level":"error","msg":"it failed"}\n') == "it failed"
    assert message('time="2026-11-23T20:26:10Z" level=error msg="it \\"failed\\""') == 'it "failed"'
    assert message("2026-11-23T20:02:36.641037Z: it failed\n") == "it failed"
    assert message("it failed") == "it failed"
