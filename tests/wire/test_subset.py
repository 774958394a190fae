"""Subsets as a gate reads them: in the query of a GET or in the body of a POST, never in both."""

from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire import names
from shapegate_wire.errors import MalformedRequest
from shapegate_wire.request import parse_request
from shapegate_wire.subset import (
    BODY_BYTES_MAX,
    INTEGER_MAX,
    SubsetRequest,
    parse_subset_body,
    parse_subset_query,
)
from tests.refusals import Refusal, told_otherwise
from tests.wire.test_request import CATCH_UP, START, SUBSETS, Pairs

NAMES = ("where", "params", "limit", "offset", "order_by")
TREE = json.dumps({"type": "func", "name": "eq", "args": [{"type": "ref", "column": "a"}]})


def by_get(**fields: str) -> SubsetRequest | None:
    """Read a subset from a query."""
    return parse_request([*CATCH_UP, *((f"subset__{name}", text) for name, text in fields.items())]).subset


def by_post(body: object) -> SubsetRequest | None:
    """Read a subset from a body, which is printed unless it is text."""
    text = body if isinstance(body, str) else json.dumps(body)
    return parse_request(CATCH_UP, text.encode()).subset


def refused(pairs: Pairs, body: bytes | None = None) -> dict[str, str]:
    with pytest.raises(MalformedRequest) as caught:
        parse_request(pairs, body)
    assert len(str(caught.value)) < 2_000
    return dict(caught.value.problems)


READ: list[tuple[dict[str, str], object, SubsetRequest]] = [
    ({"where": "id < 3"}, {"where": "id < 3"}, SubsetRequest(where="id < 3")),
    (
        {"where": "title = $1", "params": '{"1":"item 2"}'},
        {"where": "title = $1", "params": {"1": "item 2"}},
        SubsetRequest(where="title = $1", params=("item 2",)),
    ),
    (
        {"order_by": "id DESC", "limit": "2", "offset": "0"},
        {"order_by": "id DESC", "limit": 2, "offset": 0},
        SubsetRequest(order_by="id DESC", limit=2, offset=0),
    ),
    (
        {"where": "true = true", "params": "{}", "order_by": '"a" NULLS FIRST', "limit": "10"},
        {"where": "true = true", "params": {}, "order_by": '"a" NULLS FIRST', "limit": 10},
        SubsetRequest(where="true = true", order_by='"a" NULLS FIRST', limit=10),
    ),
    (
        {"where": "a = $1 or b = $2 or c = $3", "params": '{"2":5,"1":"","3":9007199254740993}'},
        {"where": "a = $1 or b = $2 or c = $3", "params": {"2": 5, "1": "", "3": 9007199254740993}},
        SubsetRequest(where="a = $1 or b = $2 or c = $3", params=("", "5", "9007199254740993")),
    ),
    (
        {"where": '"a" = $1', "where_expr": TREE, "params": '{"1":"x"}', "order_by_expr": "[]"},
        {"where": '"a" = $1', "where_expr": json.loads(TREE), "params": {"1": "x"}, "order_by_expr": []},
        SubsetRequest(where='"a" = $1', params=("x",)),
    ),
    ({"where": " ", "order_by": "id"}, {"where": "", "order_by": "id"}, SubsetRequest(order_by="id")),
    ({"where": "b", "order_by": ""}, {"where": "b", "order_by": "\t"}, SubsetRequest(where="b")),
]


@pytest.mark.parametrize(("query", "body", "read"), READ)
def test_P_06_P_51_query_and_body_are_read_alike(
    query: dict[str, str], body: object, read: SubsetRequest
) -> None:
    assert by_get(**query) == by_post(body) == read


def test_P_12_trees_that_clients_send_beside_the_texts_are_dropped_whatever_they_say() -> None:
    for tree in ("", "}", "[" * 7_000, '{"type":"val"}', "a = 1"):
        assert by_get(where="b", where_expr=tree, order_by_expr=tree) == SubsetRequest(where="b")
    values: tuple[object, ...] = (None, 1, "x", [[]], {"where": "c", "table": "users"})
    for value in values:
        body = {"where": "b", "where_expr": value, "order_by_expr": value}
        assert by_post(body) == SubsetRequest(where="b")
    for sent in ({"where_expr": TREE}, {"order_by_expr": TREE}):
        query = [(f"subset__{name}", text) for name, text in sent.items()]
        assert "is missing" in refused([*CATCH_UP, *query])["subset__where"]
        assert "is missing" in refused(CATCH_UP, json.dumps(sent).encode())["body.where"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in ("where", "order_by") for value in (None, 1, True, ["x"], {"x": 1})),
        *(
            (field, text)
            for field in ("where", "order_by")
            for text in ("\x00", "a\ud800", "\ufffd", "x" * 8_001)
        ),
        *((field, value) for field in ("limit", "offset") for value in (None, "2", True, [2], 1.0, 1e9, -1)),
        *((field, INTEGER_MAX + 1) for field in ("limit", "offset")),
        ("limit", 0),
        ("limit", 10**30),
        ("params", None),
        ("params", "{}"),
        ("params", ["x"]),
        ("params", {"1": None}),
        ("params", {"1": True}),
        ("params", {"1": ["x"]}),
        ("params", {"1": {}}),
        ("params", {"1": "\x00"}),
        ("params", {"1": "\ud800"}),
        ("params", {"0": "x"}),
        ("params", {"2": "x"}),
        ("params", {"1": "x", "3": "x"}),
        ("params", {"01": "x"}),
        ("params", {"1 ": "x"}),
        ("params", {"\u0661": "x"}),
        ("params", {"$1": "x"}),
        ("params", {"": "x"}),
        ("params", {"4294967297": "x"}),
        ("params", {str(number): "x" for number in range(1, 202)}),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_P_06_a_field_of_another_type_is_refused(field: str, value: object) -> None:
    whole = {"where": "b", "order_by": "id", "limit": 1, "offset": 1} | {field: value}
    assert f"body.{field}" in refused(CATCH_UP, json.dumps(whole).encode())


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(
            ("limit", text)
            for text in ("", " ", "0", "-1", "+1", "01", "1.0", "1e3", " 1", "1 ", "x", "\u0661", "9" * 11)
        ),
        *(("offset", text) for text in ("", "-1", "00", "1_0", "0x1", "\u0663", str(INTEGER_MAX + 1))),
        *(
            ("params", text)
            for text in ("", "{", "[]", "null", '{"1":"a","1":"b"}', '{"1":NaN}', '{"2":"a"}')
        ),
        *(("where", text) for text in ("\x00", "\ufffd", "x" * 8_001)),
        *(("where_expr", text) for text in ("\x00", "x" * 8_001)),
    ],
)
def test_I_14_a_parameter_of_another_form_is_refused(field: str, text: str) -> None:
    whole = {"where": "b", "order_by": "id"} | {field: text}
    assert f"subset__{field}" in refused(
        [*CATCH_UP, *((f"subset__{name}", value) for name, value in whole.items())]
    )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "body.where"),
        ({"where": ""}, "body.where"),
        ({"params": {}}, "body.where"),
        ({"limit": 1}, "body.order_by"),
        ({"where": "b", "limit": 1}, "body.order_by"),
        ({"where": "b", "offset": 0}, "body.order_by"),
        ({"where": "b", "order_by": " ", "limit": 1}, "body.order_by"),
        ({"order_by": "id", "params": {"1": "x"}}, "body.params"),
    ],
)
def test_a_subset_that_electric_would_not_take_for_one_is_refused(
    fields: dict[str, object], problem: str
) -> None:
    assert problem in refused(CATCH_UP, json.dumps(fields).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"where"',
        b"{bad",
        b'{"where":"b"',
        b'{"where":"b"}{}',
        b'{"where":"a","where":"b"}',
        b'{"where":"b","params":{"1":"a","1":"b"}}',
        b'{"where":"b","limit":NaN,"order_by":"id"}',
        b'\xef\xbb\xbf{"where":"b"}',
        b'{"where":"\xff"}',
        '{"where":"b"}'.encode("utf-16"),
        b"where=b",
        b'{"where":"b"}' + b" " * BODY_BYTES_MAX,
        b"[" * BODY_BYTES_MAX,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_P_06_a_body_that_is_no_flat_strict_object_is_refused(body: bytes) -> None:
    assert list(refused(CATCH_UP, body))


def test_P_06_I_14_every_problem_of_a_subset_is_told_whole() -> None:
    def read(text: str) -> SubsetRequest | None:
        if text.startswith("subset__"):
            return parse_subset_query(dict(parse_qsl(text, keep_blank_values=True)))
        return parse_subset_body(text.encode())

    def told(case: Refusal) -> str:
        with pytest.raises(MalformedRequest) as caught:
            read(case.text)
        return "\n".join(f"{name}: {problem}" for name, problem in caught.value.problems)

    assert told_otherwise(Path(__file__).with_name("subset_refusals.jsonl"), told) == []


def test_I_08_a_body_is_bounded_in_bytes_and_values() -> None:
    spaces = " " * (BODY_BYTES_MAX - len('{"where":"b"}'))
    assert parse_subset_body(('{"where":"b"}' + spaces).encode()) == SubsetRequest(where="b")
    told = {"body": "has 65537 bytes: at most 65536 are read"}
    assert refused(CATCH_UP, ('{"where":"b"} ' + spaces).encode()) == told
    assert refused(CATCH_UP, b"\xff") == {"body": "is not valid UTF-8"}
    many = {str(number): "x" for number in range(1, 201)}
    assert parse_subset_body(json.dumps({"where": "b", "params": many}).encode()).params == ("x",) * 200
    too_many = {"body.params": "has 201 values: at most 200 are read"}
    assert refused(CATCH_UP, json.dumps({"where": "b", "params": many | {"201": "x"}}).encode()) == too_many
    long = "x" * 8_000
    assert parse_subset_body(json.dumps({"where": long, "order_by": long}).encode()).order_by == long
    # One array parameter may hold more than any other value.
    value = "x" * 40_000
    assert parse_subset_body(json.dumps({"where": "b", "params": {"1": value}}).encode()).params == (value,)


def test_a_subset_is_printed_with_what_it_has_and_nothing_else() -> None:
    whole = SubsetRequest(
        where="a = $1 or b = $2", params=("é", ""), order_by="id", limit=INTEGER_MAX, offset=INTEGER_MAX
    )
    assert whole.to_query() == [
        ("subset__where", "a = $1 or b = $2"),
        ("subset__params", r'{"1":"\u00e9","2":""}'),
        ("subset__limit", "2147483647"),
        ("subset__offset", "2147483647"),
        ("subset__order_by", "id"),
    ]
    assert whole.to_body() == (
        rb'{"where":"a = $1 or b = $2","params":{"1":"\u00e9","2":""},'
        rb'"limit":2147483647,"offset":2147483647,"order_by":"id"}'
    )
    least = SubsetRequest(order_by="id", limit=1, offset=0)
    assert least.to_body() == b'{"limit":1,"offset":0,"order_by":"id"}'
    assert SubsetRequest(where="b").to_query() == [("subset__where", "b")]


@pytest.mark.parametrize(
    "name",
    [
        *("table", "columns", "queryable_columns", "replica", "log", "live", "handle", "cursor", "secret"),
        *("api_secret", "subset", "subset__where", "params[1]", "Where", "where ", "", "x" * 1_000),
    ],
)
def test_P_07_I_07_a_body_with_any_other_key_is_refused(name: str) -> None:
    for value in ("x", {"where": "b"}, None):
        found = refused(CATCH_UP, json.dumps({"where": "b", name: value}).encode())
        assert "no field" in found[f"body.{name[:80]}"]


@pytest.mark.parametrize("name", [*NAMES, "where_expr", "order_by_expr", "unheard"])
def test_P_07_a_post_has_its_subset_in_the_body_alone(name: str) -> None:
    pairs = [*CATCH_UP, (f"subset__{name}", "1")]
    assert f"subset__{name}" in refused(pairs, b'{"where":"b"}')


@pytest.mark.parametrize(
    ("name", "text"), [("where", "b"), ("params", "{}"), ("limit", "1"), ("offset", "1"), ("order_by", "id")]
)
def test_P_04_a_subset_parameter_is_given_once(name: str, text: str) -> None:
    whole = {"where": "b", "order_by": "id", name: text}
    pairs = [(names.subset(field), value) for field, value in whole.items()]
    again = (names.subset(name), text)
    assert "2 times" in refused([*CATCH_UP, *pairs, again])[names.subset(name)]


def test_I_14_live_means_nothing_in_a_request_for_a_subset() -> None:
    pairs = [*CATCH_UP, ("live", "true"), ("live_sse", "true"), ("cursor", "7")]
    request = parse_request([*pairs, ("subset__where", "b")])
    assert (request.live, request.live_sse, request.cursor) == (False, False, "7")
    assert parse_request(pairs, b'{"where":"b"}') == request
    assert "live" in refused([*START, ("live", "true"), ("subset__where", "b")])


def test_the_shape_and_the_position_of_a_post_are_those_of_its_url() -> None:
    pairs = [*CATCH_UP, ("where", "a = $1"), ("params[1]", "x"), ("log", "changes_only")]
    asked = parse_request(pairs, b'{"where":"b = $1","params":{"1":"y"}}')
    plain = parse_request(pairs)
    assert (asked.definition, asked.offset, asked.handle) == (plain.definition, plain.offset, plain.handle)
    assert asked.subset == SubsetRequest(where="b = $1", params=("y",))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"where": " "},
        {"where": "b", "order_by": ""},
        {"params": ("x",), "order_by": "id"},
        {"where": "b", "limit": 1},
        {"order_by": "id", "limit": 0},
        {"order_by": "id", "offset": -1},
        {"order_by": "id", "limit": INTEGER_MAX + 1},
    ],
)
def test_a_contradictory_subset_cannot_be_made(fields: dict[str, object]) -> None:
    with pytest.raises(MalformedRequest):
        SubsetRequest(**fields)  # type: ignore[arg-type]  # any of them


def test_a_blank_text_is_no_part_of_a_subset() -> None:
    with pytest.raises(MalformedRequest) as caught:
        SubsetRequest(where=" ", order_by="\t")
    told = "is blank: leave it out"
    assert caught.value.problems == (("where", told), ("order_by", told))


@settings(max_examples=100, deadline=None)
@given(subset=SUBSETS)
def test_what_is_printed_as_a_body_is_read_back(subset: SubsetRequest) -> None:
    assert parse_subset_body(subset.to_body()) == subset
    assert set(json.loads(subset.to_body())) <= set(NAMES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
BODIES = st.one_of(
    st.binary(max_size=50),
    st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), JSON, max_size=5).map(
        lambda fields: json.dumps(fields).encode()
    ),
)


@settings(max_examples=300, deadline=None)
@given(body=BODIES)
def test_nothing_but_malformed_request_escapes_and_what_is_read_is_read_again(body: bytes) -> None:
    try:
        subset = parse_subset_body(body)
    except MalformedRequest:
        return
    assert parse_subset_body(subset.to_body()) == subset


@pytest.mark.parametrize(
    "body",
    [
        b"[" * BODY_BYTES_MAX,
        b'{"where":' + b"[" * (BODY_BYTES_MAX - 10),
        b'{"where_expr":' + b"[" * 900 + b"]" * 900 + b"}",
        b"{" + b",".join(b'"%d":1' % n for n in range(7_000)) + b"}",
        b'{"where":"b","params":{' + b",".join(b'"%d":"x"' % n for n in range(6_000, 0, -1)) + b"}}",
        b'{"where":"' + b"\\u0000" * 10_000 + b'"}',
        b'{"where":"' + "\ufffd".encode() * 20_000 + b'"}',
        b'{"limit":' + b"9" * 65_000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_I_08_the_worst_bodies_are_refused_within_50_ms_of_computing(body: bytes) -> None:
    assert len(body) <= BODY_BYTES_MAX

    def seconds() -> float:
        started = time.process_time()
        refused(CATCH_UP, body)
        return time.process_time() - started

    assert min(seconds() for _ in range(3)) < 0.05
