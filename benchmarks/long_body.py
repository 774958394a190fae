"""The body of a long log chunk, made in pieces, and its check. Pure: no I/O, no clock."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Final

from benchmarks.target import OFFSET

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES: Final = 64 * 1_024
"""About what a server writes at once."""


@cache
def _piece() -> bytes:
    row = {
        "key": '"public"."long"/"11111111-1111-4111-8111-111111111111"',
        "value": {"id": "11111111-1111-4111-8111-111111111111", "name": "a row of a long log"},
        "headers": {"operation": "insert", "relation": ["public", "long"], "offset": OFFSET},
    }
    printed = json.dumps(row, separators=(",", ":")).encode() + b","
    # Blanks between values mean nothing in JSON.
    rows = printed * (PIECE_BYTES // len(printed))
    return rows.ljust(PIECE_BYTES)


def pieces(size: int) -> Iterator[bytes]:
    """Yield a body of exactly so many bytes: `[`, rows and blanks, `{}]`. Expects at least 4."""
    yield b"["
    left = size - len(b"[{}]")
    while left >= PIECE_BYTES:
        yield _piece()
        left -= PIECE_BYTES
    yield b" " * left + b"{}]"


def digest(size: int) -> str:
    """Hash the whole body."""
    hashed = hashlib.blake2b()
    for piece in pieces(size):
        hashed.update(piece)
    return hashed.hexdigest()


def print_chunked(piece: bytes) -> bytes:
    """Print a piece as one chunk (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
