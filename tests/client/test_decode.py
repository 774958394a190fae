"""Fast decoding gives what the strict reference gives, or leaves the body to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shapegate_client.decode import FAST_BYTES_MIN, read_again, read_log
from shapegate_client.fold import EMPTY, fold
from shapegate_client.inserts import PIECE_BYTES, Inserts, Misread
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.message import SnapshotEnd, UpToDate
from tests.client.builders import layout
from tests.client.snapshots import ODD_VALUES, PLAIN, ROW, encoded, message, reference, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapegate_client.decode import LogItem


def rows(items: Sequence[LogItem]) -> dict[object, object]:
    """The rows that are put in the end; what was misread is read again."""
    try:
        return words(fold(EMPTY, items, layout(PLAIN)).settled(), PLAIN)
    except Misread:
        return words(fold(EMPTY, read_again(items), layout(PLAIN)), PLAIN)


VALUES = st.sampled_from(ODD_VALUES) | st.text(max_size=5) | st.integers().map(str)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body that is almost a snapshot."""
    made: list[object] = []
    for _ in range(draw(st.integers(0, 4))):
        one = message(id=str(draw(st.integers(1, 3))))
        value, headers = one["value"], one["headers"]
        assert isinstance(value, dict)
        assert isinstance(headers, dict)
        match draw(st.integers(0, 9)):
            case 0:
                column = draw(st.sampled_from([*ROW, "other"]))
                value[column] = draw(VALUES)
                if column == "id":
                    # The key of the log and the primary key go together.
                    one["key"] = f"other {value[column]}"
            case 1:
                del value[draw(st.sampled_from(list(ROW)))]
            case 2:
                headers |= draw(
                    st.sampled_from(
                        [
                            {"lsn": "7"},
                            {"tags": ["a"], "active_conditions": [True]},
                            {"operation": "update"},
                            {"operation": "later"},
                            {"relation": ["public"]},
                            {"relation": ["public", "users"]},
                            {"relation": ["public", 1]},
                            {"later": None},
                        ]
                    )
                )
            case 3:
                one |= draw(st.sampled_from([{"key": 1}, {"value": None}, {"headers": {}}, {"later": 1}]))
            case 4:
                made.append(
                    {"headers": {"control": "snapshot-end", "xmin": "1", "xmax": "2", "xip_list": []}}
                )
            case 5:
                made.append(draw(st.sampled_from([None, 1, [], {}, {"headers": {"control": "up-to-date"}}])))
            case _:
                pass
        made.append(one)
    body = encoded(*made)
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(body)))
        return body[:cut] + draw(st.binary(max_size=2)) + body[cut:]
    return body


@given(bodies())
@example(encoded(message(), {"headers": {"control": "up-to-date"}}, message(id="2")))
@example(encoded(message(title='x,{"headers":')))
@example(b'[{"key":"k","value":{"id":"1","id":"2"},"headers":{"operation":"insert"}}]')
@settings(max_examples=400, deadline=None)
def test_L_01_any_body_gives_the_rows_or_the_refusal_of_the_reference(body: bytes) -> None:
    # Blanks between values mean nothing; they make the body long enough for the fast way.
    padded = body + b" " * FAST_BYTES_MIN
    try:
        got: object = rows(read_log(padded, PLAIN))
    except MalformedResponse:
        got = None
    assert got == reference(body, PLAIN)


def test_what_follows_the_snapshot_is_read_too() -> None:
    end = {"headers": {"control": "snapshot-end", "xmin": "1", "xmax": "2", "xip_list": []}}
    count = FAST_BYTES_MIN // 100
    inserts, last = read_log(encoded(*(message(id=str(number)) for number in range(count)), end), PLAIN)
    assert isinstance(inserts, Inserts)
    assert len(inserts) == count
    assert last == SnapshotEnd(xmin=1, xmax=2)


CONTROL: dict[str, object] = {"headers": {"control": "up-to-date", "global_last_seen_lsn": "1"}}


@pytest.mark.parametrize("places", [(0,), (50,), (200,), (50, 200), (0, 199), (199, 200), ()])
def test_messages_that_are_no_changes_are_read_wherever_they_stand(places: tuple[int, ...]) -> None:
    messages: list[object] = [message(id=str(number)) for number in range(200)]
    for place in sorted(places, reverse=True):
        messages.insert(place, CONTROL)
    body = encoded(*messages)
    assert len(body) > 2 * FAST_BYTES_MIN
    read = read_log(body, PLAIN)
    assert rows(read) == reference(body, PLAIN)
    controls = [each for each in read_again(read) if isinstance(each, UpToDate)]
    assert len(controls) == len(places)


def test_headers_that_differ_from_piece_to_piece_are_all_looked_at() -> None:
    messages = [message(id=str(number)) for number in range(900)]
    messages[700]["headers"] = {"operation": "insert", "lsn": "5"}
    body = encoded(*messages)
    assert len(body) > 2 * PIECE_BYTES
    assert rows(read_log(body, PLAIN)) == reference(body, PLAIN)
    messages[700]["headers"] = {"operation": "insert", "relation": ["public", "others"]}
    with pytest.raises(MalformedResponse, match="another table"):
        rows(read_log(encoded(*messages), PLAIN))
