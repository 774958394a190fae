"""Faults that a test orders, one per request, until they are used up (for tests of proxies and clients).

An order is a JSON object: `{"kind": "unavailable", "next": 2, "after": 1, "retry_after_seconds": 3}` lets one
request pass and fails the two after it. Everything has a bound. Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COUNT_MAX: Final = 1_000
"""Requests of one order."""
SECONDS_MAX: Final = 60.0
"""The longest that a fault holds a request up."""
RETRY_AFTER_SECONDS_MAX: Final = 3_600
BYTES_MAX: Final = 1 << 30


class Misordered(Exception):
    """An order that is none; its text says what was seen and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MustRefetch:
    """409; `handle` names the successor, if any."""

    handle: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyRequests:
    """429, as hosted gateways send it."""

    retry_after_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """503."""

    retry_after_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Nothing for a while, then the connection ends without an answer."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The head, a part of the body, and the end of the connection; half of it if not said otherwise."""

    bytes: int | None


@dataclass(frozen=True, slots=True)
class Stale:
    """The last log answer from before the order, as a cache would repeat it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingHeader:
    """The answer without one of its headers."""

    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """The body in pieces, with pauses; never more than a minute in all."""

    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Reset:
    """No answer: the connection is reset."""


Fault = MustRefetch | TooManyRequests | Unavailable | Stall | Cut | Stale | MissingHeader | Drip | Reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which requests get a fault: `next` of them, after `after` that pass."""

    kind: str
    fault: Fault
    next: int
    after: int


def parse_order(raw: bytes) -> Order:
    """Read an order. Raises Misordered."""
    try:
        loaded = json.loads(raw)
    except ValueError as exc:
        raise Misordered(f"the order is no JSON: {exc}") from exc
    if not isinstance(loaded, dict):
        raise Misordered("the order is no JSON object")
    fields = _Fields(loaded)
    kind = fields.text("kind")
    maker = _MAKERS.get(kind)
    if maker is None:
        raise Misordered(f"kind {kind!r} is unknown: expected one of {', '.join(_MAKERS)}")
    order = Order(
        kind=kind,
        fault=maker(fields),
        next=fields.integer("next", 1, 1, COUNT_MAX),
        after=fields.integer("after", 0, 0, COUNT_MAX),
    )
    fields.check_all_used()
    return order


class _Fields:
    """An order's fields; each is taken once."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._left = dict(values)

    def text(self, name: str) -> str:
        value = self._left.pop(name, None)
        if not isinstance(value, str) or not value:
            raise Misordered(f"{name} is {value!r}: expected a text")
        return value

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if name in self._left else None

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self._left.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Misordered(f"{name} is {value!r}: expected a whole number from {low} to {high}")
        return value

    def optional_integer(self, name: str, low: int, high: int) -> int | None:
        return self.integer(name, low, low, high) if name in self._left else None

    def seconds(self, name: str, default: float) -> float:
        value = self._left.pop(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= SECONDS_MAX:
            raise Misordered(f"{name} is {value!r}: expected more than 0 and at most {SECONDS_MAX:g}")
        return float(value)

    def check_all_used(self) -> None:
        if self._left:
            raise Misordered(f"unknown fields: {', '.join(sorted(self._left))}")


def _retry_after(fields: _Fields) -> int:
    return fields.integer("retry_after_seconds", 1, 0, RETRY_AFTER_SECONDS_MAX)


_MAKERS: Final[Mapping[str, Callable[[_Fields], Fault]]] = {
    "must_refetch": lambda fields: MustRefetch(handle=fields.optional_text("handle")),
    "too_many_requests": lambda fields: TooManyRequests(retry_after_seconds=_retry_after(fields)),
    "unavailable": lambda fields: Unavailable(retry_after_seconds=_retry_after(fields)),
    "stall": lambda fields: Stall(seconds=fields.seconds("seconds", SECONDS_MAX)),
    "cut": lambda fields: Cut(bytes=fields.optional_integer("bytes", 0, BYTES_MAX)),
    "stale": lambda _: Stale(),
    "missing_header": lambda fields: MissingHeader(header=fields.text("header").lower()),
    "drip": lambda fields: Drip(
        bytes=fields.integer("bytes", 1, 1, BYTES_MAX), seconds=fields.seconds("seconds", 0.01)
    ),
    "reset": lambda _: Reset(),
}


class Plan:
    """The order under way; a new one takes its place."""

    def __init__(self) -> None:
        self._order: Order | None = None
        self._pass = 0
        self._left = 0
        self.done = 0
        """Faults since the last order."""

    def follow(self, order: Order | None) -> None:
        """Begin an order; None ends the one under way."""
        self._order = order
        self._pass, self._left = (0, 0) if order is None else (order.after, order.next)
        self.done = 0

    def peek(self) -> Fault | None:
        """Say what the next request would get."""
        return self._order.fault if self._order is not None and not self._pass else None

    def take(self) -> Fault | None:
        """Count one request and say what it gets; None if it passes."""
        if self._order is None:
            return None
        if self._pass:
            self._pass -= 1
            return None
        fault = self._order.fault
        self.done += 1
        self._left -= 1
        if not self._left:
            self._order = None
        return fault

    def describe(self) -> dict[str, object]:
        """Say what is left, for the control endpoint."""
        kind = None if self._order is None else self._order.kind
        return {"kind": kind, "after": self._pass, "next": self._left, "done": self.done}
