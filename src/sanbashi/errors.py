"""The classes of failure.

Every error that a user can cause is one of these; `api/status.py` is the one place that maps them to HTTP statuses.
`message` is Docker's own sentence where Docker has one; `hint` is ours: what holds the port, which command mends it.
"""


class SanbashiError(Exception):
    """Any failure that we understand; `message` is one clear sentence, `hint` (may be empty) says what mends it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def frame(self, prefix: str) -> None:
        """Put `prefix` before the sentence; class and hint stay."""
        self.message = f"{prefix}{self.message}"
        self.args = (self.message,)


def words(error: Exception) -> str:
    """A failure as one sentence; of one that nobody foresaw only its kind, for its own words are not meant for users."""
    return error.message if isinstance(error, SanbashiError) else f"internal error: {type(error).__name__}; the daemon's log has the details"


def unforeseen(error: Exception) -> Exception | None:
    """The error itself where it is none of ours, for the log to tell where it came from."""
    return None if isinstance(error, SanbashiError) else error


class NotModified(SanbashiError):
    """The object is already in the state that was asked for (304)."""


class Invalid(SanbashiError):
    """The request cannot be understood or contradicts itself (400)."""


class Unauthorized(SanbashiError):
    """Credentials are missing or wrong (401)."""


class Forbidden(SanbashiError):
    """The request is understood and not allowed (403)."""


class NotFound(SanbashiError):
    """The object named does not exist (404)."""


class Conflict(SanbashiError):
    """The request contradicts the state of the object (409)."""


class Failed(SanbashiError):
    """Carrying the request out failed (500); Docker answers so to about ten ordinary mistakes."""


class NotSupported(SanbashiError):
    """The request asks for what this engine does not do (501)."""


class Unavailable(SanbashiError):
    """Not now (503)."""


class StepFailed(Failed):
    """A step on the host failed; keeps the step as text, the errno (0 where there is none) and what the tool said."""

    def __init__(self, step: str, *, errno: int = 0, stderr: str = "", hint: str = "") -> None:
        super().__init__(f"{step}: {stderr or f'errno {errno}'}", hint=hint)
        self.step = step
        self.errno = errno
        self.stderr = stderr
