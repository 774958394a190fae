"""Heads of plain requests: a GET of HTTP/1.1 that keeps its connection, says nothing unusual and has no body.

Nearly every shape request is one. What is plain is read here by httptools; whatever is not is for aiohttp,
which reads it from its first byte and answers what is wrong with it. In doubt a head is not plain, so that no
request can be read in two ways (SECURITY I-19). Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import httptools

if TYPE_CHECKING:
    from collections.abc import Sequence

PLAIN_BYTES_MAX: Final = 16 * 1024
"""Longer ones are for aiohttp; none of its own bounds is below that."""
FIELDS_MAX: Final = 64

_END: Final = b"\r\n\r\n"
_PRINTABLE: Final = bytes(range(0x20, 0x7F)) + b"\r\n"
_ORG_PATH: Final = re.compile(r"/api/electric/orgs/([0-9A-Za-z-]{1,64})/sync", re.ASCII)
_PATHS: Final = frozenset({"/v1/shape", "/api/electric/sync"})
_TARGET: Final = re.compile(rb"/[!\"$-~]*", re.ASCII)
"""Origin form without a fragment (RFC 9112 3.2.1)."""
_UNUSUAL: Final = frozenset(
    {
        "content-length",
        "transfer-encoding",
        "trailer",
        "te",
        "upgrade",
        "http2-settings",
        "expect",
        "proxy-connection",
        "keep-alive",
    }
)
"""Headers that change how a connection is read or kept."""


@dataclass(slots=True, eq=False)
class PlainHead:
    """The head of a plain request to one of the paths of shapes."""

    target: str
    org: str | None
    """The organization that the path names."""
    fields: dict[str, list[str]] = field(repr=False)
    """All values of each header, by its name in lower case; a token is among them."""

    def values(self, name: str) -> Sequence[str]:
        """Return all values of a header."""
        return self.fields.get(name, ())


class HeadReader:
    """Reads one head at a time; nothing is kept between two."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._fields: dict[str, list[str]] = {}
        self._count = 0
        self._complete = 0

    def read(self, head: bytes) -> PlainHead | None:
        """Read a head from its first byte to its empty line; None if it is not plain in every way."""
        if len(head) > PLAIN_BYTES_MAX or head.translate(None, _PRINTABLE):
            return None
        if not head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r"):
            return None
        self._target, self._fields, self._count, self._complete = b"", {}, 0, 0
        plain = self._plain() if self._parsed(head) else None
        if plain is None:
            self._renew()  # It may wait for more, or take nothing more.
        return plain

    def _parsed(self, head: bytes) -> bool:
        parser = self._parser
        try:
            parser.feed_data(head)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return (
            self._complete == 1
            and parser.should_keep_alive()
            and parser.get_method() == b"GET"
            and parser.get_http_version() == "1.1"
        )

    def _plain(self) -> PlainHead | None:
        fields = self._fields
        if self._count > FIELDS_MAX or _TARGET.fullmatch(self._target) is None:
            return None
        if not _UNUSUAL.isdisjoint(fields) or len(fields.get("host", ())) != 1:
            return None
        if any(value.lower() != "keep-alive" for value in fields.get("connection", ())):
            return None
        target = self._target.decode("ascii")
        path = target.partition("?")[0]
        if path in _PATHS:
            return PlainHead(target, None, fields)
        named = _ORG_PATH.fullmatch(path)
        return None if named is None else PlainHead(target, named[1], fields)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target, for httptools."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, for httptools."""
        self._count += 1
        self._fields.setdefault(name.decode("ascii").lower(), []).append(value.decode("ascii"))

    def on_message_complete(self) -> None:
        """Count a whole request, for httptools."""
        self._complete += 1


def may_become_plain(data: bytes) -> bool:
    """Say whether more bytes could make these, which have no end yet, the head of a plain request."""
    start = b"GET /"
    return len(data) <= PLAIN_BYTES_MAX and data[: len(start)] == start[: len(data)]


def end_of_head(data: bytes, start: int) -> int | None:
    """Find where the head ends that begins at `start`; None if it has no end yet."""
    end = data.find(_END, start)
    return None if end < 0 else end + len(_END)
