"""Verified claims that a scope may compare with, and the types of column that they fit.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_proxy.errors import MissingClaim

if TYPE_CHECKING:
    from shapegate_proxy.principal import Principal

CLAIM_CHARS_MAX: Final = 256
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_PRECISION: Final = re.compile(r"\s*\([0-9]+\)")


class ScopeType(enum.Enum):
    """A type that Postgres and Electric's own evaluator compare alike (PROTOCOL 5; REQUIREMENTS P-16)."""

    UUID = "uuid"
    TEXT = "text"
    VARCHAR = "varchar"
    INT2 = "int2"
    INT4 = "int4"
    INT8 = "int8"


_TYPES: Final = {type_.value: type_ for type_ in ScopeType} | {
    "character varying": ScopeType.VARCHAR,
    "smallint": ScopeType.INT2,
    "int": ScopeType.INT4,
    "integer": ScopeType.INT4,
    "bigint": ScopeType.INT8,
}
_BITS: Final = {ScopeType.INT2: 16, ScopeType.INT4: 32, ScopeType.INT8: 64}


def scope_type(name: str) -> ScopeType | None:
    """Read the type of a column as the policy names it; None for one that a scope must not compare."""
    return _TYPES.get(_PRECISION.sub("", name))


class Fact(enum.Enum):
    """What every token says of its bearer."""

    ORG = "org"
    USER = "user"
    ROLE = "role"

    def __str__(self) -> str:
        return f"{{{self.value}}}"


@dataclass(frozen=True, slots=True)
class NamedClaim:
    """A further claim, under the name that the issuer's configuration gives it."""

    name: str

    def __str__(self) -> str:
        return f"{{claims.{self.name}}}"


Claim = Fact | NamedClaim


def claim_value(claim: Claim, type_: ScopeType, principal: Principal) -> str:
    """Take a claim from a principal, for a column of a type. Raises MissingClaim; never an empty text."""
    claimed = _claimed(claim, principal)
    if claimed is None or not claimed.strip():
        raise MissingClaim(f"The token says nothing of {claim}, by which rows of this table are chosen")
    value = _canonical(claimed, type_)
    if value is None:
        raise MissingClaim(f"The token's {claim} is not usable: expected a {type_.value}")
    return value


def _claimed(claim: Claim, principal: Principal) -> str | None:
    match claim:
        case Fact.ORG:
            return principal.org
        case Fact.USER:
            return principal.user
        case Fact.ROLE:
            return principal.role
        case NamedClaim():
            return principal.claims.get(claim.name)
        case _:
            assert_never(claim)


def _canonical(text: str, type_: ScopeType) -> str | None:
    """Spell a claim's value in one way, so that Electric reads it and equal values are one shape.

    None if it is no value of the type: to Electric that is an error which tells of the column's type.
    """
    match type_:
        case ScopeType.UUID:
            lowered = text.lower()
            return lowered if _UUID.fullmatch(lowered) else None
        case ScopeType.TEXT | ScopeType.VARCHAR:
            return text if text.isprintable() and len(text) <= CLAIM_CHARS_MAX else None
        case ScopeType.INT2 | ScopeType.INT4 | ScopeType.INT8:
            half = 1 << (_BITS[type_] - 1)
            return text if _INTEGER.fullmatch(text) and -half <= int(text) < half else None
        case _:
            assert_never(type_)
