"""A crowd of containers that is asked for the truth: every one resolves, answers and publishes.

Each runs a web server that tells its host name, on networks `left` and `right` in turn, and publishes ports of its own. The questions are asked
by this module run inside the machine, once for the whole crowd:

    python -m tests.crowd names     stdin: [[pid, {name: address, ...}], ...]; from each pid's network namespace each name is asked of 127.0.0.11
    python -m tests.crowd pages     stdin: [[address, port, name], ...]; every one is asked over HTTP who it is
What was wrong is printed as JSON.
"""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import json
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.harness import Engine, Space

NETWORKS = ("left", "right")
FIRST_PORT = 10000
AT_ONCE = 16
PATIENCE = 30.0  # seconds for one answer; the machine may be busy
ATF_PERM = 0x04  # linux/if_arp.h
COMMAND = ["httpd", "-f", "-p", "80", "-h", "/etc"]


@dataclass
class Crowd:
    """The containers of one engine, by number; `ports` of each are the host's."""

    engine: Engine
    ports: dict[int, range] = field(default_factory=dict)
    next_port: int = FIRST_PORT

    def networks(self) -> None:
        for name in NETWORKS:
            self.ask("POST", "/networks/create", {"Name": name})

    def fill(self, until: int, ports: int) -> None:
        """Start containers until there are so many, each new one with so many published ports."""
        numbers = range(len(self.ports), until)
        for number in numbers:
            self.ports[number] = range(self.next_port, self.next_port + ports)
            self.next_port += ports
        with ThreadPoolExecutor(8) as hands:
            list(hands.map(lambda number: self.start(name(number), network(number), self.ports[number]), numbers))

    def start(self, called: str, on: str, ports: range) -> str:
        """One container; its id."""
        made = self.create(called, on, ports)
        self.ask("POST", f"/containers/{made}/start")
        return made

    def create(self, called: str, on: str, ports: range) -> str:
        """One container that is not started yet; its id."""
        bindings = {"80/tcp": [{"HostPort": str(port)} for port in ports]}  # on every address of both families
        host = {"NetworkMode": on, "PortBindings": bindings}
        body = {"Image": "busybox", "Cmd": COMMAND, "Hostname": called, "ExposedPorts": {"80/tcp": {}}, "HostConfig": host}
        return str(self.ask("POST", f"/containers/create?name={called}", body)["Id"])

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        status, said = self.engine.call(method, path, body, timeout=600)
        assert status < 400, said
        return said

    def untrue(self) -> list[str]:
        """What is not as it should be, of every container: names, answers, published ports, from this host and from its neighbour."""
        where = self.engine.machine
        members: dict[str, dict[int, tuple[int, str]]] = {}
        ended = []
        for number in self.ports:
            body = self.ask("GET", f"/containers/{name(number)}/json")
            if not body["State"]["Running"]:
                ended.append(f"{name(number)} is {body['State']['Status']}")
                continue
            address = body["NetworkSettings"]["Networks"][network(number)]["IPAddress"]
            members.setdefault(network(number), {})[number] = (body["State"]["Pid"], address)
        asked = []
        for inside in members.values():
            everybody = {name(number): address for number, (_, address) in inside.items()}
            numbers = list(inside)
            # The first asks for all; every other for its neighbour: each resolver answers, and each name is answered.
            asked.append((inside[numbers[0]][0], everybody))
            for number, other in zip(numbers[1:], numbers, strict=False):
                asked.append((inside[number][0], {name(other): inside[other][1]}))
        direct = [(address, 80, name(number)) for inside in members.values() for number, (_, address) in inside.items()]
        published = [(port, name(number)) for number, ports in self.ports.items() for port in ports]
        return [
            *ended,
            *wrong(where, "names", asked),
            *wrong(where, "pages", direct),
            *(page for own in ("127.0.0.1", "::1") for page in wrong(where, "pages", [(own, port, who) for port, who in published])),
            *(
                page
                for address in ("198.51.100.2", "2001:db8:51::2")
                for page in wrong(where.outside, "pages", [(address, port, who) for port, who in published])
            ),
            *self.neighbours({pid for inside in members.values() for pid, _ in inside.values()}),
        ]

    def neighbours(self, pids: Iterable[int]) -> Iterator[str]:
        """Who costs the kernel more entries of its neighbour table than meant, now that everybody was asked.

        The table is one for all namespaces and holds 1,024 that are not permanent: a container may have one, its gateway's; of the host's none is
        for a container.
        """
        for pid in (1, *pids):
            rows = [line.split() for line in self.engine.machine.path(f"/proc/{pid}/net/arp").read_text().splitlines()[1:]]
            learned = [row[0] for row in rows if not int(row[2], 16) & ATF_PERM and (pid != 1 or row[5] != "eth0")]
            if len(learned) > (pid != 1):
                yield f"the neighbour table has {', '.join(learned)} for {f'process {pid}' if pid != 1 else 'the host'}"

    def clear(self) -> None:
        """Remove every container of the crowd, and the networks."""
        self.leave()
        for called in NETWORKS:
            self.ask("DELETE", f"/networks/{called}")

    def leave(self) -> None:
        """Remove every container of the crowd."""
        with ThreadPoolExecutor(8) as hands:
            list(hands.map(lambda number: self.ask("DELETE", f"/containers/{name(number)}?force=1"), self.ports))
        self.ports.clear()


def name(number: int) -> str:
    return f"crowd{number}"


def network(number: int) -> str:
    return NETWORKS[number % 2]


def wrong(where: Space, what: str, asked: Sequence[Any]) -> list[str]:
    """Ask inside a machine, or beside it."""
    done = where.run([sys.executable, "-m", "tests.crowd", what], given=json.dumps(asked), timeout=600)
    found: list[str] = json.loads(done.stdout)
    return found


# -- inside


def wrong_names(asked: Sequence[tuple[int, Mapping[str, str]]]) -> list[str]:
    libc = ctypes.CDLL(None, use_errno=True)
    found = []
    for pid, names in asked:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        if libc.setns(descriptor, 0):
            raise OSError(ctypes.get_errno(), f"could not enter the network namespace of {pid}")
        os.close(descriptor)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(PATIENCE)
            channel.connect(("127.0.0.11", 53))
            for number, (called, address) in enumerate(names.items()):
                try:
                    said = resolved(channel, number, called)
                except OSError as error:
                    said = str(error)
                if said != address:
                    found.append(f"{called} is {said!r} seen from {pid}, not {address}")
    return found


def resolved(channel: socket.socket, number: int, called: str) -> str:
    """The one address that a name has."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in called.split("."))
    channel.send(struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")
    reply = channel.recv(512)
    if struct.unpack("!H", reply[:2])[0] != number & 0xFFFF or struct.unpack("!H", reply[6:8])[0] != 1:
        return f"reply {reply.hex()}"
    return str(ipaddress.IPv4Address(reply[-4:]))


async def wrong_pages(asked: Sequence[tuple[str, int, str]]) -> list[str]:
    found = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(address: str, port: int, called: str) -> None:
        async with gate:
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = await asyncio.open_connection(address, port)
                    writer.write(b"GET /hostname HTTP/1.0\r\n\r\n")
                    said = (await reader.read()).decode().strip().splitlines()[-1:]
                    writer.close()
            except (OSError, TimeoutError) as error:
                said = [f"{type(error).__name__} {error}"]
            if said != [called]:
                found.append(f"{address}:{port} is {said}, not {called}")

    await asyncio.gather(*(ask(*one) for one in asked))
    return found


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps(wrong_names(given) if sys.argv[1] == "names" else asyncio.run(wrong_pages(given))))
