from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks import __main__ as command
from benchmarks.figure import Bound, Figure, Goal, Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOAL = Goal(name="slow", unit="ms", bound=Bound.AT_MOST, value=10.0)


@pytest.mark.parametrize(
    ("words", "median", "code"),
    [(["one"], 5.0, 0), ([], 5.0, 0), (["one"], 50.0, 0), (["one", "--gate"], 5.0, 0), (["--gate"], 50.0, 1)],
)
def test_a_run_prints_a_table_writes_results_and_fails_only_a_gated_miss(
    words: list[str],
    median: float,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def section(*, quick: bool, on_progress: Callable[[str], None]) -> tuple[Result, ...]:
        on_progress("measuring")
        assert not quick
        return (Figure(goal=GOAL, rounds=(median,)),)

    monkeypatch.setattr(command, "SECTIONS", {"one": section})
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    assert command.main(words) == code
    printed = capsys.readouterr()
    assert printed.out.startswith("one\nfigure")
    assert "measuring ..." in printed.err
    (written,) = (tmp_path / "results").iterdir()
    measured = json.loads(written.read_text())
    assert measured["figures"][0]["median"] == median
    assert {"machine", "versions", "commit", "at", "quick", "section"} <= measured.keys()


def test_an_unknown_section_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main(["nothing"])
    assert refused.value.code == 2
    assert "embedded" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["proxy", "--only", "nothing"], ["client", "--only", "tiny"], ["--only", "tiny"], ["proxy", "--only="]],
)
def test_rows_that_there_are_not_are_refused_with_those_there_are(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main(words)
    assert refused.value.code == 2
    assert "expected tiny, distinct" in capsys.readouterr().err
