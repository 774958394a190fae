"""Positions in a shape's log (PROTOCOL 1.3). Pure: no I/O, no clock."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from shapegate_wire.errors import WireError

INFINITE_OP: Final = 1 << 64
"""Larger than every operation counter; printed as `inf`."""

_LSN_MAX: Final = (1 << 64) - 1
_POSITION: Final = re.compile(r"(?P<lsn>[0-9]{1,20})_(?P<op>[0-9]{1,18}|inf)", re.ASCII)


class MalformedOffset(WireError):
    """Text that is none of the offset forms."""


class Now(enum.Enum):
    """The offset `now`: no history, only the current end."""

    NOW = "now"


@dataclass(frozen=True, slots=True, order=True)
class Offset:
    """A position in a log: a WAL position and an operation counter, ordered by both."""

    lsn: int
    op: int

    def __str__(self) -> str:
        if self == BEFORE_ALL:
            return "-1"
        return f"{self.lsn}_{'inf' if self.op == INFINITE_OP else self.op}"

    @property
    def in_snapshot(self) -> bool:
        """Whether the position lies before the first transaction of the log."""
        return self.lsn <= 0


BEFORE_ALL: Final = Offset(-1, 0)
"""`-1`: before everything; asks for the start of the log."""
SNAPSHOT_START: Final = Offset(0, 0)
SNAPSHOT_END: Final = Offset(0, INFINITE_OP)
"""`0_inf`: the initial snapshot was read, no transaction seen yet."""


def parse_offset(text: str) -> Offset | Now:
    """Read one of `-1`, `now`, `<lsn>_<op>`, `<lsn>_inf`. Raises MalformedOffset for anything else."""
    if text in ("-1", "-1_0"):
        return BEFORE_ALL
    if text == Now.NOW.value:
        return Now.NOW
    matched = _POSITION.fullmatch(text)
    if matched is None or int(matched["lsn"]) > _LSN_MAX:
        raise MalformedOffset(f"offset {text[:40]!r} has invalid format: expected -1, now or <lsn>_<op>")
    op = INFINITE_OP if matched["op"] == "inf" else int(matched["op"])
    return Offset(int(matched["lsn"]), op)
