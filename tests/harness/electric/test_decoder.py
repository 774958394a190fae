from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.decoder import (
    Begin,
    Commit,
    Delete,
    Ignored,
    Insert,
    Message,
    PublishedColumn,
    PublishedRelation,
    Toast,
    Truncate,
    Update,
    decode,
)
from shapegate_harness.electric.errors import DecoderError
from tests.harness.electric import builders

CASES: list[tuple[bytes, Message]] = [
    (builders.begin(265984056, 1630), Begin(265984056, 1630)),
    (builders.commit(265984056), Commit(265984056)),
    (
        builders.described(7, "public", "größe", {"id": (20, -1), "v": (1043, 14)}),
        PublishedRelation(
            oid=7,
            schema="public",
            name="größe",
            identity_full=True,
            columns=(PublishedColumn("id", 20, -1), PublishedColumn("v", 1043, 14)),
        ),
    ),
    (
        builders.described(7, "", "t", {}, identity=b"d"),
        PublishedRelation(oid=7, schema="pg_catalog", name="t", identity_full=False, columns=()),
    ),
    (builders.insert(7, ("1", None, "", "é")), Insert(7, ("1", None, "", "é"))),
    (builders.update(7, ("2",), old=("1",)), Update(7, ("1",), ("2",))),
    (builders.update(7, ("2",), old=("1",), kind=b"K"), Update(7, None, ("2",))),
    (builders.update(7, (Toast.UNCHANGED,)), Update(7, None, (Toast.UNCHANGED,))),
    (builders.delete(7, ("1", None)), Delete(7, ("1", None))),
    (builders.delete(7, ("1", None), kind=b"K"), Delete(7, None)),
    (builders.truncate(7, 8), Truncate((7, 8))),
    (b"Y" + b"\0\0\0\1public\0mood\0", Ignored()),
    (b"O" + b"\0" * 8 + b"origin\0", Ignored()),
    (b"M" + b"\0" * 20, Ignored()),
]


@pytest.mark.parametrize(("data", "message"), CASES)
def test_each_kind_of_message_is_read(data: bytes, message: Message) -> None:
    assert decode(data) == message


@pytest.mark.parametrize("data", [data for data, message in CASES if message != Ignored()])
def test_a_message_cut_anywhere_is_refused(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(DecoderError):
            decode(data[:end])


@pytest.mark.parametrize("data", [data for data, message in CASES if message != Ignored()])
def test_a_message_with_a_rest_is_refused(data: bytes) -> None:
    with pytest.raises(DecoderError):
        decode(data + b"\0")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Z",
        b"I\0\0\0\1X\0\0",
        b"U\0\0\0\1X\0\0",
        b"D\0\0\0\1N\0\0",
        b"I\0\0\0\1N\0\1b",
        b"I\0\0\0\1N\0\1t\0\0\0\1\xff",
        b"I\0\0\0\1N\0\1t\xff\xff\xff\xff",
        b"R\0\0\0\1a\0b\0x\0\0",
        b"T\xff\xff\xff\xff\0\0",
    ],
)
def test_malformed_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DecoderError):
        decode(data)


@given(st.sampled_from([b"", b"B", b"C", b"R", b"I", b"U", b"D", b"T"]), st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_nothing_but_a_decoder_error_escapes(kind: bytes, rest: bytes) -> None:
    with suppress(DecoderError):
        decode(kind + rest)


VALUES = st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))), max_size=6).map(
    tuple
)


@given(VALUES, VALUES)
@settings(max_examples=100, deadline=None)
def test_rows_come_through_unchanged(old: tuple[str | None, ...], new: tuple[str | None, ...]) -> None:
    assert decode(builders.update(1, new, old=old)) == Update(1, old, new)
