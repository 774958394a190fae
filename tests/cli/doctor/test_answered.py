"""What the Date header of an answer says of a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_cli.doctor.answered import Answered

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def answered(asked_at: datetime, **headers: str) -> Answered:
    return Answered(status=200, headers=headers, body=b"", asked_at=asked_at)


@given(ahead=st.floats(-7200, 7200), fraction=st.floats(0, 0.999))
def test_an_offset_is_known_to_half_a_second(ahead: float, fraction: float) -> None:
    asked_at = NOW + timedelta(seconds=fraction)
    said = format_datetime(asked_at + timedelta(seconds=ahead), usegmt=True)
    offset = answered(asked_at, date=said).offset_seconds()
    assert offset is not None
    assert abs(offset - ahead) <= 0.51


@pytest.mark.parametrize(
    "headers", [{}, {"date": "soon"}, {"date": ""}, {"date": "Sat, 21 Nov 2026 12:00:00"}]
)
def test_a_peer_that_does_not_tell_its_time_has_no_offset(headers: dict[str, str]) -> None:
    assert answered(NOW, **headers).offset_seconds() is None
