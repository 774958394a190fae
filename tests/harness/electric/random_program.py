"""Random transactions on three tables, and what three shapes of them hold after each. Pure.

Programs are made from a Random, so that Hypothesis can shrink them and a seed can name a long one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

TABLES: Final = """
    DROP TABLE IF EXISTS a, b, c;
    CREATE TABLE a (id int PRIMARY KEY, grp text, n int NOT NULL, note text);
    CREATE TABLE b (id int PRIMARY KEY, name text, flag bool, amount numeric(8,2));
    CREATE TABLE c (k1 text, k2 int, v text, w int, PRIMARY KEY (k1, k2));
    INSERT INTO a SELECT i, CASE WHEN i % 3 = 0 THEN 'y' ELSE 'x' END, 9 * i, '' FROM generate_series(1, 9) i;
    INSERT INTO c SELECT 'k/' || i, i, NULL, i FROM generate_series(1, 9) i;
"""
LARGE: Final = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i)"
"""Too large to stand in its row: Postgres does not send it again where an update leaves it alone."""
_KEY_MAX: Final = 12
_OPERATIONS_MAX: Final = 4
_TRUNCATES_PER_THOUSAND: Final = 3
_TRANSACTIONS_PER_LINGER: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A shape, and the statement that says what it holds."""

    query: Mapping[str, str]
    columns: tuple[str, ...]

    @property
    def state_sql(self) -> str:
        """Print a digest of all rows: what a fold of the log is compared with."""
        row = ", ".join(f"coalesce({column}::text, '<null>')" for column in self.columns)
        where = self.query.get("where", "true")
        return f"""(SELECT coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE "C"), '')
                    FROM (SELECT concat_ws('|', {row}) AS line FROM {self.query["table"]} WHERE {where}) x)"""

    def state(self, rows: Mapping[str, Mapping[str, str | None]]) -> str:
        """Print folded rows as `state_sql` does; the log has `t` where a snapshot has `true`."""
        lines = ["|".join(_text(column, row[column]) for column in self.columns) for row in rows.values()]
        return "\n".join(sorted(lines, key=str.encode))


FOLLOWED: Final = (
    Followed(
        query={"table": "a", "where": "grp = 'x' AND n < 50", "columns": "id,grp,n"},
        columns=("id", "grp", "n"),
    ),
    Followed(
        query={"table": "b", "where": "name LIKE 'a%' OR flag", "replica": "full"},
        columns=("id", "name", "flag", "amount"),
    ),
    Followed(query={"table": "c", "columns": "k1,k2,v"}, columns=("k1", "k2", "v")),
)
LAST: Final = (
    "INSERT INTO a VALUES (1000, 'x', 1, '')",
    "INSERT INTO b VALUES (1000, 'a', true, 1)",
    "INSERT INTO c VALUES ('last', 1000, '', 1)",
)
LAST_KEY: Final = '"1000"'
"""Of a row that no program writes, in every shape: whoever has it has seen everything."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """Statements that are committed together."""

    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kill:
    """The connection that holds the replication slot is ended."""


@dataclass(frozen=True, slots=True)
class Linger:
    """Another transaction begins to write and stays open, or the one that did ends.

    While it is open, snapshots see transactions that are younger than one that they do not see.
    """


Step = Transaction | Kill | Linger


def random_program(random: Random, *, transactions: int, kills: int) -> tuple[Step, ...]:
    """Make a program; everything but its transactions comes anywhere."""
    steps: list[Step] = [random_transaction(random) for _ in range(transactions)]
    others: list[Step] = [Kill()] * kills
    for _ in range(transactions // _TRANSACTIONS_PER_LINGER):
        others += [Linger(), Linger()]
    for other in others:
        steps.insert(random.randint(0, len(steps)), other)
    return tuple(steps)


def random_transaction(random: Random) -> Transaction:
    """Make one transaction of a few statements."""
    count = random.randint(1, _OPERATIONS_MAX)
    statements = [_statement(random) for _ in range(count)]
    if random.randint(0, 9) == 0:
        statements[1:1] = ["SAVEPOINT s", _statement(random), "ROLLBACK TO s"]
    return Transaction(tuple(statements))


def _statement(random: Random) -> str:
    table = random.choice("abc")
    if random.randint(0, 999) < _TRUNCATES_PER_THOUSAND:
        return f"TRUNCATE {table}"
    key = "k2" if table == "c" else "id"
    low = random.randint(1, _KEY_MAX)
    high = random.choice((low, low, random.randint(low, _KEY_MAX)))
    where = f"{key} BETWEEN {low} AND {high}"
    match random.choice(("insert", "insert", "update", "update", "update", "key", "same", "delete")):
        case "insert":
            return _insert(random, table, low, high)
        case "update":
            return f"UPDATE {table} SET {_assignment(random, table)} WHERE {where}"
        case "key":
            to = random.randint(1, _KEY_MAX)
            return (
                f"UPDATE {table} SET {key} = {to} WHERE {key} = {low} "
                f"AND NOT EXISTS (SELECT FROM {table} WHERE {key} = {to})"
            )
        case "same":
            return f"UPDATE {table} SET {key} = {key} WHERE {where}"
        case _:
            return f"DELETE FROM {table} WHERE {where}"


def _insert(random: Random, table: str, low: int, high: int) -> str:
    match table:
        case "a":
            values = f"i, '{random.choice('xy')}', {random.randint(0, 99)}, 'new'"
        case "b":
            values = f"i, {_name(random)}, {_flag(random)}, {random.randint(0, 999)} / 10.0"
        case _:
            values = f"""'k"/' || i % 3, i, {_text_value(random)}, 0"""
    return f"INSERT INTO {table} SELECT {values} FROM generate_series({low}, {high}) i ON CONFLICT DO NOTHING"


def _assignment(random: Random, table: str) -> str:
    match table:
        case "a":
            return random.choice(
                (f"grp = '{random.choice('xy')}'", f"n = n + {random.randint(-30, 30)}", "note = note || '!'")
            )
        case "b":
            return random.choice(
                (
                    f"name = {_name(random)}",
                    f"flag = {_flag(random)}",
                    f"amount = amount - {random.randint(-9, 9)}",
                )
            )
        case _:
            return random.choice((f"v = {_text_value(random)}", "w = w + 1", """k1 = left(k1, 9) || '/'"""))


def _name(random: Random) -> str:
    return random.choice(("'a\u00e9'", "'b'", "NULL", f"'a' || {LARGE}", f"'b' || {LARGE}"))


def _flag(random: Random) -> str:
    return random.choice(("true", "false", "NULL"))


def _text_value(random: Random) -> str:
    return random.choice(("NULL", "''", "'\\ \"q\" \u00fc\n'", f"'{random.randint(0, 99)}'"))


def _text(column: str, value: str | None) -> str:
    if value is None:
        return "<null>"
    return {"t": "true", "f": "false"}.get(value, value) if column == "flag" else value
