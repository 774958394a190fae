"""What docs/policy.md shows is a policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shapegate_proxy.policy_file import parse_policy

BLOCKS = re.findall(
    r"^```toml\n(.*?)^```", (Path(__file__).parents[2] / "docs/policy.md").read_text(), re.M | re.S
)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_a_policy(block: str) -> None:
    assert parse_policy(block).tables


def test_an_alternative_that_is_said_to_be_refused_is_refused() -> None:
    refused = BLOCKS[0].replace("organization_id = {org}", "organization_id = {org} OR name IS NULL")
    with pytest.raises(ValueError, match="shows rows of everybody"):
        parse_policy(refused)
