"""The list of key words is Postgres' own."""

from __future__ import annotations

import pytest

from shapegate_wire.filter.words import NOT_A_COLUMN

keywords = pytest.importorskip("pglast.keywords")


def test_the_words_that_are_no_column_are_those_of_postgres() -> None:
    assert NOT_A_COLUMN == keywords.RESERVED_KEYWORDS | keywords.TYPE_FUNC_NAME_KEYWORDS
