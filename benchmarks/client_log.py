"""A log to be taken in: its rows, its chunks as Electric prints them, and a server that has them ready."""

from __future__ import annotations

import contextlib
import json
import uuid
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from shapegate_wire.message import Change

TABLE: Final = "bench_rows"
SCHEMA: Final = {
    "amount": {"type": "numeric", "precision": 12, "scale": 2},
    "done": {"type": "bool", "not_null": True},
    "id": {"type": "int8", "not_null": True, "pk_index": 0},
    "inserted_at": {"type": "timestamptz", "not_null": True},
    "name": {"type": "text", "not_null": True},
    "organization_id": {"type": "uuid", "not_null": True},
}
COLUMNS: Final = {
    "amount": "TEXT",
    "done": "INTEGER",
    "id": "INTEGER",
    "inserted_at": "TEXT",
    "name": "TEXT",
    "organization_id": "TEXT",
}
ROWS_PER_CHUNK: Final = 32_000
"""About 10 MB, as Electric cuts a snapshot."""
_ORG: Final = str(uuid.UUID(int=7))
_AT: Final = "2026-01-02 03:04:05.678901+00"

Row = tuple[str, int, int, str, str, str]


def make_rows(start: int, count: int) -> list[Row]:
    """Make rows as SQLite stores them, in the order of `COLUMNS`."""
    return [
        (f"{n}.50", n % 2, n, _AT, f"row number {n} of this table", _ORG) for n in range(start, start + count)
    ]


def print_chunk(rows: list[Row]) -> bytes:
    """Print rows as a chunk of a snapshot."""
    messages = (
        {
            "key": f'"public"."{TABLE}"/"{number}"',
            "value": {
                "amount": amount,
                "done": "true" if done else "false",
                "id": str(number),
                "inserted_at": at,
                "name": name,
                "organization_id": org,
            },
            "headers": {"operation": "insert", "relation": ["public", TABLE]},
        }
        for amount, done, number, at, name, org in rows
    )
    return b"[" + b",".join(json.dumps(each, separators=(",", ":")).encode() for each in messages) + b"]"


def print_changes(changes: list[Change]) -> bytes:
    """Print changes as a part of a log, each of a transaction of its own."""
    messages = (
        {
            "key": change.key,
            "value": change.value,
            "headers": {
                "operation": change.operation.value,
                "relation": ["public", TABLE],
                "lsn": str(number),
                "op_position": 0,
                "txids": [number],
                "last": True,
            },
        }
        for number, change in enumerate(changes)
    )
    return json.dumps(list(messages), separators=(",", ":")).encode()


def chunk_sizes(rows: int) -> Iterator[tuple[int, int]]:
    """Cut a number of rows to chunks: the first row and the count of each."""
    return ((start, min(ROWS_PER_CHUNK, rows - start)) for start in range(0, rows, ROWS_PER_CHUNK))


def write_chunks(folder: Path, rows: int) -> list[Path]:
    """Write the chunks of a snapshot, one file each."""
    paths = []
    for number, (start, count) in enumerate(chunk_sizes(rows)):
        path = folder / f"chunk {number}.json"
        path.write_bytes(print_chunk(make_rows(start, count)))
        paths.append(path)
    return paths


@contextlib.asynccontextmanager
async def served(chunks: list[Path]) -> AsyncIterator[str]:
    """Serve the log on loopback, at any path; live requests are held. Yields the address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "live" in request.query:
            await request.content.read()
            raise web.HTTPServiceUnavailable(headers={"retry-after": "300"})
        offset = request.query["offset"]
        reached = offset.partition("_")[2]
        number = 0 if offset == "-1" else len(chunks) if reached == "inf" else int(reached) + 1
        headers = {
            "electric-handle": "1-1",
            "electric-offset": f"0_{number}",
            "electric-schema": json.dumps(SCHEMA),
            "content-type": "application/json; charset=utf-8",
        }
        if number < len(chunks):
            return web.FileResponse(chunks[number], headers=headers)
        end = [{"headers": {"control": "up-to-date", "global_last_seen_lsn": "1"}}]
        headers |= {"electric-offset": "0_inf", "electric-up-to-date": ""}
        return web.Response(body=json.dumps(end), headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
