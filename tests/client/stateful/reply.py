"""Whole answers of a gate, and of what spoils them on the way. Pure: no I/O, no clock."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_wire.offset import Offset
    from tests.client.stateful.faults import Spoil
    from tests.client.stateful.shape_log import Log, Message


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def up_to_date(lsn: int) -> Message:
    return {"headers": {"control": "up-to-date", "global_last_seen_lsn": str(lsn)}}


def log_reply(
    log: Log,
    messages: list[Message],
    offset: Offset,
    *,
    live: bool,
    at_end: bool = False,
    cursor: str | None = None,
) -> Reply:
    headers = {
        "content-type": "application/json",
        "electric-handle": log.handle,
        "electric-offset": str(offset),
    }
    if live:
        headers["electric-cursor"] = str(int(cursor or "0") + 20)
    else:
        headers["electric-schema"] = _schema(log)
    if at_end:
        headers["electric-up-to-date"] = ""
        messages = [*messages, up_to_date(log.end.lsn)]
    return Reply(200, headers, json.dumps(messages).encode())


def _schema(log: Log) -> str:
    schema: dict[str, dict[str, object]] = {}
    for column in log.columns:
        schema[column.name] = {"type": column.type}
        if column.not_null:
            schema[column.name]["not_null"] = True
    if log.keyed:
        schema["id"]["pk_index"] = 0
    return json.dumps(schema)


def gone(handle: str | None) -> Reply:
    headers = {"content-type": "application/json"} | ({} if handle is None else {"electric-handle": handle})
    return Reply(409, headers, b'[{"headers":{"control":"must-refetch"}}]')


def out_of_bounds() -> Reply:
    body = {"message": "Invalid request", "errors": {"offset": ["out of bounds for this shape"]}}
    return Reply(400, {"content-type": "application/json"}, json.dumps(body).encode())


def refusal(status: int, headers: Mapping[str, str]) -> Reply:
    body = b'{"message": "scripted", "code": "scripted"}'
    return Reply(status, {"content-type": "application/json", **headers}, body)


def spoilt(fault: Spoil, reply: Reply) -> Reply:
    match fault.what:
        case "html":
            return replace(reply, status=200, body=b"<html>Sign in to the network</html>")
        case "object":
            return replace(reply, body=b"{}")
        case "half":
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        case "no content":
            return Reply(204, {}, b"")
        case _:
            return replace(
                reply,
                headers={name: each for name, each in reply.headers.items() if name != "electric-offset"},
            )
