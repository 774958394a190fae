"""Which rows of a table a principal may see: a condition over verified claims, printed with parameters only.

The text is printed once, when the policy is read; only the values of its parameters differ from principal to
principal, so that equal rights are one shape (REQUIREMENTS P-09, P-13 to P-16). Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, assert_never

from shapegate_proxy.claims import Fact, claim_value
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapegate_proxy.claims import Claim, ScopeType
    from shapegate_proxy.principal import Principal
    from shapegate_wire.identifier import TableName


@dataclass(frozen=True, slots=True)
class Compared:
    """A column that equals a claim."""

    column: str
    type: ScopeType
    claim: Claim


@dataclass(frozen=True, slots=True)
class IsNull:
    """A column without a value."""

    column: str


@dataclass(frozen=True, slots=True)
class Within:
    """A column whose value some row of another table has, of those that a condition selects."""

    column: str
    table: TableName
    selected: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class Both:
    """Conditions joined by AND; at least two, none of them a Both."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Conditions joined by OR; at least two, none of them an Either."""

    items: tuple[Condition, ...]


Condition = Compared | IsNull | Within | Both | Either


def both(items: Sequence[Condition]) -> Condition:
    """Join by AND, equalities first: Electric finds shapes of an equality by an index (PROTOCOL 5)."""
    flat = list(chain.from_iterable(item.items if isinstance(item, Both) else (item,) for item in items))
    flat.sort(key=lambda item: not isinstance(item, Compared))
    return flat[0] if len(flat) == 1 else Both(tuple(flat))


def either(items: Sequence[Condition]) -> Condition:
    """Join by OR."""
    flat = tuple(chain.from_iterable(item.items if isinstance(item, Either) else (item,) for item in items))
    return flat[0] if len(flat) == 1 else Either(flat)


def unbound(condition: Condition) -> Condition | None:
    """Find a part that rows of anybody meet; None if each alternative says whose rows it means.

    A role alone says nothing of that: every org has owners.
    """
    match condition:
        case Compared():
            return condition if condition.claim is Fact.ROLE else None
        case IsNull():
            return condition
        case Within():
            return unbound(condition.condition)
        case Both():
            return condition if all(unbound(item) for item in condition.items) else None
        case Either():
            return next((found for item in condition.items if (found := unbound(item))), None)
        case _:
            assert_never(condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The rows of a table that a principal may see; made by `scope_of`."""

    condition: Condition
    sql: str
    """One condition, as an operand of AND; the values of `$1`, `$2`, ... are those of `compared`."""
    compared: tuple[Compared, ...]

    def __post_init__(self) -> None:
        """Fail closed: a scope that no claim binds shows the rows of all (REQUIREMENTS P-02)."""
        if unbound(self.condition) is not None or not self.compared:
            raise ValueError("a scope binds each of its alternatives to a claim")

    @property
    def org_column(self) -> str | None:
        """The column that holds the org in every row of the scope; None if there is none."""
        items = self.condition.items if isinstance(self.condition, Both) else (self.condition,)
        return next((i.column for i in items if isinstance(i, Compared) and i.claim is Fact.ORG), None)

    def params(self, principal: Principal) -> tuple[str, ...]:
        """Take the values of the parameters from a principal. Raises MissingClaim."""
        return tuple(claim_value(item.claim, item.type, principal) for item in self.compared)


def scope_of(condition: Condition) -> Scope:
    """Print a condition. Raises ValueError if it is not bound.

    `AND true` keeps a subset's filter from binding to the last arm of an OR only (REQUIREMENTS P-13).
    """
    compared: list[Compared] = []
    sql = print_condition(condition, compared)
    return Scope(
        condition=condition,
        sql=f"{sql} AND true" if isinstance(condition, Either) else sql,
        compared=tuple(compared),
    )


def print_condition(condition: Condition, compared: list[Compared]) -> str:
    """Print for Postgres; what is compared with `$n` is appended, so that each `$n` is used once."""
    match condition:
        case Compared():
            compared.append(condition)
            return f"{quote(condition.column)} = ${len(compared)}"
        case IsNull():
            return f"{quote(condition.column)} IS NULL"
        case Within():
            column, selected = quote(condition.column), quote(condition.selected)
            inner = print_condition(condition.condition, compared)
            return f"{column} IN (SELECT {selected} FROM {condition.table.to_sql()} WHERE {inner})"  # noqa: S608  # quoted
        case Both():
            return " AND ".join(print_condition(item, compared) for item in condition.items)
        case Either():
            printed = ((item, print_condition(item, compared)) for item in condition.items)
            arms = (f"({sql})" if isinstance(item, Both) else sql for item, sql in printed)
            return f"({' OR '.join(arms)})"
        case _:
            assert_never(condition)
