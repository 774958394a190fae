"""Golden tables of refusals: what is refused, and the whole message, which is what users read.

A table has one JSON list on each line: the text, its message, and the parameters if it has some.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Refusal:
    """A text that is refused, and how."""

    text: str
    told: str
    params: tuple[str, ...] = ()


def read_refusals(path: Path) -> tuple[Refusal, ...]:
    """Read a golden table."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(Refusal(text, told, tuple(params)) for text, told, *params in map(json.loads, lines))


def told_otherwise(path: Path, told: Callable[[Refusal], str]) -> list[str]:
    """Ask again what each line of a table is told; return the lines that it should have instead."""
    found = [(case, told(case)) for case in read_refusals(path)]
    return [json.dumps([case.text, now, *case.params]) for case, now in found if now != case.told]
