from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.target import Target, is_complete, print_request, shape_target
from shapegate_wire.request import parse_request

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("live", [False, True])
def test_a_target_is_a_shape_request_with_a_filter_that_ends_with_its_offset(*, live: bool) -> None:
    target = shape_target("tiny", offset="17_0", live=live)
    assert target.endswith("&offset=17_0")
    asked = parse_request(parse_qsl(urlsplit(target).query), None)
    assert asked.definition.table == '"public"."tiny"'
    assert asked.definition.where is not None
    assert str(asked.offset) == "17_0"
    assert asked.live is live


def test_a_request_is_printed_with_its_headers() -> None:
    assert print_request("/v1/shape?table=tiny", {"Accept": "application/json"}) == (
        b"GET /v1/shape?table=tiny HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n"
    )
    assert Target(name="x", port=17, pid=1).url == "http://127.0.0.1:17"


@given(st.sampled_from([LENGTH, CHUNKS]), st.data())
def test_an_answer_is_complete_with_its_last_byte_and_not_before(answer: bytes, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(answer) - 1))
    assert is_complete(answer)
    assert not is_complete(answer[:end])
