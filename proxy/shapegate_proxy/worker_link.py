"""What a parent and a worker tell each other, in frames on a socket pair that nobody else has.

The parent sends the configuration once, then asks for figures, and says when to stop. Secrets go this way
only, never by a command line. The configuration is pickled: it comes from the process that started this one.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec

from shapegate_proxy.configuration import Configuration
from shapegate_proxy.tallies import Reading  # noqa: TC001  # msgspec reads the annotation of a field

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
"""Above any configuration and any reading; a policy of a thousand tables has some hundred kilobytes."""
_LENGTH: Final = struct.Struct(">I")


class LinkClosed(Exception):
    """The other process went away, or ended its side."""


class Listening(msgspec.Struct, frozen=True, tag=True):
    """The worker serves."""

    url: str


class NotStarted(msgspec.Struct, frozen=True, tag=True):
    """The worker cannot serve and ends."""

    problem: str


class Ask(msgspec.Struct, frozen=True, tag=True):
    """The parent wants figures."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """The worker shall drain and end.

    It comes this way and not as a signal, so that it is known before the end of a parent that is in a hurry.
    """


class Told(msgspec.Struct, frozen=True, tag=True):
    """Figures of the worker: an answer, or its last word."""

    reading: Reading


Message = Listening | NotStarted | Ask | Stop | Told
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


class Link:
    """One side of the pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> Message:
        """Wait for what the other side says next. Raises LinkClosed."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > FRAME_BYTES_MAX:
                raise LinkClosed(f"a frame of {length} bytes: expected {FRAME_BYTES_MAX} at most")
            return _DECODER.decode(await self._reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError) as exc:
            raise LinkClosed(type(exc).__name__) from exc

    async def send(self, message: Message) -> None:
        """Say something; waits while the other side does not read. Raises LinkClosed."""
        await self._send(_ENCODER.encode(message))

    def send_soon(self, message: Message) -> None:
        """Say something small without waiting; it is lost if the other side is gone."""
        with suppress(LinkClosed):
            self._write(_ENCODER.encode(message))

    async def send_configuration(self, found: Configuration) -> None:
        """Send what `receive_configuration` waits for. Raises LinkClosed."""
        await self._send(pickle.dumps(found))

    async def _send(self, frame: bytes) -> None:
        try:
            self._write(frame)
            await self._writer.drain()
        except OSError as exc:
            raise LinkClosed(type(exc).__name__) from exc

    def _write(self, frame: bytes) -> None:
        assert len(frame) <= FRAME_BYTES_MAX
        if self._writer.is_closing():  # asyncio would drop the frame, uvloop raise RuntimeError
            raise LinkClosed("the link is closed")
        self._writer.write(_LENGTH.pack(len(frame)) + frame)


@asynccontextmanager
async def open_link(ours: socket.socket) -> AsyncIterator[Link]:
    """Use one side of the pair inside of the block, and close it then."""
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        yield Link(reader, writer)
    finally:
        writer.close()


def receive_configuration(ours: socket.socket) -> Configuration:
    """Wait, without a loop, for what to run with. Raises LinkClosed if the parent goes away before."""
    ours.setblocking(True)
    (length,) = _LENGTH.unpack(_receive(ours, _LENGTH.size))
    if length > FRAME_BYTES_MAX:
        raise LinkClosed(f"a frame of {length} bytes: expected {FRAME_BYTES_MAX} at most")
    found = pickle.loads(_receive(ours, length))  # noqa: S301  # from the parent, which checked it
    assert isinstance(found, Configuration)
    return found


def _receive(ours: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        more = ours.recv(count - len(received))
        if not more:
            raise LinkClosed("the parent went away")
        received += more
    return bytes(received)
