from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import simulate
from benchmarks.cost_figures import NoFigure

if TYPE_CHECKING:
    from pathlib import Path


def test_a_workload_is_printed_with_and_without_sharing(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(["--orgs", "7", "--users", "30", "--online", "1", "--shapes", "2"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split("  ")[-1].strip() == "and HTTP cache"
    connections = next(line for line in lines if line.startswith("connections of clients"))
    assert connections.split()[3:] == ["420"] * 4
    assert lines[-1].startswith("of what can be borne")


def test_the_same_words_print_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    printed = {simulate.main(["--own", "0.3"]) or capsys.readouterr().out for _ in range(2)}
    assert len(printed) == 1


@pytest.mark.parametrize("words", [["--orgs", "many"], ["--compare", "--renew"], ["--unknown"]])
def test_words_that_mean_nothing_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        simulate.main(words)
    assert refused.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_tables_are_put_into_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "scaling.md"
    document.write_text("before\n<!-- simulated: carries -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(simulate, "DOCUMENT", document)
    assert simulate.main(["--tables"]) == 0
    filled = document.read_text()
    assert "old" not in filled
    assert "| usual |" in filled
    assert simulate.main(["--tables"]) == 0
    assert document.read_text() == filled


def test_what_cannot_be_renewed_says_what_to_run_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulate, "RESULTS", tmp_path)
    assert simulate.main(["--renew"]) == 1
    assert "python -m benchmarks proxy --only" in capsys.readouterr().err
    assert issubclass(NoFigure, Exception)
