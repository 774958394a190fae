"""Dates and times as Postgres text: ISO 8601 only, which no session setting reads in another way.

`24:00`, leap seconds, `infinity`, `now` and years beyond 1 to 9999 are refused: Postgres, Electric and this
module do not read them alike, or not at all. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

_DATE: Final = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_TIME: Final = (
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,6}))?)?"
)
_ZONE: Final = r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<hours>[0-9]{2})(?::?(?P<minutes>[0-9]{2}))?)"
_A_DATE: Final = re.compile(_DATE, re.ASCII)
_A_TIME: Final = re.compile(_TIME, re.ASCII)
_A_TIMESTAMP: Final = re.compile(f"{_DATE}(?:[ T]{_TIME})?", re.ASCII)
_A_TIMESTAMPTZ: Final = re.compile(f"{_DATE}[ T]{_TIME} ?{_ZONE}", re.ASCII)
_ZONE_HOURS_MAX: Final = 14


def read_date(text: str) -> str:
    """Read a date. Raises ValueError, which says what it has to be."""
    matched = _A_DATE.fullmatch(text)
    if matched is None:
        raise ValueError("a date as 2026-01-31")
    return _date(matched).isoformat()


def read_time(text: str) -> str:
    """Read a time of day. Raises ValueError, which says what it has to be."""
    matched = _A_TIME.fullmatch(text)
    if matched is None:
        raise ValueError("a time as 23:59:59.999999")
    return _time(matched).isoformat()


def read_timestamp(text: str) -> str:
    """Read a date and time without zone; a date is its midnight.

    Raises ValueError, which says what it has to be.
    """
    matched = _A_TIMESTAMP.fullmatch(text)
    if matched is None:
        raise ValueError("a timestamp as 2026-01-31 23:59:59, without a zone")
    return datetime.combine(_date(matched), _time(matched)).isoformat(" ")


def read_timestamptz(text: str) -> str:
    """Read an instant, print it in UTC. Raises ValueError, which says what it has to be.

    Without a zone it would depend on the session's, and Electric refuses it (recorded: s12).
    """
    matched = _A_TIMESTAMPTZ.fullmatch(text)
    if matched is None:
        raise ValueError("an instant as 2026-01-31 23:59:59Z, with Z or an offset as +02:00")
    offset = timedelta(hours=int(matched["hours"] or 0), minutes=int(matched["minutes"] or 0))
    if offset > timedelta(hours=_ZONE_HOURS_MAX) or int(matched["minutes"] or 0) > 59:
        raise ValueError(f"an offset of at most {_ZONE_HOURS_MAX} hours")
    local = datetime.combine(_date(matched), _time(matched), tzinfo=UTC)
    try:
        instant = local + offset if matched["sign"] == "-" else local - offset
    except OverflowError:
        raise ValueError("an instant in the years 1 to 9999 of UTC") from None
    return instant.replace(tzinfo=None).isoformat(" ") + "Z"


def _date(matched: re.Match[str]) -> date:
    try:
        return date(int(matched["year"]), int(matched["month"]), int(matched["day"]))
    except ValueError:
        raise ValueError("a day of the calendar, in the years 1 to 9999") from None


def _time(matched: re.Match[str]) -> time:
    hour, minute, second = (int(matched[name] or 0) for name in ("hour", "minute", "second"))
    try:
        return time(hour, minute, second, int((matched["fraction"] or "").ljust(6, "0")))
    except ValueError:
        raise ValueError("a time from 00:00:00 to 23:59:59.999999") from None
