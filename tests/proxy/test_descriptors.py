"""How many connections the open files of the process allow."""

from __future__ import annotations

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.descriptors import RESERVED, connections_within, descriptors_for, raise_descriptors


@pytest.mark.parametrize(
    ("descriptors", "wanted", "expected"),
    [
        (1_048_576, 10_000, 10_000),
        (20_000 + RESERVED, 10_000, 10_000),
        (20_000 + RESERVED - 2, 10_000, 9_999),
        (1_024, 10_000, (1_024 - RESERVED) // 2),
        (1_024, 100, 100),
        (RESERVED, 10_000, 1),
        (16, 10_000, 1),
    ],
)
def test_I_08_connections_leave_descriptors_for_electric_and_the_rest(
    descriptors: int, wanted: int, expected: int
) -> None:
    assert connections_within(descriptors, wanted) == expected


@given(st.integers(min_value=1, max_value=10_000_000))
def test_I_08_what_is_asked_for_is_enough(connections: int) -> None:
    assert connections_within(descriptors_for(connections), connections) == connections


def test_I_08_the_soft_limit_is_raised_as_far_as_allowed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert raise_descriptors(400) == 512
        assert raise_descriptors(600) == 600
        assert raise_descriptors(600) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if hard != resource.RLIM_INFINITY:
            assert raise_descriptors(hard + 1) == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
