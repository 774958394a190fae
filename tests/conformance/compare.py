"""In what a seen answer differs from the recorded one. Pure.

Statuses, header names, header values and bodies are compared exactly, JSON as values, except for what varies
by nature: that is compared by pattern and by relation (see `correspondence`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.conformance.correspondence import LSN, XID, Correspondence, sent_cursor
from tests.conformance.recording import Elided, Exchange, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DATE: Final = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
_REQUEST_ID: Final = re.compile(r"[\w-]{20,}")
_SERVER: Final = re.compile(r"(ElectricSQL|shapegate-dev)/\S+")
_LENGTH: Final = re.compile(r"[0-9]+")
_CHUNK_SLACK: Final = 0.02
"""By what part a chunk whose messages hold positions may differ in their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact that is not as it was recorded."""

    place: str
    """Where, in words that are the same in every run."""
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.place}: expected {_short(self.expected)}, seen {_short(self.seen)}"


def differences(exchange: Exchange, seen: Response, pairs: Correspondence) -> tuple[Difference, ...]:
    """Compare an answer with the recorded one, and learn from it what corresponds to what."""
    recorded = exchange.response
    assert recorded is not None
    if seen.status != recorded.status:
        # All else differs as well, and tells nothing more.
        place = f"status {recorded.status} -> {seen.status}"
        return (Difference(place=place, expected=str(recorded.status), seen=f"{seen.status} {seen.body}"),)
    return (*_headers(exchange, recorded, seen, pairs), *_body(recorded, seen, pairs))


def _headers(
    exchange: Exchange, recorded: Response, seen: Response, pairs: Correspondence
) -> Iterator[Difference]:
    for name in sorted(recorded.headers.keys() - seen.headers.keys()):
        yield Difference(place=f"header {name} missing", expected=recorded.headers[name], seen="none")
    for name in sorted(seen.headers.keys() - recorded.headers.keys()):
        yield Difference(place=f"header {name} added", expected="none", seen=seen.headers[name])
    rules = _header_rules(exchange, recorded, pairs)
    # The handle first: a tag and an offset are told to belong to it.
    for name in sorted(
        recorded.headers.keys() & seen.headers.keys(), key=lambda name: (name == "etag", name)
    ):
        expected, value = recorded.headers[name], seen.headers[name]
        rule = rules.get(name)
        problem = rule(expected, value) if rule is not None else _equal(expected, value)
        if problem is not None:
            yield Difference(place=f"header {name}", expected=problem, seen=value)


def _header_rules(
    exchange: Exchange, recorded: Response, pairs: Correspondence
) -> Mapping[str, Callable[[str, str], str | None]]:
    any_op = isinstance(recorded.body, Elided) and not recorded.body.exact
    echoed = "x-request-id" in exchange.request.headers
    cursor = sent_cursor(pairs.target(exchange.request.target))
    return {
        "date": lambda _, value: _like(_DATE, value),
        "x-request-id": lambda expected, value: (
            _equal(expected, value) if echoed else _like(_REQUEST_ID, value)
        ),
        "electric-server": lambda _, value: _like(_SERVER, value),
        # The client has checked it against the body.
        "content-length": lambda _, value: _like(_LENGTH, value),
        "electric-handle": pairs.handle,
        "electric-offset": lambda expected, value: pairs.offset(expected, value, any_op=any_op),
        "electric-cursor": lambda expected, value: pairs.cursor(expected, value, sent=cursor),
        "electric-schema": lambda expected, value: _equal(json.loads(expected), _loaded(value)),
        "etag": lambda expected, value: pairs.etag(expected, value, any_op=any_op),
    }


def _body(recorded: Response, seen: Response, pairs: Correspondence) -> Iterator[Difference]:
    assert isinstance(seen.body, str)
    if isinstance(recorded.body, Elided):
        yield from _elided(recorded.body, _loaded(seen.body))
    elif recorded.headers.get("content-type") == "text/event-stream":
        yield from _frames(recorded.body, seen.body, pairs)
    elif recorded.body.startswith(("[", "{")):
        yield from _values("body", json.loads(recorded.body), _loaded(seen.body), pairs)
    elif recorded.body != seen.body:
        yield Difference(place="body", expected=recorded.body, seen=seen.body)


def _elided(recorded: Elided, seen: object) -> Iterator[Difference]:
    count = len(seen) if isinstance(seen, list) else -1
    slack = 0 if recorded.exact else recorded.messages * _CHUNK_SLACK
    if abs(count - recorded.messages) > slack:
        yield Difference(place="body length", expected=f"{recorded.messages} messages", seen=str(count))


def _frames(recorded: str, seen: str, pairs: Correspondence) -> Iterator[Difference]:
    """Compare server-sent events one by one; a comment is compared as it is."""
    expected, frames = recorded.split("\n\n"), seen.split("\n\n")
    if len(expected) != len(frames):
        yield Difference(place="body frames", expected=recorded, seen=seen)
        return
    for index, (one, other) in enumerate(zip(expected, frames, strict=True)):
        place = f"frame {index}"
        if one.startswith("data: ") and other.startswith("data: "):
            message, data = json.loads(one.removeprefix("data: ")), _loaded(other.removeprefix("data: "))
            yield from _values(place, message, data, pairs)
        elif one != other:
            yield Difference(place=place, expected=one, seen=other)


def _values(place: str, recorded: object, seen: object, pairs: Correspondence) -> Iterator[Difference]:
    """Compare decoded JSON; rows are compared as they are, whatever their columns are called."""
    if isinstance(recorded, dict) and isinstance(seen, dict):
        for name in sorted(recorded.keys() | seen.keys()):
            inner = f"{place}.{name}"
            if name not in seen:
                yield Difference(place=f"{inner} missing", expected=str(recorded[name]), seen="none")
            elif name not in recorded:
                yield Difference(place=f"{inner} added", expected="none", seen=str(seen[name]))
            elif name in ("value", "old_value") and isinstance(recorded[name], dict):
                yield from _exact(inner, recorded[name], seen[name])
            else:
                yield from _field(inner, name, recorded[name], seen[name], pairs)
    elif isinstance(recorded, list) and isinstance(seen, list) and len(recorded) == len(seen):
        for index, (one, other) in enumerate(zip(recorded, seen, strict=True)):
            yield from _values(f"{place}[{index}]", one, other, pairs)
    else:
        yield from _exact(place, recorded, seen)


def _field(
    place: str, name: str, recorded: object, seen: object, pairs: Correspondence
) -> Iterator[Difference]:
    problem: str | None = None
    match name, recorded, seen:
        case "lsn", str(), str():
            problem = pairs.number(LSN, recorded, seen, exact=True)
        case "global_last_seen_lsn" | "database_lsn", str(), str():
            problem = pairs.number(LSN, recorded, seen, exact=False)
        case "xmin" | "xmax", str(), str():
            problem = pairs.number(XID, recorded, seen, exact=False)
        case "xip_list", list(), list():
            problem = None if all(re.fullmatch(r"[0-9]+", str(xid)) for xid in seen) else "transaction ids"
        case "txids", list(), list() if len(recorded) == len(seen):
            problem = _first(
                pairs.number(XID, str(one), str(other), exact=True)
                for one, other in zip(recorded, seen, strict=True)
            )
        case "snapshot_mark", int(), int():
            problem = None if seen >= 0 else "a number from 0"
        case "tags" | "removed_tags", list(), list() if len(recorded) == len(seen):
            problem = _first(_tag(one, other, pairs) for one, other in zip(recorded, seen, strict=True))
        case "value", str(), str():
            problem = pairs.hash(recorded, seen)
        case _:
            yield from _values(place, recorded, seen, pairs)
    if problem is not None:
        yield Difference(place=place, expected=problem, seen=str(seen))


def _tag(recorded: object, seen: object, pairs: Correspondence) -> str | None:
    ones, others = str(recorded).split("/"), str(seen).split("/")
    if len(ones) != len(others):
        return f"a tag of {len(ones)} slots"
    return _first(pairs.hash(one, other) for one, other in zip(ones, others, strict=True))


def _exact(place: str, recorded: object, seen: object) -> Iterator[Difference]:
    if recorded != seen or type(recorded) is not type(seen):
        yield Difference(place=place, expected=repr(recorded), seen=repr(seen))


def _first(problems: Iterator[str | None]) -> str | None:
    return next((problem for problem in problems if problem is not None), None)


def _equal(expected: object, value: object) -> str | None:
    return None if expected == value else repr(expected)


def _like(pattern: re.Pattern[str], value: str) -> str | None:
    return None if pattern.fullmatch(value) else f"a text like {pattern.pattern!r}"


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _short(text: str) -> str:
    return text if len(text) < 600 else f"{text[:400]} ... {text[-150:]}"
