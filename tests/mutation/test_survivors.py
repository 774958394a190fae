"""survivors.toml stays true while the code changes; whether its mutants survive, only a run can tell."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutation.areas import AREAS, ROOT, source_path
from tests.mutation.mutants import Mutant
from tests.mutation.run import SURVIVORS
from tests.mutation.tolerated import Tolerated, outdated, parse_tolerated, unexplained

TOLERATED = parse_tolerated(SURVIVORS.read_text(encoding="utf-8"))
ENTRY = """
[[survivor]]
module = "shapegate_wire.filter.lexer"
function = "tokens"
line = "  at = 0 "
becomes = ["at = 1", "at = None"]
reason = "because"
"""


def function_lines(module: str, function: str) -> set[str]:
    """The lines of a function or method, without indentation; none if it is not there."""
    text = source_path(module).read_text(encoding="utf-8")
    owner, _, name = function.rpartition(".")
    body: list[ast.stmt] = ast.parse(text).body
    if owner:
        body = [
            inner
            for node in body
            if isinstance(node, ast.ClassDef) and node.name == owner
            for inner in node.body
        ]
    found = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
    lines = text.splitlines()
    return {line.strip() for node in found for line in lines[node.lineno - 1 : node.end_lineno]}


@pytest.mark.parametrize(
    "entry", TOLERATED, ids=lambda entry: f"{entry.mutant.function}: {entry.mutant.becomes}"
)
def test_every_reason_is_about_a_line_that_is_there(entry: Tolerated) -> None:
    assert any(area.holds(entry.mutant.module) for area in AREAS.values())
    lines = function_lines(entry.mutant.module, entry.mutant.function)
    assert [line for line in entry.mutant.line.splitlines() if line not in lines] == []


def test_no_mutant_has_two_reasons() -> None:
    mutants = [entry.mutant for entry in TOLERATED]
    assert len(set(mutants)) == len(mutants)


def test_what_is_mutated_and_what_has_to_notice_it_exist() -> None:
    for area in AREAS.values():
        for source in area.sources:
            module = source.removesuffix(".py").replace("/", ".")
            assert source_path(module).exists()
            assert area.holds(module)
        for test in area.tests:
            assert Path(ROOT, test).exists()


def test_an_area_holds_its_own_modules_only() -> None:
    assert AREAS["filter"].holds("shapegate_wire.filter.lexer")
    assert AREAS["policy"].holds("shapegate_proxy.scope")
    assert not AREAS["policy"].holds("shapegate_proxy.scopes")
    assert not AREAS["upstream"].holds("shapegate_proxy.policy")


def test_survivors_and_reasons_are_compared_by_what_changes() -> None:
    one, other = parse_tolerated(ENTRY)
    new = Mutant("shapegate_wire.filter.lexer", "tokens", "at = 0", "at = 2")
    assert one.mutant == Mutant("shapegate_wire.filter.lexer", "tokens", "at = 0", "at = 1")
    assert unexplained([new, one.mutant], [one, other]) == [new]
    assert outdated([new, one.mutant], [one, other]) == [other]


@pytest.mark.parametrize(
    "text",
    [
        ENTRY.replace('"because"', '" "'),
        ENTRY.replace('reason = "because"', ""),
        ENTRY.replace('["at = 1", "at = None"]', "[]"),
        ENTRY + "extra = 1",
    ],
)
def test_an_entry_without_a_reason_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="survivor 1 has"):
        parse_tolerated(text)
