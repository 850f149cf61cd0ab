"""Questions and replies by the batch, over real sockets of loopback."""

from __future__ import annotations

import socket

from sanbashi.keeper.exchange import MOST, REPLY_ROOM, Exchange


def test_each_question_is_answered_to_its_asker_with_its_id() -> None:
    exchange = Exchange()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        askers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for asker in askers:
            asker.settimeout(30)
            asker.connect(server.getsockname())
        for turn in range(3):  # a longer batch after a shorter one, and the other way round
            sent = [b"%02d" % number + b"x" * number * turn for number in range((5, MOST, 3)[turn])]
            for number, data in enumerate(sent):
                askers[number % 3].send(data)
            questions = exchange.receive(server.fileno())
            assert questions == [data[2:] for data in sent]
            assert [exchange.whole(index) for index in range(len(sent))] == sent
            assert [exchange.client(index) for index in range(len(sent))] == [askers[n % 3].getsockname() for n in range(len(sent))]
            assert all(exchange.answer(index, b"to " + data) for index, data in enumerate(sent))
            exchange.send(server.fileno(), 0, 2)
            exchange.send(server.fileno(), 2, len(sent))
            assert [askers[number % 3].recv(1000) for number in range(len(sent))] == [data[:2] + b"to " + data for data in sent]
        for asker in askers:
            asker.close()


def test_what_is_short_long_or_gone_harms_nobody_else() -> None:
    exchange = Exchange()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        server.bind(("127.0.0.1", 0))
        assert exchange.receive(server.fileno()) == []
        asker.settimeout(30)
        asker.connect(server.getsockname())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.connect(server.getsockname())
            for data in (b"", b"1", b"22"):
                gone.send(data)
        asker.send(b"33last")
        assert exchange.receive(server.fileno()) == [b"", b"", b"", b"last"]
        assert [exchange.whole(index) for index in range(4)] == [b"", b"1", b"22", b"33last"]
        assert not exchange.answer(0, bytes(REPLY_ROOM + 1))
        for index in range(4):
            assert exchange.answer(index, bytes(REPLY_ROOM))
        exchange.send(server.fileno(), 0, 4)
        assert asker.recv(2000) == b"33" + bytes(REPLY_ROOM)
