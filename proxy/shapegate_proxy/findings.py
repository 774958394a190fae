"""What was found while the configuration was read: each setting with its origin, and each problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT: Final = "default"
MASKED: Final = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value that the gate runs with, as it may be shown, and where it comes from."""

    name: str
    value: str
    origin: str


class Findings:
    """Grows while the configuration is read; with a problem in it the gate does not start."""

    def __init__(self) -> None:
        self.settings: list[Setting] = []
        self.problems: list[str] = []

    def note(self, name: str, value: object, origin: str = DEFAULT) -> None:
        """Take note of a setting; `value` is shown, so a secret is noted as `MASKED`."""
        self.settings.append(Setting(name=name, value=str(value), origin=origin))

    def problem(self, text: str) -> None:
        """Take note of what keeps the gate from starting: what was seen, what was expected."""
        self.problems.append(text)
