"""How the changes that have the same columns are read: by place, not by name. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from shapegate_client.values import SqlValue, as_is
from shapegate_wire.errors import MalformedResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shapegate_client.ddl import TableLayout
    from shapegate_client.values import Decode
    from shapegate_wire.message import Change

Key = tuple[SqlValue, ...]
"""The primary key of a local row, in key order."""
Values = list[SqlValue]
"""Values in the order in which a change names its columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The columns of a change, in its order."""

    columns: tuple[str, ...]
    places: tuple[int, ...]
    """Where each column stands in a stored row."""
    missing: str | None
    """A column that is not there; None if the change has the whole row."""
    _decoders: tuple[tuple[int, Decode], ...]
    _key: Callable[[Sequence[SqlValue]], Key] | None
    """None where the opaque key of the log is the primary key."""
    _row: Callable[[Sequence[SqlValue]], tuple[SqlValue, ...]] | None
    """None unless the whole row is there."""

    def read(self, change: Change) -> tuple[Key, Values]:
        """Read key and values of a change with these columns.

        Raises MalformedResponse if one does not fit its column, or the key has a null.
        """
        values: Values = [*change.value.values()]
        for place, decode in self._decoders:
            text = values[place]
            if text is not None:
                values[place] = decode(text)  # type: ignore[arg-type]  # a text until here
        if self._key is None:
            return (change.key,), values
        key = self._key(values)
        if None in key:
            raise MalformedResponse("a change has a key column that is null")
        return key, values

    def row(self, key: Key, values: Values) -> tuple[SqlValue, ...]:
        """Put what was read of a whole row in the order of `layout.stored`. Raises MalformedResponse."""
        if self._row is None:
            raise MalformedResponse(f"a whole row lacks the column {self.missing!r}")
        row = self._row(values)
        return row if self._key is not None else key + row


def form_of(columns: tuple[str, ...], layout: TableLayout) -> Form:
    """Say how changes with these columns are read. Raises MalformedResponse if they do not fit the table."""
    at = {name: place for place, name in enumerate(columns)}
    unknown = next((name for name in columns if name not in layout.decoders), None)
    if unknown is not None:
        raise MalformedResponse(f"a change has a column {unknown!r} that the schema lacks")
    key = layout.key if layout.key_column is None else ()
    lost = next((name for name in key if name not in at), None)
    if lost is not None:
        raise MalformedResponse(f"a change lacks the key column {lost!r}")
    stored = [column.name for column in layout.columns]
    missing = next((name for name in stored if name not in at), None)
    return Form(
        columns=columns,
        places=tuple(layout.places[name] for name in columns),
        missing=missing,
        _decoders=tuple(
            (at[name], decode) for name in columns if (decode := layout.decoders[name]) is not as_is
        ),
        _key=_taker([at[name] for name in key]) if key else None,
        _row=None if missing is not None else _taker([at[name] for name in stored]),
    )


def _taker(places: Sequence[int]) -> Callable[[Sequence[SqlValue]], tuple[SqlValue, ...]]:
    """Choose the function that takes the values at these places."""
    if len(places) == 1:
        (place,) = places
        return lambda values: (values[place],)
    return itemgetter(*places)
