"""How two sets of rows differ, by key alone. Pure: no I/O, no clock.

Sync and row-level security agree on a table if a principal's fresh client holds the rows that the application
reads in the context of the same principal: the same keys, no more and no less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from shapegate_cli.doctor.line import fail

if TYPE_CHECKING:
    from shapegate_cli.doctor.line import Line

Key: TypeAlias = tuple[str, ...]
"""The values of a row's primary key, as Postgres prints them."""

SHOWN_MAX: Final = 5
"""Keys that are listed of each kind."""
_FLOATS: Final = frozenset({"float4", "float8"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What two sets of keys do not have in common."""

    unseen: frozenset[Key]
    """Synced, though the application does not see it: perhaps a row of another org."""
    unsynced: frozenset[Key]
    """Seen by the application, and not synced."""

    def __bool__(self) -> bool:
        return bool(self.unseen or self.unsynced)

    def lasting(self, later: Difference) -> Difference:
        """Return what differs still: a row that was written in between does not."""
        return Difference(unseen=self.unseen & later.unseen, unsynced=self.unsynced & later.unsynced)


def differ(seen: frozenset[Key], synced: frozenset[Key]) -> Difference:
    """Compare what the application sees with what was synced."""
    return Difference(unseen=synced - seen, unsynced=seen - synced)


def spell_key(values: tuple[object, ...], types: tuple[str, ...]) -> Key:
    """Spell a key alike, be it Postgres' text or what a client stored of it."""
    return tuple(_spell(value, type_) for value, type_ in zip(values, types, strict=True))


def judge_difference(subject: str, found: Difference) -> Line:
    """Say which rows differ; a difference that is empty is no line."""
    parts = [
        f"{len(keys)} rows are {what}: {_listed(keys)}"
        for keys, what in (
            (found.unseen, "synced and not seen by the application"),
            (found.unsynced, "seen by the application and not synced"),
        )
        if keys
    ]
    remedy = "compare the scope in the policy file with the table's row-level policies"
    return fail("agreement", subject, f"{'; '.join(parts)}: expected the same rows", remedy)


def _listed(keys: frozenset[Key]) -> str:
    shown = ", ".join("/".join(key) for key in sorted(keys)[:SHOWN_MAX])
    return shown if len(keys) <= SHOWN_MAX else f"{shown} and {len(keys) - SHOWN_MAX} more"


def _spell(value: object, type_: str) -> str:
    if type_ == "bool":
        return "true" if value in ("true", "t", 1) else "false"
    if type_ in _FLOATS:
        return repr(float(str(value)))
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)
