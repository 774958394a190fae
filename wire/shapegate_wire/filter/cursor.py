"""A place in the tokens of a filter. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapegate_wire.filter.lexer import DEPTH_MAX, Kind, Token, tokens, too_deep
from shapegate_wire.filter.refused import FilterRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_wire.filter.tree import Column


class Cursor:
    """Reads tokens from left to right; it never goes back, so reading is linear."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self.token = next(self._tokens)
        """The token to read; the end stays the end."""
        self.following = next(self._tokens, self.token)
        """The token behind it."""
        self._depth = 0

    def take(self) -> Token:
        """Read one token. Raises FilterRefused if there is none further on."""
        taken, self.token = self.token, self.following
        self.following = next(self._tokens, self.following)
        return taken

    def take_word(self, *words: str) -> Token | None:
        """Read one of these key words; None if something else stands here."""
        return self.take() if self.token.is_word(*words) else None

    def take_mark(self, *marks: str) -> Token | None:
        """Read one of these marks; None if something else stands here."""
        return self.take() if self.token.is_mark(*marks) else None

    def expect_word(self, *words: str) -> Token:
        """Read one of these key words. Raises FilterRefused."""
        return self.take_word(*words) or self._fail(" or ".join(word.upper() for word in words))

    def expect_mark(self, mark: str) -> Token:
        """Read this mark. Raises FilterRefused."""
        return self.take_mark(mark) or self._fail(mark)

    def expect_end(self, expected: str) -> None:
        """Read nothing more. Raises FilterRefused."""
        if self.token.kind is not Kind.END:
            raise self.unexpected(expected)

    def unexpected(self, expected: str, advice: str = "") -> FilterRefused:
        """Make the refusal of the token that stands here."""
        return FilterRefused(self.token.start, self.token.written, expected, advice)

    def enter(self) -> None:
        """Go one level down. Raises FilterRefused below the bound."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise too_deep(self.token)

    def leave(self) -> None:
        """Come back from `enter`."""
        self._depth -= 1

    def _fail(self, expected: str) -> Token:
        raise self.unexpected(expected)


def find_column(columns: Mapping[str, Column], token: Token) -> Column:
    """Find a column of the list; one that is hidden and one that is not there give the same answer (I-03)."""
    column = columns.get(token.text)
    if column is None:
        raise FilterRefused(
            token.start, token.written, "a column of the table's list", "quote capitals and key words"
        )
    return column
