"""Whether the policy fits the database: `agreement`'s findings as lines. Pure: no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shapegate_cli.doctor.line import fail, ok
from shapegate_proxy.agreement import compare
from shapegate_proxy.claims import Fact
from shapegate_proxy.scope import Compared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapegate_cli.doctor.facts import Facts
    from shapegate_cli.doctor.line import Line
    from shapegate_proxy.policy import Policy
    from shapegate_wire.identifier import TableName

REMEDY: Final = "mend table or policy file; `shapegate policy check` tells the same"


def judge_fit(policy: Policy, facts: Facts) -> Iterator[Line]:
    """Judge each table of the policy.

    What a draft may still leave open, a missing index say, is wrong where requests are served: all fail.
    """
    tables = dict(facts.catalogue.tables)
    for name, met in facts.guarded.items():
        if met.electric_owns:  # then Electric sets the replica identity itself
            tables[name] = replace(tables[name], sends_old_rows=True)
    found = compare(policy, replace(facts.catalogue, tables=tables))
    yield from (fail("policy", str(each.table), each.text, REMEDY) for each in found)
    well = len(policy.tables.keys() - {each.table for each in found})
    if well:
        yield ok("policy", f"{well} tables", "are as the policy says, with indexes for their scopes")


def comparable(policy: Policy, facts: Facts) -> tuple[TableName, ...]:
    """Name the tables whose rows can be told apart by what is synced of them; the others were found unfit."""
    found = []
    for name, granted in sorted(policy.tables.items()):
        table = facts.catalogue.tables.get(name)
        if table is not None and table.key and granted.columns.keys() >= set(table.key):
            found.append(name)
    return tuple(found)


def org_table(policy: Policy, facts: Facts) -> tuple[TableName, str] | None:
    """Find the table whose rows are the orgs, and its key: its scope is its key, and others refer to it."""
    tables = facts.catalogue.tables
    found: list[tuple[TableName, str]] = []
    for name, granted in sorted(policy.tables.items()):
        match granted.scope.condition:
            case Compared(column=column, claim=Fact.ORG) if name in tables and tables[name].key == (column,):
                found.append((name, column))
    referred = Counter(target for table in tables.values() for target in set(table.references.values()))
    return max(found, key=lambda each: referred[each[0]], default=None)
