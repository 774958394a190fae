"""How much one caller, one organization and one address may ask of the gate. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_MAX: Final = 10_000_000
"""Above it a limit is a slip of the pen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """The bounds of one gate; a principal is an issuer's user in one organization."""

    requests_per_principal: int = 100
    """Requests under way at once, live ones included."""
    live_per_principal: int = 50
    """Requests that Electric holds at once, long polls and event streams."""
    requests_per_org: int = 2_000
    """Requests under way at once of all members, so that one organization cannot take every connection."""
    initial_per_org: int = 100
    """Of them, those without a handle and those for subsets; Electric admits 300 for everybody."""
    shapes_per_hour_principal: int = 200
    """Distinct shapes asked for within an hour; a policy may set another number for a table."""
    shapes_per_hour_org: int = 2_000
    """Distinct shapes asked for by all members within an hour: what bounds Electric's disk."""
    failures_per_minute_address: int = 60
    """Tokens that cannot be genuine, from one IPv4 address or one IPv6 network of 64 bits."""
    connections: int = 10_000
    """Connections of clients at once."""


def parse_limits(table: Mapping[str, object]) -> tuple[LimitSettings, tuple[str, ...]]:
    """Read the table `[limits]`; returns the settings and every problem, each a sentence."""
    names = tuple(field.name for field in fields(LimitSettings))
    problems = [f"unknown key {key!r}: expected {', '.join(names)}" for key in table if key not in names]
    read: dict[str, int] = {}
    for name in names:
        value = table.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LIMIT_MAX:
            read[name] = value
        elif name in table:
            problems.append(f"{name} is {value!r}: expected a whole number from 1 to {LIMIT_MAX}")
    return LimitSettings(**read), tuple(problems)
