"""`shapegate schema logins`: what its files may hold; tests/deployment runs it on a cluster of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_cli.logins import read_login
from shapegate_cli.problems import Failed

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "the-password"


@pytest.mark.parametrize(
    ("text", "login"),
    [
        (f"postgresql://electric:{PASSWORD}@db:5432/app", ("electric", PASSWORD)),
        (f"postgres://app_rw:{PASSWORD}@db/app\n", ("app_rw", PASSWORD)),
        ("postgresql://app_rw:p%40ss%2Fw%25rd@db/app", ("app_rw", "p@ss/w%rd")),
    ],
)
def test_role_and_password_are_read_unescaped(tmp_path: Path, text: str, login: tuple[str, str]) -> None:
    (tmp_path / "url").write_text(text)
    assert read_login(tmp_path / "url") == login


@pytest.mark.parametrize(
    "text",
    [
        "",
        PASSWORD,
        "postgresql://electric@db/app",
        f"postgresql://:{PASSWORD}@db/app",
        f"mysql://electric:{PASSWORD}@db/app",
        f"postgresql://electric:{PASSWORD}/with-a-slash@db/app",
        f"postgresql://electric:{PASSWORD}@db:port/app",
        f"postgresql://electric:{PASSWORD}@[db/app",
    ],
)
def test_what_is_no_login_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "url").write_text(text)
    with pytest.raises(Failed) as refused:
        read_login(tmp_path / "url")
    assert str(tmp_path / "url") in refused.value.message
    assert PASSWORD not in refused.value.message


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    with pytest.raises(Failed, match=f"{tmp_path / 'url'} cannot be read as a URL"):
        read_login(tmp_path / "url")
