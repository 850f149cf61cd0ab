"""The server itself: heads, bodies, connections, hijacks, and clients that go away."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import stat
import sys
import termios
from pathlib import Path

import pytest

from sanbashi.api import connection, door, raw, server
from sanbashi.containers.model import ExecConfig
from sanbashi.daemon.config import DaemonConfig
from sanbashi.daemon.exits import Ended
from sanbashi.errors import Failed, Forbidden, Invalid, NotFound

from .conftest import WEB, Client, FakeAttachment, FakeExec


def frame(stream: int, data: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


def test_ping_by_head_and_get(run):
    async def scenario(client: Client) -> None:
        head, get = await client.ask("HEAD", "/_ping"), await client.ask("GET", "/v1.41/_ping")
        assert (head.status, head.body, get.body) == (200, b"", b"OK")
        assert head.headers["content-length"] == "2"
        for reply in (head, get):
            assert reply.headers["api-version"] == "1.56"
            assert reply.headers["ostype"] == "linux"
            assert reply.headers["server"] == "Sanbashi/test (linux)"
            assert reply.headers["swarm"] == "inactive"

    run(scenario)


def test_one_connection_serves_many_requests(run):
    async def scenario(client: Client) -> None:
        reader, writer = await client.open()
        for _ in range(3):
            assert (await client.ask_on(reader, writer, "GET", "/networks")).status == 200
            assert (await client.ask_on(reader, writer, "POST", "/networks/create", {"Name": "x"})).status == 201
            assert (await client.ask_on(reader, writer, "GET", "/nosuch")).status == 404
            assert (await client.ask_on(reader, writer, "POST", "/containers/web/start")).status == 304
        assert len(client.server.connections) == 1
        writer.close()

    run(scenario)


def test_pipelined_requests_are_answered_in_order(run):
    async def scenario(client: Client) -> None:
        reader, writer = await client.raw("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n" * 2 + "GET /_ping HTTP/1.0\r\n\r\n")
        assert (await reader.read()).count(b"HTTP/1.1 200 OK") == 3
        writer.close()

    run(scenario)


@pytest.mark.parametrize(
    ("error", "status", "document"),
    [
        (NotFound("No such thing: x"), 404, {"message": "No such thing: x"}),
        (Forbidden("no", hint="ask"), 403, {"message": "no", "hint": "ask"}),
        (ExceptionGroup("g", [Failed("a"), ExceptionGroup("h", [Failed("b", hint="c")])]), 500, {"message": "a\nb", "hint": "c"}),
        (ZeroDivisionError("secret"), 500, {"message": "internal error: ZeroDivisionError; the daemon's log has the details"}),
    ],
)
def test_a_failure_is_a_status_and_a_sentence(run, caplog, error, status, document):
    async def scenario(client: Client) -> None:
        client.engine.fails["stop"] = error
        reply = await client.ask("POST", "/containers/web/stop")
        assert (reply.status, reply.json) == (status, document)
        assert ("Traceback" in caplog.text) == isinstance(error, ZeroDivisionError)

    run(scenario)


def test_versions(run):
    async def scenario(client: Client) -> None:
        old, new = await client.ask("GET", "/v1.23/info"), await client.ask("GET", "/v1.99/info")
        assert (old.status, new.status) == (400, 400)
        assert old.json["message"].startswith("client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade")
        assert new.json["message"] == "client version 1.99 is too new. Maximum supported API version is 1.56"
        assert (await client.ask("GET", "/v1.24/info")).status == 200
        version = (await client.ask("GET", "/version")).json
        assert (version["ApiVersion"], version["MinAPIVersion"]) == ("1.56", "1.24")
        assert version["Components"][0]["Details"]["ApiVersion"] == "1.56"
        for target in ("/v1.50/nosuch", "/v9.9/nosuch", "/", "/v1.50", "/containers//json"):
            reply = await client.ask("GET", target)
            assert (reply.status, reply.json) == (404, {"message": "page not found"})

    run(scenario)


def test_a_body_in_chunks_and_one_that_waits_for_100_continue(run):
    async def scenario(client: Client) -> None:
        head = "POST /networks/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        reader, writer = await client.raw(head + "Transfer-Encoding: chunked\r\n\r\n" + '8\r\n{"Name":\r\n4\r\n"x"}\r\n0\r\n\r\n')
        assert b"201 Created" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
        reader, writer = await client.raw(head + "Expect: 100-continue\r\nContent-Length: 12\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"Name":"x"}')
        assert b"201 Created" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
        # Refused by its path: the body is never asked for and the connection ends.
        reader, writer = await client.raw("POST /nosuch HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n")
        assert b"404 Not Found" in await reader.read()
        writer.close()

    run(scenario)


def test_a_large_body_is_streamed_with_backpressure(run):
    async def scenario(client: Client) -> None:
        gate, sizes = asyncio.Event(), []

        async def load(stream, *, quiet, progress, platforms):
            await gate.wait()
            async for part in stream:
                sizes.append(len(part))
            progress({"stream": "done\n"})

        client.engine.archiving.load = load
        reader, writer = await client.raw("POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 16777216\r\n\r\n")
        writer.transport.set_write_buffer_limits(0)
        for _ in range(256):
            writer.write(bytes(65536))
        assert writer.transport.get_write_buffer_size() > 8 << 20  # the server does not take what nobody reads
        gate.set()
        await reader.readuntil(b'{"stream":"done\\n"}')
        assert sum(sizes) == 16 << 20
        assert max(sizes) <= connection.PIECE
        writer.close()

    run(scenario)


def test_a_body_that_is_not_read_does_not_poison_the_connection(run, monkeypatch):
    monkeypatch.setattr(connection, "LEFTOVER", 1 << 20)

    async def scenario(client: Client) -> None:
        reader, writer = await client.open()
        assert (await client.ask_on(reader, writer, "POST", "/nosuch", body=bytes(100_000))).status == 404
        assert (await client.ask_on(reader, writer, "GET", "/_ping")).status == 200
        writer.close()
        reader, writer = await client.raw("POST /nosuch HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999\r\n\r\n")
        writer.write(bytes(connection.LEFTOVER + 1))
        with contextlib.suppress(ConnectionError):
            assert b"404" in await reader.read()
        writer.close()

    run(scenario)


def test_malformed_http_gets_400_and_the_end(run):
    async def scenario(client: Client) -> None:
        for text in ("nonsense\r\n\r\n", "GET /_ping HTTP/1.1\r\nbad header\r\n\r\n", "GET /_ping HTTP/1.1\r\n\r\n"):
            reader, writer = await client.raw(text)
            assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request")
            writer.close()
        reader, writer = await client.raw("GET /_ping HTTP/1.1\r\nHost: d\r\nX: " + "a" * connection.MAX_HEAD)
        assert (await reader.read()).startswith(b"HTTP/1.1 431")
        writer.close()

    run(scenario)


def test_half_open_and_idle_connections_end(run, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_TIME", 0.01)

    async def scenario(client: Client) -> None:
        reader, writer = await client.raw("GET /_ping HT")
        assert await reader.read() == b""
        writer.close()
        monkeypatch.setattr(connection, "IDLE", 0.01)
        monkeypatch.setattr(door, "PATIENCE", 0.01)
        reader, writer = await client.open()
        assert await reader.read() == b""
        writer.close()
        for name in ("IDLE", "HEAD_TIME"):  # nobody here is slow, but the machine may be
            monkeypatch.setattr(connection, name, 600)
        monkeypatch.setattr(door, "PATIENCE", 600)
        monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
        readers = []
        for _ in range(3):
            reader, writer = await client.open()
            await client.ask_on(reader, writer, "GET", "/_ping")
            readers.append(reader)
        assert await readers[0].read() == b""  # the oldest idle one made room
        assert not readers[2].at_eof()

    run(scenario)


def test_a_client_that_goes_away_cancels_its_handler(run):
    async def scenario(client: Client) -> None:
        _, writer = await client.raw("POST /containers/web/pause HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        await client.engine.entered.wait()
        writer.close()
        await client.engine.cancelled.wait()

    run(scenario)


def test_a_client_that_closes_only_its_writing_side_still_gets_its_answer(run, monkeypatch):
    monkeypatch.setattr(connection, "RECHECK", 0.01)

    async def scenario(client: Client) -> None:
        reader, writer = await client.raw("POST /containers/web/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        writer.write_eof()
        await reader.readuntil(b"\r\n\r\n")
        assert client.engine.exit is not None
        client.engine.exit.set_result(Ended(3))
        assert b'{"StatusCode":3}' in await reader.read()
        writer.close()
        _, writer = await client.raw("POST /containers/web/pause HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        writer.write_eof()
        await client.engine.entered.wait()
        assert not client.engine.cancelled.is_set()
        writer.close()
        await client.engine.cancelled.wait()  # and when it goes altogether, it is noticed

    run(scenario)


def test_wait_sends_its_head_at_once_and_hears_what_follows(run):
    async def scenario(client: Client) -> None:
        reader, writer = await client.raw("POST /v1.50/containers/web/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert client.engine.exit is not None
        client.engine.exit.set_result(Ended(7))
        assert b'{"StatusCode":7}' in await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        reader, writer = await client.raw("POST /v1.50/containers/web/wait?condition=removed HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        client.engine.exit.set_result(Ended(7, "unable to remove filesystem"))
        assert b'{"StatusCode":7,"Error":{"Message":"unable to remove filesystem"}}' in await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        reply = await client.ask("POST", "/containers/web/wait?condition=x")
        assert (reply.status, reply.json["message"]) == (400, 'invalid condition: "x"')
        assert (await client.ask("POST", "/containers/nosuch/wait")).status == 404

    run(scenario)


def test_events_are_heard_from_the_head_on(run):
    async def scenario(client: Client) -> None:
        target = '/v1.50/events?filters={"type":["container"]}'.replace('"', "%22")
        reader, writer = await client.raw(f"GET {target} HTTP/1.1\r\nHost: d\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        client.engine.events.tell("network", "create", "n", {"name": "x"})
        client.engine.events.tell("container", "start", WEB, {"name": "web", "image": "httpd"})
        line = await reader.readuntil(b"\n{")
        line = (await reader.readuntil(b"\n")) if line.endswith(b"{") else line
        assert b'"Action":"start"' in line
        assert b'"from":"httpd"' in line
        writer.close()
        await asyncio.sleep(0)
        reply = await client.ask("GET", "/v1.52/events?until=1")
        assert (reply.status, reply.body) == (200, b"")
        reply = await client.ask("GET", "/v1.52/events?since=1&until=9999999999999")
        assert reply.status == 400

    run(scenario)


def test_what_comes_after_the_head_waits_until_the_head_is_read(run):
    """docker-py reads the head through a buffer, and loses what lies behind it there."""

    async def scenario(client: Client) -> None:
        client.engine.attachment = FakeAttachment([(1, b"hello")])
        client.engine.state = client.engine.state.with_container(once(client))
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as slow:
            slow.setblocking(False)
            await loop.sock_connect(slow, str(client.path))
            await loop.sock_sendall(
                slow, b"POST /containers/web/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            )
            for _ in range(50):  # the server has all the time that it wants
                await asyncio.sleep(0.001)
            assert (await loop.sock_recv(slow, 65536)).endswith(b"\r\n\r\n")
            assert await loop.sock_recv(slow, 65536) == frame(1, b"hello")

    run(scenario)


def waiting(sock: socket.socket) -> bool:
    """Whether something has come that was not read."""
    return bool(int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder))


def test_a_client_that_goes_away_with_the_head_unread_is_no_accident(run, caplog):
    async def scenario(client: Client) -> None:
        client.engine.attachment = attachment = FakeAttachment([(1, b"hello")])
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as hasty:
            hasty.setblocking(False)
            await loop.sock_connect(hasty, str(client.path))
            await loop.sock_sendall(
                hasty, b"POST /containers/web/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            )
            while not waiting(hasty):
                await asyncio.sleep(0.001)
        while client.server.connections:
            await asyncio.sleep(0.001)
        assert attachment.closed and "Traceback" not in caplog.text

    run(scenario)


def test_an_upgrade_is_hijacked_and_early_bytes_are_kept(run):
    async def scenario(client: Client) -> None:
        client.engine.attachment = attachment = FakeAttachment([(1, b"hello"), (2, b"oops")], echo=True)
        client.engine.state = client.engine.state.with_container(once(client))
        reader, writer = await client.raw(
            "POST /v1.50/containers/web/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\nearly "
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert b"Connection: Upgrade\r\nUpgrade: tcp\r\n" in head
        assert b"Content-Type: application/vnd.docker.multiplexed-stream\r\n" in head
        writer.write(b"late")
        writer.write_eof()
        await attachment.stdin_closed.wait()
        rest = await reader.read()
        assert rest.startswith(frame(1, b"hello") + frame(2, b"oops"))
        assert attachment.written == b"early late"
        assert attachment.closed
        writer.close()

    run(scenario)


def once(client: Client):
    """web, whose standard input is closed with its first client."""
    import msgspec

    web = client.engine.find_container("web")
    return msgspec.structs.replace(web, config=msgspec.structs.replace(web.config, stdin_once=True))


def test_the_old_raw_stream_and_a_terminal(run):
    async def scenario(client: Client) -> None:
        client.engine.attachment = FakeAttachment([(1, b"prompt# ")])
        reader, writer = await client.raw(
            "POST /v1.41/containers/db/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n")
        assert await reader.readexactly(8) == b"prompt# "
        writer.write(b"ls\r\x10")
        writer.write(b"\x11more")
        assert await reader.read() == b""  # the detach keys ended it
        assert client.engine.attachment.written == b"ls\r"
        assert client.engine.attachment.closed
        assert ("tell", "detach", "db") in client.engine.calls
        writer.close()

    run(scenario)


def test_an_attached_client_that_vanishes_is_noticed(run, monkeypatch):
    monkeypatch.setattr(raw, "RECHECK", 0.01)

    async def scenario(client: Client) -> None:
        for query in ("stdout=1", "stdout=1&stdin=1"):
            client.engine.attachment = attachment = FakeAttachment([])
            reader, writer = await client.raw(f"POST /containers/web/attach?stream=1&{query} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"input")
            writer.close()
            while not attachment.closed:
                await asyncio.sleep(0.001)
            assert attachment.written == (b"input" if "stdin" in query else b"")

    run(scenario)


def test_an_exec_is_begun_before_its_client_has_read_the_head_and_let_go_of_where_it_never_does(run):
    async def scenario(client: Client) -> None:
        client.engine.execs.known["e"] = FakeExec("e", WEB, ExecConfig(cmd=("sh",), attach_stdout=True))
        _, writer = await client.raw(
            "POST /exec/e/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
            'Content-Length: 16\r\n\r\n{"Detach":false}'
        )
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not any(call[0] == "start_exec" for call in client.engine.calls):
            await asyncio.sleep(0.001)
        await client.server.close()
        while not client.engine.attachment.closed:
            await asyncio.sleep(0.001)
        writer.close()

    run(scenario)


def test_exec_tells_its_failure_in_the_stream(run):
    async def scenario(client: Client) -> None:
        client.engine.execs.known["e"] = FakeExec("e", WEB, ExecConfig(cmd=("nosuch",), attach_stdout=True))
        client.engine.fails["start_exec"] = Failed("OCI runtime exec failed")
        for _ in range(2):
            reader, writer = await client.raw(
                "POST /exec/e/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
                'Content-Length: 16\r\n\r\n{"Detach":false}'
            )
            assert b"101 UPGRADED" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.read() == frame(1, b"OCI runtime exec failed\r\n")
            writer.close()
        assert (await client.ask("POST", "/exec/nosuch/start", {})).status == 404
        del client.engine.fails["start_exec"]
        assert (await client.ask("POST", "/exec/e/start", {"Detach": True})).status == 200

    run(scenario)


def test_lines_that_are_there_at_once_travel_together_and_late_ones_do_not_wait(run):
    async def scenario(client: Client) -> None:
        more = asyncio.Event()

        async def logs(ref, **wanted):
            for n in range(1000):
                yield "", 1, b"%d\n" % n
            await more.wait()
            for n in range(100_000):
                yield "", 1, b"%06d\n" % n

        client.engine.logs = logs
        reader, writer = await client.raw("GET /containers/db/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        early = await reader.readuntil(b"999\n")
        assert early.count(b"\r\n") < 30  # the head and a few chunks, not one a line
        more.set()
        late = b""
        while not late.endswith(b"0\r\n\r\n"):
            late += await reader.read(65536)
        assert late.count(b"\r\n") < 100
        assert len(late) > 700_000
        writer.close()

    run(scenario)


def test_a_client_on_tcp_must_be_local_in_name_too(run):
    async def scenario(client: Client) -> None:
        listening = server.tcp_socket("tcp://127.0.0.1:0")
        port = listening.getsockname()[1]
        await client.server.listen(listening)
        for headers, status in (
            ({"Host": f"127.0.0.1:{port}"}, 200),
            ({"Host": "localhost"}, 200),
            ({"Host": "evil.example"}, 403),
            ({"Host": "localhost", "Origin": "http://evil.example"}, 403),
            ({"Host": f"[::1]:{port}", "Origin": f"http://[::1]:{port}"}, 200),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert (await client.ask_on(reader, writer, "GET", "/_ping", headers=headers)).status == status
            writer.close()

    run(scenario)


def test_only_loopback_is_listened_on():
    for host in ("tcp://0.0.0.0:2375", "tcp://192.0.2.1:2375", "tcp://[::]:1", "tcp://host.example:1", "tcp://127.0.0.1:x", "http://127.0.0.1:1"):
        with pytest.raises(Invalid):
            server.sockets_of(host, "0", lambda path: None)


def test_the_unix_socket_is_closed_to_others_and_a_stale_one_is_replaced(tmp_path: Path):
    path = tmp_path / "dir" / "s.sock"
    first = server.unix_socket(path, str(os.getgid()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    first.listen()
    with pytest.raises(Invalid, match="another daemon"):
        server.unix_socket(path, "0")
    first.close()
    server.unix_socket(path, DaemonConfig().group).close()
    with pytest.raises(Invalid, match=r"^group nosuchgroup not found$"):
        server.unix_socket(path, "nosuchgroup")
    with pytest.raises(Invalid, match=r"^group nosuchgroup not found$"):
        server.check_hosts(DaemonConfig(hosts=("unix:///x",), group="nosuchgroup"))
    path.unlink()
    path.write_text("not a socket")
    with pytest.raises(Invalid, match="no socket"):
        server.unix_socket(path, "0")


def test_sockets_come_from_systemd(monkeypatch):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr(server, "FIRST_DESCRIPTOR", os.dup(theirs.fileno()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        monkeypatch.setenv("LISTEN_PID", "1")
        with pytest.raises(Invalid):
            server.sockets_of("fd://", "0", lambda path: None)
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        (found,) = server.sockets_of("fd://", "0", lambda path: None)
        assert found.family == socket.AF_UNIX
        found.close()


def test_going_down_ends_streams_and_lets_requests_finish(run):
    async def scenario(client: Client) -> None:
        following, w1 = await client.raw("GET /containers/web/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        await following.readuntil(b"out\n")
        stopping = asyncio.Event()

        async def stop(*args: object) -> None:
            await stopping.wait()

        client.engine.stop = stop
        busy, w2 = await client.raw("POST /containers/web/stop HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        while sum(not c.idle for c in client.server.connections) < 2:
            await asyncio.sleep(0.001)
        closing = asyncio.create_task(client.server.close())
        await following.read()
        stopping.set()
        assert b"204 No Content" in await busy.readuntil(b"\r\n\r\n")
        await closing
        w1.close()
        w2.close()

    run(scenario)


def test_a_client_that_comes_in_while_the_daemon_goes_down_is_served_no_more(run):
    """It may have stood in the door when that was closed."""

    async def scenario(client: Client) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        await client.server.close()
        await client.server.adopt(theirs, b"POST /containers/web/stop HTTP/1.1\r\nHost: d\r\n\r\n")
        assert await asyncio.get_running_loop().sock_recv(ours, 100) == b"" and not client.engine.calls
        ours.close()

    run(scenario)


@pytest.mark.parametrize("path", ["/containers/web/logs?follow=1&stdout=1", "/events"])
def test_a_client_that_goes_without_reading_is_followed_no_more(run, path):
    """To the kernel that is no end but an error; and where nothing happens no answer to it would fail."""

    async def scenario(client: Client) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as one:
            one.setblocking(False)
            await loop.sock_connect(one, str(client.path))
            await loop.sock_sendall(one, f"GET {path} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
            while not any(c.streaming for c in client.server.connections) or not raw_unread(one):
                await asyncio.sleep(0.001)
        while client.server.connections:
            await asyncio.sleep(0.001)

    run(scenario)


def raw_unread(one: socket.socket) -> int:
    """What has come and was not read."""
    return int.from_bytes(fcntl.ioctl(one.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)
