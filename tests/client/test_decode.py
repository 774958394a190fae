"""Fast decoding gives what the strict reference gives, or leaves the body to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shapegate_client.decode import FAST_BYTES_MIN, PIECE_BYTES, Inserts, read_inserts, read_log
from shapegate_client.fold import EMPTY, Folded, Load, Put, fold
from shapegate_wire.columns import Column
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import SnapshotEnd, UpToDate, parse_body
from tests.client.builders import NO_KEY, layout

if TYPE_CHECKING:
    from shapegate_client.fold import Batch
    from shapegate_wire.columns import ShapeSchema

WIDE: ShapeSchema = (
    Column(name="id", type="int8", pk_index=0, not_null=True),
    Column(name="n", type="int4"),
    Column(name="done", type="bool"),
    Column(name="price", type="numeric"),
    Column(name="ratio", type="float8"),
    Column(name="raw", type="bytea"),
    Column(name="tags", type="text", dims=1),
    Column(name='od"d', type="text"),
)
PLAIN: ShapeSchema = (*WIDE[:7], Column(name="title", type="text"))
ROW: dict[str, object] = {
    "id": "1",
    "n": "-7",
    "done": "t",
    "price": "1.10",
    "ratio": "1.5",
    "raw": "\\x00ff",
    "tags": "{a,NULL}",
    "title": "x",
}


def message(**changed: object) -> dict[str, object]:
    value = {**ROW, **changed}
    return {
        "key": f'"public"."items"/"{value["id"]}"',
        "value": value,
        "headers": {"operation": "insert", "relation": ["public", "items"]},
    }


def encoded(*messages: object) -> bytes:
    return json.dumps(messages, separators=(",", ":")).encode()


def words(batch: Batch, schema: ShapeSchema) -> dict[object, object]:
    """The rows that a batch of inserts puts, by their primary key."""
    planned = layout(schema)
    at = [planned.stored.index(name) for name in planned.key]
    rows: dict[object, object] = {}
    for step in batch.steps:
        if isinstance(step, Load):
            rows |= {tuple(row[place] for place in at): row for row in zip(*step.columns, strict=True)}
        else:
            assert isinstance(step, Folded)
            rows |= {put.key: put.values for put in step.operations.values() if isinstance(put, Put)}
    return rows


def reference(body: bytes, schema: ShapeSchema) -> dict[object, object] | None:
    """The rows by `parse_body` and `fold`; None if they refuse."""
    try:
        return words(fold(EMPTY, parse_body(msgspec.json.decode(body)), layout(schema)), schema)
    except (MalformedResponse, msgspec.DecodeError, UnicodeDecodeError):
        return None


def test_a_snapshot_becomes_the_values_that_sqlite_binds() -> None:
    inserts = read_inserts(encoded(message(), message(id="2", done=None, n=None, ratio="NaN")), PLAIN)
    assert inserts is not None
    assert inserts.relations == {("public", "items")}
    assert inserts.keys == []
    assert list(zip(*inserts.values, strict=True)) == [
        (1, 1, -7, "1.10", 1.5, b"\x00\xff", '["a",null]', "x"),
        (None, 2, None, "1.10", "NaN", b"\x00\xff", '["a",null]', "x"),
    ]


def test_rows_without_a_primary_key_keep_the_opaque_key() -> None:
    one = {"key": "k1", "value": {"a": None, "b": "x"}, "headers": {"operation": "insert"}}
    inserts = read_inserts(encoded(one), NO_KEY)
    assert inserts is not None
    batch = fold(EMPTY, [inserts], layout(NO_KEY))
    assert batch.steps == (Load([["k1"], [None], ["x"]]),)


ODD_VALUES: list[object] = [
    None,
    1,
    True,
    1.5,
    [],
    {},
    "",
    "null",
    "NULL",
    "1.0",
    "1e3",
    "1_0",
    "007",
    "+1",
    " 1",
    "-",
    "1-1",
    "-0",
    "٣",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "true",
    "yes",
    "Infinity",
    "nan",
    "\\x0",
    "{",
    "\ud7ff",
    "\x00",
]


@pytest.mark.parametrize("column", list(ROW))
@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
def test_C_25_C_27_C_28_every_odd_value_is_read_as_the_reference_reads_it_or_left_to_it(
    column: str, value: object
) -> None:
    body = encoded(message(id="2"), message(**{column: value}))
    inserts = read_inserts(body, PLAIN)
    if inserts is not None:
        assert words(fold(EMPTY, [inserts], layout(PLAIN)), PLAIN) == reference(body, PLAIN)


VALUES = st.sampled_from(ODD_VALUES) | st.text(max_size=5) | st.integers().map(str)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body that is almost a snapshot."""
    made: list[object] = []
    for _ in range(draw(st.integers(0, 4))):
        one = message(id=str(draw(st.integers(1, 3))))
        value, headers = one["value"], one["headers"]
        assert isinstance(value, dict)
        assert isinstance(headers, dict)
        match draw(st.integers(0, 9)):
            case 0:
                column = draw(st.sampled_from([*ROW, "other"]))
                value[column] = draw(VALUES)
                if column == "id":
                    # The key of the log and the primary key go together.
                    one["key"] = f"other {value[column]}"
            case 1:
                del value[draw(st.sampled_from(list(ROW)))]
            case 2:
                headers |= draw(
                    st.sampled_from(
                        [
                            {"lsn": "7"},
                            {"tags": ["a"], "active_conditions": [True]},
                            {"operation": "update"},
                            {"operation": "later"},
                            {"relation": ["public"]},
                            {"relation": ["public", "users"]},
                            {"relation": ["public", 1]},
                            {"later": None},
                        ]
                    )
                )
            case 3:
                one |= draw(st.sampled_from([{"key": 1}, {"value": None}, {"headers": {}}, {"later": 1}]))
            case 4:
                made.append(
                    {"headers": {"control": "snapshot-end", "xmin": "1", "xmax": "2", "xip_list": []}}
                )
            case 5:
                made.append(draw(st.sampled_from([None, 1, [], {}, {"headers": {"control": "up-to-date"}}])))
            case _:
                pass
        made.append(one)
    body = encoded(*made)
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(body)))
        return body[:cut] + draw(st.binary(max_size=2)) + body[cut:]
    return body


@given(bodies())
@example(encoded(message(), {"headers": {"control": "up-to-date"}}, message(id="2")))
@example(encoded(message(title='x,{"headers":')))
@example(b'[{"key":"k","value":{"id":"1","id":"2"},"headers":{"operation":"insert"}}]')
@settings(max_examples=400, deadline=None)
def test_L_01_any_body_gives_the_rows_or_the_refusal_of_the_reference(body: bytes) -> None:
    # Blanks between values mean nothing; they make the body long enough for the fast way.
    padded = body + b" " * FAST_BYTES_MIN
    try:
        got: object = words(fold(EMPTY, read_log(padded, PLAIN), layout(PLAIN)), PLAIN)
    except MalformedResponse:
        got = None
    assert got == reference(body, PLAIN)


@pytest.mark.parametrize("filler", ["x" * 500, '},{"key":' * 60, '"},{"key":"' * 60])
def test_a_body_that_is_cut_to_pieces_gives_the_same_rows(filler: str) -> None:
    count = 2 * PIECE_BYTES // 500
    inserts = read_inserts(encoded(*(message(id=str(n), title=filler) for n in range(count))), PLAIN)
    assert inserts is not None
    assert inserts.values[1] == list(range(count))
    assert set(inserts.values[-1]) == {filler}


def test_what_follows_the_snapshot_is_read_too() -> None:
    end = {"headers": {"control": "snapshot-end", "xmin": "1", "xmax": "2", "xip_list": []}}
    rows = [message(id=str(number)) for number in range(FAST_BYTES_MIN // 100)]
    inserts, last = read_log(encoded(*rows, end), PLAIN)
    assert isinstance(inserts, Inserts)
    assert len(inserts) == len(rows)
    assert last == SnapshotEnd(xmin=1, xmax=2)


def test_a_column_name_that_no_struct_can_have_is_left_to_the_reference() -> None:
    body = encoded({**message(), "value": {**{k: v for k, v in ROW.items() if k != "title"}, 'od"d': "x"}})
    assert read_inserts(body, WIDE) is None
    assert reference(body, WIDE) is not None


def test_L_08_rows_of_another_table_or_schema_are_refused() -> None:
    inserts = read_inserts(encoded(message()), PLAIN)
    assert inserts is not None
    narrower = tuple(column for column in PLAIN if column.name != "title")
    with pytest.raises(MalformedResponse, match="schema"):
        fold(EMPTY, [inserts], layout(narrower))
    other = encoded({**message(), "headers": {"operation": "insert", "relation": ["public", "users"]}})
    read = read_inserts(other, PLAIN)
    assert read is not None
    with pytest.raises(MalformedResponse, match="another table"):
        fold(EMPTY, [read], layout(PLAIN))


CONTROL: dict[str, object] = {"headers": {"control": "up-to-date", "global_last_seen_lsn": "1"}}


@pytest.mark.parametrize("places", [(0,), (50,), (200,), (50, 200), (0, 199), (199, 200), ()])
def test_messages_that_are_no_changes_are_read_wherever_they_stand(places: tuple[int, ...]) -> None:
    messages: list[object] = [message(id=str(number)) for number in range(200)]
    for place in sorted(places, reverse=True):
        messages.insert(place, CONTROL)
    body = encoded(*messages)
    assert len(body) > 2 * FAST_BYTES_MIN
    read = read_log(body, PLAIN)
    assert words(fold(EMPTY, read, layout(PLAIN)), PLAIN) == reference(body, PLAIN)
    controls = [each for each in read if isinstance(each, UpToDate)]
    assert len(controls) == len(places)


def test_headers_that_differ_from_piece_to_piece_are_all_looked_at() -> None:
    rows = [message(id=str(number)) for number in range(900)]
    rows[-1]["headers"] = {"operation": "insert", "relation": ["public", "others"]}
    body = encoded(*rows)
    assert len(body) > 2 * PIECE_BYTES
    inserts = read_inserts(body, PLAIN)
    assert inserts is not None
    assert inserts.relations == {("public", "items"), ("public", "others")}
    rows[-1]["headers"] = {"operation": "insert", "lsn": "5"}
    assert read_inserts(encoded(*rows), PLAIN) is None
