"""`shapegate client watch` waits for changes as it is told."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_client import begin, shapegate
from tests.client.servers import Issuer, served
from tests.client.streaming import StreamingGate

if TYPE_CHECKING:
    from pathlib import Path

WAIT = 20.0


@pytest.mark.parametrize("mode", ["sse", "long-poll"])
async def test_watch_waits_for_changes_as_it_is_told(tmp_path: Path, mode: str) -> None:
    gate, issuer = StreamingGate(), Issuer()
    gate.tokens = issuer.access
    gate.create("acme", "items", {1: "a1"})
    async with served(gate.app) as proxy, served(issuer.app) as address:
        login = ("login", "--issuer", address, "--proxy", proxy, "--email", "ada@acme.example")
        assert (await shapegate(tmp_path, *login, SHAPEGATE_PASSWORD="correct")).code == 0
        watching = await begin(tmp_path, "watch", "items", "--live-mode", mode, "--json")
        try:
            assert watching.stdout is not None
            async with asyncio.timeout(WAIT):
                assert json.loads(await watching.stdout.readline())["replaced"] is True
                gate.commit("acme", "items", ("insert", 2, "a2"))
                assert json.loads(await watching.stdout.readline())["inserted"] == [[2]]
        finally:
            watching.send_signal(signal.SIGINT)
            async with asyncio.timeout(WAIT):
                await watching.communicate()
        assert set(gate.live_modes()) == {mode}


async def test_another_live_mode_is_a_misuse(tmp_path: Path) -> None:
    said = await shapegate(tmp_path, "sync", "items", "--live-mode", "carrier-pigeon")
    assert said.code == 2
    assert "carrier-pigeon" in said.err
