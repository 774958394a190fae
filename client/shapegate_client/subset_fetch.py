"""Fetches one subset of a shape: asks for it, takes it in, asks again where that may help (PROTOCOL 4.4).

The stream of the shape stands still while an answer is on its way, and goes on in every pause. A 409 changes
the handle of the next question and nothing else: the stream learns of it by itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from shapegate_client.backoff import retry_seconds
from shapegate_client.ddl import plan_table
from shapegate_client.errors import (
    BadAnswers,
    HeadersMissing,
    ShapeRefused,
    SubsetNotFetched,
    TokenRejected,
    Unreachable,
)
from shapegate_client.event import (
    Conflict,
    Failed,
    HeadersLost,
    Malformed,
    OutOfBounds,
    Rejected,
    Unauthorized,
)
from shapegate_client.intake import SubsetBehind
from shapegate_client.subset_event import SubsetAnswered
from shapegate_client.watch import CommittedBatch
from shapegate_wire.errors import MalformedResponse
from shapegate_wire.identifier import parse_table
from shapegate_wire.offset import BEFORE_ALL
from shapegate_wire.request import ShapeRequest

if TYPE_CHECKING:
    from shapegate_client.clock import Clock
    from shapegate_client.intake import Intake
    from shapegate_client.principal import AccessToken, Credentials
    from shapegate_client.state import Position
    from shapegate_client.subset_event import Refusal, SubsetAnswer
    from shapegate_client.transport import Transport
    from shapegate_wire.shape import ShapeDefinition
    from shapegate_wire.subset import SubsetRequest

_LOG = logging.getLogger(__name__)

CONFLICTS_MAX: Final = 5
"""409s of one subset, and logs that were replaced meanwhile (PROTOCOL 4.4)."""
MALFORMED_MAX: Final = 5
_BEHIND_SECONDS: Final = 0.05
"""A transaction that was streamed is shown within milliseconds, but where it waits for a standby."""


@dataclass(frozen=True, slots=True)
class _Replaced:
    """The rows that came are of another log than the table's."""

    handle: str
    """The table's, as long as the stream has not heard of it."""


class SubsetFetch:
    """One subset, from the question to the rows in the table; `run` it once."""

    def __init__(
        self,
        definition: ShapeDefinition,
        subset: SubsetRequest,
        *,
        organization_id: str,
        intake: Intake,
        transport: Transport,
        credentials: Credentials,
        clock: Clock,
    ) -> None:
        self._definition = definition
        self._subset = subset
        self._organization_id = organization_id
        self._intake = intake
        self._transport = transport
        self._credentials = credentials
        self._clock = clock
        self._handle: str | None = None
        self._expired_handle: str | None = None
        self._asked = 0
        self._conflicts = 0
        self._failures = 0
        self._malformed = 0
        self._token: AccessToken | None = None
        self._rejected: AccessToken | None = None

    async def run(self) -> CommittedBatch:
        """Ask until the rows are in the table; the caller bounds the time. Raises ClientError."""
        while True:
            async with self._intake.held_still() as position:
                outcome = await self._take_in(await self._ask(position), position)
            if isinstance(outcome, CommittedBatch):
                return outcome
            await self._heed(outcome, position)

    async def _ask(self, position: Position) -> SubsetAnswer:
        try:
            self._token = await self._credentials.token(self._organization_id, rejected=self._rejected)
        except Unreachable as exc:
            return Failed(reason=str(exc))
        self._asked += 1
        return await self._transport.ask_subset(self._request(position), self._token)

    def _request(self, position: Position) -> ShapeRequest:
        """Name the log that the table is of, or the one that a 409 named: from its start, all know it."""
        return ShapeRequest(
            definition=self._definition,
            offset=position.offset if self._handle is None else BEFORE_ALL,
            handle=self._handle or position.handle,
            expired_handle=self._expired_handle,
            cache_buster=f"{int(self._clock.chance() * 2**52):013x}" if self._asked > 1 else None,
            subset=self._subset,
        )

    async def _take_in(
        self, answer: SubsetAnswer, position: Position
    ) -> CommittedBatch | SubsetBehind | _Replaced | Refusal:
        if not isinstance(answer, SubsetAnswered):
            return answer
        table = parse_table(self._definition.table)
        try:
            schema = answer.head.schema or position.schema
            same = plan_table(table, schema) == plan_table(table, position.schema)
            if answer.head.handle != position.handle or not same:
                return _Replaced(position.handle)
            return await self._intake.take_subset(answer.rows)
        except MalformedResponse as exc:
            return Malformed(str(exc))

    async def _heed(self, outcome: SubsetBehind | _Replaced | Refusal, position: Position) -> None:
        """Do what is to be done before the next question. Raises ClientError if there is no sense in it."""
        match outcome:
            case SubsetBehind():
                await self._clock.sleep(_BEHIND_SECONDS)
            case _Replaced(handle=handle):
                self._count_conflict()
                await self._intake.replaced(handle)
                self._handle = None
            case Conflict(handle=handle):
                self._count_conflict()
                self._handle, self._expired_handle = handle or position.handle, position.handle
            case Failed(reason=reason, retry_after=retry_after):
                await self._back_off(reason, retry_after)
            case OutOfBounds():
                await self._back_off("it does not know the offset", None)
            case Malformed(reason=reason):
                self._malformed += 1
                if self._malformed >= MALFORMED_MAX:
                    raise BadAnswers(self._malformed, reason)
                await self._back_off(reason, None)
            case Unauthorized():
                if self._rejected is not None:
                    raise TokenRejected
                self._rejected = self._token
            case Rejected(status=status, code=code, message=message):
                raise ShapeRefused(status=status, code=code, message=message)
            case HeadersLost(names=names):
                raise HeadersMissing(names)
            case never:
                assert_never(never)

    def _count_conflict(self) -> None:
        self._conflicts += 1
        if self._conflicts > CONFLICTS_MAX:
            reason = f"its log was replaced {self._conflicts} times meanwhile"
            raise SubsetNotFetched(self._definition.table, reason)

    async def _back_off(self, reason: str, retry_after: float | None) -> None:
        _LOG.info("a subset of %s has to wait: %s", self._definition.table, reason)
        self._failures += 1
        seconds = retry_seconds(self._failures, jitter=self._clock.chance(), retry_after=retry_after)
        await self._clock.sleep(seconds)
