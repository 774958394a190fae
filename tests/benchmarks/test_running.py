from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.running import NotReady, free_port, run_process

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_process_that_ends_before_it_listens_is_told_with_what_it_said(tmp_path: Path) -> None:
    words = (sys.executable, "-c", "import sys; sys.exit('no such setting')")
    running = run_process(words, port=free_port(), log=tmp_path / "log", environment=os.environ)
    with pytest.raises(NotReady, match="no such setting"):
        async with running:
            pass


async def test_a_process_listens_within_the_block_and_has_ended_after_it(tmp_path: Path) -> None:
    port = free_port()
    text = (
        "import socket, sys, time\n"
        "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "while True: server.accept()\n"
    )
    words = (sys.executable, "-c", text, str(port))
    async with run_process(words, port=port, log=tmp_path / "log", environment=os.environ) as pid:
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
