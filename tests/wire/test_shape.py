"""Shape definitions: what would widen a shape is refused, and one definition has one name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.errors import WireError
from shapegate_wire.request import parse_request
from shapegate_wire.shape import LogMode, Replica, ShapeDefinition

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufffd"), max_size=30)
NAMES = TEXTS.filter(lambda name: 0 < len(name.encode()) <= 63)
DEFINITIONS = st.builds(
    ShapeDefinition,
    table=st.sampled_from(['"public"."items"', '"app"."It""ems"', '"public"."ü.x"']),
    where=st.none() | TEXTS.filter(lambda text: bool(text.strip())),
    params=st.lists(TEXTS, max_size=4).map(tuple),
    columns=st.none() | st.lists(NAMES, min_size=1, max_size=5, unique=True).map(tuple),
    replica=st.sampled_from(Replica),
    log=st.sampled_from(LogMode),
)


def test_a_plain_definition_prints_its_table_only() -> None:
    assert ShapeDefinition(table="items").to_query() == [("table", "items")]


def test_a_full_definition_prints_everything_in_order() -> None:
    definition = ShapeDefinition(
        table='app."Items"',
        where="a = $1 AND b = $2",
        params=("x", ""),
        columns=("id", "a,b"),
        replica=Replica.FULL,
        log=LogMode.CHANGES_ONLY,
    )
    assert definition.to_query() == [
        ("table", 'app."Items"'),
        ("where", "a = $1 AND b = $2"),
        ("params[1]", "x"),
        ("params[2]", ""),
        ("columns", '"id","a,b"'),
        ("replica", "full"),
        ("log", "changes_only"),
    ]


@pytest.mark.parametrize("where", ["", " ", "\t\r\n", "\xa0", "\u3000", "\u2028", "\x85"], ids=repr)
def test_P_02_a_blank_filter_is_refused(where: str) -> None:
    with pytest.raises(ValueError, match="where is empty"):
        ShapeDefinition(table="items", where=where)


def test_P_03_an_empty_column_list_is_refused() -> None:
    with pytest.raises(ValueError, match="columns is empty"):
        ShapeDefinition(table="items", columns=())


@pytest.mark.parametrize("table", ["", "a b", "a.b.c", 'a"', "a;drop"], ids=repr)
def test_a_malformed_table_is_refused(table: str) -> None:
    with pytest.raises(WireError):
        ShapeDefinition(table=table)


@pytest.mark.parametrize("columns", [("",), ("a", "a"), ("a\x00b",), ("a" * 64,)], ids=repr)
def test_a_column_that_no_gate_would_read_is_refused(columns: tuple[str, ...]) -> None:
    with pytest.raises(WireError):
        ShapeDefinition(table="items", columns=columns)


@settings(max_examples=100, deadline=None)
@given(definition=DEFINITIONS)
def test_a_gate_reads_back_what_a_definition_prints(definition: ShapeDefinition) -> None:
    assert parse_request([*definition.to_query(), ("offset", "-1")]).definition == definition


@settings(max_examples=100, deadline=None)
@given(one=DEFINITIONS, other=DEFINITIONS)
def test_definitions_share_a_fingerprint_iff_they_are_equal(
    one: ShapeDefinition, other: ShapeDefinition
) -> None:
    assert (one.fingerprint() == other.fingerprint()) == (one == other)


def test_a_fingerprint_stays_the_same_between_releases() -> None:
    # Stored by clients: another value would make every stored shape start over.
    definition = ShapeDefinition(table="items", where="a = $1", params=("x",), columns=("id",))
    assert definition.fingerprint() == "6ab5ab906280480fab6bc09763d3ae3761640c82aa2e1147f01e24fcf6e28711"
