"""What the store notes of a subscription."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_client.catalogue import parse_definition, print_definition
from shapegate_client.errors import StoreDamaged
from shapegate_wire.shape import LogMode, Replica, ShapeDefinition

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffd"), min_size=1)
DEFINITIONS = st.builds(
    ShapeDefinition,
    table=st.sampled_from(["items", "public.items", '"We""ird"."T able"']),
    where=st.none() | st.just("id = $1"),
    params=st.lists(TEXTS, max_size=3).map(tuple),
    columns=st.none()
    | st.lists(st.sampled_from(["id", "a,b", 'q"q', "Ü"]), min_size=1, unique=True).map(tuple),
    replica=st.sampled_from(Replica),
    log=st.sampled_from(LogMode),
)


@given(DEFINITIONS)
@settings(max_examples=100, deadline=None)
def test_T_02_a_stored_definition_reads_back_with_its_fingerprint(definition: ShapeDefinition) -> None:
    read = parse_definition(print_definition(definition))
    assert read == definition
    assert read.fingerprint() == definition.fingerprint()


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", '[["table"]]', '[["table",""]]', '[["secret","x"]]'])
def test_a_definition_that_does_not_parse_is_damage(text: str) -> None:
    with pytest.raises(StoreDamaged):
        parse_definition(text)
