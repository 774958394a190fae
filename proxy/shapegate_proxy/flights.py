"""Requests that were admitted before and go to Electric at once: no task is needed while all goes well.

What the client waits for is done first; what is counted and told is done while Electric works, and after the
answer is sent. Whatever is not one answer in one piece goes on in a task, as if `serving` had asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapegate_proxy.observe import Decision
from shapegate_proxy.relay import deliver_whole, relay_answer
from shapegate_proxy.serving import Trail, bounded, still_proven, tell

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from shapegate_proxy.admissions import Admission
    from shapegate_proxy.electric import Begun, UpstreamAnswer
    from shapegate_proxy.held import Hold
    from shapegate_proxy.incoming import Ground, Responder
    from shapegate_proxy.services import Services


def begin(services: Services, admission: Admission, responder: Responder, ground: Ground) -> Flight | None:
    """Send a request to Electric now; None, and nothing is done, if anything has to be waited for.

    In doubt `serve` says what is wrong.
    """
    if not still_proven(services, admission):
        return None
    counted = services.limits.enter_now(admission.account)
    if counted is None:
        return None
    flight = Flight(services, admission, responder, ground, counted)
    begun = None
    try:
        begun = services.electric.begin(admission.built, flight.deliver, flight.take_task)
    finally:
        if begun is None:
            counted.__exit__(None, None, None)
    if begun is None:
        return None
    flight.begin(begun)
    return flight


class Flight:
    """One request under way; it ends by `deliver`, by `leave`, or in the task of its ground."""

    __slots__ = (
        "_admission",
        "_begun",
        "_counted",
        "_ground",
        "_hold",
        "_over",
        "_responder",
        "_services",
        "_trail",
    )

    _begun: Begun
    _hold: Hold
    _trail: Trail

    def __init__(
        self,
        services: Services,
        admission: Admission,
        responder: Responder,
        ground: Ground,
        counted: AbstractContextManager[None],
    ) -> None:
        self._services = services
        self._admission = admission
        self._responder = responder
        self._ground: Ground | None = ground
        """None once it is answered, or a task has it."""
        self._counted = counted
        self._over = False
        """Whether it is ended, or something sees to its end."""

    def begin(self, begun: Begun) -> None:
        """Take note that it is sent."""
        services, admission, proven = self._services, self._admission, self._admission.proven
        self._begun, self._trail = begun, Trail()
        self._trail.admit(admission)
        seconds = proven.lifetime.ends - services.clock().timestamp()
        self._hold = services.held.hold(session=proven.principal.session, seconds=seconds)
        self._hold.begin(self.take_task)
        self._responder.known()

    def deliver(self, answer: UpstreamAnswer) -> None:
        """Send an answer that is all there; what cannot be sent so goes on in a task."""
        ground, trail = self._ground, self._trail
        if ground is None:
            return
        if not deliver_whole(
            self._admission.built,
            answer,
            self._responder,
            request_id=trail.request_id,
            org_in_url=self._admission.org is not None,
            progress=trail.progress,
        ):
            self.take_task()
            return
        self._ground, self._over = None, True
        # Others may wait for their answers in this round of the loop.
        services = self._services
        services.held.loop.call_soon(self._land, ground, answer)

    def _land(self, ground: Ground, answer: UpstreamAnswer) -> None:
        answer.close()
        try:
            self._end(Decision.SERVED, "served")
        finally:
            ground.landed()

    def take_task(self) -> None:
        """Go on in a task; may be called again."""
        ground, self._ground = self._ground, None
        if ground is not None:
            ground.take_over(self._answer)

    def leave(self) -> None:
        """End it, unless it is over or a task works on it: the client went away."""
        if self._over:
            return
        self._ground, self._over = None, True
        self._begun.leave()
        self._trail.progress.aborted = True
        self._end(Decision.GONE, "gone")

    def _end(self, decision: Decision, code: str) -> None:
        self._counted.__exit__(None, None, None)
        self._hold.over()
        tell(self._services, self._admission.built.method, self._trail, decision, code)

    async def _answer(self) -> None:
        """Answer it as `serve` does."""
        self._over = True
        services, method = self._services, self._admission.built.method
        await bounded(services, method, self._responder, self._trail, self._relay())

    async def _relay(self) -> None:
        admission, trail = self._admission, self._trail
        try:
            with self._counted:
                async with self._hold:
                    await relay_answer(
                        admission.built,
                        await self._begun.answer(),
                        self._responder,
                        request_id=trail.request_id,
                        org_in_url=admission.org is not None,
                        progress=trail.progress,
                    )
        except BaseException:
            self._begun.leave()  # It may have been ended before anybody waited for it.
            raise
