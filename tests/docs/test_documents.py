"""The documents agree with the code and with each other: links, index, codes, errors, steps, requirements."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from shapegate_client import Step
from tests.architecture.test_acceptance import named
from tests.docs.blocks import DOCS, chapter, codes, read_document, rows
from tests.docs.refusals import client_errors, refusals

if TYPE_CHECKING:
    from pathlib import Path

PAGES: Final = sorted(DOCS.glob("*.md"))
INDEX: Final = read_document("README.md")
TROUBLES: Final = read_document("troubleshooting.md")
SECURITY: Final = read_document("security.md")
SWITCHING: Final = read_document("org-switching.md")
LINK: Final = re.compile(r"\]\((?P<path>[^)#:]*)(?:#(?P<heading>[^)]+))?\)")
REQUIREMENT: Final = re.compile(r"\b([A-Z])-(\d\d)(?: to \1-(\d\d))?")


def headings(page: Path) -> set[str]:
    """The anchors of a page, as its readers' tools make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        if not target.exists() or (link["heading"] and link["heading"] not in headings(target)):
            broken.append(link[0])
    assert broken == []


def test_the_index_names_every_document_once() -> None:
    there = [page.name for page in DOCS.iterdir() if page.name != "README.md"]
    assert sorted(re.findall(r"\]\(([^)]+)\)", INDEX)) == sorted(there)


def test_a_document_names_no_folder_of_a_machine() -> None:
    assert [page.name for page in PAGES if re.search(r"/(?:work|root|home)/", page.read_text())] == []


def first_cells(title: str) -> set[str]:
    return {code for first, *_ in rows(chapter(TROUBLES, title)) for code in codes(first)}


def test_every_code_of_the_gate_is_among_the_troubles_with_its_status() -> None:
    said = set(re.findall(r"(\d{3}) `(\w+)`", chapter(TROUBLES, "What the gate answers")))
    assert said == {(str(refusal.status), code) for code, refusal in refusals().items()}


def test_every_error_of_the_client_is_among_the_troubles() -> None:
    assert first_cells("The Python client") == client_errors().keys()


def test_every_trouble_has_a_symptom_a_cause_and_a_fix() -> None:
    assert [row for row in rows(TROUBLES) if len(row) != 3 or not all(row)] == []


def test_the_steps_of_a_switch_are_those_of_the_code() -> None:
    said = [step.strip("`") for step, *_ in rows(chapter(SWITCHING, "Python"))]
    assert said == [step.name for step in Step][:7]


def test_every_requirement_that_security_names_is_proven() -> None:
    claimed = set()
    for letter, first, last in REQUIREMENT.findall(SECURITY):
        claimed |= {f"{letter}-{number:02}" for number in range(int(first), int(last or first) + 1)}
    assert len(claimed) > 50
    assert sorted(claimed - named()) == []
