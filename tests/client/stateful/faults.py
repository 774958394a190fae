"""What can happen to an answer on its way, each of it something that networks and intermediaries do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection breaks: before the head if `at` is negative, else after that part of the bytes.

    At 1.0 every byte of the body came, but not its end.
    """

    at: float


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more comes: no head if `at` is negative, else no byte after that part of the body."""

    at: float


@dataclass(frozen=True, slots=True)
class Dribble:
    """The bytes come one by one."""


@dataclass(frozen=True, slots=True)
class Busy:
    """408, 429, 5xx."""

    status: int
    retry_after: str | None


@dataclass(frozen=True, slots=True)
class Rotate:
    """The log ends at this very moment, and a 409 says so, with or without a handle."""

    handle: str
    """`new`, `dead`, `none`, or `body`: a 200 whose body says must-refetch."""


@dataclass(frozen=True, slots=True)
class OutOfBounds:
    """A 400, as from a server that lost the end of its log."""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """A 401: the token ended."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A 403 of a gate that changed its mind."""


@dataclass(frozen=True, slots=True)
class Spoil:
    """An intermediary answers: `html`, `object`, `half`, `no content`, or takes a `header` away."""

    what: str


@dataclass(frozen=True, slots=True)
class Cached:
    """An answer of before comes again: of the same URL, or, if `blunt`, of one that asks past caches."""

    blunt: bool


Fault = Cut | Stall | Dribble | Busy | Rotate | OutOfBounds | Unauthorized | Forbidden | Spoil | Cached
Gentle = Cut | Stall | Dribble | Busy | Rotate | OutOfBounds
"""Those that never end a sync, however many come."""
