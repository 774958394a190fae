from __future__ import annotations

import pytest

from shapegate_harness.electric import ElectricSettings
from shapegate_harness.electric.admission import Admission
from shapegate_harness.electric.errors import Overloaded

SETTINGS = ElectricSettings(
    initial_requests_max=1, existing_requests_max=2, jitter=lambda low, high: low * 100 + high
)


def test_s_09_a_request_too_many_is_told_when_to_come_again() -> None:
    admission = Admission(SETTINGS)
    with (
        admission.place(existing=False),
        pytest.raises(Overloaded) as caught,
        admission.place(existing=False),
    ):
        pass
    assert caught.value.retry_after_seconds == 610
    assert str(caught.value) == "Concurrent initial request limit exceeded (limit: 1), please retry"


def test_the_two_kinds_are_counted_apart() -> None:
    admission = Admission(SETTINGS)
    with (
        admission.place(existing=True),
        admission.place(existing=True),
        admission.place(existing=False),
        pytest.raises(Overloaded, match="existing request limit exceeded"),
        admission.place(existing=True),
    ):
        pass


def test_a_place_is_free_again_however_the_request_ended() -> None:
    admission = Admission(SETTINGS)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), admission.place(existing=False):
            raise ZeroDivisionError
    with admission.place(existing=False):
        pass
