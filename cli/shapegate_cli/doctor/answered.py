"""What an HTTP peer answered to one question. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_HALF_A_SECOND: Final = 0.5
"""A Date header is cut to whole seconds (RFC 9110 5.6.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    asked_at: datetime
    """Our clock, in the middle of the exchange."""

    def offset_seconds(self) -> float | None:
        """Say by how much the peer's clock is ahead of ours; None if it does not tell its time."""
        try:
            said = parsedate_to_datetime(self.headers["date"])
            return (said - self.asked_at).total_seconds() + _HALF_A_SECOND
        except (KeyError, ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Silent:
    """No answer within the bounds."""

    reason: str
    """The kind of failure, without the address."""


Reply = Answered | Silent
