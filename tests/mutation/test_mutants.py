"""Mutants are read from the folder that mutmut leaves behind, by what they change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.mutation.mutants import Mutant, count_mutants, forget_survivors, survivors

if TYPE_CHECKING:
    from pathlib import Path

GENERATED = """
class Cursor:
    @_mutmut_mutated(mutants_x\u01c1Cursor\u01c1take__mutmut)
    def take(self, n: int = 1) -> int:
        return n

    def x\u01c1Cursor\u01c1take__mutmut_orig(self, n: int = 1) -> int:
        if n > 1:
            return n
        return n + 1

    def x\u01c1Cursor\u01c1take__mutmut_1(self, n: int = 1) -> int:
        if n >= 1:
            return n
        return n + 1

    def x\u01c1Cursor\u01c1take__mutmut_2(self, n: int = 2) -> int:
        if n > 1:
            return n
        return n + 1

def x__read__mutmut_orig(text: str) -> str:
    match text:
        case "a":
            return "b"
        case _:
            assert_never(text)

def x__read__mutmut_1(text: str) -> str:
    match text:
        case "a":
            return "b"
"""
METHOD, FUNCTION = "package.module.x\u01c1Cursor\u01c1take__mutmut_", "package.module.x__read__mutmut_"


def left_behind(folder: Path, codes: dict[str, int | None]) -> Path:
    """A folder as mutmut leaves it, with an exit code for each mutant."""
    package = folder / "package"
    package.mkdir()
    (package / "module.py").write_text(GENERATED, encoding="utf-8")
    (package / "module.py.meta").write_text(json.dumps({"exit_code_by_key": codes}), encoding="utf-8")
    return folder


def test_what_no_test_noticed_or_ran_is_named_by_its_change(tmp_path: Path) -> None:
    folder = left_behind(tmp_path, {f"{METHOD}1": 0, f"{METHOD}2": 33, f"{FUNCTION}1": 0})
    assert count_mutants(folder) == 3
    assert set(survivors(folder)) == {
        Mutant("package.module", "Cursor.take", "if n > 1:", "if n >= 1:"),
        Mutant(
            "package.module",
            "Cursor.take",
            "def take(self, n: int = 1) -> int:",
            "def take(self, n: int = 2) -> int:",
        ),
        Mutant("package.module", "_read", "case _:\nassert_never(text)", ""),
    }


def test_what_a_test_noticed_is_no_survivor(tmp_path: Path) -> None:
    folder = left_behind(tmp_path, {f"{METHOD}1": 1, f"{METHOD}2": -24, f"{FUNCTION}1": 0})
    assert [mutant.function for mutant in survivors(folder)] == ["_read"]


def test_what_survived_is_tried_again_and_what_was_noticed_is_not(tmp_path: Path) -> None:
    folder = left_behind(tmp_path, {f"{METHOD}1": 0, f"{METHOD}2": 1, f"{FUNCTION}1": 33})
    (folder / "mutmut-stats.json").write_text("{}")
    forget_survivors(folder)
    with pytest.raises(ValueError, match="2 of 3 mutants were not tried"):
        count_mutants(folder)
    assert not (folder / "mutmut-stats.json").exists()


@pytest.mark.parametrize("codes", [{f"{METHOD}1": 1, f"{METHOD}2": None}, {f"{METHOD}1": 2}, {}])
def test_a_run_that_tried_not_all_is_no_result(tmp_path: Path, codes: dict[str, int | None]) -> None:
    with pytest.raises(ValueError, match="were not tried"):
        count_mutants(left_behind(tmp_path, codes))
