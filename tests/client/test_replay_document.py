"""client/REPLAY.md says what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

from shapegate_client.event import Event
from shapegate_client.state import State
from shapegate_client.step import Step
from tests.client.replay import KINDS, STATES, observed

TESTS = Path(__file__).parent
TEXT = (TESTS.parents[1] / "client" / "REPLAY.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def table(title: str) -> list[list[str]]:
    """The rows of a section's table, its head first."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ") and "---" not in line]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def names(union: object) -> set[str]:
    return {kind.__name__ for kind in get_args(union)}


def test_the_table_of_states_and_events_is_what_the_code_does() -> None:
    head, *rows = table("States and events")
    states = {state.__name__: state for state in get_args(State)}
    assert head[1:] == [type(state).__name__ for state in STATES]
    written = {
        (row[0], state): set() if cell == "-" else set(cell.split(", "))
        for row in rows
        for state, cell in zip(head[1:], row[1:], strict=True)
    }
    found = observed()
    done = {
        (event.__name__, name): found[event].get(state, set())
        for event in get_args(Event)
        for name, state in states.items()
    }
    assert written == done
    assert {cell for cell, steps in written.items() if steps} == {
        (event.__name__, name) for name, state in states.items() for event in KINDS[state]
    }


def test_every_state_event_and_step_has_its_place() -> None:
    assert {row[0] for row in table("States")[1:]} == names(State)
    assert {row[0] for row in table("Steps")[1:]} == names(Step)
    for event in names(Event):
        assert f"`{event}`" in section("Events")


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    defined = {
        node.name
        for path in TESTS.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(named) > 25
    assert named <= defined, named - defined


def test_every_invariant_names_the_test_that_holds_it() -> None:
    for row in table("Invariants")[1:]:
        assert "test_" in row[1], row[0]
