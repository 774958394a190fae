"""How the failures of the client become sentences and exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import shapegate_client.config  # noqa: F401  # holds a subclass too
from shapegate_cli.client_profile import _failed
from shapegate_client.errors import ClientError, ShapeRefused

GUIDE = Path(__file__).parents[2] / "docs" / "client.md"


def classes(root: type[ClientError] = ClientError) -> list[type[ClientError]]:
    """Every error that the client can raise, without the roots that only group others."""
    below = root.__subclasses__()
    own = [] if root.__name__ in ("ClientError", "SyncStopped", "StoreError") else [root]
    return own + [each for kind in below for each in classes(kind)]


def exit_code(kind: type[ClientError]) -> int:
    error = kind.__new__(kind)
    if isinstance(error, ShapeRefused):
        error.status = 403
    return _failed(error).exit_code


@pytest.mark.parametrize("kind", classes())
def test_every_error_of_the_client_stands_in_the_guide_with_its_exit_code(kind: type[ClientError]) -> None:
    assert kind.__doc__
    (row,) = re.findall(rf"^\| `{kind.__name__}` \| (\d) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert int(row) == exit_code(kind)


def test_the_guide_names_no_error_that_there_is_not() -> None:
    named = set(re.findall(r"^\| `([A-Z]\w+)` \| \d \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    assert named == {kind.__name__ for kind in classes()}
