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
    BITS = "bits"
    NUMBER = "number"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class Token:
    """One token and where the client wrote it."""

    kind: Kind
    text: str
    """Words in lower case, names and literals as what they stand for, all else as it was written."""
    start: int
    written: str


_SPACE: Final = re.compile(r"(?:[ \t\n\r\f\v]+|--[^\r\n]*)+")
_LETTER: Final = r"A-Za-z_\u0080-\U0010ffff"
_TOKEN: Final = re.compile(
    rf"""
      (?P<unicode> [uU]&['"] | [nN]' )
    | (?P<escaped> [eE]'(?:[^'\\]|''|\\.)*' )
    | (?P<bits>    [bBxX]'[^']*' )
    | (?P<text>    '(?:[^']|'')*' )
    | (?P<dollar>  \$(?P<tag>(?:[{_LETTER}][{_LETTER}0-9]*)?)\$(?P<inner>.*?)\$(?P=tag)\$ )
    | (?P<quoted>  "(?:[^"]|"")+" )
    | (?P<param>   \$[1-9][0-9]{{0,4}}(?![0-9]) )
    | (?P<number>  (?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? )
    | (?P<word>    [{_LETTER}][{_LETTER}0-9$]* )
    | (?P<symbol>  :: | (?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+ | [()\[\],.:;] )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_FOLD: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def split(text: str) -> tuple[Token, ...]:
    """Split a text; comments are left out. Raises Rejected for what is no token."""
    tokens: list[Token] = []
    at = _skip(text, 0)
    while at < len(text):
        matched = _TOKEN.match(text, at)
        if matched is None or matched["unicode"]:
            raise syntax_error(at, text[at])
        token = _token(matched)
        tokens.append(token)
        at = _skip(text, at + len(token.written))
    return tuple(tokens)


def _token(matched: re.Match[str]) -> Token:
    start, written = matched.start(), matched[0]
    if matched["word"]:
        # Postgres folds ASCII letters only; other letters keep their case in a UTF-8 database.
        return Token(Kind.WORD, written.translate(_FOLD), start, written)
    if matched["quoted"]:
        return Token(Kind.QUOTED, written[1:-1].replace('""', '"'), start, written)
    if matched["text"]:
        return Token(Kind.TEXT, written[1:-1].replace("''", "'"), start, written)
    if matched["dollar"]:
        return Token(Kind.TEXT, matched["inner"], start, written)
    if matched["escaped"]:
        return Token(Kind.TEXT, _unescape(written[2:-1], start), start, written)
    if matched["symbol"]:
        symbol = _operator(written)
        return Token(Kind.SYMBOL, symbol, start, symbol)
    kinds = {"param": Kind.PARAM, "number": Kind.NUMBER, "bits": Kind.BITS}
    return Token(next(kind for group, kind in kinds.items() if matched[group]), written, start, written)


def _operator(text: str) -> str:
    """Cut a sign off an operator's end: `=-1` is `=` and `-1` (Postgres: SQL syntax, operators)."""
    while len(text) > 1 and text[-1] in "+-" and not set(text) & set("~!@#%^&|`?"):
        text = text[:-1]
    return text


def _unescape(text: str, start: int) -> str:
    """Read what an `E''` literal stands for; escapes of bytes and code points are refused."""

    def one(matched: re.Match[str]) -> str:
        char = matched[1]
        if char is None:
            return "'"
        if char in "xuU01234567":
            raise wrong_at(start, f"the escape \\{char} is not supported: write the character itself")
        return _ESCAPES.get(char, char)

    return re.sub(r"\\(.)|''", one, text, flags=re.DOTALL)


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
