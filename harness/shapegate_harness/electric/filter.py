"""A shape's `where`: split into Postgres' tokens, checked, and printed again from the tokens.

Only tokens reach Postgres, one space between any two: no comment, no half-open literal, no statement end, no
unbalanced parenthesis, so that `(<filter>)` is one expression whatever the client sent. Functions are those
that Electric knows (PROTOCOL 5): none of them can do anything but compute. What types and names mean is
left to Postgres. Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shapegate_harness.electric.errors import rejected
from shapegate_harness.electric.lexer import Kind, Token, split, syntax_error, wrong_at
from shapegate_wire import names

FILTER_BYTES_MAX: Final = 65_536
FUNCTIONS: Final = frozenset(
    {
        "lower",
        "upper",
        "like",
        "ilike",
        "concat",
        "coalesce",
        "greatest",
        "least",
        "array_cat",
        "array_prepend",
        "array_append",
        "array_ndims",
        "timezone",
        "justify_days",
        "justify_hours",
        "justify_interval",
    }
)
_BEFORE_PARENTHESIS: Final = frozenset(
    {
        "and",
        "or",
        "not",
        "in",
        "any",
        "some",
        "all",
        "between",
        "symmetric",
        "asymmetric",
        "like",
        "ilike",
        "is",
        "from",
        "cast",
        "row",
        "numeric",
        "decimal",
        "varchar",
        "char",
        "character",
        "varying",
        "bpchar",
        "timestamp",
        "timestamptz",
        "time",
        "timetz",
        "interval",
        "bit",
        "varbit",
        "float",
    }
)
"""Keywords and types that may stand before a parenthesis without calling a function."""
_SUBQUERIES: Final = frozenset({"select", "with", "table"})
_UNSTEADY: Final = frozenset(
    {
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "localtime",
        "localtimestamp",
        "session_user",
        "system_user",
        "user",
    }
)
"""Values that change while no row does."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked filter; made by `parse_filter` only."""

    tokens: tuple[Token, ...]

    @property
    def normal(self) -> str:
        """The filter without the accidents of spacing, comments and the case of words."""
        return " ".join(token.text for token in self.tokens)

    @property
    def params(self) -> tuple[int, ...]:
        """The numbers that it uses as `$n`, ascending."""
        used = {int(token.text[1:]) for token in self.tokens if token.kind is Kind.PARAM}
        return tuple(sorted(used))

    @property
    def mentioned(self) -> frozenset[str]:
        """Every word that may be the name of a column."""
        return frozenset(name for token in self.tokens if (name := token.column) is not None)

    def to_sql(self, types: tuple[str, ...] | None = None) -> str:
        """Print it for Postgres, the used `$n` renumbered from 1.

        With `types`, each of them is text that is cast to its type.
        """
        return " ".join(self._printed(types))

    def start_of(self, position: int) -> int:
        """Say where the client wrote what stands at a 0-based position of `to_sql()`."""
        at = 0
        for token, printed in zip(self.tokens, self._printed(None), strict=True):
            if position < at + len(printed) + 1:
                return token.start
            at += len(printed) + 1
        return self.tokens[-1].start

    def first_use(self, param: int) -> int:
        """Say where the client wrote `$param` first."""
        return next(token.start for token in self.tokens if token.text == f"${param}")

    def _printed(self, types: tuple[str, ...] | None) -> list[str]:
        numbers = {f"${number}": index for index, number in enumerate(self.params)}
        printed = []
        for token in self.tokens:
            if token.kind is not Kind.PARAM:
                printed.append(token.written)
            elif types is None:
                printed.append(f"${numbers[token.text] + 1}")
            else:
                index = numbers[token.text]
                printed.append(f"( ${index + 1} :: text :: {types[index]} )")
        return printed


_OPENING: Final = {")": "(", "]": "["}


def parse_filter(text: str) -> Filter:
    """Read and check a filter. Raises Rejected with Electric's words where they are known."""
    if len(text.encode("utf-8", "surrogatepass")) > FILTER_BYTES_MAX:
        raise rejected(names.WHERE, f"query size {len(text)} is bigger than maximum size {FILTER_BYTES_MAX}")
    tokens = split(text)
    if not tokens:
        raise syntax_error(len(text), None)
    _check_brackets(tokens, len(text))
    for index, token in enumerate(tokens):
        _check(tokens, index, token)
    return Filter(tokens)


def _check_brackets(tokens: tuple[Token, ...], length: int) -> None:
    open_: list[str] = []
    for token in tokens:
        if token.text in ("(", "["):
            open_.append(token.text)
        elif token.text in _OPENING and (not open_ or open_.pop() != _OPENING[token.text]):
            raise syntax_error(token.start, token.text)
    if open_:
        raise syntax_error(length, None)


def _check(tokens: tuple[Token, ...], index: int, token: Token) -> None:
    following = tokens[index + 1].text if index + 1 < len(tokens) else ""
    if token.text == ";":
        raise rejected(names.WHERE, 'unescaped ";" causing statement split')
    if token.text == ".":
        raise wrong_at(token.start, "qualified names are not supported in this context")
    if token.kind is Kind.WORD and token.text in _SUBQUERIES:
        raise wrong_at(token.start, "subqueries are not supported by this development server yet")
    if token.kind is Kind.WORD and token.text == "case":
        raise wrong_at(token.start, "CaseExpr is not supported in this context")
    if token.kind is Kind.WORD and token.text in _UNSTEADY:
        raise wrong_at(token.start, f"SQLValueFunction {token.text} is not supported in this context")
    if following == "(" and token.column is not None:
        _check_call(tokens, index, token)


def _check_call(tokens: tuple[Token, ...], index: int, token: Token) -> None:
    named = token.text if token.kind is Kind.WORD else None
    if named in _BEFORE_PARENTHESIS or named in FUNCTIONS:
        return
    inside = tokens[index + 2 :]
    if inside[0].text == "*":
        raise wrong_at(token.start, "aggregation is not supported in this context")
    depth, commas = 1, 0
    for number, inner in enumerate(inside):
        depth += (inner.text in ("(", "[")) - (inner.text in (")", "]"))
        commas += depth == 1 and inner.text == ","
        if depth == 0:
            arity = 0 if number == 0 else commas + 1
            raise wrong_at(token.start, f"unknown or unsupported function {token.column}/{arity}")
