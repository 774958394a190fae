"""Where Shapegate keeps what outlives a run: databases, binaries, local stores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOT_HOME: Final = Path("/var/lib/shapegate")
"""Root's own home is closed to `nobody`, who runs the server for root; this place can be opened."""


class HomeUnknown(Exception):
    """No place to keep data is known: neither a setting nor a home folder of the user."""


def shapegate_home() -> Path:
    """Return the home folder of this process; it need not exist yet. Raises HomeUnknown."""
    return home_from(os.environ, is_root=hasattr(os, "geteuid") and os.geteuid() == 0)


def home_from(environment: Mapping[str, str], *, is_root: bool) -> Path:
    """Return SHAPEGATE_HOME, else root's fixed place, else `shapegate` in the XDG data home.

    A relative XDG_DATA_HOME is ignored, as the XDG base directory specification asks. Raises HomeUnknown
    if there is no setting and the user has no home folder.
    """
    try:
        if chosen := environment.get("SHAPEGATE_HOME"):
            return Path(chosen).expanduser().absolute()
        if is_root:
            return _ROOT_HOME
        data_home = Path(environment.get("XDG_DATA_HOME", ""))
        if data_home.is_absolute():
            return data_home / "shapegate"
        return Path("~/.local/share/shapegate").expanduser()
    except RuntimeError as exc:
        raise HomeUnknown(
            "this user has no home folder; set SHAPEGATE_HOME to a folder where Shapegate may keep its data"
        ) from exc
