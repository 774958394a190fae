from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conformance.compare import differences
from tests.conformance.correspondence import Correspondence
from tests.conformance.recording import Elided, Exchange, Request, Response, load, names

if TYPE_CHECKING:
    from collections.abc import Mapping

HANDLE, LIVE = "11-1795210850034524", "7-1795210850034000"


def exchange(body: object, headers: Mapping[str, str] | None = None, status: int = 200) -> Exchange:
    printed = body if isinstance(body, str | Elided) else json.dumps(body)
    return Exchange(
        number=1,
        note="",
        request=Request(method="GET", target="/v1/shape?table=t", headers={}, body=None),
        response=Response(status=status, headers=headers or {}, body=printed),
    )


def places(one: object, other: object, headers: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Compare two bodies under the same headers."""
    recorded = exchange(one, headers)
    seen = Response(
        status=200, headers=headers or {}, body=other if isinstance(other, str) else json.dumps(other)
    )
    return tuple(each.place for each in differences(recorded, seen, Correspondence()))


@pytest.mark.parametrize("name", names())
def test_a_recording_does_not_differ_from_itself(name: str) -> None:
    pairs = Correspondence()
    for each in load(name).exchanges:
        if each.response is None:
            continue
        itself = each.response
        made = {"date": "Fri, 20 Nov 2026 21:41:53 GMT", "x-request-id": "GOne0J5bRlsYezgAAAqy"}
        headers = {name: value or made.get(name, "") for name, value in itself.headers.items()}
        body = itself.body if isinstance(itself.body, str) else json.dumps([0] * itself.body.messages)
        seen = replace(itself, headers=headers, body=body)
        assert differences(each, seen, pairs) == (), str(each)


def row(value: object, **headers: object) -> dict[str, object]:
    return {"key": "k", "value": value, "headers": {"operation": "insert", **headers}}


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ([row({"a": "1", "b": None})], [row({"b": None, "a": "1"})], ()),
        ([row({"a": "1"})], [row({"a": "2"})], ("body[0].value",)),
        ([row({"a": "1"})], [row({"a": 1})], ("body[0].value",)),
        ([row({"lsn": "9"})], [row({"lsn": "8"})], ("body[0].value",)),
        ([row({}, lsn="266000000")], [row({}, lsn="500000")], ()),
        ([row({}, lsn="266000000")], [row({})], ("body[0].headers.lsn missing",)),
        ([row({})], [row({}, last=True)], ("body[0].headers.last added",)),
        ([row({}, txids=[5])], [row({}, txids=[900])], ()),
        (
            [row({}, txids=[5]), row({}, txids=[5])],
            [row({}, txids=[9]), row({}, txids=[8])],
            ("body[1].headers.txids",),
        ),
        ([row({}, txids=[5])], [row({}, txids=[5, 6])], ("body[0].headers.txids",)),
        ([row({}, op_position=2)], [row({}, op_position=4)], ("body[0].headers.op_position",)),
        ([row({}, tags=["a" * 32])], [row({}, tags=["b" * 32])], ()),
        ([row({}, tags=["1/"])], [row({}, tags=["/1"])], ("body[0].headers.tags",)),
        (
            [row({}, tags=["a" * 32])] * 2,
            [row({}, tags=["b" * 32]), row({}, tags=["c" * 32])],
            ("body[1].headers.tags",),
        ),
        ([row({})], [], ("body",)),
        ([row({})], {"message": "x"}, ("body",)),
        ({"message": "x"}, "not json", ("body",)),
        ("Not found", "Not found", ()),
        ("Not found", "Found", ("body",)),
    ],
)
def test_bodies_differ_where_they_differ(one: object, other: object, found: tuple[str, ...]) -> None:
    assert places(one, other) == found


def test_a_status_says_it_all() -> None:
    seen = Response(status=400, headers={"x": "y"}, body="")
    (found,) = differences(exchange([], {"etag": '"x"'}), seen, Correspondence())
    assert found.place == "status 200 -> 400"


def test_headers_are_there_absent_and_equal() -> None:
    recorded = exchange(
        "", {"vary": "accept-encoding", "etag": f'"{HANDLE}:-1:0_0"', "electric-handle": HANDLE}
    )
    seen = Response(
        status=200, headers={"vary": "origin", "etag": f'"{LIVE}:-1:0_0"', "retry-after": "5"}, body=""
    )
    assert [each.place for each in differences(recorded, seen, Correspondence())] == [
        "header electric-handle missing",
        "header retry-after added",
        "header vary",
    ]


def test_schemas_are_compared_as_values_and_an_echoed_id_exactly() -> None:
    request = Request(method="GET", target="/", headers={"x-request-id": "mine"}, body=None)
    headers = {"electric-schema": '{"a":{"type":"int4","dims":1}}', "x-request-id": "mine"}
    recorded = replace(exchange("", headers), request=request)
    other = {"electric-schema": '{"a": {"dims": 1, "type": "int4"}}', "x-request-id": "GOne0J5bRlsYezgAAAqy"}
    seen = Response(status=200, headers=other, body="")
    assert [each.place for each in differences(recorded, seen, Correspondence())] == ["header x-request-id"]


def test_events_are_compared_one_by_one() -> None:
    events = {"content-type": "text/event-stream"}
    body = 'data: {"headers":{"lsn":"266000000"}}\n\n: keep-alive\n\n'
    assert places(body, 'data: {"headers":{"lsn":"500000"}}\n\n: keep-alive\n\n', events) == ()
    assert places(body, 'data: {"headers":{"lsn":"500000"}}\n\n', events) == ("body frames",)
    assert places(body, body.replace("keep-alive", "alive"), events) == ("frame 1",)
    assert places(body, body.replace("lsn", "xid"), events) == (
        "frame 0.headers.lsn missing",
        "frame 0.headers.xid added",
    )


@pytest.mark.parametrize(
    ("exact", "seen", "found"),
    [(True, 100, ()), (True, 101, ("body length",)), (False, 102, ()), (False, 103, ("body length",))],
)
def test_of_an_elided_body_the_number_of_messages_counts(
    exact: bool, seen: int, found: tuple[str, ...]
) -> None:
    assert places(Elided(messages=100, exact=exact), [{}] * seen) == found
