"""Lines of the log: their form, and what never gets into one."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.logs import (
    FORMATTERS,
    TEXT_CHARS_MAX,
    VALUE_CHARS_MAX,
    JsonFormatter,
    LogEvent,
    TextFormatter,
    redacted,
)
from tests.proxy.builders import ELECTRIC_SECRET, token

EVENT = LogEvent(
    name="shape_served", fields={"status": 200, "table": '"public"."items"', "live": False, "org": None}
)


def record(message: object, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    cause = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("shapegate.proxy", logging.INFO, "file", 1, message, args, cause)
    made.created = 1_795_262_400.25
    return made


def test_an_event_is_one_json_object() -> None:
    assert json.loads(JsonFormatter().format(record(EVENT))) == {
        "time": "2026-11-21T12:00:00.250+00:00",
        "level": "info",
        "event": "shape_served",
        "status": 200,
        "table": '"public"."items"',
        "live": False,
    }


def test_an_event_is_one_line_of_text() -> None:
    assert TextFormatter().format(record(EVENT)) == (
        "2026-11-21T12:00:00.250+00:00 INFO shape_served status=200 "
        'table="\\"public\\".\\"items\\"" live=false'
    )


def test_what_libraries_say_has_the_same_form() -> None:
    line = json.loads(JsonFormatter().format(record("%s has %d", "it", 3)))
    assert (line["event"], line["logger"], line["message"]) == ("message", "shapegate.proxy", "it has 3")


@pytest.mark.parametrize("name", FORMATTERS)
@given(value=st.text(max_size=400))
def test_I_10_no_value_makes_a_second_line(name: str, value: str) -> None:
    formatter = FORMATTERS[name]()
    for logged in (LogEvent(name="e", fields={"value": value}), value.replace("%", "")):
        line = formatter.format(record(logged))
        assert line.isascii()
        assert line.isprintable()


@pytest.mark.parametrize("name", FORMATTERS)
def test_I_10_a_value_is_bounded(name: str) -> None:
    long = LogEvent(name="e", fields={"value": "x" * 100_000})
    assert len(FORMATTERS[name]().format(record(long))) < VALUE_CHARS_MAX + 100
    assert len(FORMATTERS[name]().format(record("x" * 100_000))) < TEXT_CHARS_MAX + 200


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("GET /v1/shape?secret=hush&offset=-1", "GET /v1/shape?secret=***&offset=-1"),
        ("api_secret=hush", "api_secret=***"),
        ("SECRET=hush", "SECRET=***"),
        ("Authorization: Bearer abc.def.ghi", "Authorization: Bearer ***"),
        ("postgresql://shapegate:hush@db/app", "postgresql://shapegate:***@db/app"),
        (f"bad token {token()}", "bad token ***"),
        (
            "see http://127.0.0.1:4000/v1/shape of eye.doc@x",
            "see http://127.0.0.1:4000/v1/shape of eye.doc@x",
        ),
        ("took 3 ms", "took 3 ms"),
    ],
)
def test_I_10_J_16_secrets_are_struck_out_whoever_logs_them(text: str, kept: str) -> None:
    assert redacted(text) == kept


@pytest.mark.parametrize("name", FORMATTERS)
def test_I_10_J_16_an_error_leaves_its_class_and_places_but_not_its_words(name: str) -> None:
    def fail() -> None:
        raise ValueError(f"row 'hush' of {token()} by secret={ELECTRIC_SECRET}")

    try:
        fail()
    except ValueError as exc:
        line = FORMATTERS[name]().format(record("failed with %s", token(), error=exc))
    assert "ValueError" in line
    assert "test_logs.py" in line
    assert not any(word in line for word in ("hush", token(), ELECTRIC_SECRET))
