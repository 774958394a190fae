"""Places for connections: who gets one, who makes room, and that none is lost (SECURITY I-08)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shapegate_proxy.descriptors import OpenFiles
from shapegate_proxy.places import Places

if TYPE_CHECKING:
    import asyncio


class Peer:
    """Whoever has a connection; `aborted` once it had to go."""

    def __init__(self) -> None:
        self.aborted = False
        self.transport: asyncio.Transport | None = SimpleNamespace(abort=self._abort)  # type: ignore[assignment]  # no more is called

    def _abort(self) -> None:
        self.aborted = True


def test_who_idles_longest_makes_room() -> None:
    places, peers = Places(2, OpenFiles(2)), [Peer() for _ in range(4)]
    assert [places.enter(peer) for peer in peers[:2]] == [True, True]
    places.begin(peers[0])
    places.end(peers[0])
    assert places.enter(peers[2])
    assert [peer.aborted for peer in peers] == [False, True, False, False]


def test_who_was_answered_at_once_has_not_idled_since_before() -> None:
    places, busy, idle = Places(2, OpenFiles(2)), Peer(), Peer()
    places.enter(busy)
    places.enter(idle)
    places.end(busy)  # without a beginning
    assert places.enter(Peer())
    assert (busy.aborted, idle.aborted) == (False, True)


def test_nobody_makes_room_while_a_request_is_under_way_there() -> None:
    places, busy = Places(1, OpenFiles(1)), Peer()
    places.enter(busy)
    places.begin(busy)
    late = Peer()
    assert not places.enter(late)
    places.leave(late)
    assert not busy.aborted
    places.leave(busy)
    assert places.enter(Peer())


def test_I_08_files_that_others_have_taken_make_who_idles_leave() -> None:
    files = OpenFiles(3)
    places, idle, busy, late = Places(3, files), Peer(), Peer(), Peer()
    places.enter(idle)
    places.enter(busy)
    places.begin(busy)
    files.take()
    assert places.enter(late)
    assert (idle.aborted, busy.aborted, files.taken) == (True, False, 4)
    places.leave(idle)
    places.begin(late)
    assert not files.room()
    assert not places.enter(Peer())


def test_I_08_who_idles_makes_room_for_a_connection_to_electric() -> None:
    files = OpenFiles(2)
    places, longest, idle = Places(2, files), Peer(), Peer()
    places.enter(longest)
    places.enter(idle)
    assert files.room()
    assert (longest.aborted, idle.aborted) == (True, False)


ACT = st.tuples(st.sampled_from(["enter", "begin", "end", "leave"]), st.integers(0, 5))


@given(st.lists(ACT, max_size=60))
def test_places_are_taken_and_freed_whatever_the_order(acts: list[tuple[str, int]]) -> None:
    files = OpenFiles(3)
    places, peers = Places(3, files), [Peer() for _ in range(6)]
    there: set[Peer] = set()
    for act, number in acts:
        peer = peers[number]
        if act == "enter" and peer not in there:
            there.add(peer)
            if not places.enter(peer):
                there.discard(peer)
                places.leave(peer)
        elif act == "leave":
            there.discard(peer)
            places.leave(peer)
        elif act in ("begin", "end"):
            getattr(places, act)(peer)
        for gone in [peer for peer in there if peer.aborted]:
            there.discard(gone)
            places.leave(gone)
            gone.aborted = False
        assert len(there) <= 3
        assert files.taken == len(there)
    for peer in there:
        places.leave(peer)
    assert [places.enter(peer) for peer in peers[:3]] == [True] * 3
    assert not any(peer.aborted for peer in peers)


def test_I_08_who_is_busy_without_a_word_makes_no_room_and_idles_again_in_the_end() -> None:
    busy = {first := Peer(), Peer()}
    places = Places(3, OpenFiles(3), busy=lambda peer: peer in busy)
    second = next(iter(busy - {first}))
    idle, late, last = Peer(), Peer(), Peer()
    for peer in (first, second, idle):
        places.enter(peer)
    assert places.enter(late)
    assert [peer.aborted for peer in (first, second, idle)] == [False, False, True]
    places.leave(idle)
    busy.remove(first)
    places.end(first)
    places.begin(late)
    assert places.enter(last)
    assert [peer.aborted for peer in (first, second)] == [True, False]
