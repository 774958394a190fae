"""What may be synced, and to whom: the policy file, and `confine`, which applies it to a request.

Default is deny: a table, a column or a key that the file does not name is refused. Pure: no I/O, no clock.
"""

from __future__ import annotations

import enum
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_proxy.errors import ColumnNotAllowed, ConfigError, FilterNotAccepted, TableNotAllowed
from shapegate_proxy.subset import ConfinedSubset, confine_subset
from shapegate_wire.errors import WireError
from shapegate_wire.filter import FilterRefused, PrintedFilter, parse_filter, print_filter
from shapegate_wire.identifier import TableName, parse_columns, parse_table, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.principal import Principal
    from shapegate_wire.request import ShapeRequest
    from shapegate_wire.shape import ShapeDefinition

SCOPE_TYPES: Final = frozenset({"uuid", "text", "varchar"})
"""Types that Postgres and Electric's own evaluator compare alike (PROTOCOL 5; REQUIREMENTS P-16)."""

_TOP: Final = frozenset({"version", "tables"})
_ENTRY: Final = frozenset({"scope", "columns"})
_SCOPE: Final = re.compile(r"(?P<column>.+?)\s*=\s*\{(?P<claim>org|user)\}", re.DOTALL)
_TYPE: Final = re.compile(r"[a-z_][a-z0-9_ ]{0,62}(\[\])?", re.ASCII)


class Claim(enum.Enum):
    """The verified fact that a scope compares with."""

    ORG = "org"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The rows of a table that a principal may see: those whose `column` equals the claim."""

    column: str
    claim: Claim

    def to_sql(self) -> str:
        """Print the condition; the claim is `$1`, never text (REQUIREMENTS P-09, P-15)."""
        return f"{quote(self.column)} = $1"

    def value(self, principal: Principal) -> str:
        """Take the claim from the principal."""
        match self.claim:
            case Claim.ORG:
                return principal.org
            case Claim.USER:
                return principal.user
            case _:
                assert_never(self.claim)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLimits:
    """What one table may cost; None leaves it to the gate's own limits."""

    shapes_per_hour: int | None = None
    """Distinct shapes of this table that one principal may ask for in an hour."""
    subset_rows: int | None = None
    """The largest `limit` of a subset; one without a limit gets this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePolicy:
    """One table that may be synced."""

    table: TableName
    scope: Scope
    columns: Mapping[str, str]
    """Column names to Postgres types, in the order of the file; at least one."""
    roles: frozenset[str] | None = None
    """Who may sync the table; None is everyone of the organization."""
    limits: TableLimits = TableLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All tables that may be synced."""

    tables: Mapping[TableName, TablePolicy]


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


def confine(principal: Principal, asked: ShapeRequest, policy: Policy) -> ConfinedRequest:
    """Narrow a request to the rows and columns that the policy grants the principal.

    Raises TableNotAllowed, ColumnNotAllowed or FilterNotAccepted.
    """
    table = parse_table(asked.definition.table)
    granted = policy.tables.get(table)
    if granted is None:
        raise TableNotAllowed("This table is not synced")
    scope, own = granted.scope.to_sql(), _own_filter(asked.definition, granted)
    wanted = asked.definition.columns or tuple(granted.columns)
    if not set(wanted) <= set(granted.columns):
        raise ColumnNotAllowed("A column of `columns` is not synced")
    return ConfinedRequest(
        principal=principal,
        table=table,
        where=scope if own is None else f"{scope} AND {own.sql}",
        params=(granted.scope.value(principal), *(() if own is None else own.params)),
        columns=tuple(sorted(wanted)),
        queryable_columns=tuple(sorted(granted.columns)),
        subset=None if asked.subset is None else confine_subset(asked.subset, granted.columns),
        limits=granted.limits,
        asked=asked,
    )


def _own_filter(asked: ShapeDefinition, granted: TablePolicy) -> PrintedFilter | None:
    """Print the client's filter anew, behind the scope's `$1`; not a byte of its text is kept (P-10)."""
    if asked.where is None:
        if asked.params:
            raise FilterNotAccepted("There are `params` but no `where` that uses them")
        return None
    try:
        parsed = parse_filter(asked.where, params=asked.params, columns=granted.columns)
    except FilterRefused as exc:
        raise FilterNotAccepted(f"where, {exc}") from exc
    return print_filter(parsed, first_param=2)


def parse_policy(text: str) -> Policy:
    """Read a policy file. Raises ConfigError, which names every problem at once."""
    try:
        loaded = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError((f"policy: not TOML: {exc}",)) from exc
    problems = [
        f"policy: unknown key {key!r}: expected version and tables" for key in loaded if key not in _TOP
    ]
    if loaded.get("version") != 1:
        problems.append(f"policy: version is {loaded.get('version')!r}: expected 1")
    entries = loaded.get("tables")
    if not isinstance(entries, dict) or not entries:
        problems.append("policy: names no table: expected at least one [tables.<name>]")
        entries = {}
    tables: dict[TableName, TablePolicy] = {}
    for name, entry in entries.items():
        found, faults = _table(str(name), entry)
        problems += [f"policy: [tables.{name}]: {fault}" for fault in faults]
        if found is not None and found.table in tables:
            problems.append(f"policy: [tables.{name}]: {found.table} is named twice")
        elif found is not None:
            tables[found.table] = found
    if problems:
        raise ConfigError(tuple(problems))
    return Policy(tables=tables)


def _table(name: str, entry: object) -> tuple[TablePolicy | None, list[str]]:
    if not isinstance(entry, dict):
        return None, ["is no table: expected scope and columns"]
    faults = [f"unknown key {key!r}: expected scope and columns" for key in entry if key not in _ENTRY]
    table: TableName | None = None
    try:
        table = parse_table(name)
    except WireError as exc:
        faults.append(str(exc))
    columns, column_faults = _columns(entry.get("columns"))
    scope, scope_faults = _scope(entry.get("scope"), columns)
    faults += column_faults + scope_faults
    if faults or table is None or scope is None:
        return None, faults
    return TablePolicy(table=table, scope=scope, columns=columns), []


def _columns(entry: object) -> tuple[dict[str, str], list[str]]:
    if not isinstance(entry, dict) or not entry:
        return {}, ['names no columns: expected [tables.<name>.columns] with lines like id = "uuid"']
    faults = [
        f"column {name!r} has type {type_!r}: expected a Postgres type name as text"
        for name, type_ in entry.items()
        if not isinstance(type_, str) or _TYPE.fullmatch(type_) is None
    ]
    return {str(name): str(type_) for name, type_ in entry.items()}, faults


def _scope(text: object, columns: Mapping[str, str]) -> tuple[Scope | None, list[str]]:
    expected = "expected `<column> = {org}` or `<column> = {user}`"
    matched = _SCOPE.fullmatch(text.strip()) if isinstance(text, str) else None
    if matched is None:
        return None, [f"scope is {text!r}: {expected}"]
    try:
        names = parse_columns(matched["column"])
    except WireError as exc:
        return None, [f"scope is {text!r}: {exc}; {expected}"]
    if len(names) != 1 or names[0] not in columns:
        return None, [f"scope column {matched['column']!r} is not in the column list"]
    if columns[names[0]] not in SCOPE_TYPES:
        kinds = ", ".join(sorted(SCOPE_TYPES))
        return None, [f"scope column {names[0]!r} is {columns[names[0]]!r}: expected one of {kinds}"]
    return Scope(column=names[0], claim=Claim(matched["claim"])), []
