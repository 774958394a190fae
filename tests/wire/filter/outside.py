"""Filters outside of the grammar, one on each line, and those that a line cannot hold."""

from __future__ import annotations

_LINES = """
    n
    5
    'x'
    n =
    = 5
    n = = 5
    n = 5 6
    n = 5;
    n = 5 -- x
    n /* */ = 5
    /* /* */ */ b
    b --
    n =/**/ 5
    t = E'a'
    t = U&'a'
    U&"n" = 5
    n = B'1'
    n = X'1'
    t = N'a'
    t = $$a$$
    t = $a$x$a$
    t = 'a' 'b'
    t = 'a
    t = "a
    "" = 5
    n = '5'::text
    n = 5)
    (n = 5
    (n = 5]
    n = [5]
    n[1] = 5
    ns[1] = 5
    things.n = 5
    public.things.n = 5
    n.x = 5
    n = (select 1)
    n in (select 1)
    exists (select 1)
    (select true)
    n = 5 union select 1
    n = 5 limit 1
    n = 5 order by n
    b group by n
    b for update
    case when b then c end
    t collate "C" = 'a'
    row(n) = row(5)
    (n, s) = (5, 6)
    (n, s) in ((5, 6))
    tz at time zone 'utc' = ts
    t similar to 'a'
    t ~ 'a'
    t ~* 'a'
    n + 1 = 5
    n = 5 + 1
    n = s + 1
    -n = 5
    n = +5
    n * 2 = 4
    n % 2 = 0
    t || 'a' = 'b'
    n & 1 = 1
    now() = tz
    length(t) = 1
    pg_sleep(1) is null
    lower(n) = '1'
    lower(lower(t)) = 'a'
    lower(t, t) = 'a'
    lower('A') = t
    "lower"(t) = 'a'
    pg_catalog.lower(t) = 'a'
    coalesce(t) = 'a'
    coalesce(t, v) = 'a'
    coalesce(n, 1) = 1
    coalesce(t, null) = 'a'
    coalesce(t, 'a', 'b') = 'a'
    greatest(n, 1) = 1
    nullif(n, 1) = 1
    n::text = '5'
    t::int = 5
    n::bool
    n::regclass is null
    'things'::regclass = n
    u::varchar(3) = 'x'
    u::text::uuid is null
    t = 'a'::varchar(1)
    n = '5'::int::int
    n = 5::text
    n = true::int
    b = 5::bool
    n = '1.5'
    n = 1.5
    n = 1e0
    n = 5.
    s = 32768
    s = 32768::int4
    l = 70000::int2
    n = 2147483648
    n = -32769::int2
    n = -5::int4
    n = - '5'
    n = -(5)
    n = 0x1F
    n = 1_000
    n = 0b1
    n = 5n
    n = 5and b
    n = 1..2
    num = 1e
    num = 1e+
    num = 'NaN'
    num = 'Infinity'
    num = 1234567890123456
    num = 1e101
    d = 1e400
    d = 1e-400
    f = 1e39
    f = 0.1
    f = 16777217
    f = 16777217::int4
    t = 5
    b = 5
    b = 'yes'
    u = 'x'
    u = '{00000000-0000-0000-0000-00000000000a}'
    u = '00000000-0000-0000-0000-00000000000a'::text
    day = '2026-02-30'
    day = 'today'
    day = 20260101
    tz = '2026-01-01'
    tz = '2026-01-01 00:00'
    ts = '2026-01-01 00:00Z'
    tz = ts
    ts = day
    tm = '24:00'
    ts = 'infinity'
    n = t
    t = u
    e = 'ok'
    e < e
    e::text::mood is null
    j = '{}'
    j -> 'a' = 'b'
    j ->> 'a' = 'b'
    j @> '{}'
    j::text = 'x'
    ch = 'ab'
    ch::text = 'ab'
    lower(ch) = 'ab'
    b < true
    b > b
    tags < '{a}'
    tags = 'a'
    tags = array['a', null]
    tags @> 'a'
    tags @> tags @> tags
    t @> '{a}'
    n @> 1
    tags && n
    tags <@ ns
    ns @> array['a']
    ns = array[array[1]]
    n = array[1]
    n = any (1)
    n = any ('1')
    n = any (array[])
    n = any (ns)
    5 = any (n)
    n any ('{1}')
    n = any '{1}'
    null = any (ns)
    n = any (values (1))
    t like any ('{a}')
    n = any (array[s])
    n in (s)
    n in ()
    n in 5
    5 in (n)
    n in (1,)
    n in (,1)
    n not 5
    n not null
    n isnull
    n notnull
    n is 5
    n is true
    5 is null
    t is true
    n is not
    b is not not true
    b is distinct from
    n is distinct from 1 is true
    n is distinct from 1 = 2
    b is document
    n = 1 = 2
    1 < n < 3
    n < 1 > 2
    b = b = b
    b = (b = b)
    (n = 1) = true
    (b and c) = true
    b = not b
    n = any (b and b)
    n between 1
    n between 1 or 2
    n between (1 and 2)
    n between asymmetric 1 and 2
    n between 1 and 2 = true
    t like v
    'a' like t
    n like '5'
    t like 'a' escape '!'
    t like '%%%%%%%%%%%'
    t like 5
    tags like 'a'
    not
    and b
    b and
    b or
    b b
    b not c
    or
    ()
    (b)()
    b,c
    b, c
    b *
    n ! = 5
    n < > 5
    n : : int = 5
    n operator(pg_catalog.=) 5
    n =* 5
    n => 5
    n == 5
    n <=> 5
    n =- -5 --
    n @@ 5
    tags @>- 5
    n ?| 5
    n # 5
    user = 'ada'
    current_user = 'ada'
    USER IS NULL
    left = 5
    select
    null is
    hidden = 5
    "N" = 5
    tableoid = 5
    ctid is null
    xmin is null
    things is null
    things.* is null
    date '2026-01-01' = day
    int '5' = n
    cast(n as text) = '5'
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" = 5
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 5
    n = any ($$1$$)
    n = `5`
    n = 5 ?
    {n} = 5
    tags in ('a')
    tags = any ('{a}')
    tags <> all (null)
    n = '5'::int8[]
    n = any (null::text[])
    n = any (null::int4)
    n = any ('{1}'::int4)
    n = any ('{1}'::text[])
    n in (null::text)
    n = any (array[null::text, 1])
    t like null::int4
    tags @> null::int4[]
    tz = '2026-01-31 00:00+14:01'
    tz = '2026-01-31 00:00+00:60'
    tz = '0001-01-01 00:00+01'
    tz = '9999-12-31 23:59-01'
    n = ns
    ns = n
    ns = s
    t = tags
    n is distinct from ns
    n = 5::numeric
    d = 0.5::numeric
    num = 0.5::float8
    t = 5::int4
"""
_ODD = [
    *("", " ", "\t\n", "t = e'\\''", "t = 'a'\n'b'", "t like 'a\\'", "n = 5 \\", "* ", "n\u00a0= 5"),
    *("\uff4e = 5", "n \uff1d 5", "n = \uff15", "t = \u2019a\u2019", "\u212a = 5", "\u017f = 5"),
    *("n = 5\u2028", "\ufeffb", "n \u2260 5", "n = 5 \u200b", "n = 5\x00", "n = 5\x0b", "n = 5\x7f"),
    *("n = 5\x85", "n \x0c= 5", "t = 'a\x00'", "t = '\x1b'", "t = '\ud800'", "\u00e4" * 32 + " = 5"),
]
OUTSIDE = [line.strip() for line in _LINES.strip().splitlines()] + _ODD
