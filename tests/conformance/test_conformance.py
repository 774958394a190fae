"""Replays what a real Electric answered: to the development one, and to a real one where one is named.

A real one: ELECTRIC_URL, ELECTRIC_DATABASE_URL, and ELECTRIC_SECRET if it has one. Its database is written
to: the tables of the recordings are dropped and made there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.deviations import DEVIATIONS, places
from tests.conformance.recording import load, names
from tests.conformance.replay import Outcome, replay
from tests.conformance.servers import open_dev_server, open_dev_server_with_outages, real_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CreateDatabase


def unexpected(outcomes: tuple[Outcome, ...], listed: dict[int, tuple[str, ...]]) -> list[str]:
    """Say which exchanges differ from the recording otherwise than listed."""
    found = []
    for outcome in outcomes:
        expected = listed.get(outcome.exchange.number, ())
        if outcome.places != expected:
            deviation = f"\n    listed as a deviation: {expected}" if expected else ""
            found.append(f"{outcome}{deviation}\n    seen as: {outcome.places}")
    return found


@pytest.mark.parametrize("name", names())
async def test_the_development_electric_answers_as_recorded(
    name: str, create_database: CreateDatabase, new_folder: Path
) -> None:
    recording = load(name)
    opened = (
        open_dev_server_with_outages(recording, new_folder)
        if recording.has_outage
        else open_dev_server(recording, await create_database())
    )
    async with opened as server:
        outcomes = await replay(recording, server)
    assert not (found := unexpected(outcomes, places(name))), "\n".join((name, *found))
    assert len(outcomes) == len(recording.exchanges)


@pytest.mark.skipif(real_server() is None, reason="ELECTRIC_URL and ELECTRIC_DATABASE_URL are not set")
@pytest.mark.parametrize("name", names())
async def test_a_real_electric_answers_as_recorded(name: str) -> None:
    recording, server = load(name), real_server()
    assert server is not None
    if recording.has_outage:
        pytest.skip("stops Postgres, which is not ours")
    if recording.needs_secret and server.secret is None:
        pytest.skip("needs a server with a secret: ELECTRIC_SECRET is not set")
    await server.clear(recording)
    outcomes = await replay(recording, server)
    assert not (found := unexpected(outcomes, {})), "\n".join((name, *found))


def test_every_deviation_names_an_exchange_and_a_reason() -> None:
    for deviation in DEVIATIONS:
        numbers = [exchange.number for exchange in load(deviation.scenario).exchanges]
        assert deviation.step in numbers, deviation
        assert deviation.places, deviation
        assert len(deviation.reason) > 20, deviation
    assert len({(each.scenario, each.step) for each in DEVIATIONS}) == len(DEVIATIONS)
