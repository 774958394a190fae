"""Legal filters at random: text with `$n` and their values, in every spelling that the grammar has."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.wire.filter.table import COLUMNS, ORGS, literal


@dataclass(frozen=True)
class Param:
    """A value that becomes a `$n`."""

    text: str


Parts = tuple["str | Param", ...]


@dataclass(frozen=True)
class Written:
    """A filter as a client sends it."""

    text: str
    params: tuple[str, ...]


def written(parts: Parts) -> Written:
    """Number the parameters in the order of their use."""
    params: list[str] = []
    out: list[str] = []
    for part in parts:
        if isinstance(part, Param):
            params.append(part.text)
            out.append(f"${len(params)}")
        else:
            out.append(part)
    return Written(" ".join(out), tuple(params))


_WORDS = st.text(alphabet="aAbB %_'\"{},NUL\u0131\u0130\u017f\u212a-/*$1", max_size=6)
_DATES = st.sampled_from(["2026-01-31", "0001-01-01", "9999-12-31"])
_TIMES = st.sampled_from(["01:02", "23:59:59.5", "00:00:00"])
_VALUES = {
    "s": st.integers(-(2**15), 2**15 - 1).map(str) | st.sampled_from(["0", "1"]),
    "n": st.integers(-(2**31), 2**31 - 1).map(str) | st.sampled_from(["0", "5", "-5"]),
    "l": st.integers(-(2**63), 2**63 - 1).map(str) | st.sampled_from(["0", "5"]),
    "num": st.sampled_from(["1.5", "-0.5", "1e-20", "1e5", ".5", "0", "123456789.012345"]),
    "f": st.sampled_from(["0.5", "1e5", "0", "-3"]),
    "d": st.sampled_from(["0.1", "1e300", "0", "-3", ".5", "0.30000000000000004"]),
    "t": st.sampled_from(["abc", "", "NULL", "a\nb"]) | _WORDS,
    "v": st.sampled_from(["Abc", "", "null"]) | _WORDS,
    "b": st.sampled_from(["true", "false"]),
    "u": st.sampled_from([ORGS[0], ORGS[1].upper()]),
    "day": _DATES,
    "tm": _TIMES,
    "ts": st.builds("{} {}".format, _DATES, _TIMES) | _DATES,
    "tz": st.builds("2026-01-31 {}{}".format, _TIMES, st.sampled_from(["Z", "+02", "-09:30"])),
}
_NUMERIC = {"s", "n", "l", "num", "f", "d"}
_CASTS = {"s": "int2", "n": "int4", "l": "bigint", "num": "numeric", "f": "real", "d": "double precision"} | {
    "t": "text",
    "v": "character varying",
    "b": "bool",
    "u": "uuid",
    "day": "date",
    "tm": "time",
    "ts": "timestamp",
    "tz": "timestamp with time zone",
}
_SCALARS = tuple(_VALUES)
_ORDERED = tuple(name for name in _SCALARS if name != "b")
_TEXTS = st.sampled_from(
    [
        "t",
        "T",
        '"t"',
        "v",
        "lower(t)",
        "UPPER ( v )",
        "coalesce(t, 'abc')",
        "u::text",
        "e::text",
        '"Mixed Case"',
        '"user"',
    ]
)
_COMPARATORS = st.sampled_from(["=", "<>", "!=", "<", ">", "<=", ">="])


@st.composite
def _constant(draw: st.DrawFn, name: str) -> Parts:
    value = draw(_VALUES[name])
    forms: list[Parts] = [(literal(value),), (Param(value),), (f"{literal(value)}::{_CASTS[name]}",)]
    if name in _NUMERIC:
        forms.append((f"- {value[1:]}" if value.startswith("-") else value,))
        forms.append((f"({value})",))
    if name == "b":
        forms.append((value.upper(),))
    return draw(st.sampled_from(forms))


def _array(name: str, values: list[str], form: int) -> Parts:
    text = "{" + ",".join('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values) + "}"
    if form == 0:
        return (literal(text),)
    if form == 1:
        return (Param(text),)
    return (f"ARRAY[{', '.join(literal(v) for v in values)}]::{_CASTS[name]}[]",)


@st.composite
def _compared(draw: st.DrawFn) -> Parts:
    name = draw(st.sampled_from(_SCALARS))
    sign = draw(_COMPARATORS if name != "b" else st.sampled_from(["=", "<>"]))
    constant = draw(_constant(name))
    if draw(st.booleans()):
        return (*constant, sign, name)
    word = draw(st.sampled_from([sign, "IS DISTINCT FROM", "is not distinct from"]))
    return (name, word, *constant)


@st.composite
def _pair(draw: st.DrawFn) -> Parts:
    left, right = draw(
        st.sampled_from([("s", "l"), ("n", "id"), ("t", "v"), ("lower(t)", "v"), ("ns", "ns"), ("u", "org")])
    )
    signs = ["=", "<>"] if left == "ns" else ["=", "<>", "<", ">="]
    return (left, draw(st.sampled_from([*signs, "IS DISTINCT FROM"])), right)


@st.composite
def _listed(draw: st.DrawFn) -> Parts:
    name = draw(st.sampled_from(_SCALARS))
    items = draw(st.lists(_constant(name) | st.just(("NULL",)), min_size=1, max_size=4))
    parts: list[str | Param] = [name, draw(st.sampled_from(["IN", "not in"])), "("]
    for item in items:
        parts += [*item, ","]
    return (*parts[:-1], ")")


@st.composite
def _quantified(draw: st.DrawFn) -> Parts:
    name = draw(st.sampled_from(_ORDERED))
    values = draw(st.lists(_VALUES[name], max_size=4))
    form = draw(st.integers(0, 2))
    array = _array(name, values, form)
    return (name, draw(_COMPARATORS), draw(st.sampled_from(["ANY", "ALL", "some"])), "(", *array, ")")


@st.composite
def _between(draw: st.DrawFn) -> Parts:
    name = draw(st.sampled_from(_ORDERED))
    low, high = draw(_constant(name) | st.just(("NULL",))), draw(_constant(name))
    word = draw(st.sampled_from(["BETWEEN", "not between", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"]))
    return (name, word, *low, "AND", *high)


@st.composite
def _like(draw: st.DrawFn) -> Parts:
    pattern = draw(st.sampled_from(["%b%", "a_c", "100\\%%", "", "%", "\\\\%", "A%%c", "%\n%"]))
    form = Param(pattern) if draw(st.booleans()) else literal(pattern)
    return (draw(_TEXTS), draw(st.sampled_from(["LIKE", "not like", "ILIKE", "NOT ILIKE"])), form)


@st.composite
def _text(draw: st.DrawFn) -> Parts:
    return (draw(_TEXTS), draw(_COMPARATORS), *draw(_constant("t")))


@st.composite
def _arrays(draw: st.DrawFn) -> Parts:
    column, name = draw(st.sampled_from([("tags", "t"), ("ns", "n"), ("us", "u")]))
    values = draw(st.lists(_VALUES[name], max_size=3))
    array = _array(name, values, draw(st.integers(0, 2)))
    sign = draw(st.sampled_from(["@>", "<@", "&&", "=", "<>"]))
    if draw(st.booleans()):
        return (*draw(_constant(name)), draw(st.sampled_from(["= ANY", "<> ALL"])), "(", column, ")")
    return (column, sign, *array) if draw(st.booleans()) else (*array, sign, column)


_TESTS = st.sampled_from(
    ["IS NULL", "is not null", "IS TRUE", "IS NOT FALSE", "is unknown", "IS NOT UNKNOWN"]
)
_NULLS = st.builds(
    lambda name, test: (f'"{name.replace(chr(34), chr(34) * 2)}"', test),
    st.sampled_from(tuple(COLUMNS)),
    st.sampled_from(["IS NULL", "is not null"]),
)
_LEAVES = st.one_of(
    _compared(),
    _pair(),
    _listed(),
    _quantified(),
    _between(),
    _like(),
    _text(),
    _arrays(),
    _NULLS,
    st.sampled_from(
        [("b",), ("C",), ("true",), ("FALSE",), ("NULL",), ("b", "IS NOT TRUE"), ("größe", ">", "1")]
    ),
)


def _grown(inner: st.SearchStrategy[Parts]) -> st.SearchStrategy[Parts]:
    joined = st.builds(
        lambda left, word, right: (*left, word, *right), inner, st.sampled_from(["AND", "or"]), inner
    )
    return st.one_of(
        joined,
        inner.map(lambda parts: ("(", *parts, ")")),
        inner.map(lambda parts: ("NOT", *parts)),
        st.builds(lambda parts, test: ("(", *parts, ")", test), inner, _TESTS),
    )


FILTERS = st.recursive(_LEAVES, _grown, max_leaves=6).map(written)
