"""Mutation testing: python -m tests.mutation.run [--keep FOLDER] [filter | policy | upstream ...]

Makes a flat copy of the repository in a temporary folder, lets mutmut change the area's modules one place at
a time and run the area's tests on each, and compares what no test noticed with survivors.toml. Exit code 1 if
a survivor has no reason, or a reason no survivor; 2 if mutmut could not do its work. It takes some seconds
for `upstream` and up to an hour for `filter`, so it is not part of the default tests; with --keep the folder
stays, and the next run tries only what survived and functions that changed since. Whether changed tests
notice less than before, only a run without it tells.

mutmut changes bodies of functions. Constants of modules (bounds, regular expressions) and functions with
decorators are held by the tables of the tests alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.mutation.areas import AREAS, PACKAGES, ROOT
from tests.mutation.mutants import count_mutants, forget_survivors, survivors
from tests.mutation.tolerated import outdated, parse_tolerated, unexplained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mutation.areas import Area
    from tests.mutation.mutants import Mutant

SURVIVORS: Final = Path(__file__).with_name("survivors.toml")
NICENESS: Final = 19
"""The machine stays usable; a run has time."""
SHOWN_BYTES_MAX: Final = 3_000
"""Of mutmut's own words where it failed."""
_IGNORED: Final = shutil.ignore_patterns("__pycache__", "conftest.py", "test_postgres.py")
"""The areas are pure: their tests need neither the fixtures of the repository nor its database."""
_SETTINGS: Final = """
[tool.mutmut]
source_paths = {sources}
also_copy = {copied}
pytest_add_cli_args = ["-q", "-x", "-p", "no:cacheprovider", "-k", "not 50_ms", "--hypothesis-seed=0"]
pytest_add_cli_args_test_selection = {tests}
timeout_multiplier = 2
use_git_change_detection = false

[tool.pytest.ini_options]
addopts = "--import-mode=importlib -q"
pythonpath = ["."]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "session"
"""
"""Tests of computing time are left out: the mutated files look up which mutant is meant at every call. A
mutant that never ends is given up after four times the computing time of its tests.
"""

_QUICK_FIRST: Final = """
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: hasattr(item.obj, "hypothesis"))
"""
"""Most mutants are noticed by a table; hypothesis is asked about the others only."""


def main(arguments: Sequence[str]) -> int:
    """Run the areas that are named, or all; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run", description=__doc__)
    parser.add_argument("areas", nargs="*", choices=[[], *AREAS], metavar="filter | policy | upstream")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there, and leave what was found")
    asked = parser.parse_args(arguments)
    os.nice(NICENESS)
    codes = []
    for name in asked.areas or AREAS:
        with tempfile.TemporaryDirectory(prefix="shapegate mutants ") as temporary:
            codes.append(_run(name, asked.keep / name if asked.keep else Path(temporary)))
    return max(codes)


def _run(name: str, folder: Path) -> int:
    area = AREAS[name]
    _copy(area, folder)
    forget_survivors(folder / "mutants")
    _say(f"{name}: mutmut works in {folder}")
    with (folder / "mutmut.log").open("wb") as log:
        # A program beside the interpreter: `python -m mutmut` would import itself twice.
        command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", "1"]
        try:
            subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
            total = count_mutants(folder / "mutants")
        except FileNotFoundError:
            _say(f"{command[0]} is not there: install the development dependencies of pyproject.toml")
            return 2
        except (subprocess.CalledProcessError, ValueError) as exc:
            told = (folder / "mutmut.log").read_bytes()[-SHOWN_BYTES_MAX:].decode(errors="replace")
            _say(f"{name}: {exc}\n{told}")
            return 2
    return _compare(name, total, set(survivors(folder / "mutants")))


def _copy(area: Area, folder: Path) -> None:
    """Make the flat copy: the packages side by side, as mutmut knows how to name their modules."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, container in PACKAGES.items():
        shutil.copytree(ROOT / container / package, folder / package, ignore=_IGNORED, dirs_exist_ok=True)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=_IGNORED, dirs_exist_ok=True)
    copied = [*PACKAGES, "tests", "conftest.py"]
    lists = {"sources": area.sources, "tests": area.tests, "copied": copied}
    settings = _SETTINGS.format_map({name: json.dumps(list(items)) for name, items in lists.items()})
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")
    (folder / "conftest.py").write_text(_QUICK_FIRST, encoding="utf-8")


def _compare(name: str, total: int, alive: set[Mutant]) -> int:
    tolerated = [
        entry
        for entry in parse_tolerated(SURVIVORS.read_text(encoding="utf-8"))
        if AREAS[name].holds(entry.mutant.module)
    ]
    without, without_mutant = unexplained(alive, tolerated), outdated(alive, tolerated)
    for mutant in without:
        _say(_entry(mutant))
    for entry in without_mutant:
        _say(f"no longer a survivor: {entry.mutant}: {entry.reason}")
    _say(
        f"{name}: {total} mutants, {total - len(alive)} noticed, {len(alive)} survived, "
        f"{len(without)} of them without a reason; {len(without_mutant)} reasons without a survivor"
    )
    return 1 if without or without_mutant else 0


def _entry(mutant: Mutant) -> str:
    """Print a survivor as survivors.toml has it, but for the reason."""
    texts = {"module": mutant.module, "function": mutant.function, "line": mutant.line}
    lines = [f"{key} = {json.dumps(text)}" for key, text in texts.items()]
    return "\n".join(["[[survivor]]", *lines, f"becomes = [{json.dumps(mutant.becomes)}]", 'reason = ""\n'])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
