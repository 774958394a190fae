"""What mutmut found: mutants that no test noticed, read from the folder that it leaves behind.

A mutant is named by what it changes, not by mutmut's number of it, so that its name survives edits elsewhere.
"""

from __future__ import annotations

import ast
import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALIVE: Final = frozenset({0, 5, 33})
"""mutmut's codes where all tests passed, or none runs the function."""
UNTRIED: Final = frozenset({None, 2})
"""Its codes where the run did not get there, or was interrupted there."""
_CLASS: Final = "\u01c1"
"""What mutmut writes around the class of a method."""


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """One change of one function."""

    module: str
    function: str
    """With its class, as in `Cursor.take`."""
    line: str
    """The changed lines as they stand in the source, without indentation."""
    becomes: str
    """What the mutant has in their place; empty where they are left out."""


def count_mutants(folder: Path) -> int:
    """Say how many mutants there are. Raises ValueError if some were not tried."""
    codes = [code for found in _verdicts(folder).values() for code in found.values()]
    untried = sum(code in UNTRIED for code in codes)
    if untried or not codes:
        raise ValueError(
            f"{untried} of {len(codes)} mutants were not tried: expected all, and some; run again"
        )
    return len(codes)


def survivors(folder: Path) -> Iterator[Mutant]:
    """Read the mutants that no test noticed; `folder` is mutmut's `mutants`."""
    for path, found in _verdicts(folder).items():
        alive = [name for name, code in found.items() if code in ALIVE]
        if alive:
            functions = _functions(path.read_text(encoding="utf-8"))
            for name in alive:
                yield _mutant(name, functions)


def forget_survivors(folder: Path) -> None:
    """Let the next run try again what survived, and ask again which tests run which function."""
    for path in folder.rglob("*.py.meta"):
        left = json.loads(path.read_text(encoding="utf-8"))
        left["exit_code_by_key"] = {
            name: None if code in ALIVE | UNTRIED else code for name, code in left["exit_code_by_key"].items()
        }
        path.write_text(json.dumps(left), encoding="utf-8")
    (folder / "mutmut-stats.json").unlink(missing_ok=True)


def _verdicts(folder: Path) -> dict[Path, dict[str, int | None]]:
    """Read mutmut's exit codes, by generated file and by mutant."""
    return {
        path.with_suffix(""): json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        for path in sorted(folder.rglob("*.py.meta"))
    }


def _functions(generated: str) -> dict[str, list[str]]:
    """Split a generated file into the lines of its functions, all of which have names of their own."""
    lines = generated.splitlines()
    return {
        node.name: [line.strip() for line in lines[node.lineno - 1 : node.end_lineno]]
        for node in ast.walk(ast.parse(generated))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _mutant(name: str, functions: dict[str, list[str]]) -> Mutant:
    module, _, generated = name.rpartition(".")
    mangled = generated.rpartition("__mutmut_")[0]
    plain = mangled.removeprefix("x_").removeprefix(f"x{_CLASS}").replace(_CLASS, ".")
    called = f"def {plain.rpartition('.')[2]}("
    before, after = (
        [line.replace(f"def {own}(", called) for line in functions[own]]
        for own in (f"{mangled}__mutmut_orig", generated)
    )
    changes = [line for line in difflib.ndiff(before, after) if line[0] in "-+"]
    line, becomes = ("\n".join(found[2:] for found in changes if found[0] == sign) for sign in "-+")
    return Mutant(module, plain, line, becomes)
