"""How long to wait before asking again (REQUIREMENTS C-10, C-11; SECURITY L-05). Pure: no I/O, no clock.

Full jitter: uniform between 0 and a ceiling that doubles from 1 s to 32 s. The server's wish
is a floor. Beneath all of it lies a rate that no sequence of answers can exceed, good or bad: each
request books its share of time, and what is booked ahead is bounded.
"""

from __future__ import annotations

import datetime
import email.utils
from typing import Final

FIRST_SECONDS: Final = 1.0
CEILING_SECONDS: Final = 32.0
RETRY_AFTER_SECONDS_MAX: Final = 300.0
REQUESTS_PER_SECOND_MAX: Final = 100.0
"""Of one shape; where commits come faster than that, one answer holds several."""
REQUESTS_AT_ONCE_MAX: Final = 200
"""Requests before that rate is kept."""


def retry_seconds(failures: int, *, jitter: float, retry_after: float | None = None) -> float:
    """Say how long to wait after that many failures in a row, at least 1; `jitter` is in [0, 1)."""
    ceiling = min(CEILING_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 16))
    return max(retry_after or 0.0, jitter * ceiling)


def book(booked_until: float, asked_at: float) -> float:
    """Count a request: say up to which instant all of them fill the rate."""
    return max(booked_until, asked_at) + 1 / REQUESTS_PER_SECOND_MAX


def pace_seconds(booked_until: float, at: float) -> float:
    """Say how long the next request has to wait for the rate to be kept."""
    return max(0.0, booked_until - at - (REQUESTS_AT_ONCE_MAX - 1) / REQUESTS_PER_SECOND_MAX)


def parse_retry_after(text: str | None, *, now: datetime.datetime) -> float | None:
    """Read seconds or an HTTP date, clamped to [0, 300] s; None for nothing, garbage and negative seconds."""
    if text is None:
        return None
    stripped = text.strip()
    if stripped.isascii() and stripped.isdecimal():
        return min(float(stripped[:9]), RETRY_AFTER_SECONDS_MAX)
    try:
        date = email.utils.parsedate_to_datetime(stripped)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, min((date - now).total_seconds(), RETRY_AFTER_SECONDS_MAX))
