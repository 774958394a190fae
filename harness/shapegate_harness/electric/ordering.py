"""The order of a subset's rows: read strictly, printed from what was read (PROTOCOL 1.4; electric#4081).

Columns and constants only, as Electric has it since 1.5.0. Not a byte of the client's text reaches Postgres.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from shapegate_harness.electric.errors import Rejected, RejectedSubset
from shapegate_harness.electric.keywords import RESERVED
from shapegate_harness.electric.lexer import SYNTAX_ERROR_OFFSET, Kind, Token, split
from shapegate_harness.electric.printer import print_literal
from shapegate_wire import names
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from shapegate_wire.identifier import TableName

ORDER_BY: Final = "order_by"
TERMS_MAX: Final = 100
_STATEMENT: Final = len("SELECT 1 ORDER BY ")
"""Electric counts places from the start of its own statement (recorded)."""
_CONSTANT_WORDS: Final = frozenset({"true", "false", "null"})
_DIRECTIONS: Final = frozenset({"asc", "desc"})
_NULLS: Final = frozenset({"first", "last"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One sort key."""

    start: int
    column: str | None
    """None for a constant."""
    constant: str = ""
    """A constant, printed."""
    direction: str = "ASC"
    nulls: str | None = None

    def to_sql(self, table: TableName) -> str:
        """Print for a statement that reads from `table` without an alias."""
        # Unqualified, a name would mean the one output column before it means the table's.
        key = self.constant if self.column is None else f"{quote(table.name)}.{quote(self.column)}"
        return f"{key} {self.direction}{'' if self.nulls is None else f' NULLS {self.nulls}'}"


def parse_ordering(text: str) -> tuple[Term, ...]:
    """Read `a DESC NULLS LAST, b`. Raises RejectedSubset in Electric's words."""
    try:
        tokens = split(text)
    except Rejected as exc:
        raise RejectedSubset({ORDER_BY: tuple(map(_moved, exc.problems.get(names.WHERE, ())))}) from exc
    reader = _Reader(tokens, len(text))
    terms = [reader.term()]
    while reader.accept_symbol(","):
        terms.append(reader.term())
        if len(terms) > TERMS_MAX:
            raise RejectedSubset({ORDER_BY: (f"has more than {TERMS_MAX} sort keys",)})
    reader.expect_end()
    return tuple(terms)


def check_ordering(terms: Sequence[Term], columns: Collection[str]) -> None:
    """Refuse what is no column that the client may speak of. Raises RejectedSubset."""
    for term in terms:
        if term.column is not None and term.column not in columns:
            raise _wrong(term.start, f"unknown reference {term.column}")


def print_ordering(terms: Sequence[Term], table: TableName) -> str:
    """Print an ORDER BY clause; nothing if there is no order."""
    return f" ORDER BY {', '.join(term.to_sql(table) for term in terms)}" if terms else ""


def _moved(problem: str) -> str:
    """Count a place of the lexer's, which is one within a filter, as one within an order."""
    at = _STATEMENT - (SYNTAX_ERROR_OFFSET if "syntax error" in problem else 0)
    return re.sub(r"(?<=At location )[0-9]+", lambda matched: str(int(matched[0]) + at), problem, count=1)


def _wrong(start: int, text: str) -> RejectedSubset:
    return RejectedSubset({ORDER_BY: (f"At location {_STATEMENT + start}: {text}",)})


class _Reader:
    """A position in a list of tokens."""

    def __init__(self, tokens: tuple[Token, ...], length: int) -> None:
        self._tokens = tokens
        self._length = length
        self._at = 0

    def term(self) -> Term:
        token = self._take()
        column, constant = self._key(token)
        direction = self._accept_word(_DIRECTIONS) or "asc"
        nulls: str | None = None
        if self._accept_word({"nulls"}):
            nulls = self._accept_word(_NULLS)
            if nulls is None:
                self._fail()
        return Term(
            start=token.start,
            column=column,
            constant=constant,
            direction=direction.upper(),
            nulls=None if nulls is None else nulls.upper(),
        )

    def accept_symbol(self, symbol: str) -> bool:
        found = self._is_symbol(symbol)
        self._at += found
        return found

    def expect_end(self) -> None:
        if self._peek() is not None:
            self._fail()

    def _key(self, token: Token) -> tuple[str | None, str]:
        """Read a column's name or a printed constant; everything larger is refused by what it is."""
        found: tuple[str | None, str]
        match token.kind:
            case Kind.QUOTED:
                found = token.text, ""
            case Kind.WORD if token.text in _CONSTANT_WORDS:
                found = None, token.text.upper()
            case Kind.WORD if token.text not in RESERVED:
                found = token.text, ""
            case Kind.TEXT:
                found = None, print_literal(token.text)
            case Kind.NUMBER:
                found = None, token.text
            case Kind.PARAM:
                raise self._refused(token, "ParamRef")
            case _ if token.text == "case":
                raise self._refused(token, "CaseExpr")
            case _ if token.text == "(":
                kind = "SubLink" if self._is_word("select") else "A_Expr"
                raise self._refused(token, kind)
            case _:
                self._at -= 1
                self._fail()
        self._refuse_more(token, found[0])
        return found

    def _refuse_more(self, token: Token, column: str | None) -> None:
        """Refuse an expression that only begins with a name or a constant."""
        following = self._peek()
        if following is None or following.text == ",":
            return
        if column is not None and self._is_symbol("("):
            raise self._refused(token, "FuncCall")
        if column is not None and self._is_symbol("."):
            rest = self._tokens[self._at + 1].written if self._at + 1 < len(self._tokens) else ""
            raise _wrong(token.start, f"unknown reference {column}.{rest}")
        if self._is_word("collate"):
            raise self._refused(following, "CollateClause")
        if self._is_symbol("::"):
            raise self._refused(following, "TypeCast")
        if self._is_symbol("["):
            raise self._refused(token, "A_Indirection")
        if following.kind is Kind.SYMBOL and following.text not in (")", "]", ";", ":", "."):
            raise self._refused(following, "A_Expr")

    def _refused(self, token: Token, node: str) -> RejectedSubset:
        return _wrong(token.start, f"{node} expressions are not allowed in ORDER BY clauses")

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self) -> Token:
        token = self._peek()
        if token is None:
            self._fail()
        self._at += 1
        return token

    def _is_symbol(self, symbol: str) -> bool:
        token = self._peek()
        return token is not None and token.kind is Kind.SYMBOL and token.text == symbol

    def _is_word(self, word: str) -> bool:
        token = self._peek()
        return token is not None and token.kind is Kind.WORD and token.text == word

    def _accept_word(self, words: Collection[str]) -> str | None:
        token = self._peek()
        if token is None or token.kind is not Kind.WORD or token.text not in words:
            return None
        self._at += 1
        return token.text

    def _fail(self) -> NoReturn:
        token = self._peek()
        if token is None:
            raise _wrong(self._length, "syntax error at end of input")
        raise _wrong(token.start, f'syntax error at or near "{token.written}"')
