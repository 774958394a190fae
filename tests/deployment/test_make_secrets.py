"""deploy/make-secrets: random, closed to others, and never overwritten."""

from __future__ import annotations

import re
import stat
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shapegate_cli.logins import read_login
from shapegate_schema.roles import ROLES
from tests.deployment.compose import DEV, ROOT, load

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path) -> str:
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "deploy" / "make-secrets"), str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


def test_every_secret_of_the_compose_file_is_made_anew_and_at_random(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "a second"
    assert make(first) == make(second) == ""
    assert {path.name for path in first.iterdir()} == set(load(DEV)["secrets"])
    for path in first.iterdir():
        assert path.read_text() != (second / path.name).read_text()


def test_only_its_owner_can_reach_a_secret_and_a_container_can_read_it(tmp_path: Path) -> None:
    make(tmp_path / "secrets")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o644}


def test_running_it_again_keeps_what_is_there_and_adds_what_is_missing(tmp_path: Path) -> None:
    make(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    (tmp_path / "electric_secret").unlink()
    said = make(tmp_path)
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert after.keys() == before.keys()
    assert {name for name, text in after.items() if text != before[name]} == {"electric_secret"}
    assert not any(text.strip() in said for text in after.values())


def test_each_role_has_a_url_of_its_own_with_a_password_that_needs_no_escapes(tmp_path: Path) -> None:
    make(tmp_path)
    logins = [read_login(tmp_path / f"{role}_url") for role in ROLES]
    assert tuple(role for role, _ in logins) == ROLES
    passwords = {password for _, password in logins} | {(tmp_path / "electric_secret").read_text().strip()}
    assert len(passwords) == len(ROLES) + 1
    assert all(re.fullmatch("[A-Za-z0-9]{43}", password) for password in passwords)
    owner = urlsplit((tmp_path / "owner_url").read_text().strip())
    assert (owner.username, owner.hostname, owner.path) == ("postgres", "postgres", "/shapegate")
    assert owner.password == (tmp_path / "postgres_password").read_text().strip()
