"""Random histories of two orgs, and what happens to the client meanwhile, as a list of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from hypothesis import strategies as st

from shapegate_client.config import LiveMode
from tests.client.stateful.faults import (
    Busy,
    Cached,
    Cut,
    Dribble,
    Fault,
    Forbidden,
    OutOfBounds,
    Rotate,
    Spoil,
    Stall,
    Unauthorized,
)
from tests.client.stateful.operation import Admit, Delete, Insert, Kind, Operation, Rekey, Update

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ORGS: Final = ("acme", "globex")


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction in one org."""

    org: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What befalls the shape as a whole: `truncate`, `rotate`, `alter`, `nullability` or `compact`."""

    org: str
    what: str


@dataclass(frozen=True, slots=True)
class Meet:
    """The next requests run into these faults, one each; None lets one pass."""

    faults: tuple[Fault | None, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """Time passes; without seconds just a few turns of the event loop."""

    seconds: float
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Sleep:
    """The machine sleeps."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Restart:
    """The client ends and starts again: closed in order, or killed before its n-th statement from now."""

    statements: int | None
    live_mode: LiveMode
    pending_rows_max: int


@dataclass(frozen=True, slots=True)
class Switch:
    """To the other org."""

    keep: bool


@dataclass(frozen=True, slots=True)
class Logout:
    """And a login after it."""


Step = Commit | Change | Meet | Pass | Sleep | Restart | Switch | Logout


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One example."""

    kind: Kind
    messages_per_page: int
    live_mode: LiveMode
    pending_rows_max: int
    seed: int
    steps: Sequence[Step]


_IDS: Final = st.integers(1, 6)
_TITLES: Final = st.sampled_from(["one", "two", "three", None])
_TEAMS: Final = st.sampled_from(["red", "green"])
_OWNERS: Final = st.sampled_from(["ann", "bob"])
_INSERTS: Final = st.builds(Insert, _IDS, _TITLES, _TEAMS, _OWNERS)
_CHANGES: Final[Mapping[st.SearchStrategy[Operation], int]] = {
    _INSERTS: 3,
    st.builds(Update, _IDS, st.just("title"), _TITLES): 2,
    st.builds(Update, _IDS, st.just("done"), st.sampled_from(["t", "f"])): 1,
    st.builds(Update, _IDS, st.just("team"), _TEAMS): 1,
    st.builds(Update, _IDS, st.just("owner"), _OWNERS): 1,
    st.builds(Delete, _IDS): 1,
    st.builds(Rekey, _IDS, _IDS): 1,
}
_MOVES: Final[Mapping[st.SearchStrategy[Operation], int]] = {
    st.builds(Admit, st.just(0), _TEAMS, st.booleans()): 4,
    st.builds(Admit, st.just(1), _OWNERS, st.booleans()): 4,
}
_ORG: Final = st.sampled_from(("acme", "acme", "acme", "globex"))
_LOAD: Final = st.lists(_INSERTS, min_size=3, max_size=8).map(tuple)
_PARTS: Final = st.sampled_from([-1.0, 0.0, 0.1, 0.5, 0.9, 0.999, 1.0])
_RETRY_AFTER: Final = (None, "3", "9999999", "-1", "soon", "Fri, 20 Nov 2026 12:30:00 GMT")
_ROTATE: Final = st.builds(Rotate, st.sampled_from(["new", "dead", "none", "body"]))
_GENTLE: Final = st.one_of(
    st.builds(Cut, _PARTS),
    st.builds(Stall, _PARTS),
    st.just(Dribble()),
    st.builds(Busy, st.sampled_from([408, 429, 500, 503]), st.sampled_from(_RETRY_AFTER)),
    _ROTATE,
    st.just(OutOfBounds()),
)
_HARSH: Final[st.SearchStrategy[Fault]] = st.sampled_from(
    [
        Unauthorized(),
        Forbidden(),
        *map(Spoil, ("html", "object", "half", "header", "no content", "no content")),
        *map(Cached, (True, False, False)),
    ]
)
_LIVE_MODES: Final = st.sampled_from(LiveMode)
_PENDING: Final = st.sampled_from([50_000, 2])
_PASS: Final = st.one_of(
    st.builds(Pass, st.just(0.0), st.integers(1, 30)),
    st.builds(Pass, st.sampled_from([0.01, 0.01, 1.0, 30.0, 100.0])),
)
_FAULTS: Final = st.sampled_from((None, _GENTLE, _GENTLE, _HARSH)).flatmap(
    lambda each: st.none() if each is None else each
)
_REFETCH: Final = st.builds(
    lambda rotate, pages, faults: Meet((rotate, *(None,) * pages, *faults)),
    _ROTATE,
    st.integers(0, 3),
    st.lists(st.one_of(_HARSH, _GENTLE), min_size=1, max_size=3),
)
"""Faults in the midst of a log that is read anew."""
_STEPS: Final[Mapping[st.SearchStrategy[Step], int]] = {
    st.builds(Commit, _ORG, _LOAD): 1,
    _PASS: 14,
    st.builds(Meet, st.lists(_FAULTS, min_size=1, max_size=5).map(tuple)): 5,
    _REFETCH: 3,
    st.builds(Change, _ORG, st.sampled_from(["truncate", "rotate", "alter", "nullability", "compact"])): 2,
    st.builds(Restart, st.one_of(st.none(), st.integers(0, 40)), _LIVE_MODES, _PENDING): 3,
    st.builds(Sleep, st.sampled_from([30.0, 3_600.0])): 1,
    st.builds(Switch, st.booleans()): 1,
    st.just(Logout()): 1,
}
T = TypeVar("T")


def _weighed(choices: Mapping[st.SearchStrategy[T], int]) -> st.SearchStrategy[T]:
    """Choose by weight; `one_of` would weigh all alike that is nested in its choices."""
    return st.sampled_from([each for each, weight in choices.items() for _ in range(weight)]).flatmap(
        lambda each: each
    )


def _steps(kind: Kind) -> st.SearchStrategy[Step]:
    operations = _weighed({**_CHANGES, **_MOVES} if kind is Kind.TAGGED else _CHANGES)
    commits = st.builds(Commit, _ORG, st.lists(operations, min_size=1, max_size=5).map(tuple))
    return _weighed({**_STEPS, commits: 12})


def programs(*, steps_max: int) -> st.SearchStrategy[Program]:
    """Draw programs of up to that many steps."""
    return st.sampled_from((*Kind, Kind.TAGGED)).flatmap(
        lambda kind: st.builds(
            Program,
            kind=st.just(kind),
            messages_per_page=st.integers(1, 6),
            live_mode=_LIVE_MODES,
            pending_rows_max=_PENDING,
            seed=st.integers(0, 1_000),
            steps=st.lists(_steps(kind), min_size=steps_max // 2, max_size=steps_max),
        )
    )
