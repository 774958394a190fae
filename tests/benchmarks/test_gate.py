from __future__ import annotations

import tomllib
from dataclasses import fields

import jwt

from benchmarks.gate import ABLE, ORG, Variant, bearer, environment_of, print_limits, print_policy
from shapegate_proxy.limit_settings import parse_limits
from shapegate_proxy.policy_file import parse_policy


def test_the_policy_and_the_limits_are_ones_that_the_gate_reads() -> None:
    tables = {str(table) for table in parse_policy(print_policy()).tables}
    assert any("tiny" in table for table in tables)
    limits, problems = parse_limits(tomllib.loads(print_limits())["limits"])
    assert problems == ()
    assert limits.live_per_principal > 19_000


def test_every_choice_of_a_variant_is_told_to_the_gate() -> None:
    told = environment_of(Variant())
    others = Variant(client="aiohttp", collapse=False, cache=False, workers=2, uvloop=False)
    assert len(told) == len(fields(Variant))
    assert all(told[name] != value for name, value in environment_of(others).items())
    assert ABLE.issubset({"cache", "collapse", "workers"})


def test_users_are_distinct_and_of_one_organization() -> None:
    tokens = [bearer(number)["Authorization"].removeprefix("Bearer ") for number in range(3)]
    claims = [jwt.decode(token, options={"verify_signature": False}) for token in tokens]
    assert len({each["sub"] for each in claims}) == 3
    assert {each["organization_id"] for each in claims} == {ORG}
