"""Identifiers: folded and quoted as Postgres does, so that one name has one meaning on both sides."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.errors import WireError
from shapegate_wire.identifier import (
    MalformedIdentifier,
    TableName,
    fold,
    parse_columns,
    parse_table,
    print_columns,
    quote,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(
    lambda name: len(name.encode()) <= 63
)


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("items", "public", "items"),
        ("Items", "public", "items"),
        ('"Items"', "public", "Items"),
        ("app.items", "app", "items"),
        ('App."Items"', "app", "Items"),
        ('"We.ird"."T"', "We.ird", "T"),
        ('"a""b"', "public", 'a"b'),
        ('""""', "public", '"'),
        ('" "', "public", " "),
        ("_a$1", "public", "_a$1"),
        ("ÀÉ", "public", "ÀÉ"),
        ("İI", "public", "İi"),
        ("a" * 63, "public", "a" * 63),
        ("é" * 31, "public", "é" * 31),
        ('"' + '""' * 63 + '"', "public", '"' * 63),
    ],
)
def test_a_table_is_read_as_postgres_reads_it(text: str, schema: str, name: str) -> None:
    assert parse_table(text) == TableName(schema, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "a.",
        ".a",
        "a..b",
        "a.b.c",
        "a b",
        " a",
        "a ",
        "a\n",
        "a;b",
        "a--",
        "a/**/",
        "a,b",
        "1a",
        "$a",
        "a-b",
        "a'b",
        "a(b)",
        '""',
        '"',
        '"a',
        'a"',
        '"a"b',
        '"a""',
        '"""',
        '"""""',
        '"a"."',
        '"a\x00"',
        "a\x00",
        'U&"a"',
        "a" * 64,
        "é" * 32,
        '"' + "é" * 32 + '"',
    ],
    ids=repr,
)
def test_I_04_what_is_no_table_name_is_malformed(text: str) -> None:
    with pytest.raises(MalformedIdentifier):
        parse_table(text)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("id", ("id",)),
        ("id,Name", ("id", "name")),
        ('id,"Name"', ("id", "Name")),
        ('"a,b",c', ("a,b", "c")),
        ('"a""b","a"', ('a"b', "a")),
        ("b,a", ("b", "a")),
    ],
)
def test_columns_are_read_in_the_order_given(text: str, columns: tuple[str, ...]) -> None:
    assert parse_columns(text) == columns


@pytest.mark.parametrize(
    "text",
    ["", ",", "a,", ",a", "a,,b", "a, b", "a;b", "a.b", "*", "a,a", "a,A", 'a,"a"', '"a', "a b"],
    ids=repr,
)
def test_P_03_an_empty_repeated_or_broken_column_list_is_malformed(text: str) -> None:
    with pytest.raises(MalformedIdentifier):
        parse_columns(text)


@pytest.mark.parametrize(
    ("name", "folded"),
    [("ABC", "abc"), ("ÀB", "Àb"), ("İ", "İ"), ("a_1$Z", "a_1$z"), ("\u212a", "\u212a")],
)
def test_only_ascii_letters_fold(name: str, folded: str) -> None:
    assert fold(name) == folded


def test_a_table_prints_plainly_for_people_and_quoted_for_sql() -> None:
    table = parse_table('App."It""ems"')
    assert str(table) == 'app.It"ems'
    assert table.to_sql() == '"app"."It""ems"'


@settings(max_examples=100, deadline=None)
@given(schema=NAMES, name=NAMES)
def test_every_table_is_read_back_from_its_sql(schema: str, name: str) -> None:
    assert parse_table(TableName(schema, name).to_sql()) == TableName(schema, name)


@settings(max_examples=100, deadline=None)
@given(columns=st.lists(NAMES, min_size=1, unique=True).map(tuple))
def test_every_column_list_is_read_back_as_printed(columns: tuple[str, ...]) -> None:
    assert parse_columns(print_columns(columns)) == columns


@settings(max_examples=100, deadline=None)
@given(name=st.text())
def test_quoting_leaves_no_way_out_of_the_quotes(name: str) -> None:
    inside = quote(name)[1:-1]
    assert '"' not in inside.replace('""', "")
    assert inside.replace('""', '"') == name


@settings(max_examples=100, deadline=None)
@given(name=st.text())
def test_folding_twice_is_folding_once(name: str) -> None:
    assert fold(fold(name)) == fold(name)


@settings(max_examples=100, deadline=None)
@given(text=st.text() | st.text('"aA.,_$ \x00é', max_size=40))
def test_nothing_but_a_wire_error_escapes(text: str) -> None:
    for parse in (parse_table, parse_columns):
        try:
            parse(text)
        except WireError:
            continue


@settings(max_examples=100, deadline=None)
@given(text=st.text('"aA._$é', min_size=1, max_size=20))
def test_reading_what_was_printed_of_what_was_read_changes_nothing(text: str) -> None:
    try:
        table = parse_table(text)
    except WireError:
        return
    assert parse_table(table.to_sql()) == table


HOSTILE = {
    "quotes": lambda size: '"' * size,
    "an open quote": lambda size: '"' + "a" * size,
    "an open quote of quotes": lambda size: '"' * (2 * (size // 2) + 1),
    "pairs of quotes, then another thing": lambda size: '"' + '""' * (size // 2) + "x",
    "letters": lambda size: "a" * size,
    "commas": lambda size: "," * size,
    "a list": lambda size: "a," * (size // 2),
    "dots": lambda size: "a." * (size // 2),
    "quoted list": lambda size: '"a",' * (size // 4),
    "beyond ASCII": lambda size: "\U0001f600" * size,
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_long_hostile_text_is_refused_in_linear_time(hostile: object) -> None:
    assert callable(hostile)
    text = hostile(400_000)
    started = time.process_time()
    for parse in (parse_table, parse_columns):
        with pytest.raises(MalformedIdentifier) as caught:
            parse(text)
        assert len(str(caught.value)) < 1000
    # Some 0.3 s at most; quadratic work would take minutes.
    assert time.process_time() - started < 5
