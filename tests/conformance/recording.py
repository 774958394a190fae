"""What a real Electric answered once, step by step; read from `recordings/`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parent / "recordings"
RECORDED_SECRET: Final = "s3cr3t"
"""The secret that the recorded server ran with in the one scenario that has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sql:
    """Statements of an application, in one simple query; before a live request they run while it is held."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Postgres goes away or comes back."""

    postgres: Literal["stops", "starts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it was sent; `target` is the raw path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str | None

    @property
    def live(self) -> bool:
        """Whether a server may hold it."""
        return "live=true" in self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Elided:
    """A body of which only its number of messages was kept."""

    messages: int
    exact: bool
    """False where positions are in the messages: their digits make a chunk of bytes longer or shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer, whether recorded or seen; header names in lower case, the body without its encoding."""

    status: int
    headers: Mapping[str, str]
    body: str | Elided


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its answer; None if the connection was closed without one."""

    number: int
    """The place among the steps of the recording, from 1."""
    note: str
    request: Request
    response: Response | None
    times: int = 1
    """How often the same was asked on one connection, with the same answer."""

    def __str__(self) -> str:
        note = f"  ({self.note})" if self.note else ""
        target = self.request.target if len(self.request.target) < 300 else self.request.target[:300] + "..."
        return f"step {self.number}: {self.request.method} {target}{note}"


Step = Sql | Outage | Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One scenario."""

    name: str
    about: str
    steps: tuple[Step, ...]

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All requests with their answers."""
        return tuple(step for step in self.steps if isinstance(step, Exchange))

    @property
    def has_outage(self) -> bool:
        """Whether Postgres is stopped in it."""
        return any(isinstance(step, Outage) for step in self.steps)

    @property
    def needs_secret(self) -> bool:
        """Whether the recorded server had a secret, and the requests say whether they know it."""
        return any(f"secret={RECORDED_SECRET}" in exchange.request.target for exchange in self.exchanges)


def names() -> tuple[str, ...]:
    """Name all recordings."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def load(name: str) -> Recording:
    """Read one recording."""
    loaded = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    steps = tuple(_step(number, step) for number, step in enumerate(loaded["steps"], start=1))
    return Recording(name=name, about=loaded["about"], steps=steps)


def _step(number: int, step: Mapping[str, object]) -> Step:
    match step:
        case {"sql": str(text)}:
            return Sql(text=text)
        case {"postgres": "stops" | "starts" as postgres}:
            return Outage(postgres=postgres)
        case {"request": dict(request)}:
            times = step.get("times", 1)
            assert isinstance(times, int)
            response = step.get("response")
            return Exchange(
                number=number,
                note=str(step.get("note", "")),
                request=Request(
                    method=request["method"],
                    target=request["target"],
                    headers=request.get("headers", {}),
                    body=request.get("body"),
                ),
                response=_response(response) if isinstance(response, dict) else None,
                times=times,
            )
        case _:
            raise AssertionError(
                f"step {number} is neither sql, nor an outage, nor a request: {sorted(step)}"
            )


def _response(response: dict[str, object]) -> Response:
    status, headers, elided = response["status"], response["headers"], response.get("elided")
    assert isinstance(status, int)
    assert isinstance(headers, dict)
    body = str(response.get("body", ""))
    return Response(
        status=status,
        headers={name.lower(): value for name, value in headers.items()},
        body=Elided(messages=elided["messages"], exact=elided["exact"]) if isinstance(elided, dict) else body,
    )
