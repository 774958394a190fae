"""What is remembered of requests, and everything that ends it (SECURITY I-09, J-14, J-15)."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web

from shapegate_proxy.admissions import HEAD_BYTES_MAX, TARGET_CHARS_MAX, Admissions
from shapegate_proxy.config import SharingSettings
from shapegate_proxy.errors import InvalidToken
from shapegate_proxy.limit_settings import LimitSettings
from shapegate_proxy.plain_head import HeadReader
from shapegate_proxy.plain_request import known_request, new_request
from shapegate_proxy.revocation import UncheckedSessions
from tests.proxy.builders import ACME, GLOBEX, LOG_HEADERS, NOW, bearer, gate, log_answer, token

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_proxy.admissions import Admission
    from shapegate_proxy.principal import Principal
    from tests.proxy.builders import Answer


async def not_kept(_: web.Request) -> web.StreamResponse:
    """An answer that is asked for each time."""
    return web.Response(body=b"[]", headers=LOG_HEADERS | {"cache-control": "no-cache"})


TARGET = "/v1/shape?table=items&offset=-1"


def admission(target: str = TARGET) -> Admission:
    return SimpleNamespace(target=target)  # type: ignore[return-value]  # no more is looked at here


def test_the_same_bytes_are_recalled_and_no_others() -> None:
    kept, known = Admissions(), admission()
    kept.remember(b"GET / HTTP/1.1\r\n\r\n", known)
    assert kept.recall(b"GET / HTTP/1.1\r\n\r\n") is known
    assert kept.recall(b"GET /  HTTP/1.1\r\n\r\n") is None


def test_I_08_what_is_kept_is_bounded() -> None:
    kept = Admissions(size_max=2)
    for name in (b"1", b"2", b"1", b"3"):
        kept.remember(name, admission())
    assert [kept.recall(name) is None for name in (b"1", b"2", b"3")] == [True, False, False]
    for name, target in ((b"4", "x" * (TARGET_CHARS_MAX + 1)), (b"5" * (HEAD_BYTES_MAX + 1), TARGET)):
        kept.remember(name, admission(target))
        assert (kept.recall(name), len(kept)) == (None, 2)


def test_J_16_a_request_does_not_print_the_head_that_it_was_read_from() -> None:
    head = f"GET {TARGET} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer xyzzy\r\n\r\n".encode()
    reader = HeadReader()
    plain, known = reader.read(head), SimpleNamespace(target=TARGET, org=None)
    assert plain is not None
    for incoming in (
        new_request(plain, head, peer=lambda: None),
        known_request(known, head, reader, peer=lambda: None),  # type: ignore[arg-type]  # no more is looked at
    ):
        assert incoming.values("authorization") == ["Bearer xyzzy"]
        assert "xyzzy" not in f"{incoming!r} {incoming.values!r} {incoming.query!r}"
        incoming.forget()
        assert (incoming.values("authorization"), incoming.head) == ((), None)


SHARED = SharingSettings()
PAIRS = {"table": "items", "offset": "-1"}
PATHS = ["/v1/shape", f"/api/electric/orgs/{ACME}/sync"]
ANSWERS = [log_answer, not_kept]
"""One that is given again without a word to Electric, and one that Electric is asked for each time."""


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("path", PATHS)
async def test_J_15_a_request_that_was_admitted_ends_with_its_token(
    tmp_path: Path, path: str, answer: Answer
) -> None:
    async with gate(answer, tmp_path, sharing=SHARED) as running, ClientSession(headers=bearer()) as http:
        for seconds, status in ((0, 200), (0, 200), (309, 200), (310, 401), (309, 200)):
            running.clock.now = NOW + timedelta(seconds=seconds)
            async with http.get(running.url.with_path(path) % PAIRS) as found:
                assert found.status == status
    assert len(running.upstream) == (1 if answer is log_answer else 4)
    assert [event.code for event in running.recorder.events].count("served") == 4


@pytest.mark.parametrize("answer", ANSWERS)
async def test_J_14_a_request_that_was_admitted_ends_with_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    revoked: list[bool] = []

    async def confirm(_: UncheckedSessions, _principal: Principal) -> None:
        if revoked:
            raise InvalidToken("The session of this token has ended")

    monkeypatch.setattr(UncheckedSessions, "confirm", confirm)
    monkeypatch.setattr(UncheckedSessions, "believes", lambda *_: not revoked)
    async with gate(answer, tmp_path, sharing=SHARED) as running, ClientSession(headers=bearer()) as http:
        for now, status in (([], 200), ([], 200), ([True], 401), ([], 200)):
            revoked[:] = now
            async with http.get(running.url.with_path("/v1/shape") % PAIRS) as found:
                assert found.status == status


async def test_a_kept_answer_ends_with_its_freshness(tmp_path: Path) -> None:
    async with gate(log_answer, tmp_path, sharing=SHARED) as running, ClientSession(headers=bearer()) as http:
        for seconds, asked in ((0, 1), (0.9, 1), (0.2, 2), (0, 2)):
            running.ticks.now += seconds
            async with http.get(running.url.with_path("/v1/shape") % PAIRS) as found:
                assert (found.status, await found.read()) == (200, b"[]")
            assert len(running.upstream) == asked


async def test_I_08_a_request_that_was_admitted_is_within_the_limits(tmp_path: Path) -> None:
    limits = LimitSettings(shapes_per_hour_principal=1)
    other = {**PAIRS, "where": "name = 'a'"}
    async with (
        gate(log_answer, tmp_path, limits=limits, sharing=SHARED) as running,
        ClientSession(headers=bearer()) as http,
    ):
        for params, hours, status in ((PAIRS, 0, 200), (other, 0, 429), (other, 1, 200), (PAIRS, 0, 429)):
            running.ticks.now += hours * 3_600
            async with http.get(running.url.with_path("/v1/shape") % params) as found:
                assert found.status == status


@pytest.mark.parametrize("answer", ANSWERS)
async def test_I_09_the_same_target_of_another_org_is_another_request(tmp_path: Path, answer: Answer) -> None:
    async with gate(answer, tmp_path, sharing=SHARED) as running, ClientSession() as http:
        for org in (ACME, GLOBEX, ACME, GLOBEX):
            headers = {"authorization": f"Bearer {token(organization_id=org)}"}
            async with http.get(running.url.with_path("/v1/shape") % PAIRS, headers=headers) as found:
                assert found.status == 200
    asked = [ACME, GLOBEX] * (1 if answer is log_answer else 2)
    assert [request.query["params[1]"] for request in running.upstream] == asked
    assert [event.org for event in running.recorder.events] == [ACME, GLOBEX, ACME, GLOBEX]


async def test_P_33_each_page_is_answered_as_itself(tmp_path: Path) -> None:
    async with gate(log_answer, tmp_path, sharing=SHARED) as running, ClientSession(headers=bearer()) as http:
        for origin in ("https://app.example", "https://other.example", "https://app.example", None):
            headers = {} if origin is None else {"origin": origin}
            async with http.get(running.url.with_path("/v1/shape") % PAIRS, headers=headers) as found:
                allowed = found.headers.get("access-control-allow-origin")
                assert allowed == (origin if origin == "https://app.example" else None)


@pytest.mark.parametrize("condition", ['"a"', None])
async def test_P_42_conditions_and_traces_are_not_those_of_another(
    tmp_path: Path, condition: str | None
) -> None:
    told = [] if condition is None else [condition]
    async with gate(not_kept, tmp_path) as running, ClientSession(headers=bearer()) as http:
        for number in (1, 2, 2):
            headers = {"traceparent": f"00-{number:032x}-{number:016x}-01"}
            headers |= {} if condition is None else {"if-none-match": condition}
            async with http.get(running.url.with_path(PATHS[1]) % PAIRS, headers=headers) as found:
                assert found.status == 200
    assert [int(asked.headers["traceparent"][3:35], 16) for asked in running.upstream] == [1, 2, 2]
    assert [asked.headers.getall("if-none-match", []) for asked in running.upstream] == [told] * 3
