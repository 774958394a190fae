"""Which database a command works on: a variable, or a file, and not both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from shapegate_cli.database import database_url

if TYPE_CHECKING:
    from pathlib import Path

URL = "postgresql://owner:the-password@db/app"


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATABASE_URL_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_it_is_read_from_the_variable_or_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{URL}\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    assert database_url("the owner's") == URL
    monkeypatch.delenv("DATABASE_URL_FILE")
    monkeypatch.setenv("DATABASE_URL", URL)
    assert database_url("the owner's") == URL


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "DATABASE_URL is missing: expected the owner's, or in DATABASE_URL_FILE a file that holds it"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is missing"),
        ({"DATABASE_URL": URL, "DATABASE_URL_FILE": "/f"}, "DATABASE_URL and DATABASE_URL_FILE are both set"),
        (
            {"DATABASE_URL_FILE": "/nowhere"},
            "DATABASE_URL_FILE: '/nowhere' cannot be read: FileNotFoundError",
        ),
    ],
)
def test_what_is_missing_or_double_is_a_mistake_in_use(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], said: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(click.UsageError, match=said) as refused:
        database_url("the owner's")
    assert "the-password" not in refused.value.message
