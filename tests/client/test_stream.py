"""The news in the bytes of an event stream."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_client.event import Arrived, KeptAlive, Malformed
from shapegate_client.stream import MESSAGES_MAX, StreamReader
from shapegate_wire.message import Change, MustRefetch, UpToDate

KEY = '\\"public\\".\\"items_s05\\"/\\"11\\"'
# As Electric 1.7.12 was recorded to send it.
RECORDED = (
    'data: {"value":{"done":"f","id":"11","meta":null,"title":"sse one"},"key":"' + KEY + '",'
    '"headers":{"last":true,"relation":["public","items_s05"],"operation":"insert","lsn":"266163744",'
    '"op_position":0,"txids":[1659]}}\n\n'
    'data: {"headers":{"control":"up-to-date","global_last_seen_lsn":"266163744"}}\n\n'
    ": keep-alive\n\n"
    'data: {"value":{"done":"t","id":"11"},"key":"' + KEY + '","headers":{"relation":["public","items_s05"],'
    '"operation":"update","lsn":"266164080","op_position":2,"txids":[1660]}}\n\n'
    'data: {"value":{"id":"11"},"key":"' + KEY + '","headers":{"last":true,"relation":["public","items_s05"],'
    '"operation":"delete","lsn":"266164080","op_position":4,"txids":[1660]}}\n\n'
    'data: {"headers":{"control":"up-to-date","global_last_seen_lsn":"266164080"}}\n\n'
).encode()


def read(*blocks: bytes, event_bytes_max: int = 10_000) -> list[Arrived | Malformed]:
    """What is said of messages; comments are left out."""
    news = read_all(*blocks, event_bytes_max=event_bytes_max)
    return [each for each in news if not isinstance(each, KeptAlive)]


def read_all(*blocks: bytes, event_bytes_max: int = 10_000) -> list[Arrived | KeptAlive | Malformed]:
    reader = StreamReader(event_bytes_max=event_bytes_max)
    return [news for block in blocks for news in reader.feed(block)]


def event(message: object) -> bytes:
    return b"data: " + json.dumps(message).encode() + b"\n\n"


UP_TO_DATE = event({"headers": {"control": "up-to-date"}})


def insert(row: int) -> bytes:
    return event({"key": str(row), "value": {"id": str(row)}, "headers": {"operation": "insert"}})


def test_C_43_a_recorded_stream_gives_a_batch_for_each_up_to_date() -> None:
    first, second = read(RECORDED)
    assert isinstance(first, Arrived)
    assert isinstance(second, Arrived)
    assert [type(message) for message in first.messages] == [Change, UpToDate]
    assert [type(message) for message in second.messages] == [Change, Change, UpToDate]
    assert second.messages[-1] == UpToDate(266164080)


def test_C_43_the_recorded_stream_may_be_split_at_every_byte() -> None:
    whole = read(RECORDED)
    assert read(*(bytes([byte]) for byte in RECORDED)) == whole
    for at in range(len(RECORDED)):
        assert read(RECORDED[:at], RECORDED[at:]) == whole


def test_C_44_without_its_up_to_date_nothing_arrives() -> None:
    end = RECORDED.index(b'data: {"headers"')
    for at in range(end + len(UP_TO_DATE) - 1):
        assert read(RECORDED[:at]) == []


def test_a_must_refetch_arrives_at_once() -> None:
    (news,) = read(insert(1) + event({"headers": {"control": "must-refetch"}}))
    assert isinstance(news, Arrived)
    assert news.messages[-1] == MustRefetch()


def test_L_07_a_batch_too_long_to_be_held_arrives_in_parts() -> None:
    news = read(b"".join(insert(row) for row in range(MESSAGES_MAX + 5)) + UP_TO_DATE)
    assert [len(each.messages) for each in news if isinstance(each, Arrived)] == [MESSAGES_MAX, 6]


KEEP_ALIVE = b": keep-alive\n\n"


@pytest.mark.parametrize(
    "blocks",
    [
        (KEEP_ALIVE,),
        (b":\n\n",),
        (b": one\r\n: two\r\n\r\n",),
        (UP_TO_DATE, KEEP_ALIVE),
        (UP_TO_DATE[:-1], UP_TO_DATE[-1:], KEEP_ALIVE),
        (UP_TO_DATE.replace(b"\n", b"\r\n"), KEEP_ALIVE),
        (insert(1), UP_TO_DATE, KEEP_ALIVE),
    ],
)
def test_a_comment_between_batches_says_that_there_is_nothing_to_say(blocks: tuple[bytes, ...]) -> None:
    assert read_all(*blocks)[-1] == KeptAlive()
    assert read_all(*blocks, KEEP_ALIVE)[-2:] == [KeptAlive(), KeptAlive()]


@pytest.mark.parametrize(
    "blocks",
    [
        (insert(1), KEEP_ALIVE),
        (insert(1)[:-1], KEEP_ALIVE),
        (insert(1)[:-2], KEEP_ALIVE),
        (b"data: ", KEEP_ALIVE),
        (b":", b": keep-alive\n\n"),
        (b": keep-alive\n",),
        (KEEP_ALIVE + insert(1),),
        (insert(1) + KEEP_ALIVE,),
        (b"keep-alive\n\n",),
        (b"\n\n",),
        (b"",),
    ],
)
def test_C_44_no_comment_within_a_batch_or_a_message_says_so(blocks: tuple[bytes, ...]) -> None:
    assert not [each for each in read_all(*blocks) if isinstance(each, KeptAlive)]


@pytest.mark.parametrize(
    "spoiled",
    [
        b"data: {\n\n",
        b"data: <html>\n\n",
        b"data: []\n\n",
        b"data: \xff\n\n",
        b"data\n\n",
        b"data: " + b"[" * 5_000 + b"\n\n",
        event({"headers": {"operation": "grow"}, "key": "k", "value": {}}),
        event({"headers": {"operation": "insert"}, "key": "k", "value": {"id": 1}}),
        b"data: " + b"x" * 20_000,
    ],
)
def test_L_01_what_is_no_message_spoils_the_stream_but_not_the_batch_before_it(spoiled: bytes) -> None:
    first, second = read(insert(1) + UP_TO_DATE, insert(2) + spoiled)
    assert isinstance(first, Arrived)
    assert isinstance(second, Malformed)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_L_01_any_bytes_give_news_or_none(block: bytes) -> None:
    read(block, b"\n\ndata: " + block + b"\n\n")
