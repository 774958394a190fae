"""How many connections the open files of the process allow."""

from __future__ import annotations

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.descriptors import (
    FOR_ELECTRIC_MAX,
    RESERVED,
    OpenFiles,
    connections_sharing,
    connections_within,
    descriptors_for,
    raise_descriptors,
)


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


@pytest.mark.parametrize(
    ("descriptors", "wanted", "expected"),
    [
        (1_048_576, 10_000, 10_000),
        (20_000, 30_000, 20_000 - RESERVED - FOR_ELECTRIC_MAX),
        (1_024, 10_000, (1_024 - RESERVED) * 3 // 4),
        (1_024, 100, 100),
        (RESERVED + 1, 10_000, 1),
        (16, 10_000, 1),
    ],
)
def test_I_08_clients_that_share_leave_some_files_for_electric(
    descriptors: int, wanted: int, expected: int
) -> None:
    assert connections_sharing(descriptors, wanted) == expected


def test_I_08_one_who_idles_makes_room_and_the_first_who_lends_is_asked_first() -> None:
    files, asked = OpenFiles(1), list[str]()

    def close_idle(name: str, count: int) -> bool:
        asked.append(name)
        return asked.count(name) <= count

    files.lend(lambda: close_idle("first", 1))
    files.lend(lambda: close_idle("second", 1))
    assert files.room()
    files.take()
    assert [files.room() for _ in range(3)] == [True, True, False]
    assert asked == ["first", "first", "second", "first", "second"]
    files.give_back()
    assert files.room()


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
