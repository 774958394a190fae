"""Kept answers, their bounds, and what is dropped first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.kept_answers import SLICE_BYTES, AnswerCacheSettings, KeptAnswer, KeptAnswers

if TYPE_CHECKING:
    from collections.abc import Hashable


def kept(
    key: Hashable, *, size: int = 10, shape: bytes = b"s", handle: str = "h-1", body: bytes = b"[]"
) -> KeptAnswer:
    return KeptAnswer(
        key=key,
        shape=shape,
        handle=handle,
        status=200,
        headers={},
        body=body,
        size=size,
        fresh_until=100.0,
    )


def store(**bounds: int) -> KeptAnswers:
    return KeptAnswers(AnswerCacheSettings(**bounds))


def test_an_answer_is_found_until_its_time_is_over() -> None:
    answers, one = store(), kept("a")
    answers.keep(one)
    assert answers.find("a", 99.9) is one
    assert answers.find("b", 99.9) is None
    assert answers.find("a", 100.0) is None
    assert (len(answers), answers.bytes, one.dropped, one.valid(0.0)) == (0, 0, True, False)


def test_what_was_longest_not_looked_at_goes_first() -> None:
    answers = store(entries_max=2)
    for key in ("a", "b"):
        answers.keep(kept(key))
    answers.find("a", 0.0)
    answers.keep(kept("c"))
    assert [key for key in "abc" if answers.find(key, 0.0)] == ["a", "c"]


def test_bytes_are_bounded_and_what_alone_is_too_large_drops_nothing() -> None:
    answers = store(bytes_max=25)
    for key in ("a", "b", "c"):
        answers.keep(kept(key))
    answers.keep(kept("d", size=26))
    assert [key for key in "abcd" if answers.find(key, 0.0)] == ["b", "c"]
    assert answers.bytes == 20


def test_a_newer_answer_takes_the_place_of_the_older() -> None:
    answers, older, newer = store(), kept("a", size=7), kept("a", size=8)
    answers.keep(older)
    answers.keep(newer)
    assert (answers.find("a", 0.0), older.dropped, answers.bytes, len(answers)) == (newer, True, 8, 1)


def test_a_shape_is_dropped_but_for_the_log_that_is_present() -> None:
    answers = store()
    answers.keep(kept("old"))
    answers.keep(kept("new", handle="h-2"))
    answers.keep(kept("other", shape=b"o"))
    answers.drop_shape(b"s", but="h-2")
    assert [key for key in ("old", "new", "other") if answers.find(key, 0.0)] == ["new", "other"]
    answers.drop_shape(b"s", but=None)
    answers.drop_shape(b"s", but=None)
    assert [key for key in ("old", "new", "other") if answers.find(key, 0.0)] == ["other"]
    answers.clear()
    assert (len(answers), answers.bytes) == (0, 0)


@pytest.mark.parametrize("size", [0, 1, SLICE_BYTES, SLICE_BYTES + 1, 3 * SLICE_BYTES])
async def test_a_body_is_handed_out_whole_in_slices_that_copy_nothing(size: int) -> None:
    body = bytes(at % 251 for at in range(size))
    answer = kept("a", body=body).answer()
    chunks = []
    while chunk := await answer.next():
        chunks.append(chunk)
    assert b"".join(chunks) == body
    assert all(len(chunk) <= SLICE_BYTES for chunk in chunks)
    assert all(chunk is body or (isinstance(chunk, memoryview) and chunk.obj is body) for chunk in chunks)
    assert (answer.ready, answer.framed, await answer.next()) == (True, True, b"")
    answer.close()


def test_neither_the_secret_nor_a_row_is_printed() -> None:
    assert "s3cret" not in repr(kept(("GET", "http://electric/?secret=s3cret"), body=b"a s3cret row"))


@pytest.mark.parametrize("bounds", [{"bytes_max": 0}, {"entries_max": 0}, {"entry_bytes_max": -1}])
def test_bounds_that_keep_nothing_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        AnswerCacheSettings(**bounds)


@given(
    st.lists(
        st.tuples(st.sampled_from(["keep", "find", "drop"]), st.integers(0, 5), st.integers(1, 30)),
        max_size=60,
    )
)
def test_whatever_is_kept_is_within_the_bounds_and_counted(steps: list[tuple[str, int, int]]) -> None:
    answers, all_kept = store(bytes_max=50, entries_max=3), list[KeptAnswer]()
    for step, key, size in steps:
        if step == "keep":
            all_kept.append(kept(key, size=size, shape=bytes([key % 2]), handle=f"h-{size % 2}"))
            answers.keep(all_kept[-1])
        elif step == "find":
            answers.find(key, size * 4.0)
        else:
            answers.drop_shape(bytes([key % 2]), but=f"h-{size % 2}")
        found = [one for one in all_kept if answers.find(one.key, 0.0) is one]
        assert not any(one.dropped for one in found)
        assert (len(answers), answers.bytes) == (len(found), sum(one.size for one in found))
        assert len(answers) <= 3
        assert answers.bytes <= 50
