"""Small servers on real sockets for client tests: a gate with logs of its own, and an issuer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Responder = Callable[[web.Request], Awaitable[web.StreamResponse]]

POLL_SECONDS = 5.0
SCHEMA = {
    "id": {"type": "int8", "pk_index": 0, "not_null": True},
    "title": {"type": "text"},
    "done": {"type": "bool"},
}
Row = dict[str, str | None]


@contextlib.asynccontextmanager
async def served(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """Serve an application on loopback; yields its address."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        bound = runner.addresses[0][1]
        yield f"http://127.0.0.1:{bound}"
    finally:
        await runner.cleanup()


@dataclass
class Log:
    """One shape of one org."""

    table: str
    handle: str
    rows: dict[int, Row] = field(default_factory=dict)
    snapshot: list[dict[str, object]] = field(default_factory=list)
    transactions: list[list[dict[str, object]]] = field(default_factory=list)
    schema: dict[str, object] = field(default_factory=lambda: dict(SCHEMA))


class Gate:
    """A proxy and its Electric in memory: an org's shapes, chunked snapshots, long polls, 409s."""

    def __init__(self, *, rows_per_chunk: int = 1_000) -> None:
        self.logs: dict[tuple[str, str], Log] = {}
        self.requests: list[dict[str, str]] = []
        self.tokens: dict[str, str] = {}
        """Living tokens and their orgs; any token `token-<org>-...` is good where this is empty."""
        self.failures: deque[Responder] = deque()
        """Answers that come before real ones."""
        self.failing: Responder | None = None
        """Answers everything while it is set."""
        self._rows_per_chunk = rows_per_chunk
        self._handles = 0
        self._moved = asyncio.Event()
        self.asked = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_get("/api/electric/orgs/{org}/sync", self._answer)

    def create(self, org: str, table: str, rows: dict[int, str | None]) -> Log:
        """Make, or make anew, the log of a table with these rows."""
        self._handles += 1
        log = Log(table, f"{self._handles}-1")
        log.rows = {row: {"id": str(row), "title": title, "done": "f"} for row, title in rows.items()}
        log.snapshot = [self._message(log, "insert", dict(value)) for value in log.rows.values()]
        self.logs[org, table] = log
        self._wake()
        return log

    def commit(self, org: str, table: str, *changes: tuple[str, int, str | None]) -> None:
        """Commit one transaction of (operation, id, title)."""
        log = self.logs[org, table]
        messages = []
        for operation, row, title in changes:
            value: Row = {"id": str(row)}
            if operation == "insert":
                value |= {"title": title, "done": "f"}
                log.rows[row] = dict(value)
            elif operation == "update":
                value["title"] = title
                log.rows[row]["title"] = title
            else:
                del log.rows[row]
            messages.append(self._message(log, operation, value))
        log.transactions.append(messages)
        self._wake()

    def titles(self, org: str, table: str) -> dict[int, str | None]:
        return {row: value["title"] for row, value in self.logs[org, table].rows.items()}

    def asked_since(self, mark: int) -> list[dict[str, str]]:
        return self.requests[mark:]

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _message(self, log: Log, operation: str, value: Row) -> dict[str, object]:
        return {
            "key": f'"public"."{log.table}"/"{value["id"]}"',
            "value": value,
            "headers": {"operation": operation, "relation": ["public", log.table]},
        }

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        org = request.match_info["org"]
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.requests.append({"org": org, "token": token, **request.query})
        self.asked.set()
        if self.failures:
            return await self.failures.popleft()(request)
        if self.failing is not None:
            return await self.failing(request)
        if (self.tokens.get(token) if self.tokens else token.split("-")[1]) != org:
            return web.json_response({"message": "no", "code": "invalid_token"}, status=401)
        log = self.logs.get((org, request.query["table"].replace('"', "").removeprefix("public.")))
        if log is None:
            return web.json_response({"message": "no", "code": "table_not_allowed"}, status=403)
        if request.query["offset"] == "-1":
            return self._chunk(log, 0)
        if request.query["handle"] != log.handle:
            headers = {"electric-handle": log.handle}
            return web.json_response([{"headers": {"control": "must-refetch"}}], status=409, headers=headers)
        return await self._continue(log, request)

    def _chunk(self, log: Log, number: int) -> web.Response:
        start = number * self._rows_per_chunk
        return self._log(log, f"0_{number}", log.snapshot[start : start + self._rows_per_chunk])

    async def _continue(self, log: Log, request: web.Request) -> web.StreamResponse:
        lsn, op = request.query["offset"].split("_")
        if lsn == "0" and op != "inf" and (int(op) + 1) * self._rows_per_chunk < len(log.snapshot):
            return self._chunk(log, int(op) + 1)
        live = request.query.get("live") == "true"
        moved = self._moved
        if live and int(lsn) == len(log.transactions):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await moved.wait()
            if all(log is not each for each in self.logs.values()):
                return web.json_response([], status=409)
        messages = [message for each in log.transactions[int(lsn) :] for message in each]
        at = f"{len(log.transactions)}_0" if log.transactions else "0_inf"
        return self._log(log, at, messages, up_to_date=True, live=live)

    def _log(
        self,
        log: Log,
        at: str,
        messages: list[dict[str, object]],
        *,
        up_to_date: bool = False,
        live: bool = False,
    ) -> web.Response:
        headers = {"electric-handle": log.handle, "electric-offset": at}
        headers |= {"electric-cursor": "1"} if live else {"electric-schema": json.dumps(log.schema)}
        body = list(messages)
        if up_to_date:
            headers["electric-up-to-date"] = ""
            body.append({"headers": {"control": "up-to-date", "global_last_seen_lsn": "1"}})
        return web.json_response(body, headers=headers)


def status(code: int, **headers: str) -> Responder:
    """Answer with a status and nothing else."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "scripted", "code": "scripted"}, status=code, headers=headers)

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def cut_in_body(request: web.Request) -> web.StreamResponse:
    """Promise a body, send half of it and close the connection."""
    headers = {"electric-handle": "1-1", "electric-offset": "0_0", "electric-schema": json.dumps(SCHEMA)}
    response = web.StreamResponse(headers={**headers, "content-length": "1000"})
    await response.prepare(request)
    await response.write(b'[{"key":"k","value":{"id":"99"')
    assert request.transport is not None
    request.transport.close()
    return response


async def stall(_request: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError("never reached")


def jwt(user: str, org: str, serial: int) -> str:
    """A token that nobody signed, with the claims that a client compares."""

    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'sub': user, 'organization_id': org, 'n': serial})}.sig"


class Issuer:
    """A token issuer in memory: rotation of refresh tokens, sessions per org, failures on demand."""

    def __init__(self, *, expires_in: float = 900.0) -> None:
        self.expires_in = expires_in
        self.members = {"acme": "Acme", "globex": "Globex"}
        self.asked: list[str] = []
        self.refresh: dict[str, str] = {}
        self.access: dict[str, str] = {}
        self.refusing: int | None = None
        self.revoked: list[str] = []
        self.lists_orgs = True
        self.answer_as: str | None = None
        """Names an org in every answer, whatever was asked for."""
        self._serial = 0
        self.app = web.Application()
        for path in ("login", "refresh", "switch", "logout"):
            self.app.router.add_post(f"/api/auth/{path}", self._answer)

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.path.rsplit("/", 1)[1]
        body = await request.json()
        self.asked.append(path)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.refusing is not None:
            return self._refuse(self.refusing)
        if path == "login":
            good = body["password"] == "correct"
            return self._grant("acme") if good else self._refuse(401)
        if path == "refresh":
            if self.refresh.get(body["refresh_token"], "acme") not in self.members:
                return self._refuse(403, "not_a_member")
            org = self.refresh.pop(body["refresh_token"], None)
            return self._grant(org) if org else self._refuse(401)
        if bearer not in self.access:
            return self._refuse(401)
        if path == "logout":
            self.revoked.append(self.access[bearer])
            return web.Response(status=204)
        return (
            self._grant(body["organization_id"])
            if {body["organization_id"], self.access[bearer]} <= self.members.keys()
            else self._refuse(403, "not_a_member")
        )

    def _refuse(self, status: int, code: str = "no") -> web.Response:
        return web.json_response({"message": "scripted refusal", "code": code, "hint": ""}, status=status)

    def _grant(self, org: str) -> web.Response:
        self._serial += 1
        access, refresh = jwt("ada", org, self._serial), f"refresh-{self._serial}"
        self.access[access], self.refresh[refresh] = org, org
        orgs = [
            {"id": each, "slug": each, "name": name, "role": "member"} for each, name in self.members.items()
        ]
        named = self.answer_as or org
        return web.json_response(
            {
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": self.expires_in,
                "refresh_token": refresh,
                "issuer": "urn:test",
                "user": {"id": "ada", "email": "ada@acme.example"},
                "organization": {"id": named, "slug": named, "name": named, "role": "member"},
                **({"organizations": orgs} if self.lists_orgs else {}),
            }
        )
