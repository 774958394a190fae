"""The sync of one shape by event streams: what is shown, and what is asked, when streams go wrong."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from shapegate_client import ClientSettings, Live, Session, ShapeDefinition
from shapegate_client.config import LiveMode
from shapegate_client.errors import BadAnswers, HeadersMissing, ShapeRefused
from tests.client.ports import FixedCredentials, HeldClock
from tests.client.servers import cut, served, stall, status
from tests.client.streaming import (
    KEEP_ALIVE,
    MUST_REFETCH,
    StreamingGate,
    inserted,
    opened,
    streamed,
    up_to_date,
)

if TYPE_CHECKING:
    import datetime
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web
    from sqlite_utils import Database

    from shapegate_client import CommittedBatch
    from tests.client.servers import Responder

ITEMS = ShapeDefinition(table="items")
STREAMS = ClientSettings(live_mode=LiveMode.SSE, look_seconds=0.01)
WAIT = 10.0


def titles(db: Database) -> dict[int, str | None]:
    return {row["id"]: row["title"] for row in db.table("items").rows}


@contextlib.asynccontextmanager
async def following(
    gate: StreamingGate,
    home: Path,
    settings: ClientSettings = STREAMS,
    clock: HeldClock | None = None,
) -> AsyncIterator[Session]:
    """A session that has the items of Acme up to date and streams what comes."""
    credentials = FixedCredentials()
    async with (
        served(gate.app) as url,
        Session.open(url, credentials, home=home, clock=clock or HeldClock(), settings=settings) as session,
    ):
        await session.subscribe(ITEMS)
        await session.up_to_date(timeout=WAIT)
        yield session


def gate_with_rows() -> StreamingGate:
    gate = StreamingGate()
    gate.create("acme", "items", {1: "a1", 2: "a2"})
    return gate


async def asked(gate: StreamingGate, requests: int) -> None:
    """Wait until the gate was asked that often."""
    async with asyncio.timeout(WAIT):
        while len(gate.requests) < requests:
            gate.asked.clear()
            await gate.asked.wait()


async def next_batch(session: Session) -> CommittedBatch:
    async with asyncio.timeout(WAIT):
        return await anext(session.watch("items"))


async def shown(session: Session, expected: dict[int, str | None]) -> None:
    """Wait for these rows."""
    watcher = session.watch("items")
    async with asyncio.timeout(WAIT):
        while titles(session.db) != expected:
            await anext(watcher)


async def test_commits_arrive_by_one_stream(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with following(gate, tmp_path) as session:
        for row in range(3, 8):
            gate.commit("acme", "items", ("insert", row, f"a{row}"), ("update", 1, f"b{row}"))
            await shown(session, gate.titles("acme", "items"))
        assert gate.live_modes() == ["sse"]
    assert gate.closed == 1


async def test_long_polls_are_what_nobody_chose_otherwise(tmp_path: Path) -> None:
    gate = gate_with_rows()
    async with following(gate, tmp_path, ClientSettings()) as session:
        gate.commit("acme", "items", ("insert", 3, "a3"))
        await shown(session, gate.titles("acme", "items"))
    assert set(gate.live_modes()) == {"long-poll"}


async def test_C_43_a_commit_split_at_every_byte_is_shown_whole(tmp_path: Path) -> None:
    gate = gate_with_rows()
    commit = KEEP_ALIVE + inserted(3, "ä3") + inserted(4, "a4") + up_to_date(1)
    gate.streams.append(streamed(*(bytes([byte]) for byte in commit), end="silence"))
    async with following(gate, tmp_path) as session:
        batch = await next_batch(session)
        assert set(batch.inserted) == {(3,), (4,)}
        assert titles(session.db) == {1: "a1", 2: "a2", 3: "ä3", 4: "a4"}


@pytest.mark.parametrize("end", ["close", "cut"])
async def test_C_44_L_02_half_a_batch_is_never_shown_and_comes_again(tmp_path: Path, end: str) -> None:
    gate = gate_with_rows()
    gate.streams.append(streamed(inserted(3, "half"), inserted(4, "half"), end=end))
    async with following(gate, tmp_path) as session:
        watcher = session.watch("items")
        gate.commit("acme", "items", ("insert", 5, "a5"))
        async with asyncio.timeout(WAIT):
            batch = await anext(watcher)
        assert batch.inserted == ((5,),)
        assert titles(session.db) == {1: "a1", 2: "a2", 5: "a5"}


async def test_C_44_L_07_half_a_batch_too_large_to_be_held_is_not_shown_either(tmp_path: Path) -> None:
    gate = gate_with_rows()
    many = [b"".join(inserted(row, "half") for row in range(10, 5_010))]
    gate.streams.append(streamed(*many, end="cut"))
    settings = ClientSettings(live_mode=LiveMode.SSE, pending_rows_max=1_000)
    async with following(gate, tmp_path, settings) as session:
        gate.commit("acme", "items", ("insert", 5, "a5"), ("delete", 1, None))
        await shown(session, {2: "a2", 5: "a5"})


async def test_L_07_a_batch_too_large_to_be_held_is_shown_once_it_is_whole(tmp_path: Path) -> None:
    gate = gate_with_rows()
    blocks = [inserted(row, "whole") for row in range(10, 5_010)]
    gate.streams.append(streamed(b"".join(blocks), up_to_date(1), end="silence"))
    settings = ClientSettings(live_mode=LiveMode.SSE, pending_rows_max=1_000)
    async with following(gate, tmp_path, settings) as session:
        assert (await next_batch(session)).replaced
        assert session.db.table("items").count == 5_002


async def test_C_33_C_45_what_was_sent_before_changes_nothing_and_moves_nothing_back(
    tmp_path: Path,
) -> None:
    gate = gate_with_rows()
    first = inserted(3, "a3", lsn="1", op_position=0) + inserted(4, "a4", lsn="1", op_position=2)
    again = inserted(4, "a4", lsn="1", op_position=2)
    gate.streams.append(streamed(first, up_to_date(1)))
    gate.streams.append(streamed(again, up_to_date(1), end="silence"))
    async with following(gate, tmp_path) as session:
        await shown(session, {1: "a1", 2: "a2", 3: "a3", 4: "a4"})
        await asked(gate, 4)
        assert [request["offset"] for request in gate.requests] == ["-1", "0_0", "0_inf", "1_2"]


async def test_must_refetch_on_a_stream_replaces_the_rows_in_one_step(tmp_path: Path) -> None:
    gate = gate_with_rows()

    async def answer(request: web.Request) -> web.StreamResponse:
        gate.create("acme", "items", {7: "new"})
        return await streamed(inserted(3, "never"), MUST_REFETCH)(request)

    gate.streams.append(answer)
    async with following(gate, tmp_path) as session:
        await shown(session, {7: "new"})
        after = gate.requests[3]
        assert (after["offset"], after["expired_handle"]) == ("-1", "1-1")
        assert after["cache-buster"]


async def test_C_13_C_18_a_log_that_is_gone_ends_the_stream_and_the_next_answer_is_a_409(
    tmp_path: Path,
) -> None:
    gate = gate_with_rows()
    async with following(gate, tmp_path) as session:
        await asked(gate, 3)
        gate.create("acme", "items", {7: "new"})
        await shown(session, {7: "new"})
    assert gate.live_modes()[:2] == ["sse", "sse"]


async def test_C_46_three_streams_that_close_empty_lead_to_long_polls(tmp_path: Path) -> None:
    gate = gate_with_rows()
    gate.streaming = streamed()
    async with following(gate, tmp_path, clock=SteadyClock()) as session:
        gate.commit("acme", "items", ("insert", 3, "a3"))
        await shown(session, gate.titles("acme", "items"))
        await asked(gate, 6)
    assert gate.live_modes()[:4] == ["sse", "sse", "sse", "long-poll"]


class SteadyClock(HeldClock):
    """Two looks are a millisecond apart, so that streams can be short."""

    def monotonic(self) -> float:
        self._ticks += 0.001
        return self._ticks


async def test_a_silent_stream_is_left_and_a_plain_request_comes_next(tmp_path: Path) -> None:
    gate = gate_with_rows()
    gate.streams.append(streamed(KEEP_ALIVE, end="silence"))
    settings = ClientSettings(live_mode=LiveMode.SSE, silence_seconds=0.05)
    async with following(gate, tmp_path, settings):
        await asked(gate, 4)
    assert "live" not in gate.requests[3]
    assert gate.requests[3]["offset"] == gate.requests[2]["offset"]


class HeardClock(HeldClock):
    """Tells when it was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = asyncio.Event()

    def now(self) -> datetime.datetime:
        self.looked.set()
        return super().now()


async def test_an_idle_stream_keeps_the_rows_known_as_up_to_date(tmp_path: Path) -> None:
    gate, clock, later = gate_with_rows(), HeardClock(), asyncio.Event()

    async def idle(request: web.Request) -> web.StreamResponse:
        response = await opened(request, request.query["handle"], request.query["offset"])
        await later.wait()
        await response.write(KEEP_ALIVE)
        await asyncio.Event().wait()
        return response

    gate.streaming = idle
    async with following(gate, tmp_path, clock=clock) as session:
        await asked(gate, 3)
        before = session.progress[0].up_to_date_at
        assert before == clock.now()
        clock.advance(1)
        later.set()
        async with asyncio.timeout(WAIT):
            while session.progress[0].up_to_date_at == before:
                clock.looked.clear()
                await clock.looked.wait()
        assert isinstance(session.status, Live)
        assert gate.live_modes() == ["sse"]


async def test_C_24_after_a_sleep_the_stream_is_left_and_a_plain_request_comes_next(tmp_path: Path) -> None:
    gate, clock = gate_with_rows(), HeldClock()
    async with following(gate, tmp_path, clock=clock) as session:
        await asked(gate, 3)
        clock.advance(3_600)
        await asked(gate, 5)
        assert ["live" in request for request in gate.requests] == [False, False, True, False, True]
        gate.commit("acme", "items", ("insert", 3, "a3"))
        await shown(session, gate.titles("acme", "items"))


@pytest.mark.parametrize("opening", [status(503), cut, stall])
async def test_C_10_C_23_a_stream_that_cannot_be_opened_is_asked_for_again(
    tmp_path: Path, opening: Responder
) -> None:
    gate = gate_with_rows()
    gate.streams.append(opening)
    settings = ClientSettings(live_mode=LiveMode.SSE, live_seconds=0.1)
    async with following(gate, tmp_path, settings) as session:
        gate.commit("acme", "items", ("insert", 3, "a3"))
        await shown(session, gate.titles("acme", "items"))


async def test_C_20_a_token_that_ends_meanwhile_is_renewed_and_the_stream_opened_again(
    tmp_path: Path,
) -> None:
    gate = gate_with_rows()
    gate.streams.extend([streamed(KEEP_ALIVE, end="cut"), status(401)])
    async with following(gate, tmp_path) as session:
        await asked(gate, 6)
        gate.commit("acme", "items", ("insert", 3, "a3"))
        await shown(session, gate.titles("acme", "items"))
    tokens = [request["token"] for request in gate.requests]
    assert tokens[:5] == ["token-acme-0"] * 5
    assert tokens[5] == "token-acme-1"


@pytest.mark.parametrize(
    ("opening", "error"),
    [(status(403), ShapeRefused), (streamed(b"data: <html>\n\n"), BadAnswers)],
)
async def test_L_05_what_cannot_help_to_open_again_stops_the_shape_and_keeps_its_rows(
    tmp_path: Path, opening: Responder, error: type[Exception]
) -> None:
    gate = gate_with_rows()
    gate.streaming = opening
    async with following(gate, tmp_path) as session:
        with pytest.raises(error):
            async with asyncio.timeout(WAIT):
                await anext(session.watch("items"))
        assert titles(session.db) == {1: "a1", 2: "a2"}
    assert len(gate.requests) < 20


async def test_C_08_a_stream_without_its_headers_stops_and_names_them(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await opened(request, "1-1", "0_inf", without="electric-cursor")

    gate = gate_with_rows()
    gate.streaming = answer
    async with following(gate, tmp_path) as session:
        with pytest.raises(HeadersMissing, match="electric-cursor"):
            async with asyncio.timeout(WAIT):
                await anext(session.watch("items"))


async def test_L_01_a_row_that_does_not_fit_ends_the_stream_and_nothing_is_shown(tmp_path: Path) -> None:
    gate = gate_with_rows()
    gate.streams.append(
        streamed(inserted(3, "x", relation=["public", "users"]), up_to_date(1), end="silence")
    )
    async with following(gate, tmp_path) as session:
        gate.commit("acme", "items", ("insert", 5, "a5"))
        await shown(session, {1: "a1", 2: "a2", 5: "a5"})


class PatientClock(HeldClock):
    """Pauses do not end by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.pausing = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.pausing.set()
        await asyncio.Event().wait()


async def test_C_12_a_close_ends_a_backoff_and_a_stream_at_once(tmp_path: Path) -> None:
    gate, clock = gate_with_rows(), PatientClock()
    async with asyncio.timeout(WAIT):
        async with following(gate, tmp_path / "streaming", clock=clock):
            await asked(gate, 3)
        gate.failing = status(503, **{"retry-after": "300"})
        async with (
            served(gate.app) as url,
            Session.open(
                url, FixedCredentials(), home=tmp_path / "waiting", clock=clock, settings=STREAMS
            ) as session,
        ):
            await session.subscribe(ITEMS)
            await clock.pausing.wait()
        assert clock.pauses == [300.0]


async def test_C_24_a_backoff_does_not_outlast_a_sleep_of_the_machine(tmp_path: Path) -> None:
    gate, clock = gate_with_rows(), PatientClock()
    gate.failures.append(status(503, **{"retry-after": "300"}))
    async with (
        served(gate.app) as url,
        Session.open(url, FixedCredentials(), home=tmp_path, clock=clock, settings=STREAMS) as session,
    ):
        await session.subscribe(ITEMS)
        await clock.pausing.wait()
        clock.advance(3_600)
        await session.up_to_date(timeout=WAIT)
