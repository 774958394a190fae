"""Changes that are read by structs are those that the strict reference reads."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_client.changes import read_changes
from shapegate_client.decode import read_log
from shapegate_client.inserts import PIECE_BYTES
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import Message, parse_body
from tests.client.snapshots import ODD_VALUES

CHANGE: dict[str, object] = {"key": "k", "value": {"id": "1", "title": None}}
HEADERS: dict[str, object] = {
    "operation": "update",
    "relation": ["public", "items"],
    "lsn": "26980744",
    "op_position": 2,
    "txids": [753],
    "last": True,
}
UP_TO_DATE = {"headers": {"control": "up-to-date", "global_last_seen_lsn": "7"}}
ODD: list[object] = [
    *ODD_VALUES,
    -1,
    1 << 63,
    1 << 64,
    ["1"],
    ["public", "items", "more"],
    "9" * 20,
    "9" * 21,
]
NAMES = [
    *HEADERS,
    "key",
    "value",
    "old_value",
    "tags",
    "removed_tags",
    "active_conditions",
    "control",
    "later",
]


def changed(name: str, value: object) -> dict[str, object]:
    """A change with one thing set to something else."""
    if name in ("key", "value", "old_value"):
        return {**CHANGE, "headers": HEADERS, name: value}
    return {**CHANGE, "headers": {**HEADERS, name: value}}


def encoded(*messages: object) -> bytes:
    return json.dumps(messages, separators=(",", ":")).encode()


def reference(body: bytes) -> tuple[Message, ...] | None:
    """The messages by `parse_body`; None if it refuses."""
    try:
        return parse_body(msgspec.json.decode(body))
    except (MalformedResponse, msgspec.DecodeError, UnicodeDecodeError):
        return None


def read(body: bytes) -> object:
    try:
        return read_log(body, None)
    except MalformedResponse:
        return None


def test_plain_changes_are_read_without_the_reference() -> None:
    body = encoded(*(changed("operation", operation) for operation in ("insert", "update", "delete")))
    messages = read_changes([body])
    assert messages is not None
    assert messages == reference(body)


def test_a_log_that_is_cut_to_pieces_gives_the_same_changes() -> None:
    filler = '},{"key":' * 100
    changes = [changed("value", {"id": str(n), "title": filler}) for n in range(PIECE_BYTES // 400)]
    body = encoded(*changes, UP_TO_DATE)
    assert len(body) > 2 * PIECE_BYTES
    assert read(body) == reference(body)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_L_01_every_odd_part_of_a_change_is_read_as_the_reference_reads_it(name: str, value: object) -> None:
    body = encoded(changed("last", False), changed(name, value), UP_TO_DATE)
    assert read(body) == reference(body)


PARTS = (
    st.sampled_from(NAMES),
    st.sampled_from(ODD) | st.dictionaries(st.text(max_size=3), st.text(max_size=3)),
)
MESSAGES = st.builds(changed, *PARTS) | st.sampled_from([changed("last", True), UP_TO_DATE, {}, None, 1])


@given(st.lists(MESSAGES, max_size=4), st.data())
@settings(max_examples=300, deadline=None)
def test_L_01_C_36_any_log_of_changes_is_read_as_the_reference_reads_it(
    messages: list[object], data: st.DataObject
) -> None:
    body = encoded(*messages)
    if data.draw(st.integers(0, 9)) == 0:
        cut = data.draw(st.integers(0, len(body)))
        body = body[:cut] + data.draw(st.binary(max_size=2)) + body[cut:]
    assert read(body) == reference(body)
