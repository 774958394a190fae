"""The `electric-schema` header: a shape's columns and their types (PROTOCOL 3.9). Pure: no I/O, no clock."""

from __future__ import annotations

import json
from dataclasses import dataclass

from shapegate_wire.errors import MalformedResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a shape."""

    name: str
    type: str
    """Postgres' internal type name (`int4`, `timestamptz`); of the elements where `dims` is not 0."""
    dims: int = 0
    """Number of array dimensions; 0 for a plain value."""
    pk_index: int | None = None
    """Position in the primary key, from 0; None outside of it."""
    not_null: bool = False


ShapeSchema = tuple[Column, ...]
"""The columns of a shape in the order of the header."""


def primary_key(schema: ShapeSchema) -> tuple[str, ...]:
    """Name the key columns in key order; all columns where the table has no key (PROTOCOL 3.3)."""
    keyed = sorted((column.pk_index, column.name) for column in schema if column.pk_index is not None)
    return tuple(name for _, name in keyed) or tuple(column.name for column in schema)


def parse_schema(text: str) -> ShapeSchema:
    """Read the header's JSON; unknown attributes are ignored. Raises MalformedResponse."""
    try:
        loaded: object = json.loads(text, object_pairs_hook=_once)
    except MalformedResponse:
        raise
    except (ValueError, RecursionError) as exc:
        raise MalformedResponse("electric-schema is not JSON, or nested too deeply") from exc
    if not isinstance(loaded, dict) or not loaded:
        raise MalformedResponse("electric-schema is not an object of columns")
    schema = tuple(_column(str(name), attributes) for name, attributes in loaded.items())
    places = [column.pk_index for column in schema if column.pk_index is not None]
    if len(set(places)) != len(places):
        raise MalformedResponse("electric-schema gives two columns one place in the key")
    return schema


def print_schema(schema: ShapeSchema) -> str:
    """Print what `parse_schema` reads; attributes at their default are left out."""
    return json.dumps({column.name: _attributes(column) for column in schema}, separators=(",", ":"))


def _attributes(column: Column) -> dict[str, object]:
    attributes: dict[str, object] = {"type": column.type}
    if column.dims:
        attributes["dims"] = column.dims
    if column.not_null:
        attributes["not_null"] = True
    if column.pk_index is not None:
        attributes["pk_index"] = column.pk_index
    return attributes


def _column(name: str, attributes: object) -> Column:
    if not isinstance(attributes, dict) or not isinstance(attributes.get("type"), str):
        raise MalformedResponse(f"electric-schema: column {name!r} has no type")
    dims, pk_index = attributes.get("dims", 0), attributes.get("pk_index")
    if not _is_count(dims) or not (pk_index is None or _is_count(pk_index)):
        raise MalformedResponse(f"electric-schema: column {name!r} has a malformed dims or pk_index")
    return Column(
        name=name,
        type=attributes["type"],
        dims=dims,
        pk_index=pk_index,
        not_null=attributes.get("not_null") is True,
    )


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedResponse("electric-schema gives a name twice: expected each column once")
    return members


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
