"""Environment variables read by kind; an empty one counts as missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yarl import URL

from shapegate_proxy.config import Secret
from shapegate_proxy.findings import DEFAULT, MASKED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_proxy.findings import Findings


class Environment:
    """The environment; each look-up notes the setting, or the problem with it."""

    def __init__(self, environ: Mapping[str, str], findings: Findings) -> None:
        self._environ = environ
        self.findings = findings

    def has(self, *names: str) -> bool:
        """Say whether one of these is set; notes nothing."""
        return any(self._value(name) is not None for name in names)

    def text(self, name: str, *, otherwise: str = "none") -> str | None:
        """Read a text; `otherwise` is shown where there is none."""
        value = self._value(name)
        self._note(name, value, otherwise)
        return value

    def required(self, name: str, expected: str) -> str | None:
        """Read a text that has to be there; None is a problem already noted."""
        value = self.text(name)
        if value is None:
            self.findings.problem(f"{name} is missing: expected {expected}")
        return value

    def secret(self, name: str, *, otherwise: str = "none") -> Secret | None:
        """Read a secret, or the file that `<name>_FILE` points to."""
        value, file = self._value(name), self._value(f"{name}_FILE")
        if value is not None and file is not None:
            self.findings.problem(f"{name} and {name}_FILE are both set: expected one of them")
        elif file is not None:
            secret = read_secret(Path(file), f"{name}_FILE", self.findings)
            self.findings.note(name, MASKED, f"file {file}, named by {name}_FILE")
            return secret
        self._note(name, None if value is None else MASKED, otherwise)
        return None if value is None else Secret(value)

    def url(self, name: str) -> URL | None:
        """Read an http or https URL."""
        value = self._value(name)
        url = None if value is None else parse_url(value, name, self.findings)
        self._note(name, url, "none")
        return url

    def integer(self, name: str, *, default: int, low: int, high: int) -> int:
        """Read a whole number within bounds."""
        value = self._value(name)
        if value is not None and not (value.isascii() and value.isdecimal() and low <= int(value) <= high):
            self.findings.problem(f"{name} is {value!r}: expected a number from {low} to {high}")
            return default
        self._note(name, value, str(default))
        return default if value is None else int(value)

    def choice(self, name: str, values: tuple[str, ...]) -> str:
        """Read one of some words; the first is the default."""
        value = self._value(name)
        if value is not None and value.lower() not in values:
            self.findings.problem(f"{name} is {value!r}: expected one of {', '.join(values)}")
        self._note(name, value, values[0])
        return values[0] if value is None else value.lower()

    def named_secret(self, name: str, who: str) -> Secret | None:
        """Read the secret variable that `who` names; None is a problem already noted."""
        value = self._value(name)
        if value is None:
            self.findings.problem(f"{who}: the environment has no {name}: expected the secret in it")
        return None if value is None else Secret(value)

    def _value(self, name: str) -> str | None:
        return self._environ.get(name, "").strip() or None

    def _note(self, name: str, value: object, otherwise: str) -> None:
        if value is None:
            self.findings.note(name, otherwise, DEFAULT)
        else:
            self.findings.note(name, value, f"environment {name}")


def read_secret(path: Path, who: str, findings: Findings) -> Secret | None:
    """Read a file that holds a secret and nothing else; None is a problem already noted."""
    text = read_text(path, who, findings)
    if text is None:
        return None
    if not text.strip():
        findings.problem(f"{who}: {str(path)!r} is empty: expected the secret")
        return None
    return Secret(text.strip())


def read_text(path: Path, who: str, findings: Findings) -> str | None:
    """Read a file in UTF-8; None is a problem already noted."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        findings.problem(f"{who}: {str(path)!r} cannot be read: {type(exc).__name__}")
        return None


def parse_url(text: str, who: str, findings: Findings) -> URL | None:
    """Read an http or https URL without credentials; None is a problem already noted, without the URL."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        findings.problem(f"{who} is no http or https URL")
        return None
    if url.raw_user is not None or url.raw_password is not None:
        findings.problem(f"{who} holds a user name or a password: expected a URL without them")
        return None
    return url
