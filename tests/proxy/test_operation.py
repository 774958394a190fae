"""A running gate as its operator sees it: limits, records, lines of the log, figures, readiness."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from shapegate_proxy.limit_settings import LimitSettings
from shapegate_proxy.logs import FORMATTERS, LogEvent
from shapegate_proxy.observe import LogObserver, ShapeServed
from tests.proxy.builders import (
    ACME,
    ELECTRIC_SECRET,
    GLOBEX,
    LOG_HEADERS,
    NOW,
    USER,
    Gate,
    bearer,
    gate,
    log_answer,
    token,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

START = {"table": "items", "offset": "-1"}
LIVE = {"table": "items", "offset": "0_0", "handle": "h-1", "live": "true"}
FORGED = {"secret": "another-secret-of-more-than-32-bytes!", "sub": "mallory"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(
    http: aiohttp.ClientSession, running: Gate, headers: dict[str, str], query: dict[str, str] = START
) -> tuple[int, str | None, str | None]:
    """Return status, code and Retry-After."""
    async with http.get(running.url / "v1/shape", params=query, headers=headers) as answer:
        body = await answer.json(content_type=None)
        return (
            answer.status,
            body["code"] if answer.status >= 400 else None,
            answer.headers.get("retry-after"),
        )


@dataclass
class Holding:
    """An Electric that answers when it is released."""

    reached: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.reached.put_nowait(request.path)
        await self.released.wait()
        return web.Response(body=b"[]", headers=LOG_HEADERS)

    async def under_way(self, count: int = 1) -> None:
        """Wait until so many further requests came."""
        for _ in range(count):
            await asyncio.wait_for(self.reached.get(), 5)


@pytest.mark.parametrize(
    ("limit", "query", "code", "wait"),
    [
        ("requests_per_principal", START, "too_many_requests", "1"),
        ("requests_per_org", START, "too_many_requests", "1"),
        ("live_per_principal", LIVE, "too_many_live", "5"),
        ("initial_per_org", START, "too_many_initial", "2"),
    ],
)
async def test_I_08_too_many_under_way_is_429_and_the_next_passes_when_one_ended(
    tmp_path: Path, http: aiohttp.ClientSession, limit: str, query: dict[str, str], code: str, wait: str
) -> None:
    electric = Holding()
    async with gate(electric.answer, tmp_path, limits=LimitSettings(**{limit: 1})) as running:
        first = asyncio.create_task(ask(http, running, bearer(), query))
        await electric.under_way()
        assert await ask(http, running, bearer(), query) == (429, code, wait)
        assert len(running.upstream) == 1
        electric.released.set()
        assert (await first)[0] == 200
        assert (await ask(http, running, bearer(), query))[0] == 200


async def test_I_08_a_client_that_goes_away_gives_its_place_back(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    electric = Holding()
    async with gate(electric.answer, tmp_path, limits=LimitSettings(live_per_principal=1)) as running:
        for _ in range(3):
            held = asyncio.create_task(ask(http, running, bearer(), LIVE))
            await electric.under_way()
            running.recorder.told.clear()
            held.cancel()
            await asyncio.wait_for(running.recorder.told.wait(), 5)
        assert [event.decision for event in running.recorder.events] == ["gone"] * 3


async def test_I_08_distinct_shapes_are_bounded_for_each_org(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    limits = LimitSettings(shapes_per_hour_principal=2, shapes_per_hour_org=3)
    async with gate(log_answer, tmp_path, limits=limits) as running:

        async def status(user: str, where: str, **more: str) -> int:
            query = START | {"where": f"name = '{where}'"} | more
            return (await ask(http, running, bearer(sub=user, **org), query))[0]

        org = {"organization_id": ACME}
        assert [await status("ada", where) for where in "aabbab"] == [200] * 6
        assert await status("ada", "c") == 429
        assert await status("ada", "c", handle="h-1", offset="0_0") == 429
        assert [await status("ben", where) for where in "cd"] == [200, 429]
        assert [await status("ada", where) for where in "ab"] == [200, 200]
        org = {"organization_id": GLOBEX}
        assert await status("grace", "d") == 200


async def test_I_08_bad_tokens_of_one_address_are_refused_before_they_are_verified(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    limits = LimitSettings(failures_per_minute_address=3)
    async with gate(log_answer, tmp_path, limits=limits) as running:
        assert (await ask(http, running, bearer()))[0] == 200
        for _ in range(3):
            assert (await ask(http, running, bearer(**FORGED)))[:2] == (401, "invalid_token")
        assert await ask(http, running, bearer(**FORGED)) == (429, "too_many_failures", "20")
        assert (await ask(http, running, bearer()))[0] == 200, "a token proven before"
        assert (await ask(http, running, bearer(jti="refreshed")))[0] == 200, "a refresh of a user seen here"
        assert (await ask(http, running, bearer(sub="a stranger")))[1] == "too_many_failures"
        running.ticks.now += 20
        assert (await ask(http, running, bearer(sub="a stranger")))[0] == 200


async def test_an_expired_token_is_not_held_against_its_address(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    limits = LimitSettings(failures_per_minute_address=1)
    async with gate(log_answer, tmp_path, limits=limits) as running:
        for _ in range(5):
            expired = bearer(exp=int(NOW.timestamp()) - 60)
            assert (await ask(http, running, expired))[:2] == (401, "invalid_token")
        assert (await ask(http, running, {}))[:2] == (401, "missing_token")
        assert (await ask(http, running, bearer()))[0] == 200


@pytest.mark.parametrize(("trusted", "status"), [(True, 200), (False, 429)])
async def test_behind_a_balancer_addresses_are_told_apart_if_it_is_trusted(
    tmp_path: Path, http: aiohttp.ClientSession, trusted: bool, status: int
) -> None:
    async with gate(
        log_answer,
        tmp_path,
        limits=LimitSettings(failures_per_minute_address=1),
        trusted_proxies=(ip_network("127.0.0.0/8"),) if trusted else (),
    ) as running:
        await ask(http, running, bearer(**FORGED) | {"x-forwarded-for": "203.0.113.1"})
        assert (await ask(http, running, bearer() | {"x-forwarded-for": "203.0.113.2"}))[0] == status


async def test_T_08_D_08_an_attempt_on_another_org_is_403_and_leaves_a_record(
    tmp_path: Path, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with gate(log_answer, tmp_path) as running:
        for org in (ACME, GLOBEX.upper(), token()):
            url = running.url / "api/electric/orgs" / org / "sync"
            async with http.get(url, params=START, headers=bearer()) as answer:
                assert answer.status == (200 if org == ACME else 403)
    found = [record.msg for record in caplog.records if record.name == "shapegate.audit"]
    asked = [event.fields["asked_org"] for event in found if isinstance(event, LogEvent)]
    assert asked == [GLOBEX, "malformed"]
    assert token() not in caplog.text


def lines_of(events: Iterable[ShapeServed], caplog: pytest.LogCaptureFixture) -> list[str]:
    observer = LogObserver()
    for event in events:
        observer.served(event)
    return [formatter().format(record) for formatter in FORMATTERS.values() for record in caplog.records]


async def test_I_10_J_16_the_log_says_what_became_of_each_request_and_nothing_secret(
    tmp_path: Path, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async def secretive(request: web.Request) -> web.StreamResponse:
        if "catalogue" in str(request.query.get("params[2]")):
            return web.Response(status=500, text="ERROR: relation of row-hush")
        return web.Response(body=b'[{"value":{"name":"row-hush"}}]', headers=LOG_HEADERS)

    caplog.set_level(logging.DEBUG)
    async with gate(secretive, tmp_path) as running:
        asked = [
            (START | {"where": "name = 'filter-hush'"}, bearer(), "served", 200),
            (START | {"where": "name = $1", "params[1]": "param-hush"}, bearer(), "served", 200),
            (START | {"where": "name = 'catalogue'"}, bearer(), "electric_unavailable", 500),
            (START | {"where": "name = 'filter-hush"}, bearer(), "filter_refused", 400),
            (START | {"table": "table_hush"}, bearer(), "table_not_allowed", 403),
            (START | {"columns": "column_hush"}, bearer(), "column_not_allowed", 403),
            (START | {"query_hush": "x"}, bearer(), "invalid_request", 400),
            (START, bearer(**FORGED), "invalid_token", 401),
            (START, {}, "missing_token", 401),
            (START | {"cache-buster": "hush" * 4000}, bearer(), "request_too_long", 414),
        ]
        for query, headers, code, status in asked:
            found = await ask(http, running, headers, query)
            assert found[:2] == (status, None if code == "served" else code)
        await http.options(running.url / "v1/shape", params=START)
        await http.get(running.url / "health")
        assert [(event.code, event.status) for event in running.recorder.events] == [
            (code, status) for _, _, code, status in asked
        ]
        lines = lines_of(running.recorder.events, caplog)
    first = json.loads(next(line for line in lines if "shape_served" in line))
    assert first | {"time": "", "request_id": "", "first_byte_seconds": 0, "seconds": 0} == {
        "time": "",
        "level": "info",
        "event": "shape_served",
        "request_id": "",
        "method": "GET",
        "decision": "served",
        "status": 200,
        "code": "served",
        "org": ACME,
        "user": USER,
        "table": '"public"."items"',
        "kind": "initial",
        "offset": "-1",
        "live": False,
        "body_bytes": 31,
        "first_byte_seconds": 0,
        "seconds": 0,
    }
    everything = "\n".join(lines)
    assert not any(part in everything for part in ("hush", ELECTRIC_SECRET, "127.0.0.1", *token().split(".")))


@pytest.mark.parametrize("wait", ["6", "10"])
async def test_S_09_an_overloaded_electric_is_a_503_that_says_when_to_come_back(
    tmp_path: Path, http: aiohttp.ClientSession, wait: str
) -> None:
    async def overloaded(_request: web.Request) -> web.StreamResponse:
        body = {"code": "concurrent_request_limit_exceeded", "message": "row-hush"}
        return web.json_response(body, status=503, headers={"retry-after": wait})

    async with gate(overloaded, tmp_path) as running:
        assert await ask(http, running, bearer()) == (503, "electric_unavailable", wait)
        (event,) = running.recorder.events
        assert (event.decision, event.code, event.status) == ("refused", "electric_unavailable", 503)


async def test_a_table_is_logged_as_the_policy_names_it_or_not_at_all(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with gate(log_answer, tmp_path) as running:
        for table in ("ITEMS", "public.items", "secrets"):
            await ask(http, running, bearer(), START | {"table": table})
    assert [event.table for event in running.recorder.events] == ['"public"."items"'] * 2 + [None]


async def test_P_53_preflights_and_health_checks_leave_no_line(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with gate(log_answer, tmp_path) as running:
        await http.options(running.url / "v1/shape", params=START, headers={"origin": "https://app.example"})
        await http.get(running.url / "health")
        await http.get(running.url / "health/detailed")
        assert running.recorder.events == []


async def test_the_figures_are_served_apart_and_name_no_org_user_handle_or_token(
    tmp_path: Path, http: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    limits = LimitSettings(shapes_per_hour_principal=1)
    address = ("127.0.0.1", unused_tcp_port)
    async with gate(log_answer, tmp_path, limits=limits, metrics=address) as running:
        await ask(http, running, bearer())
        await ask(http, running, bearer(), START | {"where": "name = 'filter-hush'"})
        await ask(http, running, bearer(), START | {"table": "table_hush"})
        await ask(http, running, bearer(**FORGED))
        async with http.get(running.url / "metrics") as answer:
            assert answer.status == 404
        async with http.get(
            URL.build(scheme="http", host=address[0], port=address[1], path="/metrics")
        ) as got:
            assert got.status == 200
            text = await got.text()
    for line in (
        'shapegate_requests_total{code="served",decision="served",kind="initial",status="200"} 1.0',
        'shapegate_requests_total{code="too_many_shapes",decision="refused",kind="initial",status="429"} 1.0',
        '{code="table_not_allowed",decision="refused",kind="initial",status="403"} 1.0',
        'shapegate_requests_total{code="invalid_token",decision="refused",kind="none",status="401"} 1.0',
        'shapegate_table_requests_total{table="\\"public\\".\\"items\\""} 2.0',
        'shapegate_table_requests_total{table="none"} 2.0',
        'shapegate_first_byte_seconds_count{kind="initial"} 3.0',
        'shapegate_request_seconds_count{kind="none"} 1.0',
        "shapegate_requests_under_way 0.0",
        "shapegate_live_requests 0.0",
        'shapegate_failed_lookups_total{of="keys"} 0.0',
        "shapegate_build_info{version=",
    ):
        assert line in text
    hidden = ("hush", ACME, USER, "h-1", ELECTRIC_SECRET, *token().split("."))
    assert not any(part in text for part in hidden)


async def test_live_requests_are_counted_while_they_are_held(
    tmp_path: Path, http: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    electric, metrics = Holding(), URL(f"http://127.0.0.1:{unused_tcp_port}/metrics")
    async with gate(electric.answer, tmp_path, metrics=("127.0.0.1", unused_tcp_port)) as running:
        held = [
            asyncio.create_task(ask(http, running, bearer(), query))
            for query in (START, LIVE, LIVE | {"cursor": "1"})
        ]
        await electric.under_way(3)
        async with http.get(metrics) as answer:
            text = await answer.text()
        assert "shapegate_live_requests 2.0" in text
        assert "shapegate_requests_under_way 3.0" in text
        electric.released.set()
        await asyncio.gather(*held)


async def test_P_47_I_10_readiness_names_parts_and_no_addresses(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async def health(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "waiting"}, status=202)

    async with gate(health, tmp_path) as running, http.get(running.url / "health/detailed") as answer:
        assert answer.status == 503
        assert await answer.json() == {
            "status": "not_ready",
            "checks": {"electric": "waiting", "database": "ok", "keys of urn:test:issuer": "ok"},
        }
        assert answer.headers["cache-control"] == "no-store"
