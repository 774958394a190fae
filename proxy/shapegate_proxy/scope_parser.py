"""Parses the scope of a table: the closed language in which a policy says whose rows are whose.

    condition:  column = {claim} | column IS NULL | column IN (SELECT column FROM table WHERE condition)
    claim:      {org} | {user} | {role} | {claims.name}

joined by AND, OR and parentheses, with an optional `AND true` at the end. There are no constants, no other
operators, clauses or comments (REQUIREMENTS P-02, P-16, P-17). Recursion is bounded. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from shapegate_proxy.claims import Fact, NamedClaim, ScopeType, scope_type
from shapegate_proxy.scope import Compared, IsNull, Within, both, either, print_condition, scope_of, unbound
from shapegate_proxy.scope_tokens import ScopeRefused, Token, scope_tokens
from shapegate_wire.errors import WireError
from shapegate_wire.filter.words import NOT_A_COLUMN
from shapegate_wire.identifier import TableName, parse_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shapegate_proxy.claims import Claim
    from shapegate_proxy.scope import Condition, Scope

DEPTH_MAX: Final = 10
"""Parentheses and subqueries within each other."""
SUBQUERIES_MAX: Final = 3
"""Subqueries within each other; Electric keeps the rows of each in memory."""

_FACTS: Final = {str(fact): fact for fact in Fact}
_NAMED: Final = re.compile(r"\{claims\.([A-Za-z_][A-Za-z0-9_]{0,62})\}", re.ASCII)
_CLAIMS: Final = "{org}, {user}, {role} or {claims.name}"


def parse_scope(
    text: str, *, columns: Mapping[str, str], tables: Mapping[TableName, Mapping[str, str]]
) -> Scope:
    """Parse a scope over columns that are named with their types; subqueries read from `tables`.

    Raises ScopeRefused.
    """
    return _Parser(scope_tokens(text), columns, tables).whole()


class _Parser:
    """One scope under way, over one table at a time."""

    def __init__(
        self,
        tokens: list[Token],
        columns: Mapping[str, str],
        tables: Mapping[TableName, Mapping[str, str]],
    ) -> None:
        self._tokens = tokens
        self._at = 0
        self._columns = columns
        self._tables = tables
        self._depth = 0
        self._subqueries = 0

    def whole(self) -> Scope:
        found = self._either()
        if self._token.kind != "end":
            raise self._token.refused("AND, OR or the end")
        _check_bound(found)
        return scope_of(found)

    @property
    def _token(self) -> Token:
        """The token to read."""
        return self._tokens[self._at]

    def _take(self) -> Token:
        """Read one token; the end stays the end."""
        token = self._token
        self._at += token.kind != "end"
        return token

    def _accept(self, text: str) -> bool:
        """Read this key word or mark, if it stands here."""
        found = self._token.kind in ("word", "mark") and self._token.text == text
        self._at += found
        return found

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._token.refused(text.upper())

    def _either(self) -> Condition:
        items = [self._both()]
        while self._accept("or"):
            items.append(self._both())
        return either(items)

    def _both(self) -> Condition:
        items = [self._condition()]
        while self._accept("and"):
            if self._token.text == "true" and self._tokens[self._at + 1].kind == "end":
                self._take()  # printing decides whether one is needed
            else:
                items.append(self._condition())
        return both(items)

    def _condition(self) -> Condition:
        if self._token.text == "(":
            return self._bracketed()
        column = self._name()
        type_ = self._known(column, self._columns)
        if self._accept("is"):
            self._expect("null")
            return IsNull(_identifier(column))
        if self._token.text not in ("=", "in"):
            raise self._token.refused("= {claim}, IS NULL or IN (SELECT ...)")
        compared = _compared_type(column, type_)
        if self._accept("="):
            return Compared(_identifier(column), compared, self._claim())
        return self._within(_identifier(column), compared)

    def _bracketed(self) -> Condition:
        with self._level():
            self._expect("(")
            inner = self._either()
            self._expect(")")
        return inner

    def _within(self, column: str, type_: ScopeType) -> Within:
        """Read a subquery; it is bound to the caller by itself, or it would tell of rows of others."""
        self._expect("in")
        with self._level(subquery=True):
            self._expect("(")
            self._expect("select")
            selected = self._name()
            self._expect("from")
            table, inner = self._table()
            if _compared_type(selected, self._known(selected, inner)) is not type_:
                raise selected.refused(f"a column of type {type_.value}, which {column!r} has")
            self._expect("where")
            outer, self._columns = self._columns, inner
            condition = self._either()
            self._columns = outer
            _check_bound(condition)
            self._expect(")")
        return Within(column, table, _identifier(selected), condition)

    @contextmanager
    def _level(self, *, subquery: bool = False) -> Iterator[None]:
        self._depth += 1
        self._subqueries += subquery
        if self._depth > DEPTH_MAX or self._subqueries > SUBQUERIES_MAX:
            raise self._token.refused(f"at most {DEPTH_MAX} levels, {SUBQUERIES_MAX} of them subqueries")
        yield
        self._depth -= 1
        self._subqueries -= subquery

    def _name(self) -> Token:
        token = self._take()
        if token.kind not in ("word", "quoted") or (token.kind == "word" and token.text in NOT_A_COLUMN):
            raise token.refused("the name of a column, quoted if it is a key word")
        return token

    def _known(self, name: Token, columns: Mapping[str, str]) -> str:
        found = columns.get(_identifier(name))
        if found is None:
            raise name.refused("a column that the policy names with its type, as synced or as hidden")
        return found

    def _table(self) -> tuple[TableName, Mapping[str, str]]:
        first = self._name()
        second = self._name() if self._accept(".") else None
        names = [_identifier(token) for token in (first, second) if token is not None]
        table = TableName(schema=names[0] if second is not None else "public", name=names[-1])
        found = self._tables.get(table)
        if found is None:
            raise first.refused(f"a table of the policy: {table} is neither in [tables] nor in [lookups]")
        return table, found

    def _claim(self) -> Claim:
        token = self._take()
        named = _NAMED.fullmatch(token.text)
        if token.text in _FACTS:
            return _FACTS[token.text]
        if named is None:
            raise token.refused(_CLAIMS)
        return NamedClaim(named[1])


def _identifier(token: Token) -> str:
    try:
        return parse_columns(token.text)[0]
    except WireError as exc:
        raise ScopeRefused(f"at position {token.start}: {exc}") from exc


def _compared_type(column: Token, type_: str) -> ScopeType:
    found = scope_type(type_)
    if found is None:
        raise column.refused(
            f"a column of one of the types {', '.join(item.value for item in ScopeType)}: this one is "
            f"{type_}, which Postgres and Electric do not compare alike"
        )
    return found


def _check_bound(condition: Condition) -> None:
    loose = unbound(condition)
    if loose is not None:
        raise ScopeRefused(
            f"{print_condition(loose, [])} alone shows rows of everybody: expected a comparison with "
            "{org}, {user} or {claims.name} in each alternative"
        )
