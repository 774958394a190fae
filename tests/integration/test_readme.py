"""What README shows runs as it is written there, but for the addresses."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapegate_harness.stack import Stack

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


async def test_the_python_program_lists_the_rows_of_acme_and_follows_them(
    stack: Stack, tmp_path: Path
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    program = program.replace("http://127.0.0.1:4000", stack.addresses.proxy_url)
    program = program.replace("http://127.0.0.1:4001", stack.addresses.issuer_url)
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", program, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    try:
        async with asyncio.timeout(30):
            lines = [(await running.stdout.readline()).decode() for _ in range(8)]
    finally:
        running.kill()
        await running.communicate()
    assert all(line.startswith("{'name': ") for line in lines)
    assert any("Forklift" in line for line in lines)


def test_every_file_that_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (Path(__file__).parents[2] / link).exists()] == []
