"""When a process is started again: soon, but not often, and not for ever in vain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.restarts import SPACING_SECONDS, VAIN_MAX, GiveUp, Restart, after_end


@pytest.mark.parametrize(
    ("lived_seconds", "vain", "step"),
    [
        (3600.0, 0, Restart(wait_seconds=0.0)),
        (1.0, 0, Restart(wait_seconds=0.0)),
        (0.25, 0, Restart(wait_seconds=0.75)),
        (0.25, 1, Restart(wait_seconds=1.75)),
        (30.0, 4, Restart(wait_seconds=0.0)),
        (0.0, 4, Restart(wait_seconds=16.0)),
        (0.0, 5, GiveUp()),
        (3600.0, 5, GiveUp()),
    ],
)
def test_what_follows_an_end(lived_seconds: float, vain: int, step: Restart | GiveUp) -> None:
    assert after_end(lived_seconds=lived_seconds, vain=vain) == step


@given(st.floats(0, 1e6), st.integers(0, VAIN_MAX - 1))
def test_starts_are_apart(lived_seconds: float, vain: int) -> None:
    step = after_end(lived_seconds=lived_seconds, vain=vain)
    assert isinstance(step, Restart)
    assert lived_seconds + step.wait_seconds >= SPACING_SECONDS * (1 - 1e-9)
