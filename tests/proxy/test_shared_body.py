"""A body that several readers take at their own pace."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.shared_body import PIECE_BYTES, Place, SharedBody, SharingBounds

BOUNDS = SharingBounds(ahead_bytes_max=4_000, behind_bytes_max=12_000)
CHUNK = b"x" * (1_000 - PIECE_BYTES)


def filled(body: SharedBody) -> int:
    """Append as long as more is wanted; returns how often."""
    count = 0
    while body.wants():
        body.append(CHUNK)
        count += 1
    return count


def test_every_reader_takes_the_same_from_the_start() -> None:
    body = SharedBody(BOUNDS)
    first, second = body.join(), body.join()
    body.append(b"a")
    assert first.take() == b"a"
    body.append(b"b")
    late = body.join()
    body.finish()
    assert [first.take(), first.take(), first.take()] == [b"b", b"", b""]
    for place in (second, late):
        assert [place.take(), place.take(), place.take()] == [b"a", b"b", b""]


def test_nothing_is_ready_before_it_is_there() -> None:
    body = SharedBody(BOUNDS)
    place = body.join()
    seen = [place.ready]
    body.append(b"a")
    seen.append(place.ready)
    place.take()
    seen.append(place.ready)
    body.finish()
    assert [*seen, place.ready] == [False, True, False, True]


def test_I_22_one_reader_is_read_ahead_of_by_a_bound_and_waited_for() -> None:
    body = SharedBody(BOUNDS)
    place = body.join()
    assert filled(body) == 4
    place.take()
    assert filled(body) == 1
    assert (place.cut, body.held_bytes) == (False, 4_000)


def test_what_was_read_ahead_can_be_joined_no_more() -> None:
    body = SharedBody(BOUNDS)
    body.join()
    for _ in range(3):
        body.append(CHUNK)
        assert body.joinable
    body.append(CHUNK)
    assert (body.wants(), body.joinable) == (False, False)


def test_I_22_the_foremost_sets_the_pace_and_who_falls_behind_is_cut_off() -> None:
    body = SharedBody(BOUNDS)
    fast, slow = body.join(), body.join()
    taken = 0
    while not slow.cut:
        filled(body)
        fast.take()
        taken += 1
    assert 8 <= taken <= 12
    assert not slow.ready
    assert body.held_bytes <= BOUNDS.ahead_bytes_max
    assert (fast.cut, body.readers) == (False, 1)


def test_who_is_left_behind_alone_is_waited_for() -> None:
    body = SharedBody(BOUNDS)
    fast, slow = body.join(), body.join()
    for _ in range(6):
        filled(body)
        fast.take()
    fast.leave()
    fast.leave()
    taken = 0
    while not body.wants():
        slow.take()
        taken += 1
    assert (taken, slow.cut) == (6, False)


def test_tiny_chunks_are_bounded_by_what_they_cost() -> None:
    body = SharedBody(BOUNDS)
    body.join()
    count = 0
    while body.wants():
        body.append(b"x")
        count += 1
    assert count < 20


@pytest.mark.parametrize(("ahead", "behind"), [(0, 10), (10, 10), (11, 10), (-1, 10)])
def test_bounds_that_would_cut_off_the_foremost_are_refused(ahead: int, behind: int) -> None:
    with pytest.raises(ValueError, match="ahead"):
        SharingBounds(ahead_bytes_max=ahead, behind_bytes_max=behind)


@dataclass(eq=False)
class Reader:
    place: Place
    taken: bytearray = field(default_factory=bytearray)
    ended: bool = False


STEPS = st.lists(
    st.one_of(
        st.just(("join", 0)),
        st.tuples(st.just("append"), st.integers(1, 3_000)),
        st.tuples(st.just("take"), st.integers(0, 9)),
        st.tuples(st.just("take"), st.integers(0, 1)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.just(("finish", 0)),
    ),
    max_size=150,
)


@given(STEPS)
def test_each_has_a_prefix_and_who_saw_the_end_has_it_whole(steps: list[tuple[str, int]]) -> None:
    body, true, readers = SharedBody(BOUNDS), bytearray(), list[Reader]()
    for step, number in steps:
        reader = readers[number % len(readers)] if readers else None
        if step == "join" and body.joinable:
            readers.append(Reader(body.join()))
        elif step == "append" and body.wants() and body.readers and not body.ended:
            chunk = bytes((len(true) + at) % 251 for at in range(number))
            body.append(chunk)
            true += chunk
        elif step == "take" and reader is not None and reader.place.ready:
            chunk = bytes(reader.place.take())
            reader.taken += chunk
            reader.ended = not chunk
        elif step == "leave" and reader is not None:
            reader.place.leave()
            readers.remove(reader)
        elif step == "finish" and body.readers and not body.ended:
            body.finish()
        assert body.held_bytes <= BOUNDS.behind_bytes_max + 2 * 3_300
        assert body.readers == sum(not reader.place.cut for reader in readers)
        for reader in readers:
            assert true.startswith(reader.taken)
            assert not reader.ended or (body.ended and reader.taken == true)
        if len(readers) == 1 and body.readers == 1:
            assert not readers[0].place.cut
    for reader in readers:
        if body.ended and not reader.place.cut:
            while chunk := bytes(reader.place.take()):
                reader.taken += chunk
            assert reader.taken == true
