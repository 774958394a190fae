"""The types of a table's columns, as Electric's evaluator calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_harness.electric.pgtypes import Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shapegate_harness.electric.database import Connection
    from shapegate_harness.electric.relation import Relation, RelationColumn

_FIRST_OF_USERS: Final = 16_384
"""Postgres: FirstNormalObjectId; types below it are its own."""
_ENUMS: Final = """
    SELECT t.oid::int8 AS oid FROM pg_type t
    LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    WHERE t.oid::int8 = ANY($1::int8[]) AND COALESCE(e.typtype, t.typtype) = 'e'
"""


async def column_types(
    connection: Connection, relations: Iterable[Relation]
) -> Mapping[int, Mapping[str, Type]]:
    """Find the type of every column by the oid of its table and its name."""
    relations = tuple(relations)
    own = {c.type_oid for relation in relations for c in relation.columns if c.type_oid >= _FIRST_OF_USERS}
    rows = await connection.fetch(_ENUMS, list(own)) if own else []
    enums = {row["oid"] for row in rows}
    return {
        relation.oid: {
            column.name: _type(column, enum=column.type_oid in enums) for column in relation.columns
        }
        for relation in relations
    }


def _type(column: RelationColumn, *, enum: bool) -> Type:
    # A domain or extension's type is none that Electric knows, also where it has the name of one.
    foreign = column.type_oid >= _FIRST_OF_USERS and not enum
    name = f'"{column.type_name}"' if foreign else column.type_name
    return Type(name, array=bool(column.dims), enum=enum)
