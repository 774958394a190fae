"""A subset: rows of a shape that are asked for on demand (PROTOCOL 1.4, 3.7; recorded).

Its parameters come from the query, flat or in brackets, and from a POST's body. Blank ones count as absent.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.errors import Rejected, RejectedSubset
from shapegate_harness.electric.filter import Filter, parse_filter
from shapegate_harness.electric.ordering import ORDER_BY, Term, parse_ordering
from shapegate_wire import names

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT: Final = "limit"
SUBSET: Final = "subset"
FIELDS: Final = frozenset({names.WHERE, names.PARAMS, LIMIT, names.OFFSET, ORDER_BY})
IGNORED: Final = frozenset({"where_expr", "order_by_expr"})
"""What the official client sends for proxies; the text forms count."""
_INTEGER_MAX: Final = (1 << 63) - 1
_FLAT: Final = re.compile(rf"{names.SUBSET_PREFIX}(?P<field>[^\[\]]*)(?:\[(?P<key>[^\]]*)\])?", re.DOTALL)
_BRACKETS: Final = re.compile(rf"{SUBSET}\[(?P<field>[^\]]*)\](?:\[(?P<key>[^\]]*)\])?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """What rows of a shape are asked for; everything of it is optional."""

    where: Filter | None = None
    params: tuple[str, ...] = ()
    order_by: tuple[Term, ...] = ()
    limit: int | None = None
    offset: int | None = None


def collect(values: Mapping[str, str]) -> dict[str, object] | None:
    """Find the subset's parameters in a decoded query; None if it asks for none."""
    found: dict[str, object] = {}
    for name, value in values.items():
        matched = _FLAT.fullmatch(name) or _BRACKETS.fullmatch(name)
        if matched is None:
            continue
        field, key = matched["field"], matched["key"]
        if key is None:
            found[field] = value
        else:
            within = found.get(field)
            found[field] = {**(within if isinstance(within, dict) else {}), key: value}
    if values.get(SUBSET, "").strip() and not found:
        raise Rejected({SUBSET: ("is invalid",)})
    return found or None


def parse_subset(fields: Mapping[str, object]) -> Subset:
    """Read the parameters of a subset. Raises RejectedSubset with the faults of one stage."""
    reader = _Reader(fields)
    where, order_by = reader.text(names.WHERE), reader.text(ORDER_BY)
    limit, offset = reader.integer(LIMIT), reader.integer(names.OFFSET)
    params = reader.params()
    if limit is not None and limit <= 0:
        reader.problem(LIMIT, "must be greater than 0")
    if offset is not None and offset < 0:
        reader.problem(names.OFFSET, "must be greater than or equal to 0")
    if (limit is not None or offset is not None) and order_by is None:
        reader.problem(ORDER_BY, "order_by is required when limit or offset is present")
    reader.raise_problems()
    ordering = () if order_by is None else parse_ordering(order_by)
    return Subset(
        where=None if where is None else _filter(where),
        params=params,
        order_by=ordering,
        limit=limit,
        offset=offset,
    )


def _filter(text: str) -> Filter:
    try:
        parsed = parse_filter(text)
    except Rejected as exc:
        raise RejectedSubset(exc.problems) from exc
    if parsed.subqueries:
        raise RejectedSubset({names.WHERE: ("Subqueries are not allowed in subsets",)})
    return parsed


class _Reader:
    """Fields of any JSON type, and what is wrong with them so far."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields
        self._problems: dict[str, list[str]] = {}

    def problem(self, name: str, text: str) -> None:
        self._problems.setdefault(name, []).append(text)

    def raise_problems(self) -> None:
        if self._problems:
            raise RejectedSubset({name: tuple(texts) for name, texts in self._problems.items()})

    def text(self, name: str) -> str | None:
        value = self._fields.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, str):
            return value
        self.problem(name, "is invalid")
        return None

    def integer(self, name: str) -> int | None:
        value = self._fields.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INTEGER_MAX:
            return value
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value, re.ASCII):
            return int(value)
        self.problem(name, "is invalid")
        return None

    def params(self) -> tuple[str, ...]:
        """Read `{"1": "x"}`, as an object or as its JSON text."""
        value = self._fields.get(names.PARAMS)
        if isinstance(value, str):
            try:
                value = json.loads(value) if value.strip() else None
            except ValueError:
                self.problem(names.PARAMS, "params must be valid JSON")
                return ()
            if value is not None and not isinstance(value, dict):
                self.problem(names.PARAMS, "params must be a JSON object")
                return ()
        if value is None:
            return ()
        if not isinstance(value, dict) or not all(map(_is_scalar, value.values())):
            self.problem(names.PARAMS, "is invalid")
            return ()
        numbered: dict[int, str] = {}
        for key, one in value.items():
            if not re.fullmatch(r"[0-9]{1,6}", key, re.ASCII):
                self.problem(names.PARAMS, "Parameters can only use numbers as keys")
                return ()
            numbered[int(key)] = _printed(one)
        if sorted(numbered) != list(range(1, len(numbered) + 1)):
            self.problem(names.PARAMS, "Parameters must be numbered sequentially, starting from 1")
        return tuple(numbered[number] for number in sorted(numbered))


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _printed(value: object) -> str:
    """Print a JSON value as Electric does: null is the empty text."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)
