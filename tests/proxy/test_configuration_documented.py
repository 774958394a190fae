"""What the documentation says of the configuration is what the code reads: names and example."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shapegate_proxy.config_file import ConfigFile
from shapegate_proxy.configuration import read_configuration
from shapegate_proxy.environment import Environment
from shapegate_proxy.errors import ConfigError
from shapegate_proxy.findings import Findings
from shapegate_proxy.issuer_entry import ISSUER_KEYS, issuer_of_file
from shapegate_proxy.limit_settings import LimitSettings
from tests.proxy.builders import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
CHAPTER = (ROOT / "docs/running.md").read_text(encoding="utf-8").partition("\n## Configuration")[2]
CHAPTER = CHAPTER.partition("\n## ")[0]
TEMPLATE = (ROOT / ".env.example").read_text(encoding="utf-8")
EXAMPLE = CHAPTER.partition("```toml\n")[2].partition("```")[0]


class Watched(dict[str, str]):
    """An environment that remembers which names were looked up."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]  # as it is called here
        self.asked.add(key)
        return super().get(key, default)


def variables() -> set[str]:
    """Every variable that the code looks up, with metrics on."""
    environ = Watched({"METRICS_PORT": "9400"})
    with pytest.raises(ConfigError):
        read_configuration(environ)
    return environ.asked


def test_the_chapter_names_every_variable_and_no_other() -> None:
    rows = [line for line in CHAPTER.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([A-Z][A-Z_]+)`", row.split("|")[1])}
    assert named == variables()


def test_the_template_names_every_variable_and_no_other() -> None:
    assert set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", TEMPLATE, re.MULTILINE)) == variables()


def keys_of(entries: list[Mapping[str, object]]) -> Iterator[str]:
    for entry in entries:
        yield from entry


def test_the_chapter_shows_every_key_of_the_file_and_no_other() -> None:
    loaded = tomllib.loads(EXAMPLE)
    shown = set(keys_of(loaded["issuers"])) | set(re.findall(r"or (\w+) = ", EXAMPLE))
    assert shown == set(ISSUER_KEYS)
    assert loaded.keys() == {"issuers", "limits"}


def test_the_documentation_explains_every_limit() -> None:
    text = (ROOT / "docs/running.md").read_text(encoding="utf-8")
    assert [field.name for field in fields(LimitSettings) if f"`{field.name}`" not in text] == []


def test_the_example_file_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "legacy-secret").write_text(SECRET)
    findings = Findings()
    env = Environment({"DATABASE_URL": "postgresql://db/app"}, findings)
    file = ConfigFile(path=tmp_path / "gate.toml", loaded=tomllib.loads(EXAMPLE), lines={}, findings=findings)
    issuers = [issuer_of_file(entry, env) for entry in file.issuers()]
    assert findings.problems == []
    assert [issuer.issuer for issuer in issuers if issuer] == [
        "https://auth.example",
        "https://legacy.example",
    ]
    assert file.limits().live_per_principal == 50
