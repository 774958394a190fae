"""Every reason for which the gate refuses, with its status and its stable code.

`Refused` is the only exception that becomes an answer with a reason; anything else is a 500 without detail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConfigError(ValueError):
    """The gate cannot start; `problems` names every fault of the configuration or the policy at once."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Refused(Exception):
    """Root of the refusals: `status` and `code` belong to the class, the message to the case."""

    status: int
    code: ClassVar[str]
    hint: ClassVar[str]

    def __init__(
        self, message: str, *, headers: Mapping[str, str] | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status
        self.message = message
        self.headers = dict(headers or {})


class MissingToken(Refused):
    """No credentials at all (RFC 6750 3.1: no error code in that case)."""

    status = 401
    code = "missing_token"
    hint = "Send the header `Authorization: Bearer <access token>`."

    def __init__(self) -> None:
        super().__init__("The request carries no access token", headers={"www-authenticate": "Bearer"})


class MalformedAuthorization(Refused):
    """An Authorization header that is not exactly one bearer token."""

    status = 400
    code = "invalid_authorization"
    hint = "Send exactly one header `Authorization: Bearer <access token>`."

    def __init__(self, message: str) -> None:
        challenge = 'Bearer error="invalid_request"'
        super().__init__(message, headers={"www-authenticate": challenge})


class InvalidToken(Refused):
    """A token that does not verify, or does no longer."""

    status = 401
    code = "invalid_token"
    hint = "Get a new access token from the issuer and ask again from the same offset."

    def __init__(self, message: str) -> None:
        challenge = f'Bearer error="invalid_token", error_description="{message}"'
        super().__init__(message, headers={"www-authenticate": challenge})


class ExpiredToken(InvalidToken):
    """A genuine token outside of its time: nobody's attack, so no address is charged for it."""


class NoOrganization(Refused):
    """A genuine token that names no organization this gate could confine to."""

    status = 403
    code = "no_organization"
    hint = "Log in to an organization first; the token must name it by its id."


class OrgMismatch(Refused):
    """The organization in the URL is not the token's."""

    status = 403
    code = "org_mismatch"
    hint = "Use a token of that organization, or the URL of the token's own."


class TableNotAllowed(Refused):
    """A table that the policy does not name; the same answer whether it exists or not."""

    status = 403
    code = "table_not_allowed"
    hint = "Ask for a table that the policy of this gate names."


class ColumnNotAllowed(Refused):
    """A column outside of the policy's list; the same answer whether it exists or not."""

    status = 403
    code = "column_not_allowed"
    hint = "Ask for columns that the policy names, or leave `columns` out to get them all."


class MissingClaim(Refused):
    """A genuine token without a usable claim that the table's scope compares with: no row, not all rows."""

    status = 403
    code = "missing_claim"
    hint = "Get a token that carries the claim; the operator has to map it in the issuer's configuration."


class InvalidRequest(Refused):
    """Parameters that are no shape request."""

    status = 400
    code = "invalid_request"
    hint = "See the shape protocol: each parameter once, none beside the protocol's own."


class FilterNotAccepted(Refused):
    """A client's own filter outside of the closed grammar (SECURITY I-02)."""

    status = 400
    code = "filter_refused"
    hint = "Compare columns of the policy with constants or $n; docs/filters.md lists what is accepted."


class SubsetTooLarge(Refused):
    """A subset without a limit, or with one above what the policy grants of this table."""

    status = 400
    code = "subset_too_large"
    hint = "Send order_by and a limit, and read page by page."


class OffsetOutOfBounds(Refused):
    """The position lies behind the end of the log (PROTOCOL 1.3)."""

    status = 400
    code = "offset_out_of_bounds"
    hint = "Start over with offset=-1."


class NotFound(Refused):
    """No such route."""

    status = 404
    code = "not_found"
    hint = "Shapes are at /v1/shape and /api/electric/sync."


class MethodNotAllowed(Refused):
    """A method that reads nothing."""

    status = 405
    code = "method_not_allowed"
    hint = "Shapes are read with GET, subsets of them with GET or POST."


class BodyTooLarge(Refused):
    """A body above every subset that could be accepted."""

    status = 413
    code = "body_too_large"
    hint = "Ask for the rows in parts."


class BodyTypeNotSupported(Refused):
    """A body that does not say it is plain JSON; a page of another origin can send others unasked."""

    status = 415
    code = "body_type_not_supported"
    hint = "Send the subset with `content-type: application/json`."


class BodyTooSlow(Refused):
    """A body that does not come to its end."""

    status = 408
    code = "body_too_slow"
    hint = "Send the body at once."


class VersionNotSupported(Refused):
    """HTTP/1.0 ends a body by closing: one that was cut would look whole (SECURITY W-01)."""

    status = 505
    code = "http_version_not_supported"
    hint = "Ask with HTTP/1.1; in nginx: `proxy_http_version 1.1`."


class RequestTooLong(Refused):
    """A request line that Electric would not read."""

    status = 414
    code = "request_too_long"
    hint = "Ask for fewer columns or a shorter filter, or for a subset by POST."


class HeadersTooLarge(Refused):
    """A header, or a number of them, that no shape request has (RFC 6585 5)."""

    status = 431
    code = "headers_too_large"
    hint = "Send fewer and shorter headers; the gate needs `authorization` only, and no cookies."


class UnreadableRequest(Refused):
    """Bytes that are no HTTP request, or one that two readers could read in two ways (SECURITY I-19)."""

    status = 400
    code = "unreadable_request"
    hint = "Send plain HTTP/1.1: one Host, one length, no folded headers."


class UnmetExpectation(Refused):
    """An Expect header other than 100-continue."""

    status = 417
    code = "expectation_failed"
    hint = "Leave the header `Expect` out."


class UpstreamBusy(Refused):
    """Electric asks to come back later, with 429 or a status of 500 and more, which is kept."""

    status = 503
    code = "electric_unavailable"
    hint = "Wait for the time given in Retry-After, then ask again from the same offset."


class UpstreamFault(Refused):
    """Electric is not there, or answers what no Electric answers."""

    status = 502
    code = "electric_unreachable"
    hint = "The operator of this gate finds the cause in its log under the request id."

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"retry-after": "5"})


class UpstreamRefusedSecret(UpstreamFault):
    """Electric does not take the gate's secret: a fault of the operator, never of the user's token."""

    code = "electric_secret_refused"
    hint = "The operator has to set ELECTRIC_SECRET to the value that Electric runs with."


class UpstreamRefusedRequest(Refused):
    """Electric refuses the request that the gate built."""

    status = 400
    code = "electric_refused"
    hint = "Most often `columns` lacks a part of the primary key; else the policy does not fit the database."


class UpstreamTimeout(Refused):
    """Electric did not answer in time."""

    status = 504
    code = "electric_timeout"
    hint = "Ask again from the same offset."

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"retry-after": "5"})


class GateStopping(Refused):
    """The gate is about to stop; a request that it holds is given back."""

    status = 503
    code = "gate_stopping"
    hint = "Ask again from the same offset; another gate, or this one restarted, answers."

    def __init__(self) -> None:
        super().__init__("The gate is stopping", headers={"retry-after": "1"})


class GateFull(Refused):
    """No open file is left to reach Electric by, and every connection has a request under way."""

    status = 503
    code = "gate_full"
    hint = "Ask again in a few seconds; the operator has to allow more open files, or to add a gate."

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"retry-after": "5"})


class SessionsUnavailable(Refused):
    """Nobody can say whether a session was revoked: fail closed, but not with 401 (SECURITY J-14)."""

    status = 503
    code = "sessions_unavailable"
    hint = "Ask again in a few seconds; the operator has to check DATABASE_URL."

    def __init__(self) -> None:
        super().__init__("Sessions cannot be checked now", headers={"retry-after": "5"})


class KeysUnavailable(Refused):
    """The issuer's keys cannot be fetched, so no token can be verified: fail closed, but not with 401."""

    status = 503
    code = "keys_unavailable"
    hint = "Ask again in a few seconds; the operator has to check JWKS_URL."

    def __init__(self) -> None:
        super().__init__("The token issuer's keys are not available", headers={"retry-after": "5"})


class InternalError(Refused):
    """Something that nobody foresaw; the cause is in the log only."""

    status = 500
    code = "internal_error"
    hint = "The operator of this gate finds the cause in its log under the request id."
