"""The sync of one shape against answers that a gate should not give."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from shapegate_client import Session, ShapeDefinition
from shapegate_client.errors import BadAnswers, ClientError, RequestLoop, StaleAnswers, UnsafeName
from shapegate_client.intake import INLINE_MESSAGES_MAX
from tests.client.ports import FixedCredentials, HeldClock
from tests.client.servers import POLL_SECONDS, SCHEMA, Gate, served, status

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


def snapshot(odd: dict[str, object], count: int = 1_000) -> Responder:
    """A snapshot as it is printed, with something odd in its midst, and its end."""
    messages = [{**row(id=str(number)), "key": f"k{number}"} for number in range(count)]
    messages[count // 2] = odd
    messages.append({"headers": {"control": "up-to-date"}})
    printed = json.dumps(messages, separators=(",", ":"))

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query["offset"] != "-1":
            await asyncio.sleep(POLL_SECONDS)
        response = await scripted()(request)
        return web.Response(text=printed, headers={**response.headers, "electric-up-to-date": ""})

    return answer


async def test_rows_that_do_not_look_like_the_others_are_taken_in_with_them(tmp_path: Path) -> None:
    gate = Gate()
    later = {**row(id="7000"), "headers": {"operation": "insert", "lsn": "5", "op_position": 1}}
    gate.failing = snapshot(later)
    async with (
        served(gate.app) as url,
        Session.open(url, FixedCredentials(), home=tmp_path, clock=HeldClock()) as session,
    ):
        await session.subscribe(ITEMS)
        await session.up_to_date(timeout=10)
        assert {each["id"] for each in session.db["items"].rows} == {*range(1_000), 7_000} - {500}
        assert len([each for each in gate.requests if each["offset"] == "-1"]) == 1


async def test_a_must_refetch_between_rows_is_not_overlooked(tmp_path: Path) -> None:
    gate = Gate()
    gate.create("acme", "items", {1: "anew"})
    gate.failures.append(snapshot({"headers": {"control": "must-refetch"}}))
    async with (
        served(gate.app) as url,
        Session.open(url, FixedCredentials(), home=tmp_path, clock=HeldClock()) as session,
    ):
        await session.subscribe(ITEMS)
        await session.up_to_date(timeout=10)
        assert [each["title"] for each in session.db["items"].rows] == ["anew"]


@pytest.mark.parametrize("odd", [row(table="users"), row(id="one"), row(done="maybe"), row(other="x")])
async def test_L_01_L_08_one_row_that_does_not_fit_keeps_all_of_its_answer_out(
    tmp_path: Path, odd: dict[str, object]
) -> None:
    assert isinstance(await error_of(tmp_path, snapshot(odd)), BadAnswers)


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
