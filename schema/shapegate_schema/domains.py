"""What this package ships: the shared migrations, and the domains with their policy and seed rows.

`migrations/` holds what every domain needs, `domains/<name>/` the domain's own. In each, numbered files are
migrations, `seed.sql` is the seed; a domain has a `policy.toml` besides, and a `rows.sql` that makes further
rows.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from shapegate_schema.errors import UnknownDomain
from shapegate_schema.migration import SourceFile
from shapegate_schema.plan import MigrationSet

SHARED_SET: Final = "shared"
_SEED_NAME: Final = "seed.sql"
_ROWS_NAME: Final = "rows.sql"
_POLICY_NAME: Final = "policy.toml"


def domain_names() -> tuple[str, ...]:
    """List the shipped domains, sorted."""
    return tuple(
        sorted(folder.name for folder in (_root() / "domains").iterdir() if (folder / _POLICY_NAME).is_file())
    )


def policy_file(domain: str) -> Path:
    """Locate the policy that the proxy loads for a domain. Raises UnknownDomain."""
    return _folder(domain) / _POLICY_NAME


def migration_sets(domain: str) -> tuple[MigrationSet, ...]:
    """Read the sets of a domain in the order they are applied. Raises UnknownDomain."""
    return (
        read_set(SHARED_SET, _root() / "migrations"),
        read_set(domain, _folder(domain)),
    )


def seed_scripts(domain: str) -> tuple[str, ...]:
    """Read the seed SQL of a domain in the order it runs. Raises UnknownDomain."""
    folders = (_root() / "migrations", _folder(domain))
    return tuple((folder / _SEED_NAME).read_text(encoding="utf-8") for folder in folders)


def rows_script(domain: str) -> str:
    """Read the SQL that makes the further rows from `seed.first` to `seed.last`. Raises UnknownDomain."""
    return (_folder(domain) / _ROWS_NAME).read_text(encoding="utf-8")


def read_set(name: str, folder: Path) -> MigrationSet:
    """Read every `.sql` file of a folder that is no seed; names and contents are judged by the plan."""
    paths = sorted(path for path in folder.glob("*.sql") if path.name not in (_SEED_NAME, _ROWS_NAME))
    return MigrationSet(
        name=name, files=tuple(SourceFile(name=path.name, content=path.read_bytes()) for path in paths)
    )


def _folder(domain: str) -> Path:
    known = domain_names()
    # A name is compared, never joined to a path unseen: `../x` is no domain.
    if domain not in known:
        raise UnknownDomain(f"the domain {domain!r} is not shipped; there are {', '.join(known)}")
    return _root() / "domains" / domain


def _root() -> Path:
    # Wheels are installed unpacked, so the package's folder is a real one.
    return Path(str(resources.files("shapegate_schema")))
