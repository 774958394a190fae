"""What is remembered of clients' filters: the same as is compiled, and for each org alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_proxy import compiled
from shapegate_proxy.compiled import CHARS_MAX, CompiledFilters
from shapegate_proxy.errors import FilterNotAccepted
from shapegate_proxy.policy import compile_filter, confine
from shapegate_wire.identifier import parse_table
from shapegate_wire.request import parse_request
from tests.proxy.builders import ACME, GLOBEX, policy, principal

if TYPE_CHECKING:
    from shapegate_proxy.policy import TablePolicy
    from shapegate_wire.filter import PrintedFilter
    from shapegate_wire.request import ShapeRequest
    from shapegate_wire.shape import ShapeDefinition

GRANTED = policy().tables[parse_table("items")]


def asked(where: str | None = "name = $1", value: str = "a") -> ShapeRequest:
    query = {"table": "items", "offset": "-1"}
    if where is not None:
        query |= {"where": where}
        if "$1" in where:
            query |= {"params[1]": value}
    return parse_request(query.items())


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    done: list[str | None] = []

    def count(definition: ShapeDefinition, granted: TablePolicy, org: str) -> PrintedFilter | None:
        done.append(definition.where)
        return compile_filter(definition, granted, org)

    monkeypatch.setattr(compiled, "compile_filter", count)
    return done


def test_a_filter_is_compiled_once_for_an_org(compilations: list[str | None]) -> None:
    filters = CompiledFilters()
    for org in (ACME, GLOBEX, ACME, GLOBEX):
        first = confine(principal(org=org), asked(), policy(), compiled=filters.compile)
        assert first == confine(principal(org=org), asked(), policy())
        assert first.params == (org, "a")
    assert len(compilations) == 2


@pytest.mark.parametrize("other", [asked(value="b"), asked("name <> $1"), asked("name = 'a'"), asked(None)])
def test_P_10_another_filter_or_value_is_another_filter(other: ShapeRequest) -> None:
    filters = CompiledFilters()
    filters.compile(asked().definition, GRANTED, ACME)
    assert filters.compile(other.definition, GRANTED, ACME) == compile_filter(other.definition, GRANTED, ACME)


def test_what_is_refused_is_refused_again(compilations: list[str | None]) -> None:
    filters = CompiledFilters()
    for _ in range(2):
        with pytest.raises(FilterNotAccepted):
            filters.compile(asked("secret = 1").definition, GRANTED, ACME)
    assert (len(compilations), len(filters)) == (2, 0)


def test_I_08_what_is_kept_is_bounded(compilations: list[str | None]) -> None:
    filters = CompiledFilters(size_max=2)
    for value in ("a", "b", "a", "c", "a", "b"):
        filters.compile(asked(value=value).definition, GRANTED, ACME)
    assert len(filters) == 2
    assert len(compilations) == 4  # b made room for c
    filters.compile(asked(value="x" * CHARS_MAX).definition, GRANTED, ACME)
    assert len(filters) == 2
