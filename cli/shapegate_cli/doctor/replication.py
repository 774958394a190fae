"""Whether Electric can follow this Postgres, and does (PROTOCOL 7). Pure: no I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shapegate_cli.doctor.line import fail, ok, warning
from shapegate_wire.identifier import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shapegate_cli.doctor.facts import Facts, Names, Publication, Server, Slot
    from shapegate_cli.doctor.line import Line
    from shapegate_wire.identifier import TableName

VERSION_MIN: Final = 140_000
"""Electric follows Postgres 14 and later."""
RETAINED_BYTES_MAX: Final = 1024**3
"""A follower this far behind is slow, or an open transaction of hours holds it back."""
VERBS: Final = ("insert", "update", "delete", "truncate")


def judge_server(server: Server) -> Iterator[Line]:
    """Judge what takes a restart or another server to change."""
    found: list[Line] = []
    if server.version < VERSION_MIN:
        seen = f"is version {server.version // 10_000}: expected 14 or later"
        found.append(fail("postgres", "server", seen, "upgrade Postgres"))
    if server.is_standby:
        seen = "is a standby: expected the primary, which alone has Electric's slot"
        found.append(fail("postgres", "server", seen, "give the URL of the primary"))
    if server.wal_level != "logical":
        seen = f"wal_level is {server.wal_level!r}: expected 'logical', or nothing can be followed"
        remedy = "ALTER SYSTEM SET wal_level = 'logical', then restart Postgres"
        found.append(fail("postgres", "wal_level", seen, remedy))
    if server.senders_max == 0:
        seen = "max_wal_senders is 0: expected one for Electric at least"
        remedy = "ALTER SYSTEM SET max_wal_senders = 10, then restart Postgres"
        found.append(fail("postgres", "max_wal_senders", seen, remedy))
    yield from found or [ok("postgres", "server", f"version {server.version // 10_000}, logical WAL")]


def judge_slots(facts: Facts, names: Names) -> Iterator[Line]:
    """Judge who follows the database, and who makes it keep its log for nothing."""
    followers = [slot for slot in facts.slots if slot.is_here and slot.active]
    idle = [slot for slot in facts.slots if not slot.active]
    found = [_judge_idle(slot, names) for slot in idle]
    found += [line for slot in followers if (line := _judge_follower(slot))]
    if not followers and not any(slot.is_here and slot.name == names.slot for slot in idle):
        found.append(_nobody(facts, names))
    yield from found or [ok("slots", followers[0].name, "is followed; no slot holds WAL back for nobody")]


def judge_publication(
    publication: Publication | None, own: Sequence[TableName], names: Names
) -> Iterator[Line]:
    """Judge whether changes of tables get to Electric; `own` are those that it cannot add by itself."""
    name = names.publication
    if publication is None:
        seen = "is not there: expected the publication that Electric follows"
        yield fail("publication", name, seen, f"CREATE PUBLICATION {quote(name)}")
        return
    missing = [verb for verb in VERBS if verb not in publication.verbs]
    if missing:
        remedy = f"ALTER PUBLICATION {quote(name)} SET (publish = '{', '.join(VERBS)}')"
        yield fail("publication", name, f"leaves out {', '.join(missing)}: expected every change", remedy)
    left_out = sorted(set(own) - publication.tables)
    for table in left_out:
        remedy = f"ALTER PUBLICATION {quote(name)} ADD TABLE {table.to_sql()}"
        seen = f"is not in {name}: expected it, or its changes never reach Electric"
        yield fail("publication", str(table), seen, remedy)
    if not missing and not left_out:
        yield ok("publication", name, f"has {len(publication.tables)} tables, with every change of them")


def _judge_follower(slot: Slot) -> Line | None:
    if slot.wal_status in ("unreserved", "lost"):
        seen = f"{slot.wal_status}: WAL that it needs is gone or about to be; every shape will start over"
        return fail("slots", slot.name, seen, "raise max_slot_wal_keep_size, see why Electric is behind")
    if slot.retained_bytes > RETAINED_BYTES_MAX:
        seen = f"is {_size(slot)} behind: expected less than {RETAINED_BYTES_MAX // 1024**2} MiB"
        return warning(
            "slots", slot.name, seen, "look for transactions that are open for long, and at Electric"
        )
    return None


def _judge_idle(slot: Slot, names: Names) -> Line:
    if slot.is_here and slot.name == names.slot:
        seen = f"is in use by nobody and holds {_size(slot)} of WAL: Electric is down, or asleep"
        return warning("slots", slot.name, seen, "start Electric")
    seen = f"is stale: nobody follows it, and Postgres keeps {_size(slot)} of WAL for it ({slot.wal_status})"
    remedy = f"if nobody comes back to it: SELECT pg_drop_replication_slot('{slot.name}')"
    if slot.is_here or slot.name.startswith("electric_slot_"):
        return fail("slots", slot.name, seen, remedy)
    return warning("slots", slot.name, f"{seen}, in another database of this cluster", remedy)


def _nobody(facts: Facts, names: Names) -> Line:
    seen = f"is not there, and nobody follows this database: expected Electric by {names.slot}"
    remedy = "start Electric with this database as its DATABASE_URL"
    if len(facts.slots) >= facts.server.slots_max:
        remedy = f"all {facts.server.slots_max} slots are taken: drop one, or raise max_replication_slots"
    return fail("slots", names.slot, seen, remedy)


def _size(slot: Slot) -> str:
    return f"{slot.retained_bytes / 1024**2:.1f} MiB"
