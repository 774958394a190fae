"""The configuration file that SHAPEGATE_CONFIG names: TOML with `[[issuers]]` and `[limits]`, nothing else.

It holds no secret: an entry names a file or an environment variable that does.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shapegate_proxy.environment import read_text
from shapegate_proxy.findings import DEFAULT
from shapegate_proxy.limit_settings import LimitSettings, parse_limits
from shapegate_proxy.toml_lines import key_lines, line_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.findings import Findings
    from shapegate_proxy.toml_lines import KeyPath

NAMED_BY: Final = "SHAPEGATE_CONFIG"
_TOP: Final = ("issuers", "limits")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A parsed file, and where its keys stand in it; without a file, an empty one."""

    path: Path
    loaded: Mapping[str, object]
    lines: Mapping[KeyPath, int]
    findings: Findings

    def where(self, *path: str) -> str:
        """Say where a key stands, or would stand: `file:line`."""
        return f"{self.path}:{line_of(path, self.lines)}"

    def issuers(self) -> tuple[FileTable, ...]:
        """Return the entries of `[[issuers]]`."""
        entries = self.loaded.get("issuers", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.findings.problem(
                f"{self.where('issuers')}: issuers is no list of tables: expected [[issuers]]"
            )
            return ()
        return tuple(FileTable(file=self, number=number, keys=entry) for number, entry in enumerate(entries))

    def limits(self) -> LimitSettings:
        """Read `[limits]`."""
        table = self.loaded.get("limits", {})
        if not isinstance(table, dict):
            self.findings.problem(f"{self.where('limits')}: limits is no table: expected [limits]")
            return LimitSettings()
        limits, problems = parse_limits(table)
        for problem in problems:
            self.findings.problem(f"{self.where('limits')}: [limits]: {problem}")
        for field in fields(limits):
            origin = self.where("limits", field.name) if field.name in table else DEFAULT
            self.findings.note(f"limits.{field.name}", getattr(limits, field.name), origin)
        return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTable:
    """One entry of `[[issuers]]`; each look-up notes the setting, or the problem with it."""

    file: ConfigFile
    number: int
    """From 0 in the file; shown from 1."""
    keys: Mapping[str, object]

    def note(self, key: str, shown: object) -> None:
        """Take note of what a key amounts to."""
        origin = self.where(key) if key in self.keys else DEFAULT
        self.file.findings.note(f"issuers[{self.number + 1}].{key}", shown, origin)

    def problem(self, key: str, text: str) -> None:
        """Take note of what is wrong with a key; `text` goes on after its name."""
        self.file.findings.problem(f"{self.title(key)} {text}")

    def title(self, key: str) -> str:
        """Name a key for a problem with it: where it stands, and which it is."""
        return f"{self.where(key)}: [[issuers]]: {key}"

    def where(self, key: str) -> str:
        """Say where a key of this entry stands, or would stand."""
        return self.file.where("issuers", str(self.number), key)

    def text(self, key: str, default: str | None) -> str:
        """Read a text; None as default means that it has to be there."""
        value = self.keys.get(key, default)
        if value is None:
            self.problem(key, "is missing: expected a text")
        elif not isinstance(value, str) or (key in self.keys and not value.strip()):
            self.problem(key, f"is {value!r}: expected a text")
        else:
            self.note(key, value or "none")
            return value
        return ""

    def number_within(self, key: str, default: float | None, *, low: int, high: int) -> float | None:
        """Read a number from `low` to `high`."""
        value = self.keys.get(key)
        if key not in self.keys:
            self.note(key, "none" if default is None else default)
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.problem(key, f"is {value!r}: expected a number from {low} to {high}")
            return default
        self.note(key, value)
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self.keys.get(key, default)
        if not isinstance(value, bool):
            self.problem(key, f"is {value!r}: expected true or false")
            return default
        self.note(key, str(value).lower())
        return value


def read_config_file(named: str | None, findings: Findings) -> ConfigFile:
    """Read the file, if one is named; what is wrong with it is noted."""
    path = Path(named or "")
    text = "" if named is None else read_text(path, NAMED_BY, findings) or ""
    try:
        loaded = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        findings.problem(f"{path}: is not TOML: {exc}")
        text, loaded = "", {}
    file = ConfigFile(path=path, loaded=loaded, lines=key_lines(text), findings=findings)
    for key in loaded:
        if key not in _TOP:
            findings.problem(f"{file.where(key)}: unknown key {key!r}: expected [[issuers]] and [limits]")
    return file
