"""A session with a container: terminal, stream, signals and the wait for its end, in one loop without threads."""

import posix
from select import POLLIN, poll

from sanbashi.cli.client import Daemon, Response, Wire
from sanbashi.cli.failure import DaemonError, Failure
from sanbashi.cli.frames import Frames
from sanbashi.cli.keys import DEFAULT, DetachKeys, read_keys
from sanbashi.cli.output import STDERR, STDIN, STDOUT, err, is_terminal, terminal_size, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FORWARDED = ("HUP", "INT", "QUIT", "ABRT", "USR1", "USR2", "ALRM", "TERM", "CONT", "TSTP", "TTIN", "TTOU", "WINCH")


class Detached(Exception):
    """The user typed the keys that detach."""


def check_terminal(stdin: bool, tty: bool) -> None:
    """A terminal inside needs one outside when it is typed into."""
    if stdin and tty and not is_terminal(STDIN):
        raise Failure("the input device is not a TTY")


class RawTerminal:
    """Standard input as a raw terminal, restored at the end; nothing where it is none."""

    def __init__(self, wanted: bool) -> None:
        self.saved: list[Any] | None = None
        self.wanted = wanted and is_terminal(STDIN)

    def __enter__(self) -> "RawTerminal":
        if self.wanted:
            import termios as t

            self.saved = t.tcgetattr(STDIN)
            raw = t.tcgetattr(STDIN)
            raw[0] &= ~(t.IGNBRK | t.BRKINT | t.PARMRK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL | t.IXON)
            raw[1] &= ~t.OPOST
            raw[2] = raw[2] & ~(t.CSIZE | t.PARENB) | t.CS8
            raw[3] &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
            raw[6][t.VMIN], raw[6][t.VTIME] = 1, 0
            t.tcsetattr(STDIN, t.TCSANOW, raw)
        return self

    def __exit__(self, *_: object) -> None:
        if self.saved is not None:
            import termios

            termios.tcsetattr(STDIN, termios.TCSANOW, self.saved)
            self.saved = None


class Signals:
    """Signals as bytes of a pipe, so that one loop sees them; names by number."""

    def __init__(self, wanted: tuple[str, ...] = _FORWARDED) -> None:
        import _signal  # type: ignore[import-not-found]  # `signal` itself costs enum and more

        self.reader, self.writer = posix.pipe()
        posix.set_blocking(self.writer, False)
        self.names: dict[int, str] = {}
        self.ending = 0
        for name in wanted:
            number = int(getattr(_signal, "SIG" + name))
            self.names[number] = name
            _signal.signal(number, lambda *_: None)
        _signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)

    def read(self) -> list[str]:
        """The signals that came; a third INT or TERM ends us at once."""
        names = [self.names[number] for number in posix.read(self.reader, 64) if number in self.names]
        self.ending += sum(name in ("INT", "TERM") for name in names)
        if self.ending >= 3:
            raise Failure("\ngot 3 SIGTERM/SIGINTs, forcefully exiting")
        return names


class Waiting:
    """A wait request that is under way: its answer's code once it has come."""

    def __init__(self, daemon: Daemon, container: str, condition: str) -> None:
        query = {"condition": condition} if condition else {}
        self.daemon = daemon
        self.wire = daemon.send("POST", f"/containers/{container}/wait", query, fresh=True)
        self.code: int | None = None

    def ready(self) -> bool:
        """Takes what has come; whether the code is known."""
        data = self.wire.socket.recv(65536)
        self.wire.buffer += data
        head, end, body = self.wire.buffer.partition(b"\r\n\r\n")
        if not data or (end and (b"{" in body or b" 200 " not in head[:20])):
            self.finish()
        return self.code is not None

    def finish(self) -> int:
        """Waits for the code: 125 where the daemon could not tell."""
        if self.code is None:
            try:
                answer = self.daemon.answer(self.wire, "POST").json()
            except Failure as problem:
                err(f"error waiting for container: {problem.message}\n")
                self.code = 125
                return self.code
            if answer.get("Error") and answer["Error"].get("Message"):
                err(f"Error waiting for container: {answer['Error']['Message']}\n")
                self.code = 125
            else:
                self.code = int(answer["StatusCode"])
        return self.code


class Session:
    """One attached stream. `kill` carries a signal to the container, `resize` the terminal's size; both may be absent."""

    def __init__(
        self,
        wire: Wire,
        *,
        stdin: bool,
        tty: bool,
        output: bool = True,
        detach_keys: str = "",
        kill: "Callable[[str], None] | None" = None,
        resize: "Callable[[], None] | None" = None,
        signals: Signals | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self.wire = wire
        self.stdin = stdin
        self.tty = tty
        self.output = output
        self.kill = kill
        self.resize = resize
        self.signals = signals
        self.waiting = waiting
        self.frames = Frames()
        self.keys = DetachKeys(b"")
        if tty and stdin:
            try:
                self.keys = DetachKeys(read_keys(detach_keys) if detach_keys else DEFAULT)
            except ValueError as problem:
                err(f"WARNING: invalid detach escape keys, using default: {problem}\n")
                self.keys = DetachKeys(DEFAULT)

    def run(self) -> None:
        """Until the stream and the wait have ended; Detached."""
        with RawTerminal(self.tty and self.stdin):
            self.loop()

    def loop(self) -> None:
        watch = poll()
        stream = self.wire.socket.fileno()
        watch.register(stream, POLLIN)
        streaming, reading = True, self.stdin
        if reading:
            watch.register(STDIN, POLLIN)
        if self.signals:
            watch.register(self.signals.reader, POLLIN)
        pending = self.waiting.wire.socket.fileno() if self.waiting else -1
        if self.waiting:
            watch.register(pending, POLLIN)
        else:
            pending = -1
        if not self.stdin:
            self.wire.close_write()
        if self.wire.buffer:
            streaming = self.copy_out()
        while streaming or pending >= 0:
            for fd, _ in watch.poll():
                if fd == stream and streaming:
                    streaming = self.copy_out()
                    if not streaming:
                        watch.unregister(stream)
                        if reading:
                            reading = False
                            watch.unregister(STDIN)
                elif fd == STDIN and reading:
                    reading = self.copy_in()
                    if not reading:
                        watch.unregister(STDIN)
                elif self.signals and fd == self.signals.reader:
                    self.forward()
                elif fd == pending and self.waiting and self.waiting.ready():
                    watch.unregister(pending)
                    pending = -1
                    if not self.output:
                        return

    def copy_out(self) -> bool:
        """From the container to our output; False at the end."""
        data = self.wire.more()
        if not data:
            return False
        if not self.output:
            return True
        if self.tty:
            write(STDOUT, data)
        else:
            for part_of, part in self.frames.feed(data):
                write(STDERR if part_of == 2 else STDOUT, part)
        return True

    def copy_in(self) -> bool:
        """From our input to the container; at its end the stream is half closed."""
        try:
            data = posix.read(STDIN, 32768)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        passed, detach = self.keys.feed(data)
        try:
            self.wire.send(passed)
        except ConnectionError:
            return False
        if detach:
            raise Detached
        if not data:
            self.wire.close_write()
        return bool(data)

    def forward(self) -> None:
        """Signals to the container, the terminal's new size apart."""
        for name in self.signals.read() if self.signals else []:
            if name == "WINCH" and self.tty:
                if self.resize:
                    self.resize()
            elif self.kill:
                self.kill(name)


def killer(daemon: Daemon, container: str) -> "Callable[[str], None]":
    """Carries a signal to a container; one that is gone takes none."""

    def kill(name: str) -> None:
        try:  # noqa: SIM105 - contextlib costs an import
            daemon.request("POST", f"/containers/{container}/kill", {"signal": name}).read()
        except DaemonError:
            pass  # it has ended meanwhile

    return kill


def resizer(daemon: Daemon, path: str) -> "Callable[[], None]":
    """Tells the size of our terminal; retried while the container is not there yet."""

    def resize() -> None:
        rows, columns = terminal_size(STDOUT)
        if not rows and not columns:
            return
        for attempt in range(5):
            try:
                daemon.request("POST", f"{path}/resize", {"h": str(rows), "w": str(columns)}).read()
                return
            except DaemonError:
                from time import sleep

                sleep((attempt + 1) * 0.01)

    return resize


__all__ = ["Detached", "Response", "Session", "Signals", "Waiting", "check_terminal", "killer", "resizer"]
