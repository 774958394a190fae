"""What a batch of transactions means to a shape with subqueries (PROTOCOL 3.5; recorded).

First come the batch's changes of the shape's own table, seen with the subqueries' answers of before; then one
move-out event for all values that left, then one move-in event for all that entered, with the rows that it
brings as they are at the end of the batch. Who folds all of it has the state at that end: this is why the
rows have to be read in a snapshot that sees this batch and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from shapegate_harness.electric.log import Entry
from shapegate_harness.electric.members import Members, Moves
from shapegate_harness.electric.rows import entries
from shapegate_harness.electric.subquery import levels, read_answer
from shapegate_harness.electric.tags import Standing, hash_value, print_event, print_tags
from shapegate_wire.offset import SNAPSHOT_END, Offset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shapegate_harness.electric.condition import Evaluation, Held
    from shapegate_harness.electric.database import Connection
    from shapegate_harness.electric.members import Value
    from shapegate_harness.electric.relation import Relation
    from shapegate_harness.electric.shape import Shape
    from shapegate_harness.electric.subquery import Level, Source
    from shapegate_harness.electric.transaction import RowText, Transaction

_CHANGES_PER_TURN: Final = 2_000
"""Row changes worked on before other tasks have a turn."""
PATTERNS_MAX: Final = 10_000
"""Values of one event; more of them at once rotate the shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A subquery and what it returns now."""

    source: Source
    members: Members
    below: Mapping[int, Answer]
    """The answers of its own subqueries, by leaf."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What a shape with subqueries needs beside its log."""

    level: Level
    answers: Mapping[int, Answer]
    salt: str

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Every table whose changes concern the shape."""
        return tuple(level.relation for level in levels(self.level))


@dataclass(frozen=True, slots=True)
class Gone:
    """The batch cannot be followed: a subquery within a subquery changed, or a null or too much moved."""


@dataclass(slots=True)
class Moved:
    """What a batch does to a shape's subqueries and rows."""

    new: list[Entry] = field(default_factory=list)
    """Changes of the shape's own table."""
    outs: dict[int, tuple[Value, ...]] = field(default_factory=dict)
    ins: dict[int, tuple[Value, ...]] = field(default_factory=dict)
    """Values for which a condition became false or true, by leaf."""
    xids: dict[int, None] = field(default_factory=dict)
    """The transactions that did it, in order."""
    deltas: list[tuple[Members, Mapping[Value, int]]] = field(default_factory=list)
    """To be applied when the messages are appended."""


class Judge(Protocol):
    """Evaluates plain conditions over all changes of a batch."""

    async def __call__(
        self, tests: Evaluation
    ) -> Mapping[tuple[int, int], tuple[Held | None, Held | None]] | None:
        """Return which tests hold, by lsn and position; None if they fail for one of the rows."""


async def read_answers(
    connection: Connection, level: Level, values: tuple[str, ...], *, values_max: int
) -> Mapping[int, Answer] | None:
    """Read the answers of a level's subqueries; None if one of them is too large."""
    found: dict[int, Answer] = {}
    for leaf, source in level.sources.items():
        counts = await read_answer(connection, source, values, values_max=values_max)
        below = await read_answers(connection, source.level, values, values_max=values_max)
        if counts is None or below is None:
            return None
        found[leaf] = Answer(source=source, members=Members(counts), below=below)
    return found


async def follow(
    shape: Shape, followed: Followed, transactions: Sequence[Transaction], judge: Judge, *, values_max: int
) -> Moved | Gone:
    """Work out a batch that does not end the shape by itself."""
    moved = Moved()
    for leaf, answer in followed.answers.items():
        moves = await _moves(answer, transactions, judge, moved)
        negated = answer.source.negated
        if moves is None or not answer.members.follows(moves, negated=negated):
            return Gone()
        entered, left = (moves.left, moves.entered) if negated else (moves.entered, moves.left)
        entered, left = _without_nulls(entered), _without_nulls(left)
        if max(len(entered), len(left)) > PATTERNS_MAX or len(answer.members) + len(entered) > values_max:
            return Gone()
        if entered:
            moved.ins[leaf] = entered
        if left:
            moved.outs[leaf] = left
    standings = await _standings(followed, transactions, judge)
    if standings is None:
        return Gone()
    for transaction in transactions:
        for entry in entries(shape.projection, transaction, standings):
            moved.new.append(entry)
            if len(moved.new) % _CHANGES_PER_TURN == 0:
                await asyncio.sleep(0)
    return moved


def _without_nulls(values: Sequence[Value]) -> tuple[Value, ...]:
    """Leave out what is IN nothing, whatever the answer is."""
    return tuple(value for value in values if None not in value)


async def _moves(
    answer: Answer, transactions: Sequence[Transaction], judge: Judge, moved: Moved
) -> Moves | None:
    level = answer.source.level
    for below in answer.below.values():
        moves = await _moves(below, transactions, judge, moved)
        if moves is None or moves:
            return None
    delta: Counter[Value] = Counter()
    changes = [(t, change) for t in transactions for change in t.changes.get(level.relation.oid, ())]
    verdicts = await _judged(level, judge) if changes else {}
    if verdicts is None:
        return None
    for number, (transaction, change) in enumerate(changes, start=1):
        held = verdicts.get((transaction.lsn, change.position), (None, None))
        for row, tests, count in ((change.old, held[0], -1), (change.new, held[1], 1)):
            if row is not None and _stand(level, answer.below, row, tests).shown:
                delta[tuple(row[at] for at in answer.source.places)] += count
                moved.xids[transaction.xid] = None
        if number % _CHANGES_PER_TURN == 0:
            await asyncio.sleep(0)
    net = {value: count for value, count in delta.items() if count}
    moved.deltas.append((answer.members, net))
    return answer.members.moves(net)


async def _judged(
    level: Level, judge: Judge
) -> Mapping[tuple[int, int], tuple[Held | None, Held | None]] | None:
    return {} if level.tests is None else await judge(level.tests)


def _stand(level: Level, answers: Mapping[int, Answer], row: RowText, held: Held | None) -> Standing:
    """Evaluate every condition of a row; `held` has those without subqueries."""
    plain = iter(held or ())
    active = []
    for position in level.branches.positions:
        answer = answers.get(position.leaf)
        if answer is None:
            active.append(next(plain))
        else:
            value = tuple(row[at] for at in answer.source.left_places)
            active.append(answer.members.admits(value, negated=position.negated))
    conditions = tuple(active)
    return Standing(level.branches.shows(conditions), conditions)


async def _standings(
    followed: Followed, transactions: Sequence[Transaction], judge: Judge
) -> Mapping[tuple[int, int], tuple[Standing, Standing]] | None:
    level = followed.level
    changes = [(t, change) for t in transactions for change in t.changes.get(level.relation.oid, ())]
    verdicts = await _judged(level, judge) if changes else {}
    if verdicts is None:
        return None
    found = {}
    for number, (transaction, change) in enumerate(changes, start=1):
        key = (transaction.lsn, change.position)
        was, is_ = verdicts.get(key, (None, None))
        found[key] = (_tagged(followed, change.old, was), _tagged(followed, change.new, is_))
        if number % _CHANGES_PER_TURN == 0:
            await asyncio.sleep(0)
    return found


def _tagged(followed: Followed, row: RowText | None, held: Held | None) -> Standing:
    if row is None:
        return Standing(False)
    standing = _stand(followed.level, followed.answers, row, held)
    hashes = {
        leaf: hash_value(followed.salt, tuple(row[at] for at in answer.source.left_places))
        for leaf, answer in followed.answers.items()
    }
    return Standing(standing.shown, standing.active, print_tags(followed.level.branches, hashes))


def messages(
    shape: Shape, followed: Followed, moved: Moved, rows: Sequence[bytes], end: bytes
) -> list[Entry]:
    """Put the batch's messages in order; `rows` are those that the move-in brings, `end` closes them."""
    events = []
    xids = tuple(moved.xids)
    if moved.outs:
        events.append(print_event("move-out", tuple(_patterns(followed, moved.outs)), xids))
    if moved.ins:
        events.append(print_event("move-in", tuple(_patterns(followed, moved.ins)), xids))
        events += [*rows, end]
    at = moved.new[-1].offset if moved.new else shape.log.end
    placed = list(moved.new)
    for message in events:
        # As recorded: right after what is there; after the snapshot, at 1_0.
        at = Offset(1, 0) if at == SNAPSHOT_END else Offset(at.lsn, at.op + 1)
        placed.append(Entry(offset=at, message=message))
    return placed


def _patterns(followed: Followed, values: Mapping[int, tuple[Value, ...]]) -> Iterator[tuple[int, str]]:
    for at, position in enumerate(followed.level.branches.positions):
        for value in values.get(position.leaf, ()):
            yield at, hash_value(followed.salt, value)
