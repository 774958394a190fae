"""The subset of a shape's rows that a client asks for, printed anew. Pure: no I/O, no clock.

It narrows the confined shape and stands beside it: Electric joins both by AND, the shape's filter first, and
gives the subset's parameters numbers of their own (PROTOCOL 1.4). Not a byte of the client's text is kept
(REQUIREMENTS P-10), hidden columns are not found (SECURITY I-03), and subqueries are no part of the grammar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapegate_proxy.errors import FilterNotAccepted, SubsetTooLarge
from shapegate_wire.filter import FilterRefused, parse_filter, parse_order_by, print_filter, print_order_by
from shapegate_wire.subset import SubsetRequest

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfinedSubset:
    """A subset printed from trees: made by `confine_subset` only (held by tests/architecture)."""

    printed: SubsetRequest


def confine_subset(
    asked: SubsetRequest, columns: Mapping[str, str], *, rows_max: int | None
) -> ConfinedSubset:
    """Print a subset over columns that are named with their Postgres types.

    `rows_max` is the largest `limit`, which has to be given then: rows that were left out in silence would
    look as if they were not there. Raises FilterNotAccepted or SubsetTooLarge.
    """
    if rows_max is not None and (asked.limit is None or asked.limit > rows_max):
        raise SubsetTooLarge(f"A subset of this table has at most {rows_max} rows: expected a limit within")
    where, params = _filter(asked, columns)
    return ConfinedSubset(
        printed=SubsetRequest(
            where=where,
            params=params,
            order_by=_order(asked.order_by, columns),
            limit=asked.limit,
            offset=asked.offset,
        )
    )


def _filter(asked: SubsetRequest, columns: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    if asked.where is None:
        return None, ()
    try:
        parsed = parse_filter(asked.where, params=asked.params, columns=columns)
    except FilterRefused as exc:
        raise FilterNotAccepted(f"subset where, {exc}") from exc
    printed = print_filter(parsed, first_param=1)
    # A bare NULL has no type to Electric; as a whole filter it selects what false does.
    return ("false" if printed.sql == "NULL" else printed.sql), printed.params


def _order(text: str | None, columns: Mapping[str, str]) -> str | None:
    if text is None:
        return None
    try:
        return print_order_by(parse_order_by(text, columns))
    except FilterRefused as exc:
        raise FilterNotAccepted(f"subset order_by, {exc}") from exc
