"""What `sync` shows on a terminal."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from shapegate_cli.client_progress import draw_progress
from shapegate_client import ShapeProgress
from tests.cli.test_client import WAIT, servers, shapegate
from tests.client.servers import stall

if TYPE_CHECKING:
    from pathlib import Path


def drawn(*shapes: ShapeProgress, seconds: float = 2.0) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(draw_progress(shapes, seconds, Text("~")))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_table_has_a_line_with_rows_their_rate_and_bytes() -> None:
    line = drawn(ShapeProgress(table="items", received_rows=12_000, received_bytes=3_400_000))
    assert line.split() == ["~", "items", "12,000", "rows", "6,000", "rows/s", "3.4", "MB"]
    assert drawn(ShapeProgress(table="items", complete=True)).startswith("\N{CHECK MARK}  items")
    assert "offline: it did not answer" in drawn(
        ShapeProgress(table="t", reachable=False, reason="it did not answer")
    )
    assert "0 rows/s" in drawn(ShapeProgress(table="t"), seconds=0.0)


def test_names_and_reasons_cannot_speak_to_the_terminal() -> None:
    text = drawn(ShapeProgress(table="[red]a\x1b[2J", reachable=False, reason="b\x1b]0;title\x07"))
    assert "\x1b" not in text
    assert "[red]a" in text


async def test_a_terminal_sees_the_progress_and_a_pipe_does_not(tmp_path: Path) -> None:
    async with servers() as running:
        await shapegate(tmp_path, *running.login(), SHAPEGATE_PASSWORD="correct")
        assert "rows/s" not in (await shapegate(tmp_path, "sync", "items")).err
        running.gate.failures.append(stall)
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        syncing = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shapegate_cli", "client", "--home", str(tmp_path), "sync", "items"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(theirs)
        seen, shown = bytearray(), asyncio.Event()

        def read() -> None:
            try:
                seen.extend(os.read(ours, 65_536))
            except OSError:  # the terminal is gone with its last user
                asyncio.get_running_loop().remove_reader(ours)
            if b"rows/s" in seen:
                shown.set()

        asyncio.get_running_loop().add_reader(ours, read)
        try:
            async with asyncio.timeout(WAIT):
                await shown.wait()
        finally:
            asyncio.get_running_loop().remove_reader(ours)
            syncing.terminate()
            await syncing.wait()
            os.close(ours)
        assert b"items" in seen
