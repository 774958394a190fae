"""The canary finds what it is there for: gates that leak on purpose, in each way that one could."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from tests.canary import Canary, LogCanary, watched
from tests.proxy.builders import LOG_HEADERS, bearer, gate, serve, token

if TYPE_CHECKING:
    from pathlib import Path

    from yarl import URL

ACME, GLOBEX = "ac3e0000-0000-4000-8000-000000000000", "610b0000-0000-4000-8000-000000000000"
OURS, THEIRS = "ac3e0012-0000-4000-8000-000000000003", "610b0012-0000-4000-8000-000000000003"
USER_OF_BOTH = "ac3e0001-0000-4000-8000-000000000001"
START = {"table": "items", "offset": "-1"}


async def read(url: URL, org: str | None) -> bytes:
    headers = {} if org is None else bearer(organization_id=org)
    async with (
        aiohttp.ClientSession() as http,
        http.get(url / "v1/shape", params=START, headers=headers) as answer,
    ):
        return await answer.read()


def row(row_id: str) -> bytes:
    return f'[{{"key":"\\"public\\".\\"items\\"/\\"{row_id}\\"","value":{{"name":"x"}}}}]'.encode()


async def leaks_of(body: bytes, org: str | None, headers: dict[str, str] | None = None) -> list[str]:
    """Return what the canary says of a gate that answers everybody so."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    canary = Canary()
    async with serve(answer) as (url, _), watched(url, canary) as address:
        assert await read(address, org) == body
    assert canary.searched_bytes > len(body)
    return canary.leaks


@pytest.mark.parametrize(
    ("org", "body"), [(ACME, row(OURS)), (GLOBEX, row(THEIRS)), (GLOBEX, row(USER_OF_BOTH))]
)
async def test_I_01_own_rows_are_no_leak(org: str, body: bytes) -> None:
    assert await leaks_of(body, org) == []


@pytest.mark.parametrize(
    ("org", "body"),
    [
        (ACME, row(THEIRS)),
        (ACME, row(OURS) + row(THEIRS)),
        (ACME, row(THEIRS).upper()),
        (ACME, b"x" * 200_000 + row(THEIRS)),
        (ACME, GLOBEX.encode()),
        (GLOBEX, row(OURS)),
        (None, row(OURS)),
    ],
)
async def test_I_01_a_row_of_another_org_in_a_body_is_found(org: str | None, body: bytes) -> None:
    assert len(await leaks_of(body, org)) == 1


async def test_I_01_a_row_of_another_org_in_a_header_is_found() -> None:
    (leak,) = await leaks_of(b"[]", ACME, {"electric-handle": THEIRS})
    assert leak == f"an answer for acme holds {THEIRS} of globex"


async def test_an_answer_that_cannot_be_searched_is_no_clean_one() -> None:
    assert await leaks_of(b"", ACME, {"content-encoding": "gzip"}) != []


async def test_I_01_a_mark_in_two_pieces_is_found() -> None:
    gap = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": str(len(THEIRS))})
        await response.prepare(request)
        await response.write(THEIRS[:20].encode())
        await gap.wait()
        await response.write(THEIRS[20:].encode())
        return response

    canary = Canary()
    async with serve(answer) as (url, _), watched(url, canary) as address, aiohttp.ClientSession() as http:
        headers = bearer(organization_id=ACME)
        async with http.get(address / "v1/shape", params=START, headers=headers) as got:
            assert await got.content.readany() == THEIRS[:20].encode()
            gap.set()
            assert await got.read() == THEIRS[20:].encode()
    assert len(canary.leaks) == 1


async def test_requests_of_two_orgs_on_one_connection_are_told_apart() -> None:
    async def confined(request: web.Request) -> web.StreamResponse:
        own = token(organization_id=ACME) in request.headers.get("authorization", "")
        return web.Response(body=row(OURS if own else THEIRS))

    canary = Canary()
    async with (
        serve(confined) as (url, _),
        watched(url, canary) as address,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http,
    ):
        for org in (ACME, GLOBEX, ACME, None, GLOBEX):
            headers = {} if org is None else bearer(organization_id=org)
            async with http.get(address / "v1/shape", params=START, headers=headers) as got:
                await got.read()
    assert canary.leaks == [f"an answer for nobody holds {THEIRS} of globex"]


async def test_I_01_a_gate_whose_electric_ignores_the_scope_is_caught(tmp_path: Path) -> None:
    async def everything(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=row(OURS) + row(THEIRS), headers=LOG_HEADERS)

    canary = Canary()
    async with gate(everything, tmp_path) as running, watched(running.url, canary) as address:
        await read(address, ACME)
    assert canary.leaks == [f"an answer for acme holds {THEIRS} of globex"]


async def test_a_cut_body_is_cut_on_the_other_side_too() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"[")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serve(cut) as (url, _), watched(url, Canary()) as address:
        with pytest.raises(aiohttp.ClientError):
            await read(address, ACME)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"org={ACME} served", []),
        (f"row {OURS}", ["the log shapegate.test holds a row"]),
        (f"Bearer {token()}", ["the log shapegate.test holds a secret"]),
        ("secret=hush", ["the log shapegate.test holds a secret"]),
    ],
)
def test_I_10_a_row_or_a_secret_in_the_log_is_found(line: str, found: list[str]) -> None:
    canary, log = Canary(secrets={"hush"}), logging.Logger("shapegate.test")
    log.addHandler(LogCanary(canary))
    log.warning(line)
    assert canary.leaks == found


def test_I_10_a_row_in_the_cause_of_a_logged_error_is_found() -> None:
    canary, log = Canary(), logging.Logger("shapegate.test")
    log.addHandler(LogCanary(canary))
    try:
        raise ValueError(THEIRS)
    except ValueError:
        log.exception("failed")
    assert canary.leaks == ["the log shapegate.test holds a row"]


@pytest.mark.parametrize(("ids", "leaks"), [([OURS, ACME, GLOBEX], 0), ([OURS, THEIRS], 1)])
def test_a_local_file_with_rows_of_two_orgs_is_found(tmp_path: Path, ids: list[str], leaks: int) -> None:
    (tmp_path / "deep").mkdir()
    db = sqlite3.connect(tmp_path / "deep" / "rows.sqlite3")
    with db:
        db.execute("CREATE TABLE items (id TEXT)")
        db.executemany("INSERT INTO items VALUES (?)", [(one,) for one in ids])
    db.close()
    canary = Canary()
    assert canary.search_files([tmp_path]) == 1
    (tmp_path / "deep" / "rows.sqlite3").unlink()  # or the canary of the whole session finds it
    assert len(canary.leaks) == leaks
