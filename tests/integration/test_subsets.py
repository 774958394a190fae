"""Subsets through the whole stack: the rows that Postgres selects, in its order, of the own org (I_01)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
from yarl import URL

from tests.integration.test_isolation import OTHER, USERS, receive, token_of

if TYPE_CHECKING:
    from shapegate_harness.stack import Stack

METHODS = pytest.mark.parametrize("method", ["GET", "POST"])
ORGS = pytest.mark.parametrize("org", ["acme", "globex"])
SHAPE = {"table": "controls", "offset": "-1", "log": "changes_only"}
OWN = "organization_id = (SELECT id FROM organizations WHERE slug = $1)"


async def ask(
    stack: Stack,
    http: aiohttp.ClientSession,
    org: str,
    method: str,
    subset: dict[str, Any],
    *,
    path: str = "v1/shape",
    **shape: str,
) -> tuple[int, dict[str, str], Any]:
    """Ask the gate for a subset as the published clients do."""
    query, body = SHAPE | shape, None
    if method == "POST":
        body = subset
    else:
        query |= {f"subset__{name}": _text(value) for name, value in subset.items()}
    headers = {"authorization": f"Bearer {await token_of(stack, http, org)}"}
    url = URL(stack.addresses.proxy_url) / path
    async with http.request(method, url, params=query, json=body, headers=headers) as answer:
        names = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, names, await answer.json(content_type=None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def ids(answer: Any) -> list[str]:
    return [message["value"]["id"] for message in answer["data"]]


async def select(stack: Stack, rest: str, *values: object) -> list[str]:
    """Select from Postgres itself, in its order."""
    connection = await asyncpg.connect(stack.addresses.database_url)
    try:
        return [row["id"] for row in await connection.fetch(f"SELECT id::text FROM controls {rest}", *values)]
    finally:
        await connection.close()


def org_id(stack: Stack, org: str) -> str:
    return next(login.organization_id for login in stack.addresses.logins if login.email == USERS[org])


FILTERS = [
    "true = true",
    "false",
    "name = 'PPE' or current_quadrant = 'self'",
    "true or name = 'PPE'",
    "not requires_refresher_training and provider_distance between 0 and 9",
    "name like '%i%' or organization_id is null",
]


@ORGS
@METHODS
@pytest.mark.parametrize("where", [None, "current_quadrant = 'self' or provider_distance > 0"])
@pytest.mark.parametrize("subset", FILTERS)
async def test_I_01_I_11_a_subset_selects_within_org_and_filter(
    stack: Stack, subset: str, where: str | None, method: str, org: str
) -> None:
    shape = {} if where is None else {"where": where}
    async with aiohttp.ClientSession() as http:
        status, headers, answer = await ask(stack, http, org, method, {"where": subset}, **shape)
    assert (status, headers["electric-snapshot"]) == (200, "true")
    assert headers["cache-control"].startswith("private, no-")
    expected = await select(stack, f"WHERE {OWN} AND ({where or 'true'}) AND ({subset})", org)
    assert sorted(ids(answer)) == sorted(expected)


@ORGS
@METHODS
async def test_I_01_pages_in_an_order_are_those_of_postgres(stack: Stack, method: str, org: str) -> None:
    order = "provider_distance DESC NULLS LAST, name, id"
    pages: list[str] = []
    async with aiohttp.ClientSession() as http:
        for offset in range(0, 100, 3):
            asked = {"order_by": order, "limit": 3, "offset": offset}
            _, _, answer = await ask(stack, http, org, method, asked)
            if not answer["data"]:
                break
            pages += ids(answer)
    expected = await select(stack, f"WHERE {OWN} ORDER BY {order}", org)
    assert pages == expected
    assert len(pages) > 3


@ORGS
@METHODS
async def test_P_09_I_01_naming_the_other_org_selects_nothing(stack: Stack, method: str, org: str) -> None:
    other = org_id(stack, OTHER[org])
    tricks: list[dict[str, Any]] = [
        {"where": f"organization_id = '{other}'"},
        {"where": "organization_id = $1", "params": {"1": other}},
        {"where": "organization_id = ANY($1)", "params": {"1": f"{{{other}}}"}},
        {"where": f"organization_id <> '{org_id(stack, org)}' or organization_id is null"},
        {"where": "organization_id::text = $1", "params": {"1": other}},
        {"where": "name = $1", "params": {"1": "x' OR 'a'='a"}},
    ]
    async with aiohttp.ClientSession() as http:
        for trick in tricks:
            status, _, answer = await ask(stack, http, org, method, trick)
            assert (status, ids(answer)) == (200, []), trick


@METHODS
async def test_I_01_no_row_of_the_other_org_comes_by_any_order_or_page(stack: Stack, method: str) -> None:
    theirs = set(await select(stack, f"WHERE {OWN}", "globex"))
    tricks: list[dict[str, Any]] = [
        {"where": "true", "order_by": "organization_id desc", "limit": 2**31 - 1},
        {"order_by": "organization_id", "limit": 2**31 - 1, "offset": 0},
        {"order_by": "id", "offset": 1},
        {"where": "id is not null", "where_expr": {"type": "val"}, "order_by_expr": []},
        *({"where": f"id = '{id_}'"} for id_ in sorted(theirs)[:3]),
    ]
    async with aiohttp.ClientSession() as http:
        for trick in tricks:
            status, _, answer = await ask(stack, http, "acme", method, trick)
            assert status == 200
            assert not theirs & set(ids(answer)), trick


REFUSED: list[dict[str, Any]] = [
    {"where": "true) or (true"},
    {"where": "true -- "},
    {"where": "id in (select id from controls)"},
    {"where": "id in (select user_id from shapegate_auth.passwords)"},
    {"where": "xmin is not null"},
    {"where": "controls is not null"},
    {"where": "password = 'x'"},
    {"where": "name = $1", "params": {"2": "x"}},
    {"where": "true", "params": {"1": "x"}},
    {"where": "true", "limit": 1},
    {"order_by": "password", "limit": 1},
    {"order_by": "ctid"},
    {"order_by": "(select 1)"},
    {"order_by": "id; select 1"},
    {"order_by": "id", "limit": 0},
    {"order_by": "id", "offset": -1},
]


@METHODS
@pytest.mark.parametrize("subset", REFUSED, ids=json.dumps)
async def test_I_02_I_03_what_no_subset_may_say_is_a_400_of_the_gate(
    stack: Stack, subset: dict[str, Any], method: str
) -> None:
    async with aiohttp.ClientSession() as http:
        status, headers, answer = await ask(stack, http, "acme", method, subset)
    assert (status, headers["cache-control"]) == (400, "private, no-store")
    assert answer["code"] in ("filter_refused", "invalid_request")


@METHODS
async def test_T_08_P_48_a_handle_of_the_other_org_is_worth_nothing(stack: Stack, method: str) -> None:
    async with aiohttp.ClientSession() as http:
        token = await token_of(stack, http, "globex")
        theirs = await receive(stack, http, token, "controls")
        held = {"offset": theirs.offset, "handle": theirs.handle, "log": "full"}
        status, headers, answer = await ask(stack, http, "acme", method, {"where": "true"}, **held)
        assert (status, answer) == (409, [{"headers": {"control": "must-refetch"}}])
        assert headers["electric-handle"] != theirs.handle
        path = f"api/electric/orgs/{org_id(stack, 'globex')}/sync"
        status, _, answer = await ask(stack, http, "acme", method, {"where": "true"}, path=path, **held)
        assert (status, answer["code"]) == (403, "org_mismatch")


@METHODS
async def test_I_05_an_id_of_the_other_org_answers_like_one_that_is_not_there(
    stack: Stack, method: str
) -> None:
    (theirs, *_) = await select(stack, f"WHERE {OWN}", "globex")
    answers = []
    async with aiohttp.ClientSession() as http:
        for id_ in (theirs, "00000000-0000-4000-8000-000000000000"):
            subset = {"where": "id = $1", "params": {"1": id_}, "order_by": "id", "limit": 1}
            status, headers, answer = await ask(stack, http, "acme", method, subset)
            answers.append((status, set(headers), answer["data"], sorted(answer["metadata"])))
    assert answers[0] == answers[1]


async def test_P_18_a_long_list_is_served_by_get_and_by_post(stack: Stack) -> None:
    own = await select(stack, f"WHERE {OWN}", "acme")
    strangers = [f"00000000-0000-4000-8000-{number:012}" for number in range(180)]
    subset = {"where": "id = ANY($1)", "params": {"1": f"{{{','.join([*strangers, *own])}}}"}}
    async with aiohttp.ClientSession() as http:
        for method in ("GET", "POST"):
            status, _, answer = await ask(stack, http, "acme", method, subset)
            assert status == 200
            assert sorted(ids(answer)) == sorted(own)
