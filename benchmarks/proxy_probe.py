"""Ask and time, as a process of its own: `python -m benchmarks.proxy_probe` with a job on its input.

The job is one line of JSON; what was measured is one line of JSON on its output. `slowly` asks
several targets in turns at a low rate; `events` takes events of one stream; `bodies` reads long bodies.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from benchmarks.running import HOST
from benchmarks.target import is_complete
from benchmarks.turns import rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SECONDS_MAX: Final = 120.0
_READ_BYTES: Final = 1 << 20
_END: Final = b"\r\n0\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)")
_EVENT: Final = re.compile(rb'"at":(\d+)\}\n\n')


def ask_slowly(ports: list[int], requests: list[str], count: int, pause_seconds: float) -> list[list[float]]:
    """Ask every target so often, in turns; returns the seconds of each answer, by target."""
    found: list[list[float]] = [[] for _ in ports]
    with ExitStack() as stack:
        connections = [stack.enter_context(_connect(port)) for port in ports]
        for turn in range(count):
            for number, request in rotated(list(enumerate(requests)), turn):
                time.sleep(pause_seconds)
                found[number].append(_answer_seconds(connections[number], request))
    return found


def _answer_seconds(connection: socket.socket, request: str) -> float:
    started = time.perf_counter()
    connection.sendall(request.encode("ascii"))
    answer = b""
    while not is_complete(answer):
        answer += _read(connection)
    return time.perf_counter() - started


def take_events(port: int, request: str, control: int, count: int, pause_seconds: float) -> list[float]:
    """Let the upstream write events, one at a time; returns the seconds from there to here."""
    seconds = []
    with _connect(port) as stream, _connect(control) as upstream:
        stream.sendall(request.encode("ascii"))
        received = b""
        while b"\r\n\r\n" not in received:
            received += _read(stream)
        for _ in range(count):
            time.sleep(pause_seconds)
            upstream.sendall(b"GET /bench/event HTTP/1.1\r\n\r\n")
            received = b""
            while (event := _EVENT.search(received)) is None:
                received += _read(stream)
            seconds.append((time.monotonic_ns() - int(event[1])) / 1e9)
            _read(upstream)
    return seconds


def read_bodies(port: int, request: str, count: int) -> list[float]:
    """Read so many long answers on one connection, without looking into them; returns the seconds of each."""
    view, seconds = memoryview(bytearray(_READ_BYTES)), []
    with _connect(port) as connection:
        for _ in range(count):
            started = time.perf_counter()
            connection.sendall(request.encode("ascii"))
            _read_long(connection, view)
            seconds.append(time.perf_counter() - started)
    return seconds


def _read_long(connection: socket.socket, view: memoryview) -> None:
    """Read one answer to its end, as its length or its last chunk says."""
    head, length, size, tail = b"", None, 0, b""
    while not (size == length if length is not None else tail == _END):
        count = connection.recv_into(view)
        if count == 0:
            raise ConnectionError("the answer was cut short")
        tail = (tail + view[max(0, count - len(_END)) : count])[-len(_END) :]
        size += count
        if b"\r\n\r\n" not in head:
            head += view[:count]
            text, found, _ = head.partition(b"\r\n\r\n")
            said = _LENGTH.search(text.lower()) if found else None
            length = None if said is None else len(text) + 4 + int(said[1])


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), timeout=_SECONDS_MAX)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _read(connection: socket.socket) -> bytes:
    data = connection.recv(_READ_BYTES)
    if not data:
        raise ConnectionError("the answer was cut short")
    return data


_KINDS: Final[Mapping[str, Callable[..., object]]] = {
    "slowly": ask_slowly,
    "events": take_events,
    "bodies": read_bodies,
}

if __name__ == "__main__":
    job = json.loads(sys.stdin.readline())
    sys.stdout.write(json.dumps(_KINDS[job.pop("kind")](**job)) + "\n")
