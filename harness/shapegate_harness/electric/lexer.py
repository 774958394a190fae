"""Postgres' tokens, as far as a filter needs them (Postgres: SQL syntax, lexical structure).

What is not recognised is refused, so that a token printed on its own is read by Postgres as it is here.
Sessions have standard_conforming_strings on. Pure: no I/O, no clock.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from shapegate_harness.electric.errors import Rejected, rejected
from shapegate_wire import names

SYNTAX_ERROR_OFFSET: Final = len("SELECT 1 WHERE ")
"""Electric counts the position of a syntax error from the start of its own statement (recorded)."""


class Kind(enum.Enum):
    """What a token is, as far as checks care."""

    WORD = "word"
    QUOTED = "quoted"
    PARAM = "param"
    TEXT = "text"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Token:
    """One token and where the client wrote it."""

    kind: Kind
    text: str
    """Words in lower case, all else as it was written."""
    start: int
    written: str

    @property
    def column(self) -> str | None:
        """The name that the token stands for if it names a column."""
        if self.kind is Kind.QUOTED:
            return self.text[1:-1].replace('""', '"')
        return self.text if self.kind is Kind.WORD else None


_SPACE: Final = re.compile(r"(?:[ \t\n\r\f\v]+|--[^\r\n]*)+")
_LETTER: Final = r"A-Za-z_\u0080-\U0010ffff"
_TOKEN: Final = re.compile(
    rf"""
      (?P<unicode> [uU]&['"] )
    | (?P<text>    [eE]'(?:[^'\\]|''|\\.)*' | [bBxXnN]?'(?:[^']|'')*'
                 | \$(?P<tag>(?:[{_LETTER}][{_LETTER}0-9]*)?)\$.*?\$(?P=tag)\$ )
    | (?P<quoted>  "(?:[^"]|"")+" )
    | (?P<param>   \$[1-9][0-9]{{0,4}}(?![0-9]) )
    | (?P<number>  (?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? )
    | (?P<word>    [{_LETTER}][{_LETTER}0-9$]* )
    | (?P<symbol>  :: | (?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+ | [()\[\],.:;] )
    """,
    re.VERBOSE | re.DOTALL,
)
_FOLD: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def split(text: str) -> tuple[Token, ...]:
    """Split a text; comments are left out. Raises Rejected for what is no token."""
    tokens: list[Token] = []
    at = _skip(text, 0)
    while at < len(text):
        matched = _TOKEN.match(text, at)
        if matched is None or matched["unicode"]:
            raise syntax_error(at, text[at])
        kind = {"word": Kind.WORD, "quoted": Kind.QUOTED, "param": Kind.PARAM, "text": Kind.TEXT}.get(
            _group(matched), Kind.OTHER
        )
        # Postgres folds ASCII letters only; other letters keep their case in a UTF-8 database.
        folded = matched[0].translate(_FOLD) if kind is Kind.WORD else matched[0]
        tokens.append(Token(kind, folded, at, matched[0]))
        at = _skip(text, matched.end())
    return tuple(tokens)


def _group(matched: re.Match[str]) -> str:
    groups = ("word", "quoted", "param", "text", "number", "symbol")
    return next(name for name in groups if matched[name] is not None)


def _skip(text: str, at: int) -> int:
    """Pass over spaces and comments; block comments nest (Postgres: SQL syntax, comments)."""
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if not text.startswith("/*", at):
            return at
        at = _comment_end(text, at)


def _comment_end(text: str, start: int) -> int:
    depth = 0
    for matched in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if matched[0] == "/*" else -1
        if depth == 0:
            return matched.end()
    raise syntax_error(start, "/*")


def wrong_at(start: int, text: str) -> Rejected:
    """Make a refusal that names a place."""
    return rejected(names.WHERE, f"At location {start}: {text}")


def syntax_error(start: int, near: str | None) -> Rejected:
    """Make the refusal of a text that does not parse."""
    what = f'syntax error at or near "{near}"' if near else "syntax error at end of input"
    return wrong_at(SYNTAX_ERROR_OFFSET + start, what)
