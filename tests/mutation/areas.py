"""What is mutated, and by which tests: the parts of the gate that decide who sees what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = {
    "shapegate_wire": "wire",
    "shapegate_proxy": "proxy",
    "shapegate_client": "client",
    "shapegate_schema": "schema",
    "shapegate_harness": "harness",
    "shapegate_cli": "cli",
}
"""Import packages, each with the folder that holds it."""


@dataclass(frozen=True, slots=True)
class Area:
    """Modules that are mutated together, and the tests that have to notice."""

    sources: tuple[str, ...]
    """Folders and files, below the folder that the packages stand in."""
    tests: tuple[str, ...]

    def holds(self, module: str) -> bool:
        """Say whether a module belongs to the area."""
        path = module.replace(".", "/")
        return any(f"{path}/".startswith(source.removesuffix(".py") + "/") for source in self.sources)


AREAS: Final = {
    "filter": Area(("shapegate_wire/filter",), ("tests/wire/filter",)),
    "policy": Area(
        (
            "shapegate_proxy/claims.py",
            "shapegate_proxy/policy.py",
            "shapegate_proxy/policy_file.py",
            "shapegate_proxy/scope.py",
            "shapegate_proxy/scope_parser.py",
            "shapegate_proxy/scope_tokens.py",
            "shapegate_proxy/subset.py",
            "shapegate_proxy/toml_lines.py",
            "shapegate_wire/subset.py",
        ),
        (
            "tests/proxy/test_claims.py",
            "tests/proxy/test_policy.py",
            "tests/proxy/test_policy_file.py",
            "tests/proxy/test_scope.py",
            "tests/proxy/test_scope_parser.py",
            "tests/proxy/test_subset.py",
            "tests/proxy/test_toml_lines.py",
            "tests/wire/test_subset.py",
        ),
    ),
    "upstream": Area(("shapegate_proxy/upstream.py",), ("tests/proxy/test_upstream.py",)),
}


def source_path(module: str) -> Path:
    """Find the file of a module in the repository."""
    path = ROOT / PACKAGES[module.partition(".")[0]] / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
