"""A DHCP server that does as it is told: python -m tests.dhcpserver INTERFACE SERVER-ADDRESS, in the namespace where it is to serve.

It reads a JSON object a line from stdin, which becomes its behaviour, and writes a JSON object a line to stdout for each message that came:
  {"give": "10.7.0.50", "lease": 4, "t1": 1, "t2": 2, "mood": "ack"}      mood: ack, nak (requests are refused) or silent
Of our own code it uses nothing.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
from typing import Any

KINDS = {1: "discover", 3: "request", 4: "decline", 7: "release"}
COOKIE = b"\x63\x82\x53\x63"


def options_of(data: bytes) -> dict[int, bytes]:
    found, place = {}, 240
    while place < len(data) and data[place] != 255:
        if not data[place]:
            place += 1
            continue
        found[data[place]] = data[place + 2 : place + 2 + data[place + 1]]
        place += 2 + data[place + 1]
    return found


def reply(asked: bytes, kind: int, given: str, options: dict[int, bytes]) -> bytes:
    head = struct.pack("!BBBB4sHH4s4s4s4s", 2, 1, 6, 0, asked[4:8], 0, 0, asked[12:16], socket.inet_aton(given), b"\0" * 4, b"\0" * 4)
    body = b"".join(bytes((number, len(value))) + value for number, value in {53: bytes((kind,)), **options}.items())
    return head + asked[28:44] + b"\0" * 192 + COOKIE + body + b"\xff"


def main(interface: str, address: str) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    server.bind(("", 67))
    behave: dict[str, Any] = {"mood": "silent"}
    print(json.dumps({"ready": True}), flush=True)
    while True:
        ready, _, _ = select.select([server, sys.stdin], [], [])
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            behave = json.loads(line)
            print(json.dumps({"now": behave["mood"]}), flush=True)
            continue
        data, sender = server.recvfrom(2000)
        options = options_of(data)
        kind = KINDS.get(options[53][0], "other")
        have = socket.inet_ntoa(data[12:16])
        asked = socket.inet_ntoa(options[50]) if 50 in options else ""
        said = {"kind": kind, "from": sender[0], "have": have, "asked": asked, "hostname": options.get(12, b"").decode(), "id": options[61].hex()}
        print(json.dumps(said), flush=True)
        if behave["mood"] == "silent" or kind not in ("discover", "request"):
            continue
        own = {54: socket.inet_aton(address)}
        if options.get(54, own[54]) != own[54]:
            continue  # another server's offer was taken
        wanted = have if have != "0.0.0.0" else asked
        if kind == "request" and (behave["mood"] == "nak" or wanted != behave["give"]):
            answer = reply(data, 6, "0.0.0.0", own)
        else:
            times = {51: struct.pack("!I", behave["lease"]), 58: struct.pack("!I", behave["t1"]), 59: struct.pack("!I", behave["t2"])}
            rest = {1: socket.inet_aton("255.255.255.0"), 3: socket.inet_aton(address)}
            answer = reply(data, 2 if kind == "discover" else 5, behave["give"], {**own, **times, **rest})
        # To one that has its address already by that, as the RFC says; else to everybody.
        server.sendto(answer, (have if have != "0.0.0.0" and answer[242] != 6 else "255.255.255.255", 68))


if __name__ == "__main__":
    main(*sys.argv[1:])
