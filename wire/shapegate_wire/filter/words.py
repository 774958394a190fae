"""Words of Postgres that are no column unless quoted (Postgres: SQL key words, appendix C)."""

from __future__ import annotations

from typing import Final

_RESERVED: Final = """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
    current_catalog current_date current_role current_time current_timestamp current_user default deferrable
    desc distinct do else end except false fetch for foreign from grant group having in initially intersect
    into lateral leading limit localtime localtimestamp not null offset on only or order placing primary
    references returning select session_user some symmetric system_user table then to trailing true union
    unique user using variadic when where window with
"""
_FUNCTIONS_OR_TYPES: Final = """
    authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull join
    left like natural notnull outer overlaps right similar tablesample verbose
"""
NOT_A_COLUMN: Final = frozenset((_RESERVED + _FUNCTIONS_OR_TYPES).split())
"""`user` is the session's user to Postgres, whatever columns a table has: reading it as one would lie."""
