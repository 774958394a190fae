"""What docs/client.md shows runs as it is written there, in its order, but for the addresses."""

from __future__ import annotations

import ast
import re
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from shapegate_harness.stack import Stack

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


async def run(block: str, names: dict[str, object]) -> None:
    code = compile(block, "docs/client.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)
    result = eval(code, names)  # noqa: S307  # our own document
    if code.co_flags & CO_COROUTINE:
        await result


async def test_every_python_block_of_the_guide_runs(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    names: dict[str, object] = {}
    for block in BLOCKS:
        block = block.replace("http://127.0.0.1:4000", stack.addresses.proxy_url)
        await run(block.replace("http://127.0.0.1:4001", stack.addresses.issuer_url), names)
    said = capsys.readouterr().out
    assert "every subscribed shape is up to date" in said
    assert "Acme" in said
    assert "credentials.json" in said
    assert names["arrived"] is False


def test_the_guide_is_long_enough_to_matter_and_links_to_what_is_there() -> None:
    assert len(BLOCKS) >= 10
    links = re.findall(r"\]\(((?!https?:)[^)#]+)", GUIDE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
