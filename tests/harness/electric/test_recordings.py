"""Replays what a real Electric 1.7.12 answered; values that vary from run to run are bound once."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from yarl import URL

from shapegate_harness.electric import ElectricSettings
from tests.harness.electric.builders import Caller, Got, connected, open_caller, until

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

RECORDINGS = Path(__file__).parent / "recordings"
SECRET = "s3cr3t"
BOUND_FIELDS = frozenset({"lsn", "xmin", "xmax"})
VARYING = frozenset({"electric-handle", "electric-offset", "etag", "electric-cursor", "electric-schema"})
HANDLE = re.compile(r"\b[0-9]+-[0-9]{16}\b")
LSN = re.compile(r"(?<=[=:])([0-9]{6,11})(?=_)|\A([0-9]{6,11})(?=_)")


@dataclass(slots=True)
class Bindings:
    """What stands here for each varying value of the recording."""

    known: dict[str, str] = field(default_factory=dict)

    def bind(self, recorded: str, actual: str) -> None:
        assert self.known.setdefault(recorded, actual) == actual

    def translate(self, text: str) -> str:
        """Print a recorded text with the values of this run."""
        text = HANDLE.sub(lambda found: self.known.get(found[0], found[0]), text)
        return LSN.sub(lambda found: self.known.get(found[0], found[0]), text)


def bind_body(recorded: object, actual: object, bindings: Bindings) -> None:
    """Compare two decoded bodies, binding positions and transaction ids."""
    assert type(recorded) is type(actual)
    if isinstance(recorded, list) and isinstance(actual, list):
        assert len(recorded) == len(actual)
        for one, other in zip(recorded, actual, strict=True):
            bind_body(one, other, bindings)
    elif isinstance(recorded, dict) and isinstance(actual, dict):
        assert recorded.keys() == actual.keys()
        for name, value in recorded.items():
            if name in BOUND_FIELDS:
                bindings.bind(f"{name} {value}", str(actual[name]))
                bindings.bind(str(value), str(actual[name]))
            elif name == "txids":
                bindings.bind(f"xmin {value[0]}", str(actual[name][0]))
            elif name == "global_last_seen_lsn":
                assert re.fullmatch(r"[0-9]+", actual[name])
                assert bindings.known.get(value, actual[name]) == actual[name]
            else:
                bind_body(value, actual[name], bindings)
    else:
        assert recorded == actual


def check(step: Mapping[str, object], got: Got, bindings: Bindings) -> None:
    """Compare one answer with the recorded one."""
    assert got.status == step["status"]
    headers = step["headers"]
    assert isinstance(headers, dict)
    if "electric-handle" in headers:
        bindings.bind(headers["electric-handle"], got.headers["electric-handle"])
    recorded_body, method = step["body"], step["method"]
    assert isinstance(recorded_body, str)
    if recorded_body.startswith("[") and method != "HEAD":
        bind_body(json.loads(recorded_body), got.messages, bindings)
    else:
        assert got.text == recorded_body
    for name, value in headers.items():
        assert name in got.headers, name
        if name not in VARYING:
            assert got.headers[name] == value, name
    if "electric-offset" in headers:
        assert got.headers["electric-offset"] == bindings.translate(headers["electric-offset"])
    if "etag" in headers:
        expected = re.sub(r":-[0-9]{10,}\"", ':unique"', bindings.translate(headers["etag"]))
        actual = got.headers["etag"]
        assert (re.sub(r":[0-9]+\"\Z", ':unique"', actual) if ":unique" in expected else actual) == expected
    if "electric-schema" in headers:
        assert json.loads(got.headers["electric-schema"]) == json.loads(headers["electric-schema"])
    absent = {"electric-schema", "electric-cursor", "electric-up-to-date", "etag", "electric-handle"}
    assert not (absent - headers.keys()) & {name.lower() for name in got.headers}


async def ask(
    caller: Caller, session: aiohttp.ClientSession, step: Mapping[str, object], bindings: Bindings
) -> Got:
    """Send a recorded request with its query as it was spelled."""
    recorded = step.get("sent", {})
    assert isinstance(recorded, dict)
    sent = {name: bindings.translate(value) for name, value in recorded.items()}
    target = bindings.translate(str(step["target"]))
    url = URL(caller.electric.url + target, encoded=True)
    async with session.request(str(step["method"]), url, headers=sent) as response:
        return Got(status=response.status, headers=response.headers, text=await response.text())


def is_held(task: asyncio.Task[Got], caller: Caller) -> bool:
    return task.done() or caller.electric.held_requests > 0


async def replay(
    steps: list[dict[str, object]], caller: Caller, database: asyncpg.Connection, bindings: Bindings
) -> int:
    """Run the steps in order; SQL before a live request runs once that is held, as it was recorded."""
    compared = 0
    pending: list[str] = []
    async with aiohttp.ClientSession() as session:
        for step in steps:
            if "sql" in step:
                pending.append(str(step["sql"]))
                continue
            live = "live=true" in str(step["target"]) and step["status"] != 400
            if not live:
                for sql in pending:
                    await database.execute(sql)
                got = await ask(caller, session, step, bindings)
            else:
                task = asyncio.create_task(ask(caller, session, step, bindings))
                await until(partial(is_held, task, caller))
                for sql in pending:
                    await database.execute(sql)
                async with asyncio.timeout(10):
                    got = await task
            pending.clear()
            check(step, got, bindings)
            compared += 1
    return compared


@pytest.mark.parametrize(
    ("name", "compared"),
    [
        ("s01_health_root_404", 8),
        ("s02_initial_catchup_live", 10),
        ("s03_replica_full", 6),
        ("s04_where_params_columns", 17),
        ("s06_head_options_post_cors", 14),
        ("s08_must_refetch", 18),
        ("s09_errors", 44),
        ("s17_secret", 11),
    ],
)
async def test_answers_are_those_of_a_recorded_electric(name: str, compared: int, database_url: str) -> None:
    steps = json.loads((RECORDINGS / f"{name}.json").read_text())["steps"]
    settings = ElectricSettings(table_check_seconds=0.0, long_poll_seconds=20.0)
    secret = SECRET if name == "s17_secret" else None
    async with connected(database_url) as database, open_caller(database_url, settings, secret) as caller:
        assert await replay(steps, caller, database, Bindings()) == compared
