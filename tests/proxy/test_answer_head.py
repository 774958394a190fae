"""Heads that say the same are read once, and each is read as if it were the first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.answer_head import REMEMBERED_BYTES_MAX, read_head
from shapegate_proxy.lean_framing import Framing

LOG = [
    (b"date", b"Fri, 20 Nov 2026 21:40:26 GMT"),
    (b"x-request-id", b"GOnevGp09WZGW-YAAAGR"),
    (b"transfer-encoding", b"chunked"),
    (b"electric-handle", b"h-1"),
]
NAMES = st.sampled_from(
    [b"etag", b"ETag", b"content-length", b"Transfer-Encoding", b"transfer-encoding", b"date", b"vary"]
)
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b"", b"0", b"chunked", b"gzip, chunked", b"\xff"])))


@pytest.mark.parametrize("place", [0, 1])
def test_a_time_and_an_id_make_no_other_head(place: int) -> None:
    other = [*LOG[:place], (LOG[place][0], b"another"), *LOG[place + 1 :]]
    assert read_head(200, LOG, modern=True) is read_head(200, other, modern=True)


@pytest.mark.parametrize("place", [2, 3])
def test_I_09_whatever_else_is_said_makes_another_head(place: int) -> None:
    other = [*LOG[:place], (LOG[place][0], b"another"), *LOG[place + 1 :]]
    first, second = (read_head(200, lines, modern=True) for lines in (LOG, other))
    assert first.headers != second.headers
    assert read_head(409, LOG, modern=True).headers is not first.headers
    assert read_head(200, LOG, modern=False).framing is not first.framing


def test_W_08_a_large_head_is_not_remembered() -> None:
    large = [*LOG, (b"electric-schema", b"x" * REMEMBERED_BYTES_MAX)]
    first, second = (read_head(200, large, modern=True) for _ in range(2))
    assert first.headers == second.headers
    assert first.headers is not second.headers


@given(st.sampled_from([200, 304, 409]), LINES, st.booleans())
def test_W_03_a_head_says_the_first_of_each_name_and_its_framing_is_not_guessed(
    status: int, lines: list[tuple[bytes, bytes]], modern: bool
) -> None:
    for head in (read_head(status, lines, modern=modern) for _ in range(2)):
        expected: dict[str, str] = {}
        for name, value in lines:
            expected.setdefault(name.decode().lower(), value.decode("utf-8", "surrogateescape"))
        expected.pop("date", None)
        assert head.headers == expected
        names = [name.lower() for name, _ in lines]
        frames = names.count(b"transfer-encoding"), names.count(b"content-length")
        if max(frames) > 1 or min(frames) > 0 or (frames[0] and not modern):
            assert head.framing is not Framing.SAID
        if frames == (0, 0):
            assert head.framing is Framing.CLOSE
