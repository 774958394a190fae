"""A subset: rows of a shape asked for on demand, in the query of a GET or the body of a POST (PROTOCOL 1.4).

Both are read strictly: five fields, each once, of one type. The trees that published clients send beside the
texts are dropped unread, since Electric runs the texts (REQUIREMENTS P-06, P-07, P-12, P-51).
Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shapegate_wire import names
from shapegate_wire.errors import MalformedRequest, WireError
from shapegate_wire.strict_json import Number, parse_object
from shapegate_wire.text import VALUE_CHARS_MAX, check_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapegate_wire.shape import QueryPairs

BODY_BYTES_MAX: Final = 64 * 1024
"""More than the longest filter with the longest list of parameters has."""
INTEGER_MAX: Final = (1 << 31) - 1
PARAMS_MAX: Final = 200
"""As many as a filter may use; a long list is one array."""

_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_KEY: Final = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
_KNOWN: Final = frozenset(names.SUBSET_FIELDS + names.SUBSET_IGNORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetRequest:
    """A question for some rows of the shape as they are now, beside its log."""

    where: str | None = None
    """A further filter, with its own `$1`, `$2`, ...; None and only None means none."""
    params: tuple[str, ...] = ()
    order_by: str | None = None
    limit: int | None = None
    offset: int | None = None

    def __post_init__(self) -> None:
        """Refuse what Electric refuses, or would take for no subset at all. Raises MalformedRequest."""
        if problems := _contradictions(self):
            raise MalformedRequest(problems)

    def to_query(self) -> QueryPairs:
        """Print the subset as query parameters."""
        pairs: QueryPairs = []
        for field, value in self._fields().items():
            text = json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else str(value)
            pairs.append((names.subset(field), text))
        return pairs

    def to_body(self) -> bytes:
        """Print the subset as the body of a POST, one flat object."""
        return json.dumps(self._fields(), separators=(",", ":")).encode()

    def _fields(self) -> dict[str, object]:
        params = {str(number): value for number, value in enumerate(self.params, start=1)}
        fields = {
            names.WHERE: self.where,
            names.PARAMS: params or None,
            names.LIMIT: self.limit,
            names.OFFSET: self.offset,
            names.ORDER_BY: self.order_by,
        }
        return {field: value for field, value in fields.items() if value is not None}


def parse_subset_query(values: Mapping[str, str]) -> SubsetRequest | None:
    """Read the subset of a query; None if there is no parameter of one. Raises MalformedRequest."""
    if not any(name.startswith(names.SUBSET_PREFIX) for name in values):
        return None
    texts = {field: values[names.subset(field)] for field in _KNOWN if names.subset(field) in values}
    if not texts:
        return None
    fields: dict[str, object] = dict(texts)
    for field in (names.LIMIT, names.OFFSET):
        if field in texts:
            fields[field] = Number(texts[field])
    if names.PARAMS in texts:
        try:
            fields[names.PARAMS] = parse_object(texts[names.PARAMS])
        except WireError as exc:
            raise MalformedRequest(((names.subset(names.PARAMS), str(exc)),)) from exc
    return _Reader(fields, prefix=names.SUBSET_PREFIX).subset()


def parse_subset_body(body: bytes) -> SubsetRequest:
    """Read the body of a POST: one flat object in UTF-8. Raises MalformedRequest."""
    if len(body) > BODY_BYTES_MAX:
        raise MalformedRequest((("body", f"has {len(body)} bytes: at most {BODY_BYTES_MAX} are read"),))
    try:
        fields = parse_object(body.decode())
    except UnicodeDecodeError as exc:
        raise MalformedRequest((("body", "is not valid UTF-8"),)) from exc
    except WireError as exc:
        raise MalformedRequest((("body", str(exc)),)) from exc
    unknown = [name[:80] for name in fields if name not in _KNOWN]
    if unknown:
        raise MalformedRequest(tuple((f"body.{name}", "is no field of a subset") for name in unknown[:10]))
    return _Reader(fields, prefix="body.").subset()


class _Reader:
    """The fields of one subset, and the problems found so far."""

    def __init__(self, fields: Mapping[str, object], *, prefix: str) -> None:
        self._fields = fields
        self._prefix = prefix
        self._problems: list[tuple[str, str]] = []

    def subset(self) -> SubsetRequest:
        where, order_by = self._text(names.WHERE), self._text(names.ORDER_BY)
        limit, offset = self._integer(names.LIMIT), self._integer(names.OFFSET)
        params = self._params()
        if self._problems:
            raise MalformedRequest(tuple(self._problems))
        try:
            return SubsetRequest(where=where, params=params, order_by=order_by, limit=limit, offset=offset)
        except MalformedRequest as exc:
            named = tuple((self._prefix + field, text) for field, text in exc.problems)
            raise MalformedRequest(named) from None

    def _problem(self, field: str, text: str) -> None:
        self._problems.append((self._prefix + field, text))

    def _text(self, field: str) -> str | None:
        """Read a text; to Electric a blank one is none."""
        value = self._fields.get(field, "")
        if not isinstance(value, str):
            self._problem(field, "is no text")
            return None
        self._check(field, value, chars_max=VALUE_CHARS_MAX)
        return value if value.strip() else None

    def _integer(self, field: str) -> int | None:
        if field not in self._fields:
            return None
        value = self._fields[field]
        if isinstance(value, Number) and _INTEGER.fullmatch(value.text) is not None:
            return int(value.text)
        self._problem(field, f"is no whole number up to {INTEGER_MAX}")
        return None

    def _params(self) -> tuple[str, ...]:
        """Read `{"1": "x", "2": 5}`: the TypeScript client sends numbers as such (its type SubsetParams)."""
        value = self._fields.get(names.PARAMS, {})
        if not isinstance(value, dict) or not all(_KEY.fullmatch(key) for key in value):
            self._problem(names.PARAMS, 'is no object with the keys "1", "2", "3", ...')
            return ()
        if len(value) > PARAMS_MAX:
            self._problem(names.PARAMS, f"has {len(value)} values: at most {PARAMS_MAX} are read")
            return ()
        numbered = {int(key): item.text if isinstance(item, Number) else item for key, item in value.items()}
        if sorted(numbered) != list(range(1, len(numbered) + 1)):
            self._problem(names.PARAMS, "must be numbered 1, 2, 3, ... without a gap")
        texts = tuple(item for _, item in sorted(numbered.items()) if isinstance(item, str))
        if len(texts) != len(numbered):
            self._problem(names.PARAMS, "has a value that is neither a text nor a number")
        self._check(names.PARAMS, "".join(texts), chars_max=BODY_BYTES_MAX)
        return texts

    def _check(self, field: str, text: str, *, chars_max: int) -> None:
        try:
            check_text(text, chars_max=chars_max)
        except WireError as exc:
            self._problem(field, str(exc))


def _contradictions(subset: SubsetRequest) -> tuple[tuple[str, str], ...]:
    problems = []
    if subset.where is None and subset.order_by is None:
        problems.append((names.WHERE, "is missing, and so is order_by: a subset needs one of them"))
    if subset.where is None and subset.params:
        problems.append((names.PARAMS, "has values, but there is no where that uses them"))
    if subset.order_by is None and (subset.limit is not None or subset.offset is not None):
        problems.append((names.ORDER_BY, "is missing: limit and offset need an order"))
    problems += [
        (field, "is blank: leave it out")
        for field, text in ((names.WHERE, subset.where), (names.ORDER_BY, subset.order_by))
        if text is not None and not text.strip()
    ]
    problems += [
        (field, f"is no whole number from {least} to {INTEGER_MAX}")
        for field, number, least in ((names.LIMIT, subset.limit, 1), (names.OFFSET, subset.offset, 0))
        if number is not None and not least <= number <= INTEGER_MAX
    ]
    return tuple(problems)
