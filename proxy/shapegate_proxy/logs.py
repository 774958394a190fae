"""Lines of the log: one event each, as JSON or as text, bounded, escaped, without secrets.

Whatever is logged, by the gate or by a library below it, passes the formatters here: a token and the value of
a `secret` parameter are struck out, an exception leaves its class and the places it came through, since its
text may quote a row, an address or a header (SECURITY I-10, J-16).
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUE_CHARS_MAX: Final = 256
"""More than any id, name or handle has."""
TEXT_CHARS_MAX: Final = 1_000
PLACES_MAX: Final = 20

Field = str | int | float | bool | None

_TOKEN: Final = re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?")
_SECRET: Final = re.compile(r"(?i)\b((?:api_)?secret=)[^&\s\"'<>]+")
_BEARER: Final = re.compile(r"(?i)\b(bearer\s+)[^\s\"']+")
_PASSWORD: Final = re.compile(r"(?i)\b([a-z]+://[^/\s:@]*:)[^\s@/\"']+(?=@)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """A past fact and its details; given to a logger in place of a text."""

    name: str
    fields: Mapping[str, Field]

    def __str__(self) -> str:
        """Print as text does: what loggers that are not set up by `configure_logs` write."""
        details = (f"{name}={_printed(value)}" for name, value in self.fields.items() if value is not None)
        return " ".join((self.name, *details))


class JsonFormatter(logging.Formatter):
    """Prints a record as one JSON object in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Print time, level and event first, then the details that are known."""
        name, details = _parts(record)
        head = {"time": _time(record), "level": record.levelname.lower(), "event": name}
        return json.dumps(head | {key: _bounded(value) for key, value in details.items()})


class TextFormatter(logging.Formatter):
    """Prints a record as one line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Print time, level, event, and the details that are known as name=value."""
        name, details = _parts(record)
        event = LogEvent(name=name, fields=details)
        return f"{_time(record)} {record.levelname} {event}"


FORMATTERS: Final[Mapping[str, type[logging.Formatter]]] = {"json": JsonFormatter, "text": TextFormatter}


def configure_logs(*, format_name: str, level: str) -> None:
    """Let the process write every log to standard error, in a format of `FORMATTERS`."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATTERS[format_name]())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def server_log(parent: str) -> logging.Logger:
    """Make the log of an HTTP server below `parent`, without causes.

    A parser's error quotes the line that it cannot read, and with it a token (SECURITY I-10, J-16).
    """
    log = logging.Logger(f"{parent}.http")  # of one server alone
    log.parent = logging.getLogger(parent)
    log.addFilter(_without_cause)
    return log


def _without_cause(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


def redacted(text: str) -> str:
    """Strike out tokens, the value of a `secret` parameter, and passwords of URLs."""
    for pattern, kept in ((_SECRET, r"\1***"), (_BEARER, r"\1***"), (_PASSWORD, r"\1***"), (_TOKEN, "***")):
        text = pattern.sub(kept, text)
    return text


def _parts(record: logging.LogRecord) -> tuple[str, dict[str, Field]]:
    event: object = record.msg
    if isinstance(event, LogEvent):
        name, details = event.name, dict(event.fields)
    else:
        text = redacted(record.getMessage())
        name, details = "message", {"logger": record.name, "message": text[:TEXT_CHARS_MAX]}
    if record.exc_info and record.exc_info[1] is not None:
        details |= _cause(record.exc_info[1])
    return name, {key: value for key, value in details.items() if value is not None}


def _cause(error: BaseException) -> dict[str, Field]:
    frames = traceback.extract_tb(error.__traceback__)[-PLACES_MAX:]
    places = (f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames)
    return {"exception": type(error).__name__, "places": " > ".join(places)}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")


def _bounded(value: Field) -> Field:
    if not isinstance(value, str):
        return value
    bound = TEXT_CHARS_MAX if " " in value else VALUE_CHARS_MAX
    return value if len(value) <= bound else f"{value[:bound]}..."


def _printed(value: Field) -> str:
    bounded = _bounded(value)
    plain = isinstance(bounded, str) and re.fullmatch(r"[A-Za-z0-9_.:/-]+", bounded) is not None
    return str(bounded) if plain else json.dumps(bounded)
