"""Many waits that are given the same time, on one timer of the event loop.

All last equally long, so they end in the order in which they began: a dictionary keeps them, and the timer
looks at its front only. A wait costs no timer, task or timeout of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Timer(Protocol):
    """What an event loop returns of `call_at`."""

    def cancel(self) -> None:
        """Do not call."""


class Clock(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float:
        """Seconds, monotonic."""

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        """Call once at that time."""


class Deadlines(Generic[T]):
    """Those who wait, each for at most `seconds`; `expire` is called with who is late."""

    __slots__ = ("_clock", "_expire", "_seconds", "_timer", "_until")

    def __init__(self, clock: Clock, seconds: float, expire: Callable[[T], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._expire = expire
        self._until: dict[T, float] = {}
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._until)

    def start(self, waiting: T) -> None:
        """Begin the wait of one who does not wait yet."""
        assert waiting not in self._until
        until = self._until[waiting] = self._clock.time() + self._seconds
        if self._timer is None:
            self._timer = self._clock.call_at(until, self._look)

    def stop(self, waiting: T) -> None:
        """End a wait in time; of who does not wait, nothing."""
        self._until.pop(waiting, None)

    def take_newest(self) -> T | None:
        """End the wait that began last, and return who waited."""
        return self._until.popitem()[0] if self._until else None

    def close(self) -> None:
        """End all waits and the timer; nobody is called."""
        self._until.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._clock.time()
        late: list[T] = []
        for waiting, until in self._until.items():
            if until > now:
                self._timer = self._clock.call_at(until, self._look)
                break
            late.append(waiting)
        for waiting in late:
            # One that is called may end the wait of another.
            if self._until.pop(waiting, None) is not None:
                self._expire(waiting)
