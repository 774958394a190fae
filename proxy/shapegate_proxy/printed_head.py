"""The head of an answer as bytes, for answers that do not go by aiohttp. Pure, but for the date."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from shapegate_proxy import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STATUS: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_ENDS_A_LINE: Final = frozenset("\r\n\0")


class ClientHead:
    """The headers of one answer for the client, and the lines that they are."""

    __slots__ = ("fields", "framed", "headers")

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Print them. Raises ValueError for a value that would end its line."""
        self.headers = headers
        self.fields = print_fields(headers)
        self.framed = "content-length" in headers
        """Whether they say how long the body is."""


CHUNKED: Final = "transfer-encoding: chunked\r\n"


class HeadPrinter:
    """Prints heads; what is the same for many answers is printed once."""

    def __init__(self, origins: frozenset[str], *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._origins = origins
        self._from = self._to = 0.0
        """The second that `_date` is of."""
        self._date = ""
        self._plain = self._common(None)
        self._of_origins = {origin: self._common(origin) for origin in origins}

    def _common(self, origin: str | None) -> str:
        headers = {**answers.cors_headers(origin, self._origins), **answers.plain_headers("")}
        del headers["x-request-id"]
        return print_fields(headers)

    def print_whole(
        self, status: int, head: ClientHead, body: bytes | memoryview, origin: str | None, request_id: str
    ) -> bytes:
        """Print a whole answer; it says how long its body is in any case."""
        own = ""
        if status == 304:
            body = b""
        elif not head.framed:
            own = f"content-length: {len(body)}\r\n"
        return self.print(status, head.fields, origin, request_id, own) + body

    def print(self, status: int, fields: str, origin: str | None, request_id: str, own: str = "") -> bytes:
        """Print a whole head; `fields` and `own` are the lines that depend on the answer."""
        common = self._plain if origin is None else self._of_origins.get(origin, self._plain)
        read_clock = self._now
        now = read_clock()
        date = self._date if self._from <= now < self._to else self._dated(now)
        line = _STATUS.get(status) or f"HTTP/1.1 {status} \r\n"
        told = f"{line}{fields}{common}x-request-id: {request_id}\r\ndate: {date}\r\n{own}\r\n"
        return told.encode()

    def _dated(self, now: float) -> str:
        self._from = float(int(now))
        self._to, self._date = self._from + 1.0, formatdate(self._from, usegmt=True)
        return self._date


def print_fields(headers: Mapping[str, str]) -> str:
    """Print header lines. Raises ValueError for a value that would end its line."""
    lines = []
    for name, value in headers.items():
        if not _ENDS_A_LINE.isdisjoint(value):
            raise ValueError(f"the header {name} holds the end of a line")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)
