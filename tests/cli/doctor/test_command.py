"""The command line: what cannot be meant, what is not there, and how findings are printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from shapegate_cli.doctor.command import doctor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("words", [("--table", "a.b.c"), ("--proxy-url", "no url"), ("--token-command", "'")])
def test_a_command_line_that_cannot_be_meant_is_exit_code_2(words: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(doctor, words)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("shapegate: ")


def test_without_a_running_stack_it_is_exit_code_3(tmp_path: Path) -> None:
    ended = CliRunner(env={"SHAPEGATE_HOME": str(tmp_path)}).invoke(doctor, ["--stack"])
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert "is not there: start a stack with `shapegate up`" in ended.stderr


def test_each_finding_is_a_line_for_people_or_for_machines(tmp_path: Path) -> None:
    environ = dict.fromkeys(("ELECTRIC_URL", "DATABASE_URL"), "") | {
        "SHAPEGATE_POLICY": str(tmp_path / "no\npolicy.toml")
    }
    told = CliRunner(env=environ).invoke(doctor, [])
    assert told.exit_code == 1
    assert (
        "fail     configuration gate: ELECTRIC_URL is missing: expected an http or https URL\n" in told.stdout
    )
    assert "         do: correct it; `shapegate config` tells the same\n" in told.stdout
    assert "warning  postgres database: no URL was given" in told.stdout
    assert all(line.startswith(("fail ", "warning ", "    ")) for line in told.stdout.splitlines())
    machine = CliRunner(env=environ).invoke(doctor, ["--json"])
    assert machine.exit_code == 1
    for line in machine.stdout.splitlines():
        assert set(json.loads(line)) == {"verdict", "check", "subject", "text", "remedy"}
