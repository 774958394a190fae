"""What can be wrong with a text that claims to speak the shape protocol."""

from __future__ import annotations


class WireError(ValueError):
    """Root of every error of this package; its text says what was seen and what was expected."""


class MalformedRequest(WireError):
    """A shape request that does not parse; `problems` names every fault, by parameter."""

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems))


class MalformedResponse(WireError):
    """An answer that no Electric gives: not JSON, not an array, or without a header it must have."""


class MissingHeaders(MalformedResponse):
    """A 2xx answer without headers that the protocol requires (PROTOCOL 4.2); `names` lists them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(
            f"the answer lacks {', '.join(names)}; a proxy or a CORS setting between client and Electric "
            "removes or hides these headers"
        )
