"""How a subset is asked for, and what can come of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from multidict import CIMultiDict

from shapegate_client.event import (
    Conflict,
    Failed,
    HeadersLost,
    Malformed,
    OutOfBounds,
    Rejected,
    Unauthorized,
)
from shapegate_client.subset_event import QUERY_CHARS_MAX, SubsetAnswered, addressed, read_subset_event
from shapegate_wire.offset import BEFORE_ALL
from shapegate_wire.request import ShapeRequest, parse_request
from shapegate_wire.subset import SubsetRequest
from tests.client.builders import DEFINITION, insert, key

HEAD = {
    "electric-handle": "h",
    "electric-offset": "0_0",
    "electric-schema": '{"id":{"type":"int8","pk_index":0}}',
}
METADATA = {"xmin": "3", "xmax": "5", "xip_list": ["4"], "database_lsn": "77", "snapshot_mark": 1}
ROW = {"key": key(1), "value": dict(insert(1).value), "headers": {"operation": "insert", "snapshot_mark": 1}}
BODY = {"metadata": METADATA, "data": [ROW]}


def read(status: int, body: object, **changed: str) -> object:
    headers = CIMultiDict({name: value for name, value in (HEAD | changed).items() if value})
    return read_subset_event(status, headers, json.dumps(body).encode(), retry_after=None)


def test_C_09_an_answer_needs_handle_offset_and_schema_and_nothing_else() -> None:
    answered = read(200, BODY)
    assert isinstance(answered, SubsetAnswered)
    assert [row.key for row in answered.rows.rows] == [key(1)]
    assert (answered.rows.end.xip_list, answered.rows.database_lsn) == ((4,), 77)
    for name in HEAD:
        assert read(200, BODY, **{name: ""}) == HeadersLost((name,))


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"metadata": METADATA},
        {"metadata": {**METADATA, "xmax": None}, "data": []},
        {"metadata": {**METADATA, "database_lsn": "0/1"}, "data": []},
        {"metadata": METADATA, "data": [ROW | {"headers": {"operation": "update"}}]},
        {"metadata": METADATA, "data": [ROW | {"value": {"id": 1}}]},
    ],
)
def test_C_21_a_200_that_is_no_subset_is_malformed(body: object) -> None:
    assert isinstance(read(200, body), Malformed)


def test_C_21_a_200_that_is_no_json_is_malformed() -> None:
    assert isinstance(read_subset_event(200, CIMultiDict(HEAD), b"<html>", retry_after=None), Malformed)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, Malformed),
        (304, Malformed),
        (400, Rejected),
        (401, Unauthorized),
        (403, Rejected),
        (409, Conflict),
        (429, Failed),
        (503, Failed),
    ],
)
def test_every_other_status_means_what_it_means_for_a_log(status: int, kind: type) -> None:
    assert isinstance(read(status, {"message": "scripted"}), kind)


def test_C_19_an_offset_that_the_log_does_not_reach_is_told_apart() -> None:
    assert read(400, {"errors": {"offset": ["out of bounds for this shape"]}}) == OutOfBounds()


@pytest.mark.parametrize("characters", [1, QUERY_CHARS_MAX])
def test_a_strict_gate_reads_the_same_question_by_either_method(characters: int) -> None:
    subset = SubsetRequest(where="title = $1", params=("é" * characters,), order_by="id", limit=5)
    asked = ShapeRequest(definition=DEFINITION, offset=BEFORE_ALL, handle="h", subset=subset)
    method, query, body = addressed(asked)
    assert method == ("GET" if characters == 1 else "POST")
    assert parse_request(query, body) == replace(asked, definition=parse_request(query, body).definition)


def test_what_is_no_subset_goes_by_get_however_long_it_is() -> None:
    definition = replace(DEFINITION, where="title = $1", params=("x" * QUERY_CHARS_MAX,))
    asked = ShapeRequest(definition=definition, offset=BEFORE_ALL)
    assert addressed(asked) == ("GET", asked.to_query(), None)
