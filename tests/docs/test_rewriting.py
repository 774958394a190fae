"""docs/how-requests-are-rewritten.md says what the code does: requests, headers, statuses and order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from shapegate_proxy.allowed_headers import client_headers
from shapegate_wire import names
from tests.docs.blocks import blocks, chapter, codes, read_document, rows
from tests.docs.refusals import refusals
from tests.docs.rewriting import rewrite, shown
from tests.proxy.builders import LOG_HEADERS, bearer, gate

if TYPE_CHECKING:
    from pathlib import Path

PAGE = read_document("how-requests-are-rewritten.md")
(POLICY,) = blocks(PAGE, "toml")
REQUESTS = blocks(PAGE, "http")
PAIRS = list(zip(REQUESTS[::2], REQUESTS[1::2], strict=True))
STATUSES = rows(chapter(PAGE, "Statuses"))
STEPS = rows(chapter(PAGE, "In which order the gate decides"))

OUT_OF_BOUNDS = '{"errors": {"offset": ["out of bounds for this shape"]}}'
PROBES = {
    "400 `out of bounds for this shape`": (400,),
    "400, any other": (400,),
    "401, 403": (401, 403),
    "429, 500 to 599": (429, 500, 503, 599),
    "any other": (201, 302, 404, 418),
}
"""Rows of the table, and what Electric is made to answer for each."""


@pytest.mark.parametrize(("asked", "sent"), PAIRS, ids=[asked.split("\n", 1)[0] for asked, _ in PAIRS])
def test_P_01_every_request_that_is_shown_becomes_what_is_shown(asked: str, sent: str) -> None:
    assert shown(rewrite(asked, POLICY)) == sent


def test_I_16_the_table_of_request_headers_names_all_that_electric_gets() -> None:
    passed = {
        header
        for said, gets in rows(chapter(PAGE, "Headers of the request"))
        for header in codes(said)
        if gets != "nothing"
    }
    sent = {name for asked, _ in PAIRS for name, _ in rewrite(asked, POLICY).headers}
    assert passed == sent | {"if-none-match", "traceparent"}


def test_P_31_the_table_of_answer_headers_names_all_that_passes() -> None:
    said = {
        header
        for header, gets in rows(chapter(PAGE, "Headers of the answer"))
        for header in codes(header)
        if gets != "nothing"
    }
    electrics = {**LOG_HEADERS, "content-length": "2", "electric-cursor": "1", "electric-snapshot": "true"}
    electrics["electric-internal-known-error"] = "true"
    passed = client_headers(200, electrics, org_in_url=True, sse=False)
    assert said == passed.keys() | {names.RETRY_AFTER}


def test_the_order_names_every_refusal_with_its_status() -> None:
    said = {pair for _, cell in STEPS for pair in re.findall(r"(\d{3}) `(\w+)`", cell)}
    assert said == {(str(refusal.status), refusal.code) for refusal in refusals().values()}


async def asked_of_a_gate(folder: Path, status: int, body: str) -> tuple[int, str]:
    """Ask a gate whose Electric answers every request for a shape with one status."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, content_type="application/json")

    async with gate(answer, folder) as running, aiohttp.ClientSession() as http:
        url = running.url / "v1/shape"
        async with http.get(url, params={"table": "items", "offset": "-1"}, headers=bearer()) as told:
            return told.status, (await told.json())["code"]


@pytest.mark.parametrize(
    ("row", "status"),
    [(row, status) for row, statuses in PROBES.items() for status in statuses],
)
async def test_P_30_P_43_P_44_a_status_of_electric_becomes_what_the_table_says(
    tmp_path: Path, row: str, status: int
) -> None:
    (said,) = [line for line in STATUSES if line[0] == row]
    body = OUT_OF_BOUNDS if "out of bounds" in row else '{"message": "upstream text"}'
    told, code = await asked_of_a_gate(tmp_path, status, body)
    assert said[2] == f"`{code}`"
    assert said[1].startswith("the same" if told == status != 400 else str(told))
