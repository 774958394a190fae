"""Every numbered requirement is in the name of a test: `pytest -k P_14` finds it, or a reason is here."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
ID: Final = re.compile(r"(?<![A-Za-z0-9])([CDIJLPSTW])_(\d\d)(?![0-9])")

LAST: Final = {"C": 49, "D": 11, "I": 26, "J": 16, "L": 13, "P": 53, "S": 9, "T": 10, "W": 11}
REQUIRED: Final = frozenset(
    f"{letter}-{number:02}" for letter, last in LAST.items() for number in range(1, last + 1)
)

NOT_TESTED: Final[dict[str, str]] = {
    "I-26": "Idempotency keys belong to a write path; there is none: applications write by their own API.",
    "L-13": "The client has no write queue; it reads.",
    "S-03": "It is about the storage of a real Electric, which the development one does not have: it answers "
    "409 after a restart, and tests/conformance/deviations.py names the recorded exchanges that differ so.",
    "T-07": "The client queues no offline writes.",
}
"""What cannot be tested here, each with the reason."""


def named() -> frozenset[str]:
    """Collect the ids in the names of all test functions."""
    names = (
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )
    return frozenset(f"{letter}-{number}" for name in names for letter, number in ID.findall(name))


def test_every_requirement_is_tested_or_says_why_not() -> None:
    assert sorted(REQUIRED - named() - NOT_TESTED.keys()) == []


def test_no_reason_is_left_of_what_is_tested() -> None:
    assert sorted(NOT_TESTED.keys() & named()) == []
