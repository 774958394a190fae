"""Requests that were admitted before and go to Electric at once: no task is needed while all goes well.

What the client waits for is done first; what is counted and told is done while Electric works, and after the
answer is sent. Whatever is not one answer in one piece goes on in a task, as if `serving` had asked.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from shapegate_proxy.held import LOOK_SECONDS
from shapegate_proxy.observe import Decision
from shapegate_proxy.relay import head_to_send, relay_answer
from shapegate_proxy.serving import Trail, bounded, new_request_id, still_admitted, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from shapegate_proxy.admissions import Admission
    from shapegate_proxy.electric import Begun, UpstreamAnswer
    from shapegate_proxy.errors import Refused
    from shapegate_proxy.incoming import Ground, Responder
    from shapegate_proxy.services import Services


class Departures:
    """Where the requests of one gate leave that need no task."""

    __slots__ = ("_services",)

    def __init__(self, services: Services) -> None:
        self._services = services

    def begin(self, admission: Admission, ground: Ground) -> Flight | None:
        """Send a request to Electric now; None, and nothing is done, if anything has to be waited for.

        In doubt `serve` says what is wrong.
        """
        services = self._services
        if not still_admitted(services, admission, LOOK_SECONDS):
            return None
        begun = services.electric.begin(admission.built)
        # What follows is done while Electric works; nothing else happens before.
        return None if begun is None else Flight(services, admission, ground, begun)


class Flight:
    """One request under way; it ends by `deliver`, by `leave`, or in the task of its ground."""

    __slots__ = (
        "_admission",
        "_begun",
        "_ground",
        "_over",
        "_refusal",
        "_services",
        "_started",
        "_trail",
    )

    def __init__(self, services: Services, admission: Admission, ground: Ground, begun: Begun) -> None:
        """Count it: it was sent just now, and Electric's answer may be near."""
        self._services = services
        self._admission = admission
        self._begun = begun
        self._ground: Ground | None = ground
        """None once it is answered, or a task has it."""
        self._refusal: Callable[[], Refused] | None = None
        """Says why it was ended, to its task."""
        self._over = False
        """Whether it is ended, or something sees to its end."""
        self._started = time.monotonic()
        self._trail: Trail | None = None
        services.limits.count(admission.account)
        begun.watch(self)
        services.held.add_brief(self)

    @property
    def session(self) -> str | None:
        """The session of its token."""
        return self._admission.proven.principal.session

    def _known_trail(self) -> Trail:
        if self._trail is None:
            self._trail = Trail(started=self._started)
        return self._trail

    def deliver(self, answer: UpstreamAnswer) -> None:
        """Send an answer that is all there; what cannot be sent so goes on in a task."""
        ground, admission = self._ground, self._admission
        if ground is None:
            return
        head = None
        if ground.at_once():
            head = head_to_send(admission.built, answer, admission.org is not None)
        body = None if head is None else answer.take_whole()
        if head is None or body is None:
            self.take_task()
            return
        request_id = new_request_id()
        ground.answer_now(answer.status, head, body, admission.origin, request_id)
        self._ground, self._over = None, True
        trail = self._trail = Trail(request_id, self._started)
        trail.progress.deliver(answer.status, len(body))
        # Others may wait for their answers in this round of the loop.
        self._services.held.loop.call_soon(self._land, ground, answer)

    def _land(self, ground: Ground, answer: UpstreamAnswer) -> None:
        answer.close()
        try:
            self._end(Decision.SERVED, "served")
        finally:
            ground.landed()

    def stuck(self) -> None:
        """Go on in a task: something else came than an answer in one piece."""
        self.take_task()

    def take_task(self) -> None:
        """Go on in a task; may be called again."""
        ground, self._ground = self._ground, None
        if ground is not None:
            responder = ground.responder(self._admission.origin)
            responder.known()
            ground.take_over(partial(self._answer, responder))

    def end(self, refusal: Callable[[], Refused]) -> None:
        """Refuse it in its task, unless it is answered."""
        if self._refusal is None:
            self._refusal = refusal
            self.take_task()

    def leave(self) -> None:
        """End it, unless it is over or a task works on it: the client went away."""
        if self._over:
            return
        self._ground, self._over = None, True
        self._begun.leave()
        self._known_trail().progress.aborted = True
        self._end(Decision.GONE, "gone")

    def _end(self, decision: Decision, code: str) -> None:
        self._services.limits.uncount(self._admission.account)
        self._services.held.discard_brief(self)
        trail = self._known_trail()
        trail.admit(self._admission)
        tell(self._services, self._admission.built.method, trail, decision, code)

    async def _answer(self, responder: Responder) -> None:
        """Answer it as `serve` does."""
        self._over = True
        trail = self._known_trail()
        trail.admit(self._admission)
        method = self._admission.built.method
        await bounded(self._services, method, responder, trail, self._relay(responder, trail))

    async def _relay(self, responder: Responder, trail: Trail) -> None:
        services, admission, proven = self._services, self._admission, self._admission.proven
        seconds = proven.lifetime.ends - services.clock()
        try:
            if self._refusal is not None:
                raise self._refusal()
            async with services.held.hold(session=proven.principal.session, seconds=seconds):
                services.held.discard_brief(self)
                await relay_answer(
                    admission.built,
                    await self._begun.answer(),
                    responder,
                    request_id=trail.request_id,
                    org_in_url=admission.org is not None,
                    progress=trail.progress,
                )
        except BaseException:
            self._begun.leave()  # It may have been ended before anybody waited for it.
            raise
        finally:
            services.held.discard_brief(self)
            services.limits.uncount(admission.account)
