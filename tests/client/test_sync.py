"""The sync of one shape against answers that a gate should not give."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from shapegate_client import Session, ShapeDefinition
from shapegate_client.errors import BadAnswers, ClientError, RequestLoop, StaleAnswers, UnsafeName
from shapegate_client.intake import INLINE_MESSAGES_MAX
from tests.client.ports import FixedCredentials, HeldClock
from tests.client.servers import SCHEMA, Gate, served, status

if TYPE_CHECKING:
    from pathlib import Path

    from tests.client.servers import Responder

ITEMS = ShapeDefinition(table="items")


def scripted(
    *messages: dict[str, object], handle: str = "1-1", at: str = "0_0", schema: object = SCHEMA
) -> Responder:
    async def answer(_request: web.Request) -> web.StreamResponse:
        headers = {
            "electric-handle": handle,
            "electric-offset": at,
            "electric-schema": json.dumps(schema),
            "electric-cursor": "1",
        }
        return web.json_response(list(messages), headers=headers)

    return answer


def row(*, table: str = "items", **value: str) -> dict[str, object]:
    return {
        "key": "k",
        "value": {"id": "1", "title": "t", "done": "f", **value},
        "headers": {"operation": "insert", "relation": ["public", table]},
    }


class QuickClock(HeldClock):
    """Two requests are a millisecond apart, as from a cache."""

    def monotonic(self) -> float:
        self._ticks += 0.001
        return self._ticks


async def error_of(tmp_path: Path, responder: Responder, clock: HeldClock | None = None) -> ClientError:
    gate = Gate()
    gate.failing = responder
    async with (
        served(gate.app) as url,
        Session.open(url, FixedCredentials(), home=tmp_path, clock=clock or HeldClock()) as session,
    ):
        await session.subscribe(ITEMS)
        with pytest.raises(ClientError) as stopped:
            await session.up_to_date(timeout=10)
        assert not session.db.table("items").exists()
        assert len(gate.requests) < 30
        return stopped.value


@pytest.mark.parametrize(
    "message", [row(table="users"), row(id="one"), row(other="x"), {"headers": {"operation": "grow"}}]
)
async def test_L_01_L_08_answers_that_do_not_fit_the_subscription_are_asked_again_then_given_up(
    tmp_path: Path, message: dict[str, object]
) -> None:
    error = await error_of(tmp_path, scripted(message))
    assert isinstance(error, BadAnswers)


async def test_C_17_a_loop_at_one_offset_is_broken(tmp_path: Path) -> None:
    assert isinstance(await error_of(tmp_path, scripted(), QuickClock()), RequestLoop)


async def test_C_16_a_cache_that_serves_a_dead_log_is_blamed(tmp_path: Path) -> None:
    turns = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal turns
        turns += 1
        if turns == 2:
            return await status(409)(request)
        return await scripted(row())(request)

    assert isinstance(await error_of(tmp_path, answer), StaleAnswers)


async def test_L_08_columns_that_differ_in_case_only_stop_the_shape(tmp_path: Path) -> None:
    schema = {"id": {"type": "int8", "pk_index": 0}, "ID": {"type": "text"}}
    error = await error_of(tmp_path, scripted(schema=schema))
    assert isinstance(error, UnsafeName)


async def test_a_large_answer_arrives_whole(tmp_path: Path) -> None:
    gate, count = Gate(rows_per_chunk=100_000), INLINE_MESSAGES_MAX * 20
    gate.create("acme", "items", {n: f"title {n}" for n in range(count)})
    async with (
        served(gate.app) as url,
        Session.open(url, FixedCredentials(), home=tmp_path, clock=HeldClock()) as session,
    ):
        await session.subscribe(ITEMS)
        await session.up_to_date(timeout=20)
        assert session.db.table("items").count == count
