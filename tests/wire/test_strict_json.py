"""JSON as every parser reads it: what two parsers could read in two ways is refused."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.errors import WireError
from shapegate_wire.strict_json import Number, parse_object


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("{}", {}),
        (' { "a" : "b" } ', {"a": "b"}),
        ('{"a": [1, -2.50, 1e400, null, true]}', {"a": [*map(Number, ("1", "-2.50", "1e400")), None, True]}),
        ('{"a": 9007199254740993}', {"a": Number("9007199254740993")}),
        ('{"a": ' + "1" * 5_000 + "}", {"a": Number("1" * 5_000)}),
        ('{"a": {"a": 1}}', {"a": {"a": Number("1")}}),
    ],
)
def test_an_object_is_read_and_numbers_keep_every_digit(text: str, read: object) -> None:
    assert parse_object(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "1",
        '"a"',
        "[]",
        "[1]",
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 2}}',
        '{"a": 1, "\\u0061": 2}',
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 01}',
        '{"a": +1}',
        '{"a": .5}',
        "{'a': 1}",
        "{a: 1}",
        '{"a": 1,}',
        '{"a": 1} {}',
        '{"a": 1}//',
        '\ufeff{"a": 1}',
        '{"a": "\n"}',
        '{"a": "\\x41"}',
        '{"a": ' + "[" * 100_000,
        '{"a": ' * 100_000,
    ],
    ids=lambda text: text[:20],
)
def test_J_04_P_07_what_is_no_strict_object_is_refused(text: str) -> None:
    with pytest.raises(WireError) as caught:
        parse_object(text)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("text", ["[" * 65_536, '{"a":' * 13_000, '"\\' * 32_000, "{" + '"a":1,' * 10_000])
def test_I_08_the_worst_texts_of_64_KiB_are_answered_within_50_ms_of_computing(text: str) -> None:
    def seconds() -> float:
        started = time.process_time()
        with pytest.raises(WireError):
            parse_object(text)
        return time.process_time() - started

    assert min(seconds() for _ in range(3)) < 0.05


VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(value=st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_what_is_printed_is_read_back(value: dict[str, object]) -> None:
    assert parse_object(json.dumps(value)) == value


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet='{}[]",:0129eE+-. \\untrfals') | st.text())
def test_nothing_but_a_wire_error_escapes(text: str) -> None:
    try:
        parse_object(text)
    except WireError:
        return
    assert isinstance(json.loads(text), dict)
