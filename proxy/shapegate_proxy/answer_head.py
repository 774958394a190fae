"""The head of an answer of Electric, read once for all answers that say the same. Pure: no I/O, no clock.

Electric says an id and a time with each answer, which nobody here looks at; without them the heads of many
answers are the same to the byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shapegate_proxy.lean_framing import Framing, leaves_nothing, read_framing

if TYPE_CHECKING:
    from collections.abc import Hashable

    from shapegate_proxy.printed_head import ClientHead

    Fields = tuple[tuple[bytes, bytes], ...]

REMEMBERED_MAX: Final = 1_024
REMEMBERED_BYTES_MAX: Final = 4_096
"""Together they keep what is remembered below 20 MB."""
FRAMES: Final = frozenset({"content-length", "transfer-encoding"})
_EACH_ANOTHER: Final = frozenset({b"date", b"Date", b"x-request-id", b"X-Request-Id"})


class AnswerHeaders(dict[str, str]):
    """The headers of answers by their names in lower case, with what was chosen of them for clients."""

    __slots__ = ("chosen",)

    def __init__(self) -> None:
        super().__init__()
        self.chosen: dict[Hashable, ClientHead] = {}


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What a head says; of a header that came twice, the first."""

    status: int
    headers: AnswerHeaders
    framing: Framing
    leaves_nothing: bool
    """Whether an answer without a body announces none either."""


def read_head(status: int, fields: list[tuple[bytes, bytes]], *, modern: bool) -> AnswerHead:
    """Read the lines of a head in their order; `modern` says that it is of HTTP/1.1."""
    kept = tuple([field for field in fields if field[0] not in _EACH_ANOTHER])
    if sum([len(value) for _, value in kept]) > REMEMBERED_BYTES_MAX:
        return _read(status, kept, modern)
    return _remembered(status, kept, modern)


def _read(status: int, fields: Fields, modern: bool) -> AnswerHead:
    headers, doubled = AnswerHeaders(), False
    for raw_name, raw_value in fields:
        name = raw_name.decode("ascii").lower()
        if name in headers:
            doubled = doubled or name in FRAMES
            continue
        try:
            headers[name] = raw_value.decode()
        except UnicodeDecodeError:
            headers[name] = raw_value.decode("utf-8", "surrogateescape")
    modern = modern or "transfer-encoding" not in headers
    framing = read_framing(headers, doubled=doubled, modern=modern)
    return AnswerHead(status, headers, framing, leaves_nothing(headers))


_remembered = lru_cache(maxsize=REMEMBERED_MAX)(_read)
