"""Dates and times: ISO 8601, which no setting of a session reads in another way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.filter.moment import read_date, read_time, read_timestamp, read_timestamptz

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(max_examples=100, deadline=None)
@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=ZONES))  # noqa: DTZ001  # hypothesis wants bounds without zone
def test_an_instant_is_kept_and_printed_in_utc(instant: datetime) -> None:
    read = read_timestamptz(instant.isoformat())
    assert read.endswith("Z")
    assert datetime.fromisoformat(read) == instant
    assert datetime.fromisoformat(read).tzinfo == UTC
    assert read_timestamptz(read) == read


@settings(max_examples=100, deadline=None)
@given(st.datetimes())
def test_dates_times_and_timestamps_are_kept(moment: datetime) -> None:
    assert read_date(moment.date().isoformat()) == moment.date().isoformat()
    assert read_time(moment.time().isoformat()) == moment.time().isoformat()
    assert read_timestamp(moment.isoformat("T")) == moment.isoformat(" ")


@pytest.mark.parametrize(
    "text", ["2026-1-1", "2026-02-30", "0000-01-01", "20260101", "2026-01-01 ", "today", "\u0662026-01-01"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a d"):
        read_date(text)


@pytest.mark.parametrize(
    "text", ["24:00", "23:60", "23:59:60", "1:00", "12:00 PM", "01:02:03.1234567", "01", "noon", "01:02Z"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a time"):
        read_time(text)


@pytest.mark.parametrize(
    "text", ["2026-01-01 00:00Z", "2026-01-01 00:00+00", "infinity", "epoch", "2026-01-01  00:00", "now"]
)
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a timestamp"):
        read_timestamp(text)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-01", "2026-01-01 00:00", "2026-01-01 00:00 UTC", "2026-01-01 00:00+15"),
        *("2026-01-01 00:00+00:60", "9999-12-31 23:59-01", "0001-01-01 00:00+01", "2026-01-01 00:00+1"),
        "2026-01-01 00:00 Europe/Berlin",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^an (instant|offset)"):
        read_timestamptz(text)
