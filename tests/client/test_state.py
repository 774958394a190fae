"""Where a client stands in a log, and what it asks there."""

from __future__ import annotations

import pytest

from shapegate_client.state import Asking, CatchingUp, Guard, Initial, Live, next_request, resume, wake
from shapegate_wire.request import parse_request
from tests.client.builders import DEFINITION, position

STATES: tuple[Asking, ...] = (
    Initial(),
    Initial(handle="h2", guard=Guard(expired_handle="h1", cache_buster="b")),
    CatchingUp(position=position("0_inf")),
    CatchingUp(position=position("12_3"), guard=Guard(expired_handle="h0", healed=True)),
    Live(position=position("12_3")),
    Live(position=position("12_3", cursor="9"), guard=Guard(expired_handle="h0")),
)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("streams", [False, True])
def test_C_03_C_04_C_05_every_state_asks_what_a_strict_gate_accepts(state: Asking, streams: bool) -> None:
    request = next_request(state, DEFINITION, streams=streams)
    read = parse_request(request.to_query())
    assert read.position_query() == request.position_query()


def test_a_stored_position_is_continued_and_nothing_stored_begins_the_log() -> None:
    assert resume(None) == Initial()
    assert resume(position()) == CatchingUp(position=position())


@pytest.mark.parametrize("state", STATES)
def test_C_24_waking_never_leaves_a_live_state(state: Asking) -> None:
    assert not isinstance(wake(state), Live)
    assert wake(wake(state)) == wake(state)
