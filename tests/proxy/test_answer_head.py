"""What a head says, and where it says that the body ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.answer_head import read_head
from shapegate_proxy.lean_framing import Framing

NAMES = st.sampled_from(
    [b"etag", b"ETag", b"content-length", b"Transfer-Encoding", b"transfer-encoding", b"date", b"vary"]
)
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b"", b"0", b"chunked", b"gzip, chunked", b"\xff"])))


@given(st.sampled_from([200, 304, 409]), LINES, st.booleans())
def test_W_03_a_head_says_the_first_of_each_name_and_its_framing_is_not_guessed(
    status: int, lines: list[tuple[bytes, bytes]], modern: bool
) -> None:
    head = read_head(status, lines, modern=modern)
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
