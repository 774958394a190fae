"""The tokens of a scope: names, claims in braces, four marks and nothing else. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shapegate_wire.identifier import fold

SCOPE_CHARS_MAX: Final = 2_000
SHOWN_CHARS: Final = 8
_TOKEN: Final = re.compile(
    r"""
      (?P<space>  [ \t\r\n]+ )
    | (?P<word>   [A-Za-z_\u00a1-\U0010ffff][A-Za-z0-9_$\u00a1-\U0010ffff]* )
    | (?P<quoted> "(?:[^"\x00]|"")+" )
    | (?P<claim>  \{[^{}"]*\} )
    | (?P<mark>   [=().] )
    """,
    re.VERBOSE,
)


class ScopeRefused(ValueError):
    """A scope that is not in the language, or that would show rows of others."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token and where it stands."""

    kind: str
    """word, quoted, claim, mark, other or end."""
    text: str
    """As written; words are folded to lower case."""
    start: int

    def refused(self, expected: str) -> ScopeRefused:
        """Make the refusal of this token."""
        seen = repr(self.text) if self.text else "the end"
        return ScopeRefused(f"{seen} at position {self.start}: expected {expected}")


def scope_tokens(text: str) -> list[Token]:
    """Split a scope into its tokens, the end as the last one. Raises ScopeRefused if it is too long.

    What is none ends them as `other`, which no rule of the language takes.
    """
    if len(text) > SCOPE_CHARS_MAX:
        raise ScopeRefused(f"has {len(text)} characters: expected at most {SCOPE_CHARS_MAX}")
    found: list[Token] = []
    at = 0
    while at < len(text):
        matched = _TOKEN.match(text, at)
        if matched is None or matched.lastgroup is None:
            found.append(Token("other", text[at : at + SHOWN_CHARS], at))
            break
        if matched.lastgroup != "space":
            written = fold(matched[0]) if matched.lastgroup == "word" else matched[0]
            found.append(Token(matched.lastgroup, written, at))
        at = matched.end()
    return [*found, Token("end", "", len(text))]
