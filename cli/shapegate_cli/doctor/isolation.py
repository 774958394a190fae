"""Whether row-level security confines the application on each synced table (SECURITY D-01 to D-03, D-07).

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_cli.doctor.line import fail, ok
from shapegate_proxy.agreement import scoped_columns
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shapegate_cli.doctor.facts import Guarded, Names
    from shapegate_cli.doctor.line import Line
    from shapegate_proxy.policy import Policy, TablePolicy
    from shapegate_wire.identifier import TableName

VERBS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
UNGUARDED: Final = ("TRUNCATE", "REFERENCES", "TRIGGER")
"""Rights to which row-level security does not apply (Postgres: row security policies)."""
_CHECK: Final = "isolation"


def judge_isolation(policy: Policy, guarded: Mapping[TableName, Guarded], names: Names) -> Iterator[Line]:
    """Judge every table of the policy that there is; those that all is well with are one line."""
    well = 0
    for table, met in sorted(guarded.items()):
        found = [*_judge_guard(table, met, names), *_judge_policies(policy.tables[table], met, names)]
        yield from found
        well += not found
    if well:
        yield ok(_CHECK, f"{well} tables", f"row-level security is forced, and holds {names.app_role}")


def _judge_guard(table: TableName, met: Guarded, names: Names) -> Iterator[Line]:
    alter = f"ALTER TABLE {table.to_sql()}"
    if not met.enabled:
        seen = f"row-level security is off: {names.app_role} sees the rows of every org"
        remedy = f"{alter} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        yield fail(_CHECK, str(table), seen, remedy)
    elif not met.forced:
        seen = "row-level security is not forced: the owner passes it"
        yield fail(_CHECK, str(table), seen, f"{alter} FORCE ROW LEVEL SECURITY")
    if met.app_owns:
        seen = f"belongs to {names.app_role}, which may switch row-level security off: expected another owner"
        yield fail(_CHECK, str(table), seen, f"{alter} OWNER TO ...")
    rights = [right for right in UNGUARDED if right in met.app_rights]
    if rights:
        seen = f"{names.app_role} has {', '.join(rights)}: expected none, as row-level security covers none"
        remedy = f"REVOKE {', '.join(rights)} ON {table.to_sql()} FROM {quote(names.app_role)}"
        yield fail(_CHECK, str(table), seen, remedy)


def _judge_policies(granted: TablePolicy, met: Guarded, names: Names) -> Iterator[Line]:
    table, app = granted.table, names.app_role
    if not met.enabled:
        return  # policies have no effect then, and that is told
    for verb in VERBS:
        if verb in met.app_rights and not any(policy.covers(verb) for policy in met.policies):
            seen = (
                f"{app} may {verb}, but no row-level policy lets a row pass: expected one for its org's rows"
            )
            remedy = f"CREATE POLICY ... ON {table.to_sql()} FOR {verb} TO {quote(app)} ..."
            yield fail(_CHECK, str(table), seen, remedy)
    for policy in met.policies:
        if policy.permissive and "true" in policy.conditions:
            seen = f"the row-level policy {policy.name} lets {app} reach the rows of every org"
            yield fail(_CHECK, str(table), seen, f"DROP POLICY {quote(policy.name)} ON {table.to_sql()}")
    reading = [policy for policy in met.policies if policy.verb in ("SELECT", "ALL")]
    looked_at = frozenset[str]().union(*(policy.columns for policy in reading))
    compared = dict.fromkeys(scoped_columns(granted.scope.condition))
    for column in compared if reading else ():
        if column not in looked_at:
            seen = (
                f"the scope compares {column}, row-level security looks at "
                f"{', '.join(sorted(looked_at)) or 'no column'}: one of them names the wrong column"
            )
            remedy = "correct the scope in the policy file, or the table's row-level policies"
            yield fail(_CHECK, str(table), seen, remedy)
