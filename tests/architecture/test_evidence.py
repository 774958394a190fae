"""Values that prove something are made in one place only; names of the protocol are written in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from shapegate_wire import names

ROOT = Path(__file__).parents[2]
PACKAGES = ("wire", "proxy", "client", "schema", "harness", "cli")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

HEADER_NAMES = {
    value for value in vars(names).values() if isinstance(value, str) and value.startswith("electric-")
}


def calls(path: Path) -> set[str]:
    """Name everything that a module calls by a plain name or as an attribute."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    plain = {node.id for node in called if isinstance(node, ast.Name)}
    return plain | {node.attr for node in called if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize(
    ("evidence", "maker"),
    [
        ("Principal", "tokens.py"),
        ("ConfinedRequest", "policy.py"),
        ("UpstreamRequest", "upstream.py"),
        ("ConfinedSubset", "subset.py"),
    ],
)
def test_evidence_is_made_in_one_module_of_the_proxy(evidence: str, maker: str) -> None:
    makers = {path.name for path in (ROOT / "proxy").rglob("*.py") if evidence in calls(path)}
    assert makers == {maker}


def test_evidence_is_not_changed_after_it_was_made() -> None:
    copiers = {path.name for path in (ROOT / "proxy").rglob("*.py") if "replace" in calls(path)}
    assert copiers == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_header_names_of_electric_are_written_in_names_only(path: Path) -> None:
    if path.name == "names.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert texts & HEADER_NAMES == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_has_a_docstring_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 500
