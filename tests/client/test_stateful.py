"""Random histories, faults and restarts: every state that is shown was the server's, and the last one is."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, example, given, settings

from shapegate_client.config import LiveMode
from tests.client.servers import served
from tests.client.stateful.faults import Rotate, Spoil
from tests.client.stateful.operation import Kind
from tests.client.stateful.play import play
from tests.client.stateful.program import Meet, Pass, Program, programs
from tests.client.stateful.server import Server
from tests.client.stateful.virtual import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def player(folder: Path) -> Iterator[Callable[[Program], None]]:
    """One event loop and one server for many programs, each with a home of its own."""
    count, server = itertools.count(), Server()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, contextlib.ExitStack() as stack:
        serving = served(server.app)
        url = runner.run(serving.__aenter__())
        stack.callback(lambda: runner.run(serving.__aexit__(None, None, None)))

        def run(program: Program) -> None:
            place = folder / str(next(count))
            place.mkdir()
            try:
                runner.run(play(program, server, url, place / "home"))
            finally:
                shutil.rmtree(place)

        yield run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[Program], None]]:
    with player(tmp_path) as run:
        yield run


ANYWAY: Final = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""The fixture's loop and server serve one program after the other."""


HALF_A_COPY: Final = Program(
    kind=Kind.PLAIN,
    messages_per_page=2,
    live_mode=LiveMode.LONG_POLL,
    pending_rows_max=50_000,
    seed=1,
    steps=[Pass(1.0), Meet((Rotate("new"), None, Spoil("no content"))), Pass(30.0)],
)
"""A 204 in the midst of a refetch once made the pages that had come pass for all."""


@example(program=HALF_A_COPY)
@given(program=programs(steps_max=40))
@settings(max_examples=80, deadline=None, suppress_health_check=ANYWAY)
def test_L_01_L_02_L_03_L_04_L_05_L_06_T_01_T_04_T_05_C_18_C_34_C_39_C_41_all_that_is_shown_the_server_had(
    run: Callable[[Program], None], program: Program
) -> None:
    run(program)


@pytest.mark.soak
@given(program=programs(steps_max=80))
@settings(max_examples=3_000, deadline=None, suppress_health_check=ANYWAY)
def test_L_01_L_02_L_03_L_04_L_05_L_06_the_same_for_thousands_of_longer_programs(
    run: Callable[[Program], None], program: Program
) -> None:
    run(program)
