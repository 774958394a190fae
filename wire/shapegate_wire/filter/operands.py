"""Reads the terms of a condition: columns, the three functions of them, and constants.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_wire.filter import tree
from shapegate_wire.filter.cursor import find_column
from shapegate_wire.filter.kinds import TYPE_NAMES, ColumnType, Kind, cast_kind
from shapegate_wire.filter.lexer import Kind as TokenKind
from shapegate_wire.filter.refused import FilterRefused
from shapegate_wire.filter.terms import Literal, Placed, Spelling
from shapegate_wire.filter.words import NOT_A_COLUMN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_wire.filter.cursor import Cursor
    from shapegate_wire.filter.lexer import Token
    from shapegate_wire.filter.reader import Reader
    from shapegate_wire.filter.terms import Term

LIST_ITEMS_MAX: Final = 200
_TERM: Final = "a column or a constant"
_SPELLINGS: Final = {
    TokenKind.NUMBER: Spelling.NUMBER,
    TokenKind.TEXT: Spelling.TEXT,
    TokenKind.PARAM: Spelling.PARAM,
}
_TEXT: Final = ColumnType(Kind.TEXT)
_CAST_TO_TEXT: Final = (ColumnType(Kind.UUID), ColumnType(Kind.ENUM))


class Operands:
    """Reads terms at a cursor."""

    def __init__(self, cursor: Cursor, columns: Mapping[str, tree.Column], reader: Reader) -> None:
        self._cursor = cursor
        self._columns = columns
        self._reader = reader

    def term(self) -> Term:
        """Read a column, a function of one or a constant, without a cast. Raises FilterRefused."""
        token = self._cursor.token
        self._reader.count(token.start)
        if token.kind in _SPELLINGS or token.is_word("true", "false", "null"):
            return self._literal(self._cursor.take())
        if token.kind is TokenKind.OPERATOR and token.text == "-":
            return self._negative()
        if token.is_word("array") and self._cursor.following.is_mark("["):
            return self._array()
        if token.kind is TokenKind.WORD and self._cursor.following.is_mark("("):
            return self._function()
        return self._column()

    def cast(self, term: Term) -> Term:
        """Read the casts behind a term. Raises FilterRefused."""
        mark = self._cursor.take_mark("::")
        if mark is None:
            return term
        if isinstance(term, Placed):
            return self._as_text(term)
        if term.cast is not None:
            raise FilterRefused(mark.start, mark.written, "one cast", "cast a constant once")
        return term.with_cast(self._type())

    def list_items(self) -> tuple[Literal, ...]:
        """Read the constants of `IN (...)`. Raises FilterRefused."""
        self._cursor.expect_mark("(")
        items = [self._constant()]
        while self._cursor.take_mark(","):
            items.append(self._constant())
            self._check_length(items)
        self._cursor.expect_mark(")")
        return tuple(items)

    def _literal(self, token: Token) -> Literal:
        spelling = _SPELLINGS.get(token.kind)
        if spelling is None:
            spelling = Spelling.NULL if token.text == "null" else Spelling.BOOL
        return Literal(spelling=spelling, text=token.text, start=token.start, written=token.written)

    def _negative(self) -> Literal:
        start, minus = self._cursor.token.start, False
        while self._cursor.token.kind is TokenKind.OPERATOR and self._cursor.token.text == "-":
            self._cursor.take()
            minus = not minus
        number = self._cursor.token
        if number.kind is not TokenKind.NUMBER:
            raise self._cursor.unexpected("a number behind a minus")
        self._cursor.take()
        if self._cursor.token.is_mark("::"):
            # To Postgres the cast comes first, and 32768 is no int2.
            raise self._cursor.unexpected("a negative number in quotes before a cast", "write '-1'::int4")
        text = ("-" if minus else "") + number.text
        return Literal(spelling=Spelling.NUMBER, text=text, start=start, written=text)

    def _array(self) -> Literal:
        start = self._cursor.take().start
        self._cursor.expect_mark("[")
        items: list[Literal] = []
        if not self._cursor.token.is_mark("]"):
            items.append(self._constant())
        while items and self._cursor.take_mark(","):
            items.append(self._constant())
            self._check_length(items)
        self._cursor.expect_mark("]")
        return Literal(
            spelling=Spelling.ARRAY, text="", start=start, written="ARRAY[...]", items=tuple(items)
        )

    def _check_length(self, items: list[Literal]) -> None:
        if len(items) > LIST_ITEMS_MAX:
            raise items[-1].refused(f"at most {LIST_ITEMS_MAX} items", "pass the list as one array $n")

    def _constant(self) -> Literal:
        """Read a constant of a list; the list bounds its cost, the lexer its depth."""
        token = self._cursor.token
        if token.kind in _SPELLINGS or token.is_word("true", "false", "null"):
            literal = self._literal(self._cursor.take())
        elif token.kind is TokenKind.OPERATOR and token.text == "-":
            literal = self._negative()
        elif self._cursor.take_mark("("):
            literal = self._constant()
            self._cursor.expect_mark(")")
        else:
            raise self._cursor.unexpected("a constant", "a list holds constants only")
        cast = self.cast(literal)
        assert isinstance(cast, Literal)  # of a literal
        return cast

    def _function(self) -> Placed:
        name = self._cursor.take()
        self._cursor.expect_mark("(")
        if name.text not in ("lower", "upper", "coalesce"):
            raise FilterRefused(
                name.start, name.written, "lower, upper or coalesce", "no other function is served"
            )
        column = self._column()
        if column.type != _TEXT or not isinstance(column.operand, tree.Column):
            raise column.refused("a text column", f"{name.text} takes text")
        operand: tree.Operand
        if name.text == "coalesce":
            self._cursor.expect_mark(",")
            operand = tree.Coalesced(column.operand, self._reader.scalar(self._constant(), Kind.TEXT))
        else:
            operand = tree.Applied(tree.Function(name.text), column.operand)
        self._cursor.expect_mark(")")
        return Placed(operand=operand, start=name.start, written=name.written)

    def _column(self) -> Placed:
        token = self._cursor.token
        if token.kind not in (TokenKind.WORD, TokenKind.QUOTED):
            raise self._cursor.unexpected(_TERM)
        if token.kind is TokenKind.WORD and token.text in NOT_A_COLUMN:
            raise self._cursor.unexpected(_TERM, "quote a column that is named like a key word")
        self._cursor.take()
        return Placed(operand=find_column(self._columns, token), start=token.start, written=token.written)

    def _as_text(self, term: Placed) -> Placed:
        target = self._type()
        if not isinstance(term.operand, tree.Column) or term.type not in _CAST_TO_TEXT or target != _TEXT:
            raise term.refused("a cast of a uuid or an enum to text", "other columns are not cast")
        return Placed(
            operand=tree.Applied(tree.Function.AS_TEXT, term.operand), start=term.start, written=term.written
        )

    def _type(self) -> ColumnType:
        first = self._cursor.token
        if first.kind is not TokenKind.WORD:
            raise self._cursor.unexpected("the name of a type", "write it without quotes")
        name = self._cursor.take().text
        while self._cursor.token.kind is TokenKind.WORD and _continues(f"{name} {self._cursor.token.text}"):
            name += f" {self._cursor.take().text}"
        kind = cast_kind(name)
        if kind is None:
            raise FilterRefused(
                first.start, first.written, "a type that Electric compares", "uuid, int8, text, ..."
            )
        is_array = self._cursor.take_mark("[") is not None
        if is_array:
            self._cursor.expect_mark("]")
        return ColumnType(kind, is_array)


def _continues(name: str) -> bool:
    return any(known == name or known.startswith(name + " ") for known in TYPE_NAMES)
