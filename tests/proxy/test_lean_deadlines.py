"""Many waits on one timer end as if each had its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.lean_deadlines import Deadlines

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Appointment:
    when: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Clock:
    """An event loop whose time is set."""

    now: float = 0.0
    appointments: list[Appointment] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None], /) -> Appointment:
        self.appointments.append(Appointment(when, callback))
        return self.appointments[-1]

    def pending(self) -> list[Appointment]:
        return [one for one in self.appointments if not one.cancelled]

    def pass_to(self, now: float) -> None:
        while due := [one for one in self.pending() if one.when <= now]:
            self.now = due[0].when
            self.appointments.remove(due[0])
            due[0].callback()
        self.now = now


def test_who_waits_too_long_is_told_at_the_time() -> None:
    clock, late = Clock(), list[str]()
    waits = Deadlines[str](clock, 10, late.append)
    waits.start("a")
    clock.pass_to(5)
    waits.start("b")
    clock.pass_to(9)
    assert late == []
    clock.pass_to(10)
    assert late == ["a"]
    clock.pass_to(15)
    assert late == ["a", "b"]
    assert clock.pending() == []


def test_who_stops_in_time_is_not_told() -> None:
    clock, late = Clock(), list[str]()
    waits = Deadlines[str](clock, 10, late.append)
    waits.start("a")
    waits.stop("a")
    waits.stop("a")
    clock.pass_to(30)
    assert (late, len(waits), clock.pending()) == ([], 0, [])


def test_the_newest_is_taken_first() -> None:
    clock, late = Clock(), list[str]()
    waits = Deadlines[str](clock, 10, late.append)
    for name in "abc":
        waits.start(name)
    assert [waits.take_newest() for _ in range(4)] == ["c", "b", "a", None]
    clock.pass_to(30)
    assert late == []


def test_one_that_is_told_may_stop_another() -> None:
    clock, late = Clock(), list[str]()

    def tell(name: str) -> None:
        late.append(name)
        waits.stop("b")

    waits = Deadlines[str](clock, 10, tell)
    waits.start("a")
    waits.start("b")
    clock.pass_to(10)
    assert late == ["a"]


def test_after_the_end_nobody_is_told() -> None:
    clock, late = Clock(), list[str]()
    waits = Deadlines[str](clock, 10, late.append)
    waits.start("a")
    waits.close()
    waits.close()
    assert clock.pending() == []
    clock.pass_to(30)
    assert late == []


@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["start", "stop", "newest"]), st.integers(0, 5)))
)
def test_one_timer_does_what_one_for_each_would(steps: list[tuple[int, str, int]]) -> None:
    clock, late, until = Clock(), list[int](), dict[int, float]()
    waits = Deadlines[int](clock, 10, late.append)
    for seconds, step, name in steps:
        clock.pass_to(clock.now + seconds)
        due = [waiting for waiting, end in until.items() if end <= clock.now]
        assert late == due
        until = {waiting: end for waiting, end in until.items() if waiting not in due}
        late.clear()
        if step == "start" and name not in until:
            waits.start(name)
            until[name] = clock.now + 10
        elif step == "stop":
            waits.stop(name)
            until.pop(name, None)
        elif step == "newest":
            assert waits.take_newest() == (until.popitem()[0] if until else None)
        assert len(waits) == len(until)
        assert len(clock.pending()) <= 1
