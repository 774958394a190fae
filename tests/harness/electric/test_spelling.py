from __future__ import annotations

import pytest

from shapegate_harness.electric.pgtypes import Type
from shapegate_harness.electric.spelling import can_read

READ = {
    "int2": (["1", "-32768", "+7"], ["32768", "1.0", " 1", "", "0x1"]),
    "int8": (["9223372036854775807"], ["9223372036854775808", "abc", "1" * 40]),
    "float8": (["1", "-1.5", "1.5e-3"], ["NaN", "Infinity", ".5", "1."]),
    "numeric": (["12.50"], ["NaN"]),
    "bool": (["t", "true", "fals"], ["yes", "1", "TRUE"]),
    "uuid": (["00000000-0000-0000-0000-00000000000A"], ["0" * 32, "{0}"]),
    "date": (["2026-02-28", "epoch"], ["2026-02-30", "28.2.2026", "0000-01-01", "today"]),
    "time": (["23:59:59.5"], ["24:00:00", "01:00"]),
    "timestamp": (["2026-01-01 00:00:00", "2026-01-01T00:00:00.5Z"], ["2026-01-01", "now"]),
    "timestamptz": (["2026-01-01 00:00:00+02:00", "2026-01-01T00:00:00Z"], ["2026-01-01 00:00:00"]),
    "interval": (["1 day", "2 hours 3 mins", "P1DT2H"], ["P", "soon", "PT"]),
    "text": (["", "anything"], []),
    "jsonb": ([], ["{}"]),
    "inet": ([], ["10.0.0.1"]),
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, (good, _) in READ.items() for text in good]
)
def test_what_electric_reads_is_read(name: str, text: str) -> None:
    assert can_read(Type(name), text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (_, bad) in READ.items() for text in bad])
def test_what_electric_cannot_read_is_refused(name: str, text: str) -> None:
    assert not can_read(Type(name), text)


@pytest.mark.parametrize(
    ("name", "text", "reads"),
    [
        ("int4", "{}", True),
        ("int4", "{1, NULL,3}", True),
        ("int4", "{1,a}", False),
        ("text", '{"a,b","c\\"d",e f}', True),
        ("text", "{a,}", False),
        ("text", "a", False),
        ("text", '{"open}', False),
        ("int4", "{{1}}", False),
    ],
)
def test_arrays_are_read_element_by_element(name: str, text: str, reads: bool) -> None:
    assert can_read(Type(name, array=True), text) is reads


def test_constants_of_enums_are_never_read() -> None:
    assert not can_read(Type("mood", enum=True), "ok")
