"""The fenced blocks and the tables of a document, so that tests can run and compare what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"

_BLOCK: Final = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


def read_document(name: str) -> str:
    """Read one document of docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    """List the text of every block that is marked as of a language."""
    return [found["text"] for found in _BLOCK.finditer(document) if found["language"] == language]


def chapter(document: str, title: str) -> str:
    """Cut out what stands under a heading of the second level."""
    _, heading, rest = f"\n{document}".partition(f"\n## {title}\n")
    assert heading, f"no chapter is called {title!r}"
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """List the rows of the tables in a text as their cells; heads and rules are left out."""
    lines = [line.strip() for line in text.splitlines()]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for before, line in zip(["", *lines], lines, strict=False)
        if line.startswith("|") and before.startswith("|") and not line.startswith("| ---")
    ]


def codes(text: str) -> set[str]:
    """Collect what is set as code, like `this`."""
    return set(re.findall(r"`([^`]+)`", text))
