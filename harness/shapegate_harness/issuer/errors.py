"""What can go wrong with the token issuer: for whoever starts it, and for whoever asks it."""

from __future__ import annotations

import math
from typing import ClassVar


class IssuerError(Exception):
    """Root of every error of this package; no text of it holds a password, a token or a row."""


class KeyFileError(IssuerError):
    """The file with the signing key cannot be used as it is, or cannot be made."""


class StartError(IssuerError):
    """The issuer cannot start where and as it was told to."""


class UnknownUser(IssuerError):
    """An e-mail address that no user has."""


class UnknownOrganization(IssuerError):
    """A slug that no organization has."""


class UnknownSession(IssuerError):
    """A session that is not on record, or no longer."""


class Refused(IssuerError):
    """A request that is not granted; the error boundary prints it as JSON."""

    status: ClassVar[int]
    code: ClassVar[str]
    """Stable name of the cause, for programs."""
    message: ClassVar[str]
    hint: ClassVar[str]
    challenge: ClassVar[str | None] = None
    """What follows `WWW-Authenticate: Bearer`; empty for a bare challenge, None for no such header."""
    retry_after_seconds: int | None = None

    def __init__(self, detail: str | None = None) -> None:
        """Refuse with the cause's own message, or with `detail` where there is more to say."""
        self.detail = detail or self.message
        super().__init__(self.detail)


class MalformedBody(Refused):
    """The body is not the JSON object that the endpoint reads; the detail names every problem."""

    status = 400
    code = "malformed_body"
    message = "the body is not a JSON object"
    hint = "send one JSON object in UTF-8 with exactly the fields of the endpoint, each once"


class MalformedAuthorization(Refused):
    """An Authorization header that is there, but is not one Bearer token (RFC 6750 3.1)."""

    status = 400
    code = "invalid_request"
    message = "the Authorization header is not a single Bearer token"
    hint = "send one header of the form: Authorization: Bearer <token>"
    challenge = 'error="invalid_request"'


class MissingToken(Refused):
    """No Authorization header where one is needed; RFC 6750 3.1 asks for a challenge without an error."""

    status = 401
    code = "missing_token"
    message = "the request carries no access token"
    hint = "log in and send: Authorization: Bearer <access_token>"
    challenge = ""


class InvalidToken(Refused):
    """An access token that is forged, expired, meant for someone else, or whose session has ended."""

    status = 401
    code = "invalid_token"
    message = "the access token is not valid, has expired or was revoked"
    hint = "refresh the token, or log in again"
    challenge = 'error="invalid_token", error_description="the access token is invalid, expired or revoked"'


class InvalidCredentials(Refused):
    """Unknown user, user without a password, wrong password: one answer for all three."""

    status = 401
    code = "invalid_credentials"
    message = "the e-mail address or the password is wrong"
    hint = "check both and try again"
    challenge = ""


class WrongPassword(Refused):
    """A password that is not the present one, from somebody who is logged in."""

    status = 403
    code = "wrong_password"
    message = "the current password is wrong"
    hint = "send the password of this user as current_password"


class InvalidRefreshToken(Refused):
    """A refresh token that is unknown, expired, used or revoked: one answer for all four."""

    status = 401
    code = "invalid_refresh_token"
    message = "the refresh token is not valid"
    hint = "log in again; a refresh token is good for one use"
    challenge = ""


class NoMembership(Refused):
    """A user whom no active organization counts among its active members."""

    status = 403
    code = "no_membership"
    message = "the user is not an active member of any active organization"
    hint = "ask an administrator of the organization for access"


class NotAMember(Refused):
    """The organization does not exist, is suspended, or has no such active member: one answer."""

    status = 403
    code = "not_a_member"
    message = "the user is not an active member of this organization"
    hint = "GET /api/auth/me lists the organizations that the user may switch to"


class UnknownPath(Refused):
    """A path that the issuer does not serve."""

    status = 404
    code = "not_found"
    message = "there is nothing at this path"
    hint = (
        "the endpoints are /api/auth/{login,refresh,switch,password,logout,me}, /.well-known/jwks.json "
        "and /health"
    )


class WrongMethod(Refused):
    """A path that exists, asked with a method that it does not answer."""

    status = 405
    code = "method_not_allowed"
    message = "this path does not answer the method"
    hint = "the allow header names the methods that it answers"


class SlowBody(Refused):
    """A body that did not arrive in time."""

    status = 408
    code = "slow_body"
    message = "the body did not arrive in time"
    hint = "send the whole body at once"


class LargeBody(Refused):
    """A body beyond the bound."""

    status = 413
    code = "body_too_large"
    message = "the body is too large"
    hint = "no request of this service needs more than a few hundred bytes"


class TooManyAttempts(Refused):
    """More failed logins, or more refreshes, than there may be; the same whether the user exists or not."""

    status = 429
    code = "too_many_attempts"
    message = "too many attempts"
    hint = "try again after the number of seconds in retry-after"
    retry_after_seconds = 60

    def __init__(self, seconds: float = 60.0) -> None:
        """Refuse until `seconds` from now."""
        super().__init__()
        self.retry_after_seconds = max(1, math.ceil(seconds))


class InternalFault(Refused):
    """A fault of the issuer or of its database's setup; what it was is in the log only."""

    status = 500
    code = "internal"
    message = "the issuer could not answer"
    hint = "the log of the issuer says why"


class Unavailable(Refused):
    """The database cannot be reached or does not answer in time."""

    status = 503
    code = "unavailable"
    message = "the issuer cannot answer at the moment"
    hint = "try again after the number of seconds in retry-after"
    retry_after_seconds = 2


class Busy(Unavailable):
    """More passwords wait to be checked than the bound allows."""

    code = "busy"
    message = "too many logins at once"
    retry_after_seconds = 1
