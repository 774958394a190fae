"""What a transaction does to an org's table, and how the shape of it is followed. Pure: no I/O, no clock."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What is followed of the table."""

    PLAIN = "plain"
    FULL = "full"
    """`replica=full`: updates and deletes hold whole rows."""
    TAGGED = "tagged"
    """Rows of listed teams, or of listed owners: by two subqueries, with tags and moves."""
    KEYLESS = "keyless"
    """A table without primary key."""


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row; nothing if there is one with this id."""

    id: int
    title: str | None
    team: str
    owner: str


@dataclass(frozen=True, slots=True)
class Update:
    """New values of one column; nothing if there is no such row."""

    id: int
    column: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Delete:
    id: int


@dataclass(frozen=True, slots=True)
class Rekey:
    """Another id; nothing if it is taken."""

    id: int
    new_id: int


@dataclass(frozen=True, slots=True)
class Admit:
    """A value enters a subquery, or leaves it."""

    position: int
    value: str
    admitted: bool


Operation = Insert | Update | Delete | Rekey | Admit
