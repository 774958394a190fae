"""A run of inserts is read as the strict reference reads it, or said to be misread."""

from __future__ import annotations

import pytest

from shapegate_client.fold import EMPTY, Load, fold
from shapegate_client.inserts import PIECE_BYTES, Inserts, Misread, look_for_inserts
from shapegate_wire.errors import MalformedResponse
from tests.client.builders import NO_KEY, layout
from tests.client.snapshots import ODD_VALUES, PLAIN, ROW, WIDE, encoded, message, reference, rows_of, words


def looked_for(body: bytes, end: int | None = None) -> Inserts:
    inserts = look_for_inserts(body, len(body) if end is None else end, PLAIN)
    assert inserts is not None
    return inserts


def test_a_snapshot_becomes_the_values_that_sqlite_binds() -> None:
    inserts = looked_for(encoded(message(), message(id="2", done=None, n=None, ratio="NaN")))
    assert inserts.relation == ("public", "items")
    assert (len(inserts), inserts.width) == (2, 8)
    assert rows_of(inserts) == [
        (1, 1, -7, "1.10", 1.5, b"\x00\xff", '["a",null]', "x"),
        (None, 2, None, "1.10", "NaN", b"\x00\xff", '["a",null]', "x"),
    ]


def test_what_is_settled_has_the_same_rows_and_lets_go_of_the_body() -> None:
    inserts = looked_for(encoded(message(), message(id="2")))
    settled = inserts.settled()
    assert rows_of(settled) == rows_of(inserts)
    assert len(settled) == len(inserts)
    assert settled.body == b""
    assert settled.settled() is settled


def test_rows_without_a_primary_key_keep_the_opaque_key() -> None:
    one = {"key": "k1", "value": {"a": None, "b": "x"}, "headers": {"operation": "insert"}}
    body = encoded(one, {**one, "key": "k2"})
    inserts = look_for_inserts(body, len(body), NO_KEY)
    assert inserts is not None
    assert (inserts.width, inserts.relation) == (3, None)
    batch = fold(EMPTY, [inserts], layout(NO_KEY))
    assert batch.steps == (Load(inserts),)
    assert rows_of(inserts) == [("k1", None, "x"), ("k2", None, "x")]


@pytest.mark.parametrize("column", list(ROW))
@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
def test_C_25_C_27_C_28_every_odd_value_is_read_as_the_reference_reads_it_or_misread(
    column: str, value: object
) -> None:
    body = encoded(message(id="2"), message(**{column: value}), message(id="3"))
    batch = fold(EMPTY, [looked_for(body)], layout(PLAIN))
    try:
        batch = batch.settled()
    except Misread:
        return
    assert words(batch, PLAIN) == reference(body, PLAIN)


@pytest.mark.parametrize("filler", ["x" * 500, '},{"key":' * 60, '"},{"key":"' * 60])
def test_a_run_that_is_cut_to_pieces_gives_the_same_rows(filler: str) -> None:
    count = 2 * PIECE_BYTES // 500
    inserts = looked_for(encoded(*(message(id=str(n), title=filler) for n in range(count))))
    assert len(list(inserts.blocks())) > 1
    assert [(row[1], row[-1]) for row in rows_of(inserts)] == [(n, filler) for n in range(count)]
    assert len(inserts) == count


def test_what_follows_the_run_is_not_read() -> None:
    body = encoded(message(), message(id="2"), {"headers": {"control": "up-to-date"}})
    inserts = looked_for(body, body.index(b',{"headers"'))
    assert [row[1] for row in rows_of(inserts)] == [1, 2]
    assert inserts.array == encoded(message(), message(id="2"))


@pytest.mark.parametrize(
    "last",
    [
        {"headers": {"operation": "insert", "lsn": "5"}},
        {"headers": {"operation": "insert", "relation": ["public", "others"]}},
        {"headers": {"operation": "delete", "relation": ["public", "items"]}},
        {"headers": {}},
        {"more": 1},
    ],
)
def test_what_does_not_end_as_it_begins_does_not_look_like_a_run(last: dict[str, object]) -> None:
    body = encoded(message(), {**message(), **last})
    assert look_for_inserts(body, len(body), PLAIN) is None


HEADERS: dict[str, object] = {"operation": "insert", "relation": ["public", "items"]}


@pytest.mark.parametrize(
    "odd",
    [
        {**message(), "headers": {"operation": "delete"}},
        {**message(), "headers": {"operation": "delete", "later": [HEADERS, HEADERS]}},
        {**message(), "headers": {**HEADERS, "relation": ["public", "users"]}},
        {**message(), "more": HEADERS},
        {"headers": {"control": "must-refetch"}},
        {"key": "k", "headers": HEADERS},
        message(other="1"),
        message(id=None),
        message(title=HEADERS),
        1,
        None,
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", [2, 150, 298])
def test_L_01_what_hides_inside_of_a_run_is_misread_wherever_it_stands(odd: object, place: int) -> None:
    messages: list[object] = [message(id=str(n)) for n in range(300)]
    messages[place] = odd
    # Another one that evens the number of headers out.
    for body in (encoded(*messages), encoded(*messages, {**message(), "key": "k"})):
        with pytest.raises(Misread):
            looked_for(body).settled()


@pytest.mark.parametrize("body", [b"", b"[]", b"[1]", b"{}", b"[{", b"\xff", b"[" * 100_000, encoded({})])
def test_L_01_what_is_no_log_does_not_look_like_a_run(body: bytes) -> None:
    assert look_for_inserts(body, len(body), PLAIN) is None


def test_a_column_name_that_no_struct_can_have_is_misread() -> None:
    body = encoded({**message(), "value": {**{k: v for k, v in ROW.items() if k != "title"}, 'od"d': "x"}})
    inserts = look_for_inserts(body, len(body), WIDE)
    assert inserts is not None
    with pytest.raises(Misread):
        inserts.settled()
    assert reference(body, WIDE) is not None


def test_L_08_rows_of_another_table_or_schema_are_refused() -> None:
    narrower = tuple(column for column in PLAIN if column.name != "title")
    with pytest.raises(MalformedResponse, match="schema"):
        fold(EMPTY, [looked_for(encoded(message()))], layout(narrower))
    other = encoded({**message(), "headers": {"operation": "insert", "relation": ["public", "users"]}})
    with pytest.raises(MalformedResponse, match="another table"):
        fold(EMPTY, [looked_for(other)], layout(PLAIN))
