"""The Python programs of the documents print what they should, against the stack."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from shapegate_client import Step
from tests.docs.blocks import blocks, read_document

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_harness.stack import Stack

SECONDS = 30


async def printed(program: str, stack: Stack, folder: Path) -> list[str]:
    """Run a program in a folder of its own, with the addresses in its environment."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        cwd=folder,
        env=os.environ | {"GATE": stack.addresses.proxy_url, "ISSUER": stack.addresses.issuer_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await running.communicate()
    except TimeoutError:
        running.kill()
        await running.communicate()
        raise
    assert running.returncode == 0, err.decode()
    return out.decode().splitlines()


async def test_the_program_for_clients_switches_and_hears_a_refusal(stack: Stack, tmp_path: Path) -> None:
    (program,) = blocks(read_document("CLIENT_INTEGRATION.md"), "python")
    acme, globex, refused = await printed(program, stack, tmp_path)
    assert acme == "acme 8"
    assert globex == "globex 8"
    assert refused.startswith("ShapeRefused the proxy refused the shape with 403 table_not_allowed")


async def test_T_04_the_program_of_the_switch_goes_through_its_seven_steps(
    stack: Stack, tmp_path: Path
) -> None:
    (program,) = blocks(read_document("org-switching.md"), "python")
    *steps, alone = await printed(program, stack, tmp_path)
    assert steps == [step.name for step in Step][:7]
    assert alone == "True"
