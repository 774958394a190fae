"""Measure a section and compare it with its goals: `python -m benchmarks client [--quick] [--gate]`.

`python -m benchmarks proxy --only tiny,kept` measures some rows of the proxy's section.

One table on standard output, everything as JSON in `benchmarks/results/`. Exit code 1 if something failed, or
with --gate if a goal is missed by more than 20 %.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from benchmarks import client, embedded, proxy
from benchmarks.figure import fails_gate, table
from benchmarks.machine import describe
from benchmarks.processes import NoProc
from benchmarks.running import NotReady, WrongAnswer
from benchmarks.running_stack import StackFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.figure import Result

RESULTS: Final = Path(__file__).resolve().parent / "results"


class Section(Protocol):
    """Measures one part of the system."""

    async def __call__(self, *, quick: bool, on_progress: Callable[[str], None]) -> tuple[Result, ...]: ...


SECTIONS: Final[Mapping[str, Section]] = {
    "client": client.measure,
    "embedded": embedded.measure,
    "proxy": proxy.measure,
}


def main(words: Sequence[str]) -> int:
    """Run the sections that are named, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}; all if none"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--gate", action="store_true", help="exit 1 if a goal is missed by more than 20 %%")
    parser.add_argument(
        "--only", metavar="ROW[,ROW]", help=f"of the proxy's section only: {', '.join(proxy.ROWS)}"
    )
    asked = parser.parse_args(words)
    unknown = [name for name in asked.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"unknown section {', '.join(unknown)}: expected {', '.join(SECTIONS)}")
    only = [] if asked.only is None else asked.only.split(",")
    if only and (asked.sections != ["proxy"] or not proxy.ROWS.keys() >= set(only)):
        parser.error(f"--only takes rows of the section proxy: expected {', '.join(proxy.ROWS)}")
    failed = False
    for name in asked.sections or SECTIONS:
        try:
            section = partial(proxy.measure, only=only) if only else SECTIONS[name]
            results = asyncio.run(section(quick=asked.quick, on_progress=_progress))
        except (StackFailed, NotReady, NoProc, WrongAnswer) as exc:
            _say(f"{name}: {exc}", sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        _say(f"{name}\n{table(results)}\n", sys.stdout)
        _say(f"written to {_write(name, results, quick=asked.quick)}", sys.stderr)
        failed = failed or fails_gate(results)
    return 1 if failed and asked.gate else 0


def _write(section: str, results: Sequence[Result], *, quick: bool) -> Path:
    now = datetime.now(UTC)
    measured = {
        "section": section,
        "at": now.isoformat(timespec="seconds"),
        "quick": quick,
        **describe(),
        "figures": [result.to_json() for result in results],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{section}-{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    return path


def _progress(text: str) -> None:
    _say(f"{text} ...", sys.stderr)


def _say(text: str, file: TextIO) -> None:
    file.write(f"{text}\n")
    file.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
