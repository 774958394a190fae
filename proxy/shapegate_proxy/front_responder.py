"""One answer on a connection of `front`: how its head, its body and its end become bytes there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from shapegate_proxy import answers
from shapegate_proxy.printed_head import CHUNKED, print_fields

if TYPE_CHECKING:
    import asyncio

    from shapegate_proxy.electric import Chunk
    from shapegate_proxy.errors import Refused
    from shapegate_proxy.printed_head import ClientHead, HeadPrinter

KEPT_BACK_BYTES_MAX: Final = 64 * 1024
"""Pieces of a body leave together up to here."""

_SIZES: Final = tuple(b"%x\r\n" % size for size in range(4 * 1024))
"""How the sizes of small chunks are said: to print one takes a tenth of what an event costs here."""


class Line(Protocol):
    """The connection, as an answer needs it."""

    transport: asyncio.Transport | None

    def at_once(self) -> bool:
        """Say whether nothing that was sent before waits to be taken."""

    async def send(self, pieces: Chunk | list[Chunk]) -> None:
        """Send; returns when more may be sent. Raises ConnectionResetError if the client is gone."""

    def keep_place(self) -> None:
        """Count as one with a request under way."""

    def make_room_for_others(self) -> None:
        """Count as one that idles."""

    def abort(self) -> None:
        """End the connection at once."""


class FrontResponder:
    """Writes one answer to its connection."""

    __slots__ = ("_chunked", "_front", "_kept_back", "_kept_back_bytes", "_origin", "_printer")

    def __init__(self, front: Line, origin: str | None, printer: HeadPrinter) -> None:
        self._front = front
        self._printer = printer
        self._origin = origin
        self._chunked = False
        self._kept_back: list[Chunk] = []
        self._kept_back_bytes = 0

    def at_once(self) -> bool:
        return not self._kept_back and self._front.at_once()

    def answer_now(self, status: int, head: ClientHead, body: Chunk, *, request_id: str) -> None:
        if self._front.transport is not None:
            self._front.transport.write(self._whole(status, head, body, request_id))

    def write_now(self, chunk: Chunk) -> None:
        if self._front.transport is not None:
            self._front.transport.write(b"".join(_as_chunk(chunk)) if self._chunked else chunk)

    async def answer(self, status: int, head: ClientHead, body: Chunk, *, request_id: str) -> None:
        await self._front.send(self._whole(status, head, body, request_id))

    def _whole(self, status: int, head: ClientHead, body: Chunk, request_id: str) -> bytes:
        return self._printer.print_whole(status, head, body, self._origin, request_id)

    def known(self) -> None:
        self._front.keep_place()

    async def begin(self, status: int, head: ClientHead, *, request_id: str) -> None:
        self._chunked = status != 304 and not head.framed
        self._kept_back.append(self._print(status, head.fields, request_id))

    def _print(self, status: int, fields: str, request_id: str) -> bytes:
        own = CHUNKED if self._chunked else ""
        return self._printer.print(status, fields, self._origin, request_id, own)

    async def flush(self) -> None:
        if self._kept_back:
            pieces, self._kept_back, self._kept_back_bytes = self._kept_back, [], 0
            await self._front.send(pieces)

    async def write(self, chunk: Chunk, *, more: bool) -> None:
        self._kept_back += _as_chunk(chunk) if self._chunked else (chunk,)
        self._kept_back_bytes += len(chunk)
        if not more or self._kept_back_bytes >= KEPT_BACK_BYTES_MAX:
            await self.flush()

    async def end(self) -> None:
        if self._chunked:
            self._kept_back.append(b"0\r\n\r\n")
        await self.flush()

    def break_off(self) -> None:
        self._front.abort()

    async def refuse(self, refused: Refused, *, request_id: str) -> int:
        body = answers.error_body(refused, request_id)
        fields = print_fields(answers.refusal_headers(refused, body))
        self._kept_back += (self._print(refused.status, fields, request_id), body)
        self._front.make_room_for_others()
        await self.flush()
        return len(body)


def _as_chunk(piece: Chunk) -> tuple[Chunk, ...]:
    """Say of a piece of a body how long it is, and where it ends (RFC 9112 7.1)."""
    size = len(piece)
    return (_SIZES[size] if size < len(_SIZES) else b"%x\r\n" % size), piece, b"\r\n"
