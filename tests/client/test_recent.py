"""What a snapshot has to show before its rows may be taken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shapegate_client.recent import COMMITS_MAX, SECONDS_MAX, Recent
from shapegate_wire.visibility import Visibility
from tests.client.ports import HeldClock


class MovedClock(HeldClock):
    """Its seconds go on when told."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@given(st.lists(st.frozensets(st.integers(1, 30), max_size=4)), st.frozensets(st.integers(10, 19)))
def test_C_47_a_snapshot_is_too_old_that_lacks_a_transaction_of_a_recent_commit(
    commits: list[frozenset[int]], running: frozenset[int]
) -> None:
    recent, visibility = Recent(MovedClock()), Visibility(xmin=10, xmax=20, running=running)
    for txids in commits:
        recent.add(txids)
    lacking = {txid for txids in commits for txid in txids if txid >= 20 or txid in running}
    assert recent.seen_by(visibility) is not bool(lacking)


def test_ids_of_long_ago_and_of_many_commits_ago_count_no_more() -> None:
    clock = MovedClock()
    recent, visibility = Recent(clock), Visibility(xmin=10, xmax=20)
    recent.add(frozenset({25}))
    clock.seconds = SECONDS_MAX + 1
    assert recent.seen_by(visibility)
    recent.add(frozenset({25}))
    assert not recent.seen_by(visibility)
    for _ in range(COMMITS_MAX):
        recent.add(frozenset({9}))
    assert recent.seen_by(visibility)
