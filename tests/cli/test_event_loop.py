"""The loop of a server: uvloop where it is wanted and there."""

from __future__ import annotations

import asyncio
import sys

import pytest

from shapegate_cli.event_loop import run


async def loop_module() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_a_server_runs_on_uvloop_if_that_is_wanted() -> None:
    pytest.importorskip("uvloop")
    assert run(loop_module(), uvloop=True).startswith("uvloop")
    assert run(loop_module(), uvloop=False).startswith("asyncio")


def test_a_system_without_uvloop_runs_on_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(loop_module(), uvloop=True).startswith("asyncio")


def test_what_fails_inside_comes_out() -> None:
    async def fail() -> None:
        raise OSError("taken")

    with pytest.raises(OSError, match="taken"):
        run(fail(), uvloop=True)
