"""Which headers pass, in both directions, and what a hostile value does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from shapegate_proxy.allowed_headers import client_head, client_headers, condition, trace_parent
from shapegate_proxy.answer_head import AnswerHeaders
from shapegate_proxy.errors import UpstreamFault

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JSON_TYPE = "application/json; charset=utf-8"
LOG = {
    "content-type": JSON_TYPE,
    "cache-control": "public, max-age=604800",
    "etag": '"h-1:-1:0_0"',
    "electric-handle": "h-1",
    "electric-offset": "0_0",
    "electric-schema": '{"größe":{"type":"text"}}',
    "electric-up-to-date": "",
    "content-length": "2",
}
PASSED = {name: LOG[name] for name in LOG if name not in ("cache-control", "etag")}


def passed(
    headers: dict[str, str], *, status: int = 200, org_in_url: bool = False, sse: bool = False
) -> dict[str, str]:
    return client_headers(status, CIMultiDict(headers), org_in_url=org_in_url, sse=sse)


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ([], None),
        (['"a"'], '"a"'),
        (['W/"a"'], 'W/"a"'),
        (["*"], "*"),
        (['"a", W/"b"\t,"c"'], '"a", W/"b"\t,"c"'),
        (['""'], '""'),
        (['"a"', '"b"'], None),
        ([""], None),
        (["a"], None),
        (['"a'], None),
        (['"a""b"'], None),
        (['"a",'], None),
        (['"a b"'], None),
        (['"a\r\nx: y"'], None),
        (['"\x7f"'], None),
        (['"ä"'], None),
        (['"' + "a" * 256 + '"'], '"' + "a" * 256 + '"'),
        (['"' + "a" * 257 + '"'], None),
        ([", ".join(['"a"'] * 16)], ", ".join(['"a"'] * 16)),
        ([", ".join(['"a"'] * 17)], None),
        ([", ".join(['"' + "a" * 200 + '"'] * 6)], None),
        (['w/"a"'], None),
    ],
)
def test_I_16_a_condition_is_entity_tags_or_nothing(values: list[str], chosen: str | None) -> None:
    assert condition(values) == chosen


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ([TRACE], TRACE),
        ([], None),
        ([TRACE, TRACE], None),
        ([TRACE.upper()], None),
        (["01" + TRACE[2:]], None),
        ([TRACE + "-x"], None),
        ([TRACE[:-1]], None),
        ([TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32)], None),
        ([TRACE.replace("b7ad6b7169203331", "0" * 16)], None),
        ([TRACE + "\n"], None),
        (["00-" + "٣" * 32 + "-b7ad6b7169203331-01"], None),
    ],
)
def test_I_16_a_trace_is_passed_if_it_is_one(values: list[str], chosen: str | None) -> None:
    assert trace_parent(values) == chosen


@given(st.text(max_size=80))
def test_I_16_no_request_header_passes_that_could_end_its_line(text: str) -> None:
    for chosen in (condition([text]), condition([f'"{text}"']), trace_parent([text])):
        assert chosen is None or (chosen.isascii() and chosen.replace("\t", " ").isprintable())


@pytest.mark.parametrize(
    ("status", "org_in_url", "expected"),
    [
        (200, False, PASSED | {"cache-control": "private, no-store"}),
        (200, True, PASSED | {"cache-control": "private, no-cache", "etag": LOG["etag"]}),
        (304, True, {"cache-control": "private, no-cache", "etag": LOG["etag"]}),
        (304, False, {"cache-control": "private, no-store"}),
        (409, False, PASSED | {"cache-control": "private, no-store"}),
        (409, True, PASSED | {"cache-control": "private, no-store"}),
    ],
)
def test_P_31_P_32_P_38_P_45_what_passes_of_each_status(
    status: int, org_in_url: bool, expected: dict[str, str]
) -> None:
    electric = {name: value for name, value in PASSED.items() if name.startswith("electric-")}
    assert passed(LOG, status=status, org_in_url=org_in_url) == electric | expected


def test_P_45_what_has_no_tag_cannot_be_revalidated() -> None:
    untagged = {name: value for name, value in LOG.items() if name != "etag"}
    assert passed(untagged, org_in_url=True)["cache-control"] == "private, no-store"


def test_P_42_I_16_what_is_of_one_hop_stays_here() -> None:
    one_hop = {
        "connection": "keep-alive, Electric-Schema , x",
        "keep-alive": "timeout=5",
        "proxy-authenticate": "Basic",
        "te": "trailers",
        "trailer": "etag",
        "transfer-encoding": "chunked",
        "upgrade": "h2c",
    }
    rest = {name: value for name, value in PASSED.items() if name != "electric-schema"}
    assert passed(LOG | one_hop) == rest | {"cache-control": "private, no-store"}


@pytest.mark.parametrize(
    "name", ["set-cookie", "server", "electric-server", "x-powered-by", "location", "age"]
)
def test_I_16_what_is_not_named_does_not_pass(name: str) -> None:
    assert name not in passed(LOG | {name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("electric-handle", ""),
        ("electric-handle", "a b"),
        ("electric-handle", "a\x01"),
        ("electric-handle", "x" * 129),
        ("electric-offset", "now"),
        ("electric-offset", "1"),
        ("electric-offset", "1_1\n"),
        ("electric-offset", "٣_1"),
        ("electric-schema", "{\x00}"),
        ("electric-schema", "{\r\nset-cookie: a}"),
        ("electric-schema", "\x7f"),
        ("electric-schema", "\x85"),
        ("electric-schema", "\udcff"),
        ("electric-schema", "x" * 65_537),
        ("electric-cursor", "-1"),
        ("electric-cursor", ""),
        ("electric-up-to-date", "x"),
        ("electric-has-data", "yes"),
        ("electric-snapshot", "\t"),
        ("electric-internal-known-error", "1"),
        ("etag", "h-1"),
        ("etag", '"a", "b"'),
        ("etag", '"a\x0b"'),
        ("content-length", "2, 2"),
        ("content-length", "-2"),
        ("content-type", ""),
        ("content-type", "text/html"),
        ("content-type", "application/json, text/html"),
        ("content-type", "application/json; charset=utf-16"),
        ("content-type", "text/event-stream"),
        ("content-encoding", "gzip"),
        ("content-encoding", "identity, gzip"),
    ],
)
def test_W_02_I_17_P_37_a_value_that_no_electric_writes_is_a_fault(name: str, value: str) -> None:
    with pytest.raises(UpstreamFault):
        passed(LOG | {name: value}, org_in_url=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("electric-offset", "0_inf"),
        ("electric-offset", "26980744_4"),
        ("electric-up-to-date", "true"),
        ("content-type", "application/json"),
        ("content-type", "Application/JSON; charset=UTF-8"),
        ("content-encoding", "identity"),
    ],
)
def test_what_else_an_electric_may_write_passes(name: str, value: str) -> None:
    assert passed(LOG | {name: value}).get(name, value).lower() == value.lower()


def test_P_41_an_event_stream_passes_where_it_was_asked_for() -> None:
    assert (
        passed(LOG | {"content-type": "text/event-stream"}, sse=True)["content-type"] == "text/event-stream"
    )
    assert passed(LOG, sse=True)["content-type"] == JSON_TYPE


@given(st.dictionaries(st.sampled_from([*LOG, "electric-cursor", "electric-has-data"]), st.text(max_size=40)))
def test_W_02_no_value_passes_that_could_end_its_line(changes: dict[str, str]) -> None:
    try:
        found = passed(LOG | changes, org_in_url=True)
    except UpstreamFault:
        return
    text = "".join(found.values())
    assert not any(character in text for character in "\r\n\x00")
    text.encode()


NAMES = [*LOG, "connection", "content-encoding", "electric-cursor", "date", "x-request-id"]
KIND = st.tuples(st.sampled_from([200, 304, 409]), st.booleans(), st.booleans())


@given(
    st.lists(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=9)), min_size=2, max_size=2),
    st.lists(KIND, min_size=2, max_size=2),
)
def test_I_09_a_remembered_head_is_that_of_this_answer_and_request(
    changes: list[dict[str, str]], kinds: list[tuple[int, bool, bool]]
) -> None:
    for changed in changes:
        headers = AnswerHeaders()
        headers.update(LOG | changed)
        for status, org_in_url, sse in kinds * 2:
            try:
                chosen = client_headers(status, headers, org_in_url=org_in_url, sse=sse)
            except UpstreamFault:
                with pytest.raises(UpstreamFault):
                    client_head(status, headers, org_in_url=org_in_url, sse=sse)
            else:
                head = client_head(status, headers, org_in_url=org_in_url, sse=sse)
                assert head.headers == chosen
                assert head.framed is ("content-length" in chosen)


RECORDED = sorted((Path(__file__).parents[1] / "conformance" / "recordings").glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_P_31_every_recorded_answer_of_a_real_electric_passes(path: Path) -> None:
    for step in json.loads(path.read_text()).get("steps", []):
        response = step.get("response")
        if not response or response["status"] not in (200, 304, 409):
            continue
        found = response["headers"]
        headers = CIMultiDict(found if isinstance(found, dict) else [tuple(pair) for pair in found])
        if "electric-handle" not in headers:
            continue  # the root and the state of health are no shapes
        sse = headers["content-type"] == "text/event-stream"
        kept = client_headers(response["status"], headers, org_in_url=True, sse=sse)
        assert {name for name in headers if name.lower().startswith("electric-")} - {"electric-server"} == {
            name for name in kept if name.startswith("electric-")
        }
