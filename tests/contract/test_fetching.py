"""A file of a web server, for `import ADDRESS`: an honest server, and what others do."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from sanbashi.errors import Failed, Forbidden, Invalid, NotFound, SanbashiError, Unauthorized
from sanbashi.host.fetching import checked_address, fetched

BODY = bytes(range(256)) * 5000


class Handler(http.server.BaseHTTPRequestHandler):
    """/file is there; /to leads to it; the rest are faults."""

    def do_GET(self) -> None:
        where = {"/to": "/file", "/loop": "/loop", "/ftp": "ftp://127.0.0.1/x", "/local": "file:///etc/passwd"}.get(self.path)
        if where is not None:
            self.send_response(302)
            self.send_header("Location", where)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status = int(self.path[1:]) if self.path[1:].isdigit() else 200
        self.send_response(status)
        body = BODY if status == 200 else b" no, \n"
        self.send_header("Content-Length", str(len(body) + (1 if self.path == "/cut" else 0)))
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def whole(url: str) -> bytes:
    with fetched(url) as remote:
        assert remote.size >= len(BODY)
        return b"".join(iter(remote.read, b""))


@pytest.mark.parametrize("path", ["/file", "/to", "/packed"])
def test_what_is_there_comes_as_it_is(base: str, path: str) -> None:
    assert whole(base + path) == BODY


@pytest.mark.parametrize(("status", "kind"), [(400, Invalid), (401, Unauthorized), (403, Forbidden), (404, NotFound), (410, Failed), (500, Failed)])
def test_a_refusal_is_told_with_what_the_server_says(base: str, status: int, kind: type[SanbashiError]) -> None:
    with pytest.raises(kind) as refused:
        whole(f"{base}/{status}")
    assert refused.value.message.startswith(f"failed to GET {base}/{status} with status {status} ")
    assert refused.value.message.endswith(": no,")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/loop", "stopped after 8 redirects"),
        ("/ftp", 'unsupported protocol scheme "ftp"'),
        ("/local", "http: no Host in request URL"),
        ("/cut", "unexpected EOF"),
    ],
)
def test_faults(base: str, path: str, words: str) -> None:
    with pytest.raises(Failed) as failed:
        whole(base + path)
    assert failed.value.message == f'Get "{base}{path}": {words}'
    assert failed.value.hint == ""


def test_addresses() -> None:
    assert checked_address("example.com/x.tar") == "http://example.com/x.tar"
    assert checked_address("https://[::1]:8/x") == "https://[::1]:8/x"
    for text, words in (
        ("ftp://x/y", 'Get "ftp://x/y": unsupported protocol scheme "ftp"'),
        ("file:///etc/passwd", 'Get "file:///etc/passwd": unsupported protocol scheme "file"'),
        ("http:///x", 'Get "http:///x": http: no Host in request URL'),
    ):
        with pytest.raises(Invalid) as refused:
            checked_address(text)
        assert refused.value.message == words
    with pytest.raises(Invalid, match='parse "http://a:b/x"'):
        checked_address("http://a:b/x")
