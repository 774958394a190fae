"""`shapegate proxy` as a process: what it writes, what its signals do, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest
from yarl import URL

from shapegate_proxy.descriptors import RESERVED
from tests.cli.gates import LIVE, START, Electric, bearer, listening, proxy
from tests.proxy.builders import ELECTRIC_SECRET, SECRET, serve

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_gives_held_requests_back_and_the_process_ends_well(
    tmp_path: Path, number: signal.Signals
) -> None:
    electric = Electric()
    async with serve(electric.answer) as (upstream, _), proxy(tmp_path, upstream) as process:
        url, first_line = await listening(process)
        async with aiohttp.ClientSession(base_url=url, headers=bearer()) as http:
            async with http.get("/v1/shape", params=START) as answer:
                assert answer.status == 200
            held = asyncio.create_task(http.get("/v1/shape", params=LIVE))
            await asyncio.wait_for(electric.holds.wait(), 10)
            process.send_signal(number)
            answer = await asyncio.wait_for(held, 10)
            assert (answer.status, (await answer.json())["code"]) == (503, "gate_stopping")
        written = first_line + (await asyncio.wait_for(process.communicate(), 10))[1].decode()
    assert process.returncode == 0
    lines = [json.loads(line) for line in written.splitlines()]
    assert [(line["event"], line.get("code")) for line in lines] == [
        ("listening", None),
        ("shape_served", "served"),
        ("stopping", None),
        ("shape_served", "gate_stopping"),
    ]
    assert not any(secret in written for secret in (SECRET, ELECTRIC_SECRET, *bearer().values()))


async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    electric = Electric()
    async with serve(electric.answer) as (upstream, _), proxy(tmp_path, upstream) as process:
        url, _ = await listening(process)
        async with aiohttp.ClientSession(base_url=url, headers=bearer()) as http:
            catching_up = START | {"offset": "0_0", "handle": "h-1"}
            asking = asyncio.create_task(http.get("/v1/shape", params=catching_up))
            await asyncio.wait_for(electric.holds.wait(), 10)
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            assert b"stopping" in await asyncio.wait_for(process.stderr.readline(), 5)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 2) == -signal.SIGTERM
            with pytest.raises(aiohttp.ClientError):
                await asking


HANGS = """
import asyncio, time
from shapegate_cli.running import stop_signal

async def main():
    async with stop_signal(within_seconds=0.1) as stopped:
        print("ready", flush=True)
        await stopped.wait()
        time.sleep(60)

asyncio.run(main())
"""


async def test_a_stop_that_hangs_ends_when_its_time_is_up() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGS, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_the_log_is_one_line_of_text_each_if_that_is_asked_for(tmp_path: Path) -> None:
    async with (
        serve(Electric().answer) as (upstream, _),
        proxy(tmp_path, upstream, LOG_FORMAT="text") as process,
    ):
        assert process.stderr is not None
        line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
        url = URL(line.rpartition("url=")[2].strip()) / "v1/shape"
        async with aiohttp.ClientSession(headers=bearer()) as http, http.get(url, params=START) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        written = (await asyncio.wait_for(process.communicate(), 10))[1].decode().splitlines()
    assert " INFO listening url=http://127.0.0.1:" in line
    assert " INFO shape_served " in written[0]
    assert " status=200 code=served " in written[0]
    assert written[1].endswith(" INFO stopping")


async def test_I_08_idle_connections_use_up_no_open_files_and_keep_nobody_out(tmp_path: Path) -> None:
    electric = Electric()
    async with (
        serve(electric.answer) as (upstream, _),
        proxy(tmp_path, upstream, open_files_max=400) as process,
    ):
        assert process.stderr is not None
        warning = json.loads(await asyncio.wait_for(process.stderr.readline(), 20))
        assert (warning["event"], warning["connections"], warning["open_files"]) == (
            "connections_bounded",
            (400 - RESERVED) * 3 // 4,
            400,
        )
        url, _ = await listening(process)
        streams = [(await asyncio.open_connection(url.host, url.port))[1] for _ in range(500)]
        async with aiohttp.ClientSession(base_url=url, headers=bearer()) as http:
            for _ in range(3):
                async with http.get("/v1/shape", params=START, headers={"connection": "close"}) as answer:
                    assert answer.status == 200
        for stream in streams:
            stream.transport.abort()
        process.send_signal(signal.SIGTERM)
        written = (await asyncio.wait_for(process.communicate(), 10))[1].decode()
    events = [json.loads(line)["event"] for line in written.splitlines()]
    assert events == ["shape_served"] * 3 + ["stopping"]
