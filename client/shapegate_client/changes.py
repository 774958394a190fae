"""A run of plain changes, decoded by structs: what a log is most of the time. Pure: no I/O, no clock.

`shapegate_wire.message.parse_body` says what a log is. What a struct does not fit, as a change with tags,
is left to it, so that both give the same messages or the same refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from shapegate_wire.message import Change, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable

Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

_OPERATIONS: Final = {operation.value: operation for operation in Operation}
_LSN_CHARS_MAX: Final = 20


class _Headers(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    operation: Literal["insert", "update", "delete"]
    relation: tuple[str, str] | None = None
    lsn: str | None = None
    op_position: Count | None = None
    txids: tuple[Count, ...] = ()
    last: bool = False


class _Change(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    key: str
    value: dict[str, str | None]
    headers: _Headers
    old_value: dict[str, str | None] | None = None


_DECODER: Final = msgspec.json.Decoder(list[_Change])


def read_changes(pieces: Iterable[bytes]) -> tuple[Change, ...] | None:
    """Read arrays of plain changes as one; None if they are anything else."""
    changes: list[Change] = []
    try:
        for piece in pieces:
            changes += map(_change, _DECODER.decode(piece))
    except (ValueError, RecursionError):
        return None
    return tuple(changes)


def _change(item: _Change) -> Change:
    headers = item.headers
    return Change(
        key=item.key,
        operation=_OPERATIONS[headers.operation],
        value=item.value,
        old_value=item.old_value,
        relation=headers.relation,
        lsn=None if headers.lsn is None else _lsn(headers.lsn),
        op_position=headers.op_position,
        txids=headers.txids,
        last=headers.last,
    )


def _lsn(text: str) -> int:
    """Read decimal digits. Raises ValueError."""
    if len(text) > _LSN_CHARS_MAX or not (text.isascii() and text.isdecimal()):
        raise ValueError
    return int(text)
