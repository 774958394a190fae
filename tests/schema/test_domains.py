from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shapegate_schema.domains import (
    domain_names,
    migration_sets,
    policy_file,
    read_set,
    rows_script,
    seed_scripts,
)
from shapegate_schema.errors import UnknownDomain

if TYPE_CHECKING:
    from pathlib import Path


def test_three_domains_are_shipped() -> None:
    assert domain_names() == ("controls", "erp", "nexus")


@pytest.mark.parametrize("name", ["", "nope", ".", "..", "../migrations", "controls/", "CONTROLS"])
def test_a_domain_that_is_not_shipped_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownDomain, match=r"there are .*controls"):
        policy_file(name)
    with pytest.raises(UnknownDomain):
        migration_sets(name)
    with pytest.raises(UnknownDomain):
        seed_scripts(name)
    with pytest.raises(UnknownDomain):
        rows_script(name)


def test_the_shared_set_comes_first() -> None:
    assert [one.name for one in migration_sets("controls")] == ["shared", "controls"]


def test_a_folder_gives_its_sql_files_but_not_the_seeds(tmp_path: Path) -> None:
    for name in ("2_b.sql", "1_a.sql", "seed.sql", "rows.sql", "policy.toml", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    files = read_set("any", tmp_path).files
    assert [(file.name, file.content) for file in files] == [("1_a.sql", b"1_a.sql"), ("2_b.sql", b"2_b.sql")]
