"""What may be synced, and to whom; `confine` applies it to a request.

Default is deny: a table, a column or a role that the policy does not name is refused. Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from shapegate_proxy.errors import ColumnNotAllowed, FilterNotAccepted, TableNotAllowed
from shapegate_proxy.subset import ConfinedSubset, confine_subset
from shapegate_wire.filter import (
    FilterRefused,
    FilterTooCostly,
    PrintedFilter,
    check_cost,
    parse_filter,
    print_filter,
)
from shapegate_wire.identifier import TableName, parse_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.principal import Principal
    from shapegate_proxy.scope import Scope
    from shapegate_wire.request import ShapeRequest
    from shapegate_wire.shape import ShapeDefinition
    from shapegate_wire.subset import SubsetRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLimits:
    """What one table may cost; None leaves it to the gate's own limits."""

    shapes_per_hour: int | None = None
    """Distinct shapes of this table that one principal may ask for in an hour."""
    subset_rows: int | None = None
    """The largest `limit` of a subset, which has to name one then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePolicy:
    """One table that may be synced."""

    table: TableName
    scope: Scope
    columns: Mapping[str, str]
    """Column names to Postgres types, in the order of the file; at least one."""
    hidden: Mapping[str, str] = field(default_factory=dict)
    """Further columns, which scopes may name and clients never."""
    roles: frozenset[str] | None = None
    """Who may sync the table; None is everyone of the organization."""
    limits: TableLimits = TableLimits()

    def admits(self, role: str | None) -> bool:
        """Say whether a principal of this role may sync the table."""
        return self.roles is None or role in self.roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All tables that may be synced."""

    tables: Mapping[TableName, TablePolicy]
    lookups: Mapping[TableName, Mapping[str, str]] = field(default_factory=dict)
    """Columns of tables that scopes read and nobody syncs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfinedRequest:
    """A request for the principal's own rows, proven: made by `confine` only (held by tests/architecture)."""

    principal: Principal
    table: TableName
    where: str
    params: tuple[str, ...]
    columns: tuple[str, ...]
    queryable_columns: tuple[str, ...]
    subset: ConfinedSubset | None
    limits: TableLimits
    asked: ShapeRequest
    """What the client asked; only its modes and its position go on to Electric."""

    def __post_init__(self) -> None:
        """Fail closed: to Electric an empty filter is every row, an empty list every column (P-02, P-03)."""
        if not (self.where.strip() and self.params and self.columns and self.queryable_columns):
            raise ValueError("a confined request needs a filter, its parameter and a column list")


class Compile(Protocol):
    """How a client's filter is printed: `compile_filter`, or somebody who remembers what that did."""

    def __call__(self, asked: ShapeDefinition, granted: TablePolicy, org: str, /) -> PrintedFilter | None:
        """Print it. Raises FilterNotAccepted."""


def confine(
    principal: Principal, asked: ShapeRequest, policy: Policy, *, compiled: Compile | None = None
) -> ConfinedRequest:
    """Narrow a request to the rows and columns that the policy grants the principal.

    Raises TableNotAllowed, ColumnNotAllowed, FilterNotAccepted, SubsetTooLarge or MissingClaim. A table is
    looked at before anything else is, so that what is not granted answers like what is not there (SECURITY
    I-04, I-05).
    """
    granted = policy.tables.get(parse_table(asked.definition.table))
    if granted is None or not granted.admits(principal.role):
        raise TableNotAllowed("This table is not synced")
    wanted = asked.definition.columns or tuple(granted.columns)
    if not set(wanted) <= set(granted.columns):
        raise ColumnNotAllowed("A column of `columns` is not synced")
    scope, values = granted.scope, granted.scope.params(principal)
    own = (compiled or compile_filter)(asked.definition, granted, principal.org)
    return ConfinedRequest(
        principal=principal,
        table=granted.table,
        where=scope.sql if own is None else f"{scope.sql} AND {own.sql}",
        params=values if own is None else values + own.params,
        columns=tuple(sorted(wanted)),
        queryable_columns=tuple(sorted(granted.columns)),
        subset=_own_subset(asked.subset, granted),
        limits=granted.limits,
        asked=asked,
    )


def _own_subset(asked: SubsetRequest | None, granted: TablePolicy) -> ConfinedSubset | None:
    if asked is None:
        return None
    return confine_subset(asked, granted.columns, rows_max=granted.limits.subset_rows)


def compile_filter(asked: ShapeDefinition, granted: TablePolicy, org: str) -> PrintedFilter | None:  # noqa: ARG001  # for those that remember
    """Print the client's filter anew, numbered behind the scope; not a byte of its text is kept (P-10).

    None if there is none. Raises FilterNotAccepted.
    """
    if asked.where is None:
        if asked.params:
            raise FilterNotAccepted("There are `params` but no `where` that uses them")
        return None
    try:
        parsed = parse_filter(asked.where, params=asked.params, columns=granted.columns)
        check_cost(parsed)
    except (FilterRefused, FilterTooCostly) as exc:
        raise FilterNotAccepted(f"where, {exc}") from exc
    return print_filter(parsed, first_param=len(granted.scope.compared) + 1)
