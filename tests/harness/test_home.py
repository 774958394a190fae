from __future__ import annotations

from pathlib import Path

import pytest

from shapegate_harness.home import HomeUnknown, home_from, shapegate_home


@pytest.mark.parametrize(
    ("environment", "is_root", "home"),
    [
        ({"SHAPEGATE_HOME": "/srv/my data"}, False, "/srv/my data"),
        ({"SHAPEGATE_HOME": "/srv/data", "XDG_DATA_HOME": "/xdg"}, True, "/srv/data"),
        ({"SHAPEGATE_HOME": "", "XDG_DATA_HOME": "/xdg"}, False, "/xdg/shapegate"),
        ({"XDG_DATA_HOME": "/xdg"}, True, "/var/lib/shapegate"),
        ({}, True, "/var/lib/shapegate"),
    ],
)
def test_the_home_is_the_setting_then_roots_place_then_the_xdg_data_home(
    environment: dict[str, str], is_root: bool, home: str
) -> None:
    assert home_from(environment, is_root=is_root) == Path(home)


@pytest.mark.parametrize("environment", [{}, {"XDG_DATA_HOME": ""}, {"XDG_DATA_HOME": "relative"}])
def test_without_an_absolute_xdg_data_home_the_users_own_is_used(environment: dict[str, str]) -> None:
    assert home_from(environment, is_root=False) == Path.home() / ".local/share/shapegate"


def test_a_relative_setting_counts_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert home_from({"SHAPEGATE_HOME": "data"}, is_root=True) == tmp_path / "data"


def test_a_setting_that_names_no_known_user_says_what_to_set() -> None:
    with pytest.raises(HomeUnknown, match="set SHAPEGATE_HOME"):
        home_from({"SHAPEGATE_HOME": "~no-such-user/data"}, is_root=False)


def test_the_process_reads_its_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHAPEGATE_HOME", str(tmp_path))
    assert shapegate_home() == tmp_path
