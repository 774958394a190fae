"""The query of a shape request, read as leniently as Electric reads it (PROTOCOL 1.2; recorded).

Blank values count as absent, the last of repeated names wins, unknown names are ignored.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote_to_bytes

from shapegate_harness.electric.errors import Rejected, Undecodable, rejected
from shapegate_harness.electric.filter import Filter, parse_filter
from shapegate_harness.electric.subset import Subset, collect, parse_subset
from shapegate_wire import names
from shapegate_wire.identifier import MalformedIdentifier, TableName, fold, parse_columns, parse_table
from shapegate_wire.offset import BEFORE_ALL, MalformedOffset, Now, Offset, parse_offset
from shapegate_wire.shape import LogMode, Replica, ShapeDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_harness.electric.body import Body

E = TypeVar("E", bound=Enum)

_NUMBERED: Final = re.compile(r"params\[([^\]]*)\]")
_PLAIN_COLUMN: Final = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request for a shape's log, checked as far as that goes without a database."""

    definition: ShapeDefinition
    """Equal for requests that share a log: table, normalised filter, sorted columns, modes."""
    table: TableName
    filter: Filter | None
    queryable: tuple[str, ...] | None
    """Columns that a gate allows; not part of the definition."""
    offset: Offset | Now
    handle: str | None
    live: bool
    sse: bool
    """Whether the news come as a stream of events."""
    cursor: int
    subset: Subset | None


def decode_query(raw: str) -> dict[str, str]:
    """Decode a raw query string; the last of repeated names wins.

    Raises Undecodable if it is not UTF-8, Rejected if it holds a zero byte, which Postgres has no text for.
    """
    values: dict[str, str] = {}
    for pair in filter(None, raw.split("&")):
        name, _, value = pair.partition("=")
        values[_decode(name)] = _decode(value)
    return values


def _decode(text: str) -> str:
    try:
        decoded = unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError as exc:
        raise Undecodable({"query": ("is not valid UTF-8",)}) from exc
    if "\x00" in decoded:
        raise rejected("query", "holds a zero byte")
    return decoded


def parse_query(values: Mapping[str, str], body: Body | None = None) -> Asked:
    """Read decoded parameters, and the body of a POST.

    Raises Rejected or RejectedSubset, with every fault of one stage, as Electric does in stages.
    """
    live = _flag(values, names.LIVE) or (body is not None and body.live)
    reader = _Reader({name: value for name, value in values.items() if value.strip()})
    if names.OFFSET not in reader.values:
        raise rejected(names.OFFSET, "can't be blank")
    offset = reader.offset()
    table = reader.table()
    replica = reader.choice(names.REPLICA, Replica, Replica.DEFAULT)
    log = reader.choice(names.LOG, LogMode, LogMode.FULL)
    # A blank param is the empty text (PROTOCOL 1.2), so these are read from the unfiltered values.
    params = reader.params(values)
    reader.check_position(offset, live=live)
    sse = _flag(values, names.LIVE_SSE) or _flag(values, names.EXPERIMENTAL_LIVE_SSE)
    if sse and not live:
        reader.problem(names.LIVE_SSE, "can't be true unless live is also true")
    if reader.problems or offset is None or table is None:
        raise Rejected({name: tuple(texts) for name, texts in reader.problems.items()})
    columns, queryable = reader.columns(names.COLUMNS), reader.columns(names.QUERYABLE_COLUMNS)
    where = reader.values.get(names.WHERE)
    parsed = None if where is None else parse_filter(where)
    return Asked(
        definition=ShapeDefinition(
            table=table.to_sql(),
            where=None if parsed is None else parsed.normal,
            params=() if parsed is None else params,
            columns=columns or queryable,
            replica=replica,
            log=log,
        ),
        table=table,
        filter=parsed,
        queryable=queryable,
        offset=offset,
        handle=None if offset in (BEFORE_ALL, Now.NOW) else reader.values.get(names.HANDLE),
        live=live,
        sse=sse,
        cursor=_integer(reader.values.get(names.CURSOR, "")),
        subset=_subset(values, body),
    )


def _subset(values: Mapping[str, str], body: Body | None) -> Subset | None:
    """Read the subset; what the body says of it wins."""
    asked = collect(values)
    posted = None if body is None else body.subset
    return None if asked is None and posted is None else parse_subset({**(asked or {}), **(posted or {})})


def _flag(values: Mapping[str, str], name: str) -> bool:
    """Electric takes anything but `false` for true, an empty value included."""
    return name in values and values[name] != "false"


def _integer(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else 0


class _Reader:
    """Filled-in parameters, and what is wrong with them so far."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.problems: dict[str, list[str]] = {}

    def problem(self, name: str, text: str) -> None:
        self.problems.setdefault(name, []).append(text)

    def offset(self) -> Offset | Now | None:
        try:
            return parse_offset(self.values[names.OFFSET])
        except MalformedOffset:
            self.problem(names.OFFSET, "has invalid format")
            return None

    def table(self) -> TableName | None:
        text = self.values.get(names.TABLE)
        if text is None:
            self.problem(names.TABLE, "can't be blank")
            return None
        try:
            return parse_table(text)
        except MalformedIdentifier as exc:
            many = text.count(".") > 1 and '"' not in text
            self.problem(
                names.TABLE,
                f"Invalid relation identifier, too many delimiters: {text[:200]}" if many else str(exc),
            )
            return None

    def choice(self, name: str, values: type[E], default: E) -> E:
        text = self.values.get(name)
        if text is None:
            return default
        try:
            return values(text)
        except ValueError:
            self.problem(name, "is invalid")
            return default

    def params(self, values: Mapping[str, str]) -> tuple[str, ...]:
        if names.PARAMS in self.values:
            self.problem(names.PARAMS, "is invalid")
            return ()
        numbered: dict[int, str] = {}
        for name, value in values.items():
            matched = _NUMBERED.fullmatch(name)
            if matched is None:
                continue
            if not re.fullmatch(r"[0-9]{1,6}", matched[1], re.ASCII):
                self.problem(names.PARAMS, "Parameters can only use numbers as keys")
                return ()
            numbered[int(matched[1])] = value
        if sorted(numbered) != list(range(1, len(numbered) + 1)):
            self.problem(names.PARAMS, "Parameters must be numbered sequentially, starting from 1")
        return tuple(numbered[number] for number in sorted(numbered))

    def check_position(self, offset: Offset | Now | None, *, live: bool) -> None:
        if live and offset == BEFORE_ALL:
            self.problem(names.LIVE, "can't be true when offset == -1")
        if live and isinstance(offset, Now):
            self.problem(names.LIVE, "can't be true when offset is 'now'")
        if isinstance(offset, Offset) and offset != BEFORE_ALL and names.HANDLE not in self.values:
            self.problem(names.HANDLE, "can't be blank when offset != -1")

    def columns(self, name: str) -> tuple[str, ...] | None:
        """Read a column list and sort it: its order makes no difference to a shape."""
        text = self.values.get(name)
        if text is None:
            return None
        try:
            return tuple(sorted(set(parse_columns(text))))
        except MalformedIdentifier as exc:
            raise rejected(name, _column_fault(text) or str(exc)) from exc


def _column_fault(text: str) -> str | None:
    """Name the first unquoted identifier that is none, in Electric's words; None if it is another fault."""
    if fold(text).count('"') % 2:
        return None
    for part in re.findall(r'(?:"[^"]*"|[^,"])+', text):
        if '"' not in part and _PLAIN_COLUMN.fullmatch(part) is None:
            return f"Invalid unquoted identifier contains special characters: {part}"
    return None
