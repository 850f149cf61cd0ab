"""Who holds the claim to a network namespace: what any user may write into /proc, and how long a queue he lets stand, is believed by nobody."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sanbashi.host import abstract_names, claim
from sanbashi.host.claim import claimed
from sanbashi.host.netlink import Message, Netlink

NOBODY = 65534


@pytest.fixture(autouse=True)
def name(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A name of the test's own: the namespace is the machine's."""
    mine = f"sanbashi.{secrets.token_hex(4)}".encode()
    monkeypatch.setattr(claim, "NAME", mine)
    return mine


@pytest.fixture(params=["unix_diag", "no unix_diag", "no user in unix_diag"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Kernels of all kinds: the last two are played by refusing, and by not asking for the user."""

    def refuse(self: Netlink, message: Message) -> Iterator[tuple[int, bytes]]:
        raise OSError(errno.ENOENT, "no unix_diag")

    if request.param == "no unix_diag":
        monkeypatch.setattr(Netlink, "ask", refuse)
    elif request.param == "no user in unix_diag":
        monkeypatch.setattr(abstract_names, "SHOW_UID", 0)
    return str(request.param)


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's descriptors are shown by /proc."""
    monkeypatch.setattr(claim, "opened", lambda inodes: {})


@contextlib.contextmanager
def holding(name: bytes, *, waiting: int = 8, asking: int = 0) -> Iterator[socket.socket]:
    """A socket of ours that listens at an abstract name, with so many who wait."""
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(socket.socket(socket.AF_UNIX))
        held.bind(b"\0" + name)
        held.listen(waiting)
        for _ in range(asking):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(b"\0" + name)
        yield held


@contextlib.contextmanager
def somebody() -> Iterator[None]:
    """What is made meanwhile is nobody's and not root's."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def rival() -> int | None:
    """The process to which a daemon that starts now would give way."""
    with claimed() as other:
        return other.pid if other is not None else None


def line(inode: int, name: bytes) -> bytes:
    return b"0: 2 0 10000 1 1 %d @%b" % (inode, name)


@pytest.mark.usefixtures("kernel")
class TestWhoeverAsks:
    """The same answers, whatever the kernel tells."""

    def test_nobody_is_there(self) -> None:
        assert rival() is None

    @pytest.mark.root
    def test_root_at_the_name_or_beside_it(self, name: bytes) -> None:
        with holding(name):
            assert rival() == os.getpid()
        with holding(name + b".beside"):
            assert rival() == os.getpid()
        with holding(name + b"beside"):
            assert rival() is None, "a name of somebody else's"

    @pytest.mark.root
    def test_root_whose_queue_is_full(self, name: bytes) -> None:
        """As an older daemon's is after two have asked who it is."""
        with holding(name, waiting=0, asking=1):
            assert [rival() for _ in range(4)] == [os.getpid()] * 4

    @pytest.mark.root
    def test_one_who_has_claimed(self) -> None:
        with claimed() as other:
            assert other is None
            assert [rival() for _ in range(4)] == [os.getpid()] * 4

    @pytest.mark.parametrize("rest", [b"A B C zz E F G @forged", b"A B C 10000 E F G @forged", b"A", b"\n\n", b"\xff \xfe"])
    def test_a_name_with_a_lines_end(self, name: bytes, rest: bytes) -> None:
        """What it leaves on a line of its own need not be a socket's at all."""
        with holding(b"x" + name + b"\n" + rest):
            assert rival() is None

    def test_a_path_with_a_lines_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # a path in an address is short
        with socket.socket(socket.AF_UNIX) as held:
            held.bind("app\nA B C zz E F G @forged")
            held.listen()
            assert rival() is None

    @pytest.mark.root
    def test_a_line_that_names_a_socket_of_roots(self, name: bytes) -> None:
        with holding(b"other." + name) as of_root, contextlib.ExitStack() as stack:
            inode = os.fstat(of_root.fileno()).st_ino
            with somebody():
                stack.enter_context(holding(b"x\n" + line(inode, name)))
            assert rival() is None
            with somebody():  # and now the name is there too, and cannot be asked
                stack.enter_context(holding(name, waiting=0, asking=1))
            assert rival() is None

    @pytest.mark.root
    def test_a_line_that_names_a_wrong_socket_hides_nobody(self, name: bytes) -> None:
        with holding(name), contextlib.ExitStack() as stack:
            with somebody():
                mine = stack.enter_context(holding(b"mine." + name))
                for inode in (os.fstat(mine.fileno()).st_ino, 1):
                    stack.enter_context(holding(b"%d\n" % inode + line(inode, name)))
            assert rival() == os.getpid()

    @pytest.mark.root
    @pytest.mark.parametrize("asking", [0, 1])
    def test_a_user_at_the_name(self, name: bytes, asking: int) -> None:
        """Whether he can be asked or has filled his own queue."""
        with contextlib.ExitStack() as stack:
            with somebody():
                stack.enter_context(holding(name, waiting=0, asking=asking))
                stack.enter_context(holding(name + b".2", waiting=0, asking=asking))
            assert rival() is None
            with claimed():
                assert rival() == os.getpid(), "root beside him is found all the same"

    @pytest.mark.root
    def test_a_user_whom_proc_does_not_show(self, name: bytes, unseen: None) -> None:
        with contextlib.ExitStack() as stack:
            with somebody():
                stack.enter_context(holding(name, waiting=0, asking=1))
            assert rival() is None

    @pytest.mark.root
    def test_root_whom_proc_does_not_show(self, name: bytes, unseen: None, kernel: str) -> None:
        """In a process namespace of its own; with a full queue only the kernel's list still tells of it."""
        with holding(name):
            assert rival() == (0 if kernel == "unix_diag" else os.getpid())
        with holding(name, waiting=0, asking=1):
            assert rival() == (0 if kernel == "unix_diag" else None)

    @pytest.mark.root
    def test_a_user_who_is_root_in_a_namespace_of_his_own(self, name: bytes) -> None:
        """Numbers of users are counted from here."""
        program = (
            "import os, socket, sys; held = socket.socket(socket.AF_UNIX); held.bind(b'\\0' + sys.argv[1].encode()); held.listen(1)\n"
            "print(os.getuid(), flush=True); sys.stdin.read()"
        )
        words = ["unshare", "--user", "--map-root-user", sys.executable, "-c", program, name.decode()]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, user=NOBODY) as process:
            assert process.stdin is not None and process.stdout is not None and process.stderr is not None
            uid = process.stdout.readline().strip()
            if not uid:
                process.wait(30)
                pytest.skip(f"no user namespaces for users here: {process.stderr.read()}")
            assert uid == "0"
            assert rival() is None
            process.stdin.close()
            process.wait(30)


def test_another_refusal_of_the_kernels_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Netlink, message: Message) -> Iterator[tuple[int, bytes]]:
        raise OSError(errno.ENOBUFS, "no buffers")

    monkeypatch.setattr(Netlink, "ask", refuse)
    with pytest.raises(OSError, match="no buffers"), claimed():
        pass
