"""The home folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapegate_client.errors import StoreLocked
from shapegate_client.files import locked
from shapegate_client.home import Home, StoreOwner, lock_path

if TYPE_CHECKING:
    from pathlib import Path


def owner(issuer: str = "i", user: str = "u", organization: str = "a") -> StoreOwner:
    return StoreOwner(issuer=issuer, user_id=user, organization_id=organization)


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9)), unique=True))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_L_11_every_owner_has_a_path_of_its_own_inside_of_the_home(
    tmp_path: Path, owners: list[tuple[str, str, str]]
) -> None:
    home = Home(tmp_path)
    paths = [home.store_path(owner(*each)) for each in owners]
    assert len(set(paths)) == len(paths)
    assert all(path.parent.parent == tmp_path / "stores" for path in paths)


def test_parts_that_join_to_the_same_text_are_two_owners(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.store_path(owner("a", "bc")) != home.store_path(owner("ab", "c"))


def test_the_active_org_belongs_to_one_user(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.active_organization(issuer="i", user_id="u") is None
    home.set_active(owner())
    assert home.active_organization(issuer="i", user_id="u") == "a"
    assert home.active_organization(issuer="i", user_id="other") is None


def test_removing_one_org_leaves_the_others(tmp_path: Path) -> None:
    home = Home(tmp_path)
    paths = {name: home.store_path(owner(organization=name)) for name in ("a", "b")}
    for path in paths.values():
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).write_bytes(b"rows")
    home.remove_store(owner(organization="a"))
    assert sorted(path.name for path in paths["a"].parent.iterdir()) == sorted(
        paths["b"].name + suffix for suffix in ("", "-wal", "-shm")
    )


def test_T_06_removing_a_user_removes_every_org_of_theirs_and_nobody_elses(tmp_path: Path) -> None:
    home = Home(tmp_path)
    mine, theirs = home.store_path(owner()), home.store_path(owner(user="other"))
    mine.write_bytes(b"rows")
    theirs.write_bytes(b"rows")
    home.set_active(owner())
    home.remove_user(issuer="i", user_id="u")
    assert not mine.parent.exists()
    assert theirs.exists()
    assert home.active_organization(issuer="i", user_id="u") is None


def test_rows_that_a_session_writes_are_not_removed_under_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    path = home.store_path(owner())
    path.write_bytes(b"rows")
    with locked(lock_path(path)):
        with pytest.raises(StoreLocked):
            home.remove_store(owner())
        with pytest.raises(StoreLocked):
            home.remove_user(issuer="i", user_id="u")
    assert path.exists()
