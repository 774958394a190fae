from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.body import Body
from shapegate_harness.electric.errors import Rejected, RejectedSubset
from shapegate_harness.electric.query import decode_query, parse_query
from shapegate_wire.identifier import TableName
from shapegate_wire.offset import BEFORE_ALL, Now, Offset
from shapegate_wire.shape import LogMode, Replica, ShapeDefinition


def problems(query: str) -> dict[str, list[str]]:
    with pytest.raises(Rejected) as caught:
        parse_query(decode_query(query))
    return {name: list(texts) for name, texts in caught.value.problems.items()}


def definition(query: str) -> ShapeDefinition:
    return parse_query(decode_query(f"offset=-1&{query}")).definition


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        ("", {}),
        ("a=1&a=2", {"a": "2"}),
        ("a=x+y%20z%2B", {"a": "x y z+"}),
        ("a=%zz&b", {"a": "%zz", "b": ""}),
        ("params%5B1%5D=a=b", {"params[1]": "a=b"}),
    ],
)
def test_a_query_is_decoded_as_electric_does(raw: str, values: dict[str, str]) -> None:
    assert decode_query(raw) == values


@pytest.mark.parametrize("raw", ["a=%ff", "a=%00"])
def test_a_query_that_is_no_text_is_refused(raw: str) -> None:
    with pytest.raises(Rejected):
        decode_query(raw)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"offset": ["can't be blank"]}),
        ("offset=%20&table=t", {"offset": ["can't be blank"]}),
        ("offset=-1", {"table": ["can't be blank"]}),
        ("offset=-1&table=", {"table": ["can't be blank"]}),
        ("offset=abc&table=t", {"offset": ["has invalid format"]}),
        ("offset=-2&table=t", {"offset": ["has invalid format"]}),
        ("offset=5&table=t", {"offset": ["has invalid format"]}),
        ("offset=0_0&table=t", {"handle": ["can't be blank when offset != -1"]}),
        ("offset=-1&table=t&live=true", {"live": ["can't be true when offset == -1"]}),
        ("offset=-1&table=t&live=0", {"live": ["can't be true when offset == -1"]}),
        ("offset=now&table=t&live", {"live": ["can't be true when offset is 'now'"]}),
        (
            "offset=-1&table=a.b.c",
            {"table": ["Invalid relation identifier, too many delimiters: a.b.c"]},
        ),
        ("offset=-1&table=t&replica=x", {"replica": ["is invalid"]}),
        ("offset=-1&table=t&log=x&replica=x", {"log": ["is invalid"], "replica": ["is invalid"]}),
        ("offset=-1&table=t&params={}", {"params": ["is invalid"]}),
        ("offset=-1&table=t&params[a]=1", {"params": ["Parameters can only use numbers as keys"]}),
        (
            "offset=-1&table=t&params[2]=1",
            {"params": ["Parameters must be numbered sequentially, starting from 1"]},
        ),
        (
            'offset=-1&table=t&columns="id",%20title',
            {"columns": ["Invalid unquoted identifier contains special characters:  title"]},
        ),
        (
            "offset=0_0&handle=h&table=t&live_sse=true",
            {"live_sse": ["can't be true unless live is also true"]},
        ),
        (
            "offset=0_0&handle=h&table=t&live=false&experimental_live_sse",
            {"live_sse": ["can't be true unless live is also true"]},
        ),
        ("offset=0_0&handle=h&table=t&subset=1", {"subset": ["is invalid"]}),
    ],
)
def test_faults_are_named_as_electric_names_them(query: str, expected: dict[str, list[str]]) -> None:
    assert problems(query) == expected


def test_a_whole_request_is_read() -> None:
    asked = parse_query(
        decode_query(
            "table=Public.T&where=A%3D$1&params[1]=&columns=b,a&replica=full&log=changes_only&offset=7_2"
            "&handle=1-2&live=true&cursor=20&secret=s&foo=bar"
        )
    )
    assert asked.table == TableName("public", "t")
    assert asked.definition == ShapeDefinition(
        table='"public"."t"',
        where='"a" = $1',
        params=("",),
        columns=("a", "b"),
        replica=Replica.FULL,
        log=LogMode.CHANGES_ONLY,
    )
    assert (asked.offset, asked.handle, asked.live, asked.cursor) == (Offset(7, 2), "1-2", True, 20)


@pytest.mark.parametrize(
    ("query", "sse"),
    [
        ("live=true", False),
        ("live=true&live_sse=true", True),
        ("live=true&experimental_live_sse=true", True),
        ("live=true&live_sse=true&experimental_live_sse=true", True),
        ("live=true&live_sse=false", False),
    ],
)
def test_an_event_stream_has_two_names(query: str, sse: bool) -> None:
    assert parse_query(decode_query(f"table=t&offset=0_inf&handle=h&{query}")).sse is sse


@pytest.mark.parametrize(
    ("query", "body", "limit"),
    [
        ("", Body(), None),
        ("&subset__order_by=a&subset__limit=2", Body(), 2),
        ("", Body(subset={"order_by": "a", "limit": 3}), 3),
        ("&subset__order_by=a&subset__limit=2", Body(subset={"limit": 3}), 3),
    ],
)
def test_a_subset_comes_from_the_query_and_the_body(query: str, body: Body, limit: int | None) -> None:
    asked = parse_query(decode_query(f"table=t&offset=-1{query}"), body)
    assert (asked.subset.limit if asked.subset else None) == limit


def test_the_body_of_a_post_may_say_live() -> None:
    values = decode_query("table=t&offset=0_inf&handle=h")
    assert parse_query(values, Body(live=True)).live
    assert not parse_query(values, Body()).live


@pytest.mark.parametrize(("offset", "read"), [("-1", BEFORE_ALL), ("now", Now.NOW)])
def test_a_handle_does_not_count_at_the_start(offset: str, read: Offset | Now) -> None:
    asked = parse_query(decode_query(f"table=t&offset={offset}&handle=1-2"))
    assert (asked.offset, asked.handle) == (read, None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("table=t&where=&columns=%20", "table=T"),
        ("table=public.t&columns=b,a", 'table=t&columns="a","b"'),
        ("table=t&where=a%20=%201", "table=t&where=A=1"),
        ("table=t&params[1]=x", "table=t"),
        ("table=t&replica=default&log=full", "table=t"),
        ("table=t&queryable_columns=a,b", "table=t&columns=b,a"),
        ("table=t&columns=a&queryable_columns=a,b", "table=t&columns=a"),
    ],
)
def test_spelling_makes_no_other_shape(one: str, other: str) -> None:
    assert definition(one) == definition(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("table=t&where=a=$1&params[1]=x", "table=t&where=a='x'"),
        ("table=t&where=a=$1&params[1]=x", "table=t&where=a=$1&params[1]=y"),
        ("table=t&where=a and b", "table=t&where=b and a"),
        ("table=t", "table=t&replica=full"),
        ("table=t", "table=t&log=changes_only"),
        ("table=t", "table=u"),
        ("table=t", 'table="T"'),
    ],
)
def test_meaning_does(one: str, other: str) -> None:
    assert definition(one) != definition(other)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("table", "offset", "where", "columns", "params[1]", "live", "handle", "cursor", "log"),
                *("subset__where", "subset[limit]", "subset__params", "subset__params[1]", "live_sse"),
                *("subset[order_by]", "subset"),
            ]
        ),
        st.text(max_size=12),
    )
)
@settings(max_examples=100, deadline=None)
def test_nothing_but_rejected_escapes(values: dict[str, str]) -> None:
    with suppress(Rejected, RejectedSubset):
        parse_query(values)


RECORDED = (
    (Path(__file__).parents[2] / "wire" / "typescript_requests.txt").read_text(encoding="utf-8").split()
)


@pytest.mark.parametrize("target", RECORDED)
def test_what_the_typescript_client_sends_is_read(target: str) -> None:
    sent = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
    asked = parse_query(sent)
    assert asked.handle == (sent.get("handle") if sent["offset"] != "-1" else None)
    assert str(asked.offset) == sent["offset"]
