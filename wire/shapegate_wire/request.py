"""A shape request: a definition, a position in its log, a subset, and the keys that only caches look at.

`parse_request` is the strict reading of a gate: each parameter once, no unknown name, no bracket form but
`params[n]` (PROTOCOL 1.2; REQUIREMENTS P-04, P-05, P-50, P-51). Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeVar

from shapegate_wire import names
from shapegate_wire.errors import MalformedRequest, WireError
from shapegate_wire.identifier import parse_columns, parse_table
from shapegate_wire.offset import BEFORE_ALL, Now, Offset, parse_offset
from shapegate_wire.shape import LogMode, QueryPairs, Replica, ShapeDefinition
from shapegate_wire.subset import SubsetRequest, parse_subset_body, parse_subset_query
from shapegate_wire.text import check_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

PARAMETERS_MAX: Final = 240
"""More than any legal request has: 200 filter parameters and the fixed names."""

_PARAM: Final = re.compile(r"params\[([1-9][0-9]{0,3})\]", re.ASCII)
_HANDLE: Final = re.compile(r"[0-9A-Za-z_.:-]{1,128}", re.ASCII)
_CURSOR: Final = re.compile(r"[0-9]{0,20}", re.ASCII)
_CACHE_KEY: Final = re.compile(r"[0-9A-Za-z_.:~-]{0,128}", re.ASCII)
_KNOWN: Final = frozenset(
    {
        names.TABLE,
        names.WHERE,
        names.COLUMNS,
        names.REPLICA,
        names.LOG,
        names.OFFSET,
        names.HANDLE,
        names.LIVE,
        names.LIVE_SSE,
        names.EXPERIMENTAL_LIVE_SSE,
        names.CURSOR,
        names.EXPIRED_HANDLE,
        names.CACHE_BUSTER,
        *map(names.subset, names.SUBSET_FIELDS + names.SUBSET_IGNORED),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeRequest:
    """One question about a shape: for a part of its log or, with `subset`, for some of its rows."""

    definition: ShapeDefinition
    offset: Offset | Now
    handle: str | None = None
    """The incarnation of the log that `offset` belongs to; None at the start of a log."""
    live: bool = False
    live_sse: bool = False
    cursor: str | None = None
    """Echo of the last `electric-cursor`; an empty text is sent as such (REQUIREMENTS P-50)."""
    expired_handle: str | None = None
    cache_buster: str | None = None
    subset: SubsetRequest | None = None

    def to_query(self) -> QueryPairs:
        """Print the whole request as query parameters."""
        subset = [] if self.subset is None else self.subset.to_query()
        return self.definition.to_query() + self.position_query() + subset

    def position_query(self) -> QueryPairs:
        """Print everything but definition and subset: what a gate passes on as it came."""
        pairs: QueryPairs = [
            (names.OFFSET, self.offset.value if isinstance(self.offset, Now) else str(self.offset))
        ]
        optional = [
            (names.HANDLE, self.handle),
            (names.LIVE, "true" if self.live else None),
            (names.LIVE_SSE, "true" if self.live_sse else None),
            (names.EXPERIMENTAL_LIVE_SSE, "true" if self.live_sse else None),
            (names.CURSOR, self.cursor),
            (names.EXPIRED_HANDLE, self.expired_handle),
            (names.CACHE_BUSTER, self.cache_buster),
        ]
        return pairs + [(name, value) for name, value in optional if value is not None]


def parse_request(pairs: Iterable[tuple[str, str]], body: bytes | None = None) -> ShapeRequest:
    """Read decoded query parameters strictly, and the body of a POST, which holds the subset then.

    Raises MalformedRequest, which names every problem at once.
    """
    given = list(pairs)
    reader = _Reader(given)
    definition = reader.definition()
    subset = reader.subset(body)
    offset = reader.read(names.OFFSET, parse_offset)
    live = reader.read(names.LIVE, _flag) or False
    sse = [reader.read(name, _flag) for name in (names.LIVE_SSE, names.EXPERIMENTAL_LIVE_SSE)]
    handle = reader.read(names.HANDLE, _handle)
    cursor = reader.read(names.CURSOR, _cursor)
    expired = reader.read(names.EXPIRED_HANDLE, _expired_handle)
    buster = reader.read(names.CACHE_BUSTER, _cache_buster)
    if names.OFFSET not in reader.names:
        reader.problem(names.OFFSET, "is missing: expected -1, now or the last electric-offset")
    if offset in (BEFORE_ALL, Now.NOW) and live:
        reader.problem(names.LIVE, f"can't be true when offset is {reader.values[names.OFFSET]}")
    if isinstance(offset, Offset) and offset != BEFORE_ALL and names.HANDLE not in reader.names:
        reader.problem(
            names.HANDLE, "is missing: expected the last electric-handle when offset is not -1 or now"
        )
    if any(sse) and not live:
        reader.problem(names.LIVE_SSE, "can't be true unless live is also true")
    if reader.problems or definition is None or offset is None:
        raise MalformedRequest(tuple(reader.problems))
    return ShapeRequest(
        definition=definition,
        offset=offset,
        handle=handle,
        # To Electric they mean nothing in a request for a subset, which is answered at once (recorded).
        live=live and subset is None,
        live_sse=any(sse) and subset is None,
        cursor=cursor,
        expired_handle=expired,
        cache_buster=buster,
        subset=subset,
    )


class _Reader:
    """The parameters of one request, each at most once, and the problems found so far."""

    def __init__(self, given: list[tuple[str, str]]) -> None:
        self.problems: list[tuple[str, str]] = []
        self.names = {name for name, _ in given}
        self.values: dict[str, str] = {}
        self.params: dict[int, str] = {}
        if len(given) > PARAMETERS_MAX:
            raise MalformedRequest(
                (("query", f"{len(given)} parameters: at most {PARAMETERS_MAX} are read"),)
            )
        if len(self.names) < len(given):
            for name, count in Counter(name for name, _ in given).items():
                if count > 1:
                    self.problem(name[:80], f"is given {count} times: expected once")
        for name, value in given:
            self._take(name, value)
        if self.params and sorted(self.params) != list(range(1, len(self.params) + 1)):
            self.problem(names.PARAMS, "must be numbered 1, 2, 3, ... without a gap")

    def problem(self, name: str, text: str) -> None:
        self.problems.append((name, text))

    def _take(self, name: str, value: str) -> None:
        try:
            check_text(value)
        except WireError as exc:
            self.problem(name[:80], str(exc))
            return
        if name in _KNOWN:
            self.values[name] = value
        elif numbered := _PARAM.fullmatch(name):
            self.params[int(numbered[1])] = value
        else:
            self.problem(name[:80], "is not a parameter that a client may send")

    def read(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Parse one value; a missing one is None, a bad one is noted as a problem and None."""
        text = self.values.get(name)
        if text is None:
            return None
        try:
            return parse(text)
        except WireError as exc:
            self.problem(name, str(exc))
            return None

    def subset(self, body: bytes | None) -> SubsetRequest | None:
        """Read the subset, of the body if there is one; None if there is none or a problem was noted."""
        if body is not None:
            for name in self.names:
                if name.startswith(names.SUBSET_PREFIX):
                    self.problem(name[:80], "is for a GET: expected it in the body, without the prefix")
        try:
            return parse_subset_query(self.values) if body is None else parse_subset_body(body)
        except MalformedRequest as exc:
            self.problems += exc.problems
            return None

    def definition(self) -> ShapeDefinition | None:
        """Read the definition; None when a problem was noted."""
        table = self.read(names.TABLE, parse_table)
        if names.TABLE not in self.names:
            self.problem(names.TABLE, "is missing: expected the name of a table")
        where = self.read(names.WHERE, _filled)
        columns = self.read(names.COLUMNS, parse_columns)
        replica = self.read(names.REPLICA, _replica)
        log = self.read(names.LOG, _log)
        if table is None or self.problems:
            return None
        return ShapeDefinition(
            table=table.to_sql(),
            where=where,
            params=tuple(self.params[index] for index in sorted(self.params)),
            columns=columns,
            replica=replica or Replica.DEFAULT,
            log=log or LogMode.FULL,
        )


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise WireError(f"is {text[:40]!r}: expected true or false")
    return text == "true"


def _filled(text: str) -> str:
    if not text.strip():
        raise WireError("is empty: leave it out to ask for every row")
    return text


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise WireError(f"is {text[:40]!r}: expected {expected}")
        return text

    return read


def _choice(values: type[E]) -> Callable[[str], E]:
    def read(text: str) -> E:
        try:
            return values(text)
        except ValueError:
            expected = " or ".join(str(choice.value) for choice in values)
            raise WireError(f"is {text[:40]!r}: expected {expected}") from None

    return read


_handle: Final = _matching(_HANDLE, "a handle as Electric issued it")
_expired_handle: Final = _matching(_CACHE_KEY, "a handle as Electric issued it")
_cursor: Final = _matching(_CURSOR, "decimal digits")
_cache_buster: Final = _matching(_CACHE_KEY, "at most 128 letters, digits or -_.:~")
_replica: Final = _choice(Replica)
_log: Final = _choice(LogMode)
