"""What ends a command: a sentence for the user, a hint on the next line where there is one, and an exit status."""


class Failure(Exception):
    """A command that cannot go on; an empty message prints nothing."""

    def __init__(self, message: str = "", status: int = 1, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.hint = hint

    def text(self) -> str:
        """Message and hint as they are printed."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class DaemonError(Failure):
    """The daemon refused; `code` is the HTTP status."""

    def __init__(self, message: str, code: int, *, hint: str = "") -> None:
        super().__init__(f"Error response from daemon: {message}", hint=hint)
        self.code = code


class Unreachable(Failure):
    """No daemon answers."""


def join_failures(failures: "list[Failure]", status: int = 1) -> None:
    """Raises them as one, a line each; nothing where there are none."""
    if failures:
        raise Failure("\n".join(each.text() for each in failures), status)
