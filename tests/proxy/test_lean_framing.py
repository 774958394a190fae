"""Where a body ends is said in one way, or it is not trusted."""

from __future__ import annotations

import pytest

from shapegate_proxy.lean_framing import Framing, leaves_nothing, read_framing

CODING = "transfer-encoding"


@pytest.mark.parametrize(
    ("headers", "framing"),
    [
        ({"content-length": "2"}, Framing.SAID),
        ({CODING: "chunked"}, Framing.SAID),
        ({CODING: "Chunked "}, Framing.SAID),
        ({}, Framing.CLOSE),
        ({CODING: "gzip"}, Framing.CLOSE),
        ({CODING: ""}, Framing.CLOSE),
        ({CODING: "chunked, gzip"}, Framing.CLOSE),
        ({CODING: "xchunked"}, Framing.CLOSE),
        ({CODING: "gzip, chunked"}, Framing.FAULTY),
        ({CODING: "chunked, chunked"}, Framing.FAULTY),
        ({CODING: ",chunked"}, Framing.FAULTY),
        ({CODING: "chunked", "content-length": "2"}, Framing.FAULTY),
    ],
)
def test_W_01_an_end_is_said_by_one_length_or_by_chunks(headers: dict[str, str], framing: Framing) -> None:
    assert read_framing(headers, doubled=False, modern=True) is framing
    assert read_framing(headers, doubled=True, modern=True) is Framing.FAULTY


def test_W_01_before_http_1_1_nobody_knew_chunks() -> None:
    assert read_framing({CODING: "chunked"}, doubled=False, modern=False) is Framing.FAULTY
    assert read_framing({"content-length": "2"}, doubled=False, modern=False) is Framing.SAID


@pytest.mark.parametrize(
    ("headers", "nothing"),
    [
        ({}, True),
        ({"content-length": "0"}, True),
        ({"content-length": "00"}, True),
        ({"content-length": "20"}, False),
        ({CODING: "chunked"}, False),
    ],
)
def test_W_03_a_body_announced_where_none_may_be_is_not_waited_for(
    headers: dict[str, str], nothing: bool
) -> None:
    assert leaves_nothing(headers) is nothing
