"""The tokens of a filter, as Postgres reads them (Postgres: SQL syntax, lexical structure).

What Postgres might read in another way is refused: comments, `E''`, `U&''`, `B''`, `X''`, dollar quotes,
numbers with letters behind them. One pass, linear, before anything is parsed. Pure: no I/O, no clock.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_wire.filter.refused import FilterRefused
from shapegate_wire.identifier import IDENTIFIER_BYTES_MAX, fold

if TYPE_CHECKING:
    from collections.abc import Iterator

FILTER_CHARS_MAX: Final = 8_000
DEPTH_MAX: Final = 40
OPERATORS: Final = frozenset({"=", "<>", "!=", "<", ">", "<=", ">=", "@>", "<@", "&&", "-"})

_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but tab, LF and CR, and what is no UTF-8."""
_LETTER: Final = r"A-Za-z_\u00a0-\U0010ffff"
_TOKEN: Final = re.compile(
    rf"""
      (?P<space>    [ \t\n\r]+ )
    | (?P<word>     [{_LETTER}][{_LETTER}0-9$]* )
    | (?P<quoted>   "(?:[^"]|"")*+" )
    | (?P<text>     '(?:[^']|'')*+' )
    | (?P<param>    \$[1-9][0-9]{{0,3}} )
    | (?P<number>   (?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? )
    | (?P<operator> [-+*/<>=~!@\#%^&|`?]+ )
    | (?P<mark>     ::|[()\[\],] )
    """,
    re.VERBOSE,
)
_GLUED: Final = re.compile(rf"[{_LETTER}0-9.$]")
"""What must not follow a number or `$n` without a space: Postgres versions differ about it."""
_SIGN_CARRIERS: Final = re.compile(r"[~!@#%^&|`?]")
_OPENING: Final = {")": "(", "]": "["}


class Kind(enum.Enum):
    """What a token is."""

    WORD = "word"
    QUOTED = "quoted"
    TEXT = "text"
    PARAM = "param"
    NUMBER = "number"
    OPERATOR = "operator"
    MARK = "mark"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token, its meaning and where it stands."""

    kind: Kind
    text: str
    """Words folded to lower case, quoted names and texts without their quotes, `$n` without `$`."""
    start: int
    written: str

    def is_word(self, *words: str) -> bool:
        """Say whether it is one of these key words, unquoted."""
        return self.kind is Kind.WORD and self.text in words

    def is_mark(self, *marks: str) -> bool:
        """Say whether it is one of these punctuation marks."""
        return self.kind is Kind.MARK and self.text in marks


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a filter, the end as the last one; brackets match and are bounded in depth.

    Reading on demand refuses most of what is wrong before the rest is looked at. Raises FilterRefused.
    """
    _check_text(text)
    open_: list[str] = []
    at = 0
    while at < len(text):
        matched = _TOKEN.match(text, at)
        if matched is None or matched.lastgroup is None:
            raise _no_token(text, at)
        at = matched.end()
        if matched.lastgroup == "operator":
            at = _operator_end(text, matched.start(), at)
        if matched.lastgroup != "space":
            token = _token(text, Kind(matched.lastgroup), matched.start(), at)
            if token.kind is Kind.MARK:
                _check_bracket(token, open_)
            yield token
    if open_:
        raise FilterRefused(len(text), "", "a closing bracket")
    yield Token(Kind.END, "", len(text), "")


def _check_text(text: str) -> None:
    if len(text) > FILTER_CHARS_MAX:
        raise FilterRefused(
            FILTER_CHARS_MAX,
            f"{len(text)} characters",
            f"at most {FILTER_CHARS_MAX}",
            "pass lists as one array $n",
        )
    bad = _NOT_TEXT.search(text)
    if bad:
        raise FilterRefused(bad.start(), bad[0], "text without control characters", "pass such a value as $n")
    if not text.strip(" \t\n\r"):
        raise FilterRefused(0, "", "a condition", "leave the filter out to ask for every row")


def _token(text: str, kind: Kind, start: int, end: int) -> Token:
    written = text[start:end]
    following = text[end : end + 1]
    meaning = written
    match kind:
        case Kind.WORD:
            meaning = fold(written)
            if following == "'":
                raise FilterRefused(
                    start, written + "'", "a plain '...' text", "write E'', U&'', B'' or X'' as $n"
                )
        case Kind.QUOTED:
            meaning = written[1:-1].replace('""', '"')
        case Kind.TEXT:
            meaning = written[1:-1].replace("''", "'")
        case Kind.PARAM | Kind.NUMBER:
            meaning = written.removeprefix("$")
            if _GLUED.match(following):
                raise FilterRefused(start, text[start : end + 8], "a space behind a number")
        case _:
            pass
    if kind in (Kind.WORD, Kind.QUOTED) and len(meaning.encode()) > IDENTIFIER_BYTES_MAX:
        # Postgres would cut it short, to what may be another name.
        raise FilterRefused(start, written, f"a name of at most {IDENTIFIER_BYTES_MAX} bytes")
    return Token(kind, meaning, start, written)


def _operator_end(text: str, start: int, end: int) -> int:
    """End a run of operator characters where Postgres does.

    An operator of several characters ends in `-` or `+` only if it holds one of ~!@#%^&|`? as well.
    """
    run = text[start:end]
    if "--" in run or "/*" in run:
        raise FilterRefused(start, run, "no comment", "leave comments out")
    while len(run) > 1 and run[-1] in "+-" and not _SIGN_CARRIERS.search(run):
        run = run[:-1]
    if run not in OPERATORS:
        raise FilterRefused(
            start, run, f"one of {' '.join(sorted(OPERATORS))}", "other operators are not served"
        )
    return start + len(run)


def _no_token(text: str, at: int) -> FilterRefused:
    seen = text[at : at + 8]
    if seen[0] in "'\"":
        return FilterRefused(at, seen, f"a closing {seen[0]}", "double a quote that belongs to the text")
    if seen[0] == "$":
        return FilterRefused(at, seen, "$1 to $9999", "dollar quotes are not served: pass the text as $n")
    return FilterRefused(at, seen, "a column, a constant, an operator or a parenthesis")


def _check_bracket(token: Token, open_: list[str]) -> None:
    """Bound the depth before anything recurses; `open_` holds the brackets around the token."""
    if token.text in ("(", "["):
        open_.append(token.text)
        if len(open_) > DEPTH_MAX:
            raise too_deep(token)
    elif token.text in (")", "]") and (not open_ or open_.pop() != _OPENING[token.text]):
        raise FilterRefused(token.start, token.text, "an opening bracket before a closing one")


def too_deep(token: Token) -> FilterRefused:
    """Make the refusal of a condition that is nested too deeply."""
    return FilterRefused(token.start, token.written, f"at most {DEPTH_MAX} levels", "flatten the condition")
