"""Programs from copies of their own, for whoever loads a target and whoever stands behind it.

Processes that run the same file share its pages in memory, and so what caches hold of them: at a low rate a
driver in Python would warm the gate, and an nginx as upstream the nginx that it is compared with, each by a
tenth or more of what they add to an answer.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAPS: Final = Path("/proc/self/maps")


@cache
def copy_of(program: str) -> str:
    """Copy a file, once for this process; returns where, in a folder that goes with the process."""
    return shutil.copy(os.path.realpath(program), _folder().name)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="shapegate-bench-programs-")


@cache
def own_python() -> tuple[str, Mapping[str, str]]:
    """Choose a Python whose interpreter no other process runs: the program and its environment.

    Where the interpreter is a library the copy is of that, else of the program; without /proc it is this one.
    """
    if not _MAPS.exists():
        return sys.executable, dict(os.environ)
    library = _library()
    if library is None:
        copied = copy_of(sys.executable)
        home = f"{sys.base_prefix}{os.pathsep}{sys.base_exec_prefix}"
        return copied, {**os.environ, "PYTHONHOME": home, "PYTHONPATH": os.pathsep.join(sys.path)}
    folders = (str(Path(copy_of(library)).parent), *_already("LD_LIBRARY_PATH"))
    return sys.executable, {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(folders)}


def _library() -> str | None:
    """Find the file of the interpreter, if that is not the program's."""
    mapped = (line.split(maxsplit=5)[-1].strip() for line in _MAPS.read_text(encoding="utf-8").splitlines())
    return next((path for path in mapped if Path(path).name.startswith("libpython")), None)


def _already(name: str) -> tuple[str, ...]:
    found = os.environ.get(name)
    return (found,) if found else ()
