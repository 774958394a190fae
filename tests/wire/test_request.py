"""Shape requests as a gate reads them: each parameter once, no unknown name, no alias."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.errors import MalformedRequest, WireError
from shapegate_wire.offset import BEFORE_ALL, Now, Offset
from shapegate_wire.request import PARAMETERS_MAX, ShapeRequest, parse_request
from shapegate_wire.shape import LogMode, Replica, ShapeDefinition
from shapegate_wire.subset import SubsetRequest
from shapegate_wire.text import VALUE_CHARS_MAX

Pairs = list[tuple[str, str]]

START: Pairs = [("table", "items"), ("offset", "-1")]
CATCH_UP: Pairs = [("table", "items"), ("offset", "0_inf"), ("handle", "3833821-1721812114261123")]
LIVE: Pairs = [*CATCH_UP, ("live", "true")]


def problems(pairs: Pairs) -> dict[str, str]:
    """What is wrong with a request, by parameter."""
    with pytest.raises(MalformedRequest) as caught:
        parse_request(pairs)
    given_names = {name for name, _ in pairs}
    for name, text in caught.value.problems:
        assert not (text.startswith("is missing") and name in given_names)
    return dict(caught.value.problems)


def test_C_01_the_first_request_of_a_client_is_read() -> None:
    assert parse_request(START) == ShapeRequest(
        definition=ShapeDefinition(table='"public"."items"'), offset=BEFORE_ALL
    )


def test_P_51_the_first_live_request_of_the_typescript_client_is_read() -> None:
    request = parse_request(
        [
            ("cache-buster", "1721812114261-x"),
            ("columns", '"id","name"'),
            ("cursor", ""),
            ("expired_handle", "1-2"),
            ("handle", "3833821-1721812114261123"),
            ("live", "true"),
            ("live_sse", "true"),
            ("experimental_live_sse", "true"),
            ("log", "full"),
            ("offset", "26980744_4"),
            ("table", "items"),
        ]
    )
    assert request == ShapeRequest(
        definition=ShapeDefinition(table='"public"."items"', columns=("id", "name")),
        offset=Offset(26980744, 4),
        handle="3833821-1721812114261123",
        live=True,
        live_sse=True,
        cursor="",
        expired_handle="1-2",
        cache_buster="1721812114261-x",
    )


def test_a_whole_definition_is_read() -> None:
    request = parse_request(
        [
            *START,
            ("where", "a = $1 AND b = $2"),
            ("params[2]", ""),
            ("params[1]", "x"),
            ("columns", "ID"),
            ("replica", "full"),
            ("log", "changes_only"),
        ]
    )
    assert request.definition == ShapeDefinition(
        table='"public"."items"',
        where="a = $1 AND b = $2",
        params=("x", ""),
        columns=("id",),
        replica=Replica.FULL,
        log=LogMode.CHANGES_ONLY,
    )


def test_P_50_an_empty_cursor_is_kept_apart_from_none() -> None:
    assert parse_request([*LIVE, ("cursor", "")]).cursor == ""
    assert parse_request(LIVE).cursor is None
    assert ("cursor", "") in parse_request([*LIVE, ("cursor", "")]).position_query()


@pytest.mark.parametrize(
    "name",
    ["table", "offset", "handle", "live", "where", "columns", "cursor", "params[1]", "secret", "unheard"],
)
def test_P_04_a_repeated_parameter_is_refused_even_with_the_same_value(name: str) -> None:
    given_once = [pair for pair in LIVE if pair[0] != name]
    assert problems([*given_once, (name, "true"), (name, "true")])[name]


def test_P_04_a_repeated_parameter_is_refused_whichever_value_would_win() -> None:
    for pairs in ([*START, ("table", "users")], [("table", "users"), *START], [*START, ("offset", "0_0")]):
        assert "is given 2 times" in " ".join(problems(pairs).values())


@pytest.mark.parametrize(
    "name",
    [
        "subset[where]",
        "subset[params][1]",
        "subset__params[1]",
        "subset__where[]",
        "subset__limit[0]",
        "table[]",
        "table[0]",
        "offset[]",
        "where[]",
        "columns[]",
        "params",
        "params[]",
        "params[0]",
        "params[01]",
        "params[-1]",
        "params[+1]",
        "params[1",
        "params[1]]",
        "params[[1]]",
        "params[1][1]",
        "params[a]",
        "params[1.0]",
        "params[ 1]",
        "params[1]\n",
        "params[١]",  # noqa: RUF001  # a digit, but not an ASCII one
        "params[10000]",
        "params[4294967297]",
        "Params[1]",
    ],
    ids=repr,
)
def test_P_05_bracket_forms_and_aliases_are_refused(name: str) -> None:
    assert name[:80] in problems([*START, (name, "1")])


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "api_secret",
        "source_id",
        "queryable_columns",
        "experimental_compaction",
        "Table",
        "TABLE",
        " table",
        "table ",
        "%74able",
        "tаble",  # noqa: RUF001  # with a Cyrillic letter
        "",
        "x",
        "order_by",
    ],
    ids=repr,
)
def test_I_07_a_parameter_that_no_client_may_send_is_refused(name: str) -> None:
    assert name in problems([*START, (name, "1")])


@pytest.mark.parametrize("name", ["table", "where", "columns", "handle", "cursor", "params[1]"])
@pytest.mark.parametrize("text", ["a\x00b", "\x00", "a\ufffdb", "\udc80", "a\ud800"], ids=repr)
def test_I_07_a_value_that_is_no_utf_8_text_is_refused(name: str, text: str) -> None:
    pairs = [pair for pair in CATCH_UP if pair[0] != name]
    assert "UTF-8" in problems([*pairs, (name, text)])[name]


@pytest.mark.parametrize("where", ["", " ", "\t", "\n\r", "\xa0", "\u3000"], ids=repr)
def test_P_02_a_blank_filter_is_refused(where: str) -> None:
    assert "is empty" in problems([*START, ("where", where)])["where"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("table", ""),
        ("table", "a b"),
        ("table", "a.b.c"),
        ("columns", ""),
        ("columns", "a,a"),
        ("columns", "a, b"),
        ("replica", ""),
        ("replica", "FULL"),
        ("replica", "none"),
        ("log", ""),
        ("log", "compact"),
        ("offset", ""),
        ("offset", "0"),
        ("offset", "1_2_3"),
        ("live", ""),
        ("live", "1"),
        ("live", "0"),
        ("live", "True"),
        ("live", "true "),
        ("live_sse", ""),
        ("live_sse", "yes"),
        ("experimental_live_sse", "1"),
        ("handle", ""),
        ("handle", " "),
        ("handle", "a b"),
        ("handle", "a&secret=b"),
        ("handle", "a\n"),
        ("handle", "é"),
        ("handle", "a" * 129),
        ("cursor", "x"),
        ("cursor", "-1"),
        ("cursor", "1.0"),
        ("cursor", "1" * 21),
        ("cursor", "٣"),
        ("cache-buster", "a b"),
        ("cache-buster", "a" * 129),
        ("expired_handle", "a b"),
    ],
    ids=repr,
)
def test_I_14_a_value_of_another_form_is_refused(name: str, value: str) -> None:
    pairs = [pair for pair in LIVE if pair[0] != name]
    assert name in problems([*pairs, (name, value)])


@pytest.mark.parametrize("name", ["table", "offset"])
def test_what_every_request_needs_is_named_when_it_is_missing(name: str) -> None:
    assert "is missing" in problems([pair for pair in START if pair[0] != name])[name]


@pytest.mark.parametrize("offset", ["0_0", "0_inf", "26980744_4"])
def test_C_03_a_position_needs_the_handle_it_belongs_to(offset: str) -> None:
    assert "is missing" in problems([("table", "items"), ("offset", offset)])["handle"]


@pytest.mark.parametrize("offset", ["-1", "-1_0", "now"])
def test_C_03_the_start_and_the_end_need_no_handle_but_may_have_one(offset: str) -> None:
    pairs: Pairs = [("table", "items"), ("offset", offset)]
    assert parse_request(pairs).handle is None
    assert parse_request([*pairs, ("handle", "1-2")]).handle == "1-2"


@pytest.mark.parametrize("offset", ["-1", "-1_0", "now"])
def test_C_04_live_needs_a_position(offset: str) -> None:
    assert "live" in problems([("table", "items"), ("offset", offset), ("live", "true")])
    assert not parse_request([("table", "items"), ("offset", offset), ("live", "false")]).live


@pytest.mark.parametrize("name", ["live_sse", "experimental_live_sse"])
def test_events_need_live(name: str) -> None:
    assert "live_sse" in problems([*CATCH_UP, (name, "true")])
    assert not parse_request([*CATCH_UP, (name, "false")]).live_sse
    assert parse_request([*LIVE, (name, "true")]).live_sse


@pytest.mark.parametrize("numbers", [[2], [1, 3], [2, 3], [1, 2, 4]])
def test_parameters_are_numbered_without_gap(numbers: list[int]) -> None:
    assert "without a gap" in problems([*START, *((f"params[{n}]", "x") for n in numbers)])["params"]


def test_every_problem_is_named_at_once() -> None:
    found = problems([("offset", "x"), ("live", "1"), ("columns", ""), ("secret", "s"), ("replica", "no")])
    assert set(found) == {"table", "offset", "live", "columns", "secret", "replica"}


def test_I_08_the_number_of_parameters_and_the_length_of_values_are_bounded() -> None:
    fits = [*START, ("where", "x" * VALUE_CHARS_MAX)]
    assert parse_request(fits).definition.where
    assert "characters" in problems([*START, ("where", "x" * (VALUE_CHARS_MAX + 1))])["where"]
    many = [*START, *((f"params[{n}]", "x") for n in range(1, PARAMETERS_MAX - 1))]
    assert len(parse_request(many).definition.params) == PARAMETERS_MAX - 2
    assert "at most" in problems([*many, ("log", "full")])["query"]


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_I_08_a_long_hostile_query_is_refused_at_once_and_its_error_is_short(size: int) -> None:
    started = time.process_time()
    for pairs in (
        [("x" * size, "1")] * 2,
        [("x", "y")] * size,
        [(f"x{n}", "y" * 100) for n in range(min(size, 100_000))],
        [*START, ("where", "(" * size)],
        [*START, ("columns", '"' * size)],
        [*START, ("handle", "a" * size + "!")],
        [*START, ("params[" + "1" * size + "]", "x")],
    ):
        found = " ".join(problems([*pairs]).values()) if size > 10 else ""
        assert len(found) < 2_000
    assert time.process_time() - started < 5


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufffd"), max_size=20)
NAMES = TEXTS.filter(lambda name: 0 < len(name.encode()) <= 63)
DEFINITIONS = st.builds(
    ShapeDefinition,
    table=st.sampled_from(['"public"."items"', '"app"."It""ems"']),
    where=st.none() | TEXTS.filter(lambda text: bool(text.strip())),
    params=st.lists(TEXTS, max_size=12).map(tuple),
    columns=st.none() | st.lists(NAMES, min_size=1, max_size=4, unique=True).map(tuple),
    replica=st.sampled_from(Replica),
    log=st.sampled_from(LogMode),
)
HANDLES = st.from_regex(r"[0-9]{1,20}-[0-9]{16}", fullmatch=True)
CACHE_KEYS = st.none() | st.from_regex(r"[0-9A-Za-z_.:~-]{0,20}", fullmatch=True)


FILLED = TEXTS.filter(lambda text: bool(text.strip()))
NUMBERS = st.none() | st.integers(1, 2**31 - 1)
SUBSETS = st.one_of(
    st.builds(SubsetRequest, where=FILLED, params=st.lists(TEXTS, max_size=12).map(tuple)),
    st.builds(
        SubsetRequest, where=st.none() | FILLED, order_by=FILLED, limit=NUMBERS, offset=NUMBERS | st.just(0)
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> ShapeRequest:
    """Any request that a client may make."""
    start = draw(st.sampled_from([BEFORE_ALL, Now.NOW, None]))
    offset = start if start is not None else Offset(draw(st.integers(0, 2**64 - 1)), draw(st.integers(0, 99)))
    subset = draw(st.none() | SUBSETS)
    live = subset is None and start is None and draw(st.booleans())
    return ShapeRequest(
        definition=draw(DEFINITIONS),
        offset=offset,
        handle=draw(HANDLES if start is None else st.none() | HANDLES),
        live=live,
        live_sse=live and draw(st.booleans()),
        cursor=draw(st.none() | st.from_regex(r"[0-9]{0,20}", fullmatch=True)),
        expired_handle=draw(CACHE_KEYS),
        cache_buster=draw(CACHE_KEYS),
        subset=subset,
    )


@settings(max_examples=100, deadline=None)
@given(request=requests())
def test_what_a_client_prints_a_gate_reads_back(request: ShapeRequest) -> None:
    assert parse_request(request.to_query()) == request


@settings(max_examples=100, deadline=None)
@given(request=requests(), data=st.data())
def test_the_order_of_parameters_does_not_matter(request: ShapeRequest, data: st.DataObject) -> None:
    assert parse_request(data.draw(st.permutations(request.to_query()))) == request


@settings(max_examples=100, deadline=None)
@given(request=requests(), data=st.data())
def test_P_04_repeating_any_parameter_makes_any_request_malformed(
    request: ShapeRequest, data: st.DataObject
) -> None:
    query = request.to_query()
    again = data.draw(st.sampled_from(query))
    with pytest.raises(MalformedRequest):
        parse_request([*query, again])


@settings(max_examples=100, deadline=None)
@given(request=requests())
def test_P_19_the_position_is_all_but_definition_and_subset(request: ShapeRequest) -> None:
    definition, position = request.definition.to_query(), request.position_query()
    subset = [] if request.subset is None else request.subset.to_query()
    assert definition + position + subset == request.to_query()
    assert {name for name, _ in position} <= {
        "offset",
        "handle",
        "live",
        "live_sse",
        "experimental_live_sse",
        "cursor",
        "expired_handle",
        "cache-buster",
    }


KNOWN = [
    "table",
    "where",
    "columns",
    "replica",
    "log",
    "offset",
    "handle",
    "live",
    "live_sse",
    "cursor",
    "params[1]",
    "subset__where",
    "subset__params",
    "subset__limit",
    "subset__order_by",
]


@settings(max_examples=100, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from(KNOWN) | st.text(), st.sampled_from(["-1", "0_0", "true", "{}"]) | st.text()
        )
    )
)
def test_nothing_but_a_wire_error_escapes_and_what_is_read_is_read_again(pairs: Pairs) -> None:
    try:
        request = parse_request(pairs)
    except WireError:
        return
    assert parse_request(request.to_query()) == request


RECORDED = (Path(__file__).parent / "typescript_requests.txt").read_text(encoding="utf-8").split()
"""Every request that @electric-sql/client 1.5.28 sent in a session with a real Electric."""


@pytest.mark.parametrize("target", RECORDED)
def test_P_19_P_51_what_the_typescript_client_sends_is_read_and_passes_on_unchanged(target: str) -> None:
    sent = parse_qsl(urlsplit(target).query, keep_blank_values=True)
    passed = dict(parse_request(sent).to_query())
    defaults = {"table", "log"}
    assert {name: value for name, value in passed.items() if name not in defaults} == {
        name: value for name, value in sent if name not in defaults
    }
