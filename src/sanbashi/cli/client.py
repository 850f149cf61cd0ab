"""The Docker Engine HTTP API over a socket: requests, chunked answers, hijacked connections. HTTP/1.1, nothing else."""

from _socket import AF_INET, AF_INET6, AF_UNIX, MSG_NOSIGNAL, SHUT_WR, SOCK_STREAM, socket

from sanbashi.cli.failure import DaemonError, Failure, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from sanbashi.cli.tls import Trust

API = "1.50"  # what docker CLI 28.2 speaks; an older daemon's answer lowers it
DEFAULT_HOST = "unix:///run/sanbashi/sanbashi.sock"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


def escape(text: str, keep: str = "") -> str:
    """Percent escapes for a path or a query."""
    if all(char in _PLAIN or char in keep for char in text):
        return text
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if chr(byte) in _PLAIN or chr(byte) in keep else f"%{byte:02X}" for byte in data)


def query_text(query: "dict[str, Any]") -> str:
    """`?a=b&c=d` of what is set: True is 1; None, False and empty are left out; a list gives a pair an element."""
    pairs: list[str] = []
    for key, value in query.items():
        if value is None or value is False or value == "":
            continue
        for each in value if isinstance(value, list) else [value]:
            pairs.append(f"{key}={escape('1' if each is True else str(each))}")
    return "?" + "&".join(pairs) if pairs else ""


class Wire:
    """One connection: buffered reads on a blocking socket."""

    __slots__ = ("buffer", "socket")

    def __init__(self, connected: socket) -> None:
        self.socket = connected
        self.buffer = b""

    def more(self) -> bytes:
        """The next bytes, buffered ones first; empty at the end."""
        if self.buffer:
            data, self.buffer = self.buffer, b""
            return data
        try:
            return self.socket.recv(65536)
        except ConnectionError:
            return b""

    def until(self, mark: bytes) -> bytes:
        """The bytes before the mark, which is dropped."""
        data = self.buffer
        while mark not in data:
            part = self.socket.recv(65536)
            if not part:
                raise Failure("error during connect: the daemon closed the connection")
            data += part
        found, _, self.buffer = data.partition(mark)
        return found

    def exactly(self, size: int) -> "Iterator[bytes]":
        """`size` bytes in parts."""
        while size:
            data = self.more()
            if not data:
                raise Failure("unexpected EOF")
            data, self.buffer = data[:size], data[size:] + self.buffer
            size -= len(data)
            yield data

    def send(self, data: bytes) -> None:
        """All of the bytes; ConnectionError where the other side has gone (and no SIGPIPE, which is for our output)."""
        self.socket.sendall(data, MSG_NOSIGNAL)

    def close_write(self) -> None:
        """Ends what we send; the other side goes on."""
        try:  # noqa: SIM105 - contextlib costs an import
            self.socket.shutdown(SHUT_WR)
        except OSError:
            pass  # the other side has gone: nothing is left to end

    def close(self) -> None:
        """Ends the connection."""
        self.socket.close()


class Response:
    """An answer: status, headers (names in small letters), and its body, read once."""

    __slots__ = ("_owner", "headers", "reason", "status", "wire")

    def __init__(self, owner: "Daemon", wire: Wire, method: str) -> None:
        self._owner = owner
        self.wire = wire
        head = wire.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        _, status, self.reason = (head[0] + "  ").split(" ", 2)
        self.status = int(status)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if method == "HEAD" or self.status in (204, 304):
            self.headers["content-length"] = "0"
            self.headers.pop("transfer-encoding", None)

    def parts(self) -> "Iterator[bytes]":
        """The body as it comes; the connection is kept for the next request once it has ended."""
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(self.wire.until(b"\r\n").partition(b";")[0] or b"0", 16):
                yield from self.wire.exactly(size)
                self.wire.until(b"\r\n")
            while self.wire.until(b"\r\n"):
                pass
        elif "content-length" in self.headers:
            yield from self.wire.exactly(int(self.headers["content-length"]))
        else:
            while data := self.wire.more():
                yield data
            return
        if self.headers.get("connection", "").lower() != "close":
            self._owner.idle.append(self.wire)

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts())

    def text(self) -> str:
        """The whole body as text."""
        return self.read().decode("utf-8", "surrogateescape")

    def json(self) -> "Any":
        """The whole body decoded."""
        from sanbashi.cli.json_text import decode

        return decode(self.text())


class Daemon:
    """The daemon at `host` (unix:///path or tcp://address:port), with `trust` behind TLS."""

    def __init__(self, host: str, *, version: str = API, trust: "Trust | None" = None) -> None:
        self.host = host
        self.trust = trust
        self.version = version
        self.idle: list[Wire] = []

    def connect(self) -> Wire:
        """A new connection; Unreachable where nobody answers."""
        scheme, _, place = self.host.partition("://")
        try:
            if scheme == "unix":
                link = socket(AF_UNIX, SOCK_STREAM)
                link.connect(place or "/run/sanbashi/sanbashi.sock")
            elif scheme in ("tcp", "http"):
                address, _, port = place.rstrip("/").rpartition(":")
                if self.trust is not None:
                    return self.connect_tls(address.strip("[]") or "127.0.0.1", int(port))
                link = socket(AF_INET6 if "[" in address else AF_INET, SOCK_STREAM)
                link.connect((address.strip("[]") or "127.0.0.1", int(port)))
            else:
                raise Failure(f"invalid host {self.host}: give unix:///path or tcp://address:port")
        except PermissionError:
            raise Unreachable(
                f"permission denied while trying to connect to the daemon socket at {self.host}",
                hint="add yourself to the group sanbashi (usermod -aG sanbashi $USER) and log in anew, or use sudo",
            ) from None
        except (OSError, ValueError):
            raise Unreachable(f"Cannot connect to the Sanbashi daemon at {self.host}. Is sanbashid running?") from None
        return Wire(link)

    def connect_tls(self, address: str, port: int) -> Wire:
        """A new connection behind TLS; OSError where nobody listens."""
        from socket import create_connection

        from sanbashi.cli.tls import plain_end

        assert self.trust is not None
        return Wire(plain_end(create_connection((address, port)), self.trust, address))

    def send(
        self,
        method: str,
        path: str,
        query: "dict[str, Any] | None" = None,
        body: "str | Iterable[bytes] | None" = None,
        headers: "dict[str, str] | None" = None,
        *,
        fresh: bool = False,
    ) -> Wire:
        """Sends a request and does not wait for the answer. A body is JSON text, or parts that go out chunked."""
        lines = [f"{method} /v{self.version}{path}{query_text(query or {})} HTTP/1.1", "Host: api.moby.localhost", "User-Agent: sanbashi"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        data = b""
        if isinstance(body, str):
            data = body.encode("utf-8", "surrogateescape")
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        elif method == "POST":
            lines.append("Content-Length: 0")
        request = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + data
        wire = self.idle.pop() if self.idle and not fresh else self.connect()
        try:
            wire.send(request)
            if body is not None and not isinstance(body, str):
                for part in body:
                    if part:
                        wire.send(b"%x\r\n%b\r\n" % (len(part), part))
                wire.send(b"0\r\n\r\n")
        except ConnectionError:
            pass  # the daemon answers before it has read everything when it refuses: read on
        return wire

    def answer(self, wire: Wire, method: str) -> Response:
        """The answer to a request that was sent; DaemonError where it is a refusal."""
        response = Response(self, wire, method)
        if response.status >= 400:
            raise self.refusal(response)
        return response

    def refusal(self, response: Response) -> DaemonError:
        """What the daemon said, with its hint."""
        text = response.text()
        message, hint = text.strip(), ""
        if text and "json" in response.headers.get("content-type", ""):  # the answer to HEAD has no body
            from sanbashi.cli.json_text import decode

            body = decode(text)
            known = isinstance(body, dict) and body.get("message")
            message = str(known).strip() if known else f"API returned a {response.status} ({response.reason.strip()}) but provided no error-message"
            hint = str(body.get("hint", "")) if isinstance(body, dict) else ""
        return DaemonError(message, response.status, hint=hint)

    def request(
        self,
        method: str,
        path: str,
        query: "dict[str, Any] | None" = None,
        body: "str | Iterable[bytes] | None" = None,
        headers: "dict[str, str] | None" = None,
        *,
        fresh: bool = False,
    ) -> Response:
        """A request and its answer. An older daemon's refusal of our API version is answered by speaking its own."""
        if not isinstance(body, str | None):
            self.request("GET", "/_ping").read()  # a streamed body cannot be sent again: learn an older daemon's version first
        wire = self.send(method, path, query, body, headers, fresh=fresh)
        return self.answer_or_repeat(wire, method, path, query, body, headers)

    def answer_or_repeat(
        self,
        wire: Wire,
        method: str,
        path: str,
        query: "dict[str, Any] | None" = None,
        body: "str | Iterable[bytes] | None" = None,
        headers: "dict[str, str] | None" = None,
    ) -> Response:
        """The answer; where an older daemon refuses our API version, the answer to the request in its own."""
        try:
            return self.answer(wire, method)
        except DaemonError as problem:
            older = problem.message.rpartition("Maximum supported API version is ")[2]
            if problem.code != 400 or older == problem.message or not isinstance(body, str | None):
                raise
            self.version = older.strip()
            return self.answer(self.send(method, path, query, body, headers), method)

    def get(self, path: str, **query: "Any") -> "Any":
        """GET, decoded."""
        return self.request("GET", path, query).json()

    def post(self, path: str, body: "Any" = None, **query: "Any") -> "Any":
        """POST of a JSON body; the answer decoded, None where it is empty."""
        text = self.request("POST", path, query, None if body is None else json_of(body)).text()
        if not text.strip():
            return None
        from sanbashi.cli.json_text import decode

        return decode(text)

    def hijack(self, path: str, query: "dict[str, Any]", body: str | None = None) -> Wire:
        """A connection turned into a raw stream, both ways."""
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        if body is None:
            headers["Content-Type"] = "text/plain"
        response = self.answer(self.send("POST", path, query, body, headers, fresh=True), "POST")
        if response.status not in (101, 200):
            raise Failure(f"unable to upgrade to tcp, received {response.status}")
        return response.wire


class Ordered(dict[str, "Any"]):
    """A mapping whose order says something: the daemon reads it, and `json_of` keeps it."""


def json_of(value: "Any") -> str:
    """JSON on one line, as gotemplate.encode writes it, which is loaded only for what is unusual in the body of a request."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    kind = type(value)
    if kind is str and value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    if kind is int:
        return str(value)
    if kind is list or kind is tuple:
        return "[" + ",".join(map(json_of, value)) + "]"
    if kind is dict or kind is Ordered:
        return "{" + ",".join([f"{json_of(key)}:{json_of(value[key])}" for key in (sorted(value) if kind is dict else value)]) + "}"
    from sanbashi.cli.gotemplate.encode import encode

    return encode(value)


def filters_text(filters: "dict[str, dict[str, bool]]") -> str:
    """Filters as the API takes them; empty for none."""
    return json_of(filters) if filters else ""


def named(kind: str, name: str) -> str:
    """A name or id as part of a path; Failure where it is empty."""
    name = name.strip()
    if not name:
        raise Failure(f"invalid {kind} name or ID: value is empty")
    return escape(name)
