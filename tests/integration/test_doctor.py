"""`shapegate doctor` on the embedded stack, as a user runs it."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from shapegate_harness.stack import Stack


async def doctor(*words: str, **environ: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shapegate_cli", "doctor", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environ},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def file(stack: Stack, tmp_path: Path) -> Path:
    path = tmp_path / "stack.json"
    path.write_text(stack.addresses.to_json())
    return path


@pytest.fixture
def file_of_wrong_secret(stack: Stack, tmp_path: Path) -> Path:
    path = tmp_path / "wrong.json"
    path.write_text(replace(stack.addresses, electric_secret="a-wrong-secret-of-electric").to_json())
    return path


async def test_D_01_D_11_I_01_I_10_a_stack_is_found_sound_and_no_secret_is_printed(
    stack: Stack, file: Path
) -> None:
    code, out, err = await doctor("--stack", str(file), "--json")
    assert code == 0, out + err
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["verdict"] for line in lines} == {"ok"}
    orgs = {login.organization_id for login in stack.addresses.logins}
    assert {line["subject"] for line in lines if line["check"] == "agreement"} == orgs
    assert err.endswith(f"shapegate: {len(lines)} ok, 0 warning, 0 fail\n")
    hidden = [stack.addresses.electric_secret, stack.addresses.app_database_url, "eyJ", "shapegate-demo"]
    assert not [text for text in hidden if text in out + err]


async def test_what_is_wrong_is_printed_with_what_to_do_and_is_exit_code_1(
    file_of_wrong_secret: Path,
) -> None:
    code, out, err = await doctor("--stack", str(file_of_wrong_secret), "--table", "controls")
    assert code == 1
    assert "fail     electric ELECTRIC_SECRET: refuses the gate's ELECTRIC_SECRET" in out
    assert "         do: give the gate Electric's own secret\n" in out
    assert err.startswith("shapegate: the deployment needs care: ")
    assert "a-wrong-secret" not in out + err
