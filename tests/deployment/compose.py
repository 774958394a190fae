"""Reads compose.yaml as Compose does: YAML with its merged keys, then variables in every text of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
FILE = ROOT / "compose.yaml"
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?:(?P<how>:?[-?])(?P<word>[^}]*))?\}")
SECRETS = "/run/secrets"


class Missing(Exception):
    """A variable that has to be set is not; the text is what Compose shows."""


@dataclass(frozen=True)
class Service:
    """One service, with the parts that tests ask for."""

    name: str
    parts: Mapping[str, Any]

    @property
    def command(self) -> list[str]:
        return list(self.parts.get("command", ()))

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.parts.get("environment", {}))

    @property
    def healthcheck(self) -> list[str]:
        return list(self.parts["healthcheck"]["test"])

    @property
    def is_ours(self) -> bool:
        return "build" in self.parts

    def names(self, part: str) -> set[str]:
        """List the names of a part that is a list or a mapping, or empty."""
        return set(self.parts.get(part, ()))


def load(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read the whole file, with variables filled into its texts. Raises Missing."""
    loaded: dict[str, Any] = _filled(YAML(typ="safe").load(FILE), environ)
    return loaded


def variables() -> set[str]:
    """List the variables that the file names, wherever it does."""
    return {found["name"] for found in VARIABLE.finditer(str(YAML(typ="safe").load(FILE)))}


def _filled(node: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, environ) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, environ) for value in node]
    return interpolate(node, environ) if isinstance(node, str) else node


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """Fill variables in. Raises Missing."""

    def value(found: re.Match[str]) -> str:
        name, how, word = found.group("name", "how", "word")
        is_there = bool(environ.get(name)) if how and how.startswith(":") else name in environ
        if is_there:
            return environ[name]
        if how and how.endswith("?"):
            raise Missing(f"{name}: {word}")
        return word or ""

    return VARIABLE.sub(value, text).replace("$$", "$")


def services(environ: Mapping[str, str]) -> dict[str, Service]:
    """Read the services. Raises Missing."""
    return {name: Service(name, parts) for name, parts in load(environ)["services"].items()}


def env_file(path: Path) -> dict[str, str]:
    """Read a file of variables, as `.env` is one."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


DEV = env_file(ROOT / "deploy" / "dev.env")
