"""What can go wrong for a client of shapes, one class for each cause that somebody can act on."""

from __future__ import annotations


class ClientError(Exception):
    """Root of every error of this package; its text says what was seen, what was expected, what to do."""


class NotLoggedIn(ClientError):
    """There is no login in this home folder."""

    def __init__(self) -> None:
        super().__init__("nobody is logged in here: log in first (shapegate client login)")


class LoginRequired(ClientError):
    """The issuer no longer accepts this login; local rows stay readable until the user logs in again."""


class LoginRefused(ClientError):
    """The issuer refused this email and password, or another user is logged in here."""


class NotAMember(ClientError):
    """The user may not enter this org."""

    def __init__(self, organization: str) -> None:
        super().__init__(
            f"org {organization!r} is not one that this user may enter: expected one that is listed at login"
        )


class MembershipEnded(NotAMember):
    """The issuer says that the user is no member of this org any more: its rows are removed."""

    def __init__(self, organization: str) -> None:
        ClientError.__init__(
            self,
            f"the user is no member of org {organization!r} any more: its rows are removed from here; "
            "switch to another org, or ask an administrator of this one",
        )


class Unreachable(ClientError):
    """A peer did not answer; trying again later may help."""

    def __init__(self, peer: str, reason: str) -> None:
        super().__init__(f"the {peer} is unreachable ({reason}): check the network and the address")


class IssuerFault(ClientError):
    """The token issuer gave an answer that no issuer gives, or a token for somebody else."""


class SyncStopped(ClientError):
    """Root of what ends the sync of a shape for good; local rows stay readable."""


class ShapeRefused(SyncStopped):
    """The proxy refused the request of a shape: not allowed, unknown, or malformed."""

    def __init__(self, *, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(f"the proxy refused the shape with {status} {code}: {message}")


class TokenRejected(SyncStopped):
    """The proxy refuses a token that was issued a moment ago."""

    def __init__(self) -> None:
        super().__init__(
            "the proxy refuses a fresh token: expected it to trust this issuer; "
            "compare issuer, audience and keys in the proxy's configuration, and both clocks"
        )


class HeadersMissing(SyncStopped):
    """An answer lacks headers that the protocol requires; `names` lists them (REQUIREMENTS C-08)."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(
            f"the answer lacks {', '.join(names)}: expected them from Electric; "
            "an intermediary removes them, or the proxy URL names another service"
        )


class BadAnswers(SyncStopped):
    """Several answers in a row were not what the protocol says."""

    def __init__(self, count: int, reason: str) -> None:
        super().__init__(
            f"{count} answers in a row were unusable, the last one because {reason}; "
            "expected a log of messages; check what stands between client and proxy"
        )


class StaleAnswers(SyncStopped):
    """A cache keeps on serving a log that is gone (REQUIREMENTS C-16)."""

    def __init__(self) -> None:
        super().__init__(
            "a cache between client and proxy keeps on serving a log that is gone: "
            "expected it to use all query parameters in its key; clear or fix that cache"
        )


class RequestLoop(SyncStopped):
    """The same request was answered at once, again and again, without progress (REQUIREMENTS C-17)."""

    def __init__(self) -> None:
        super().__init__(
            "requests at one offset are answered at once without progress: expected each answer to "
            "advance; an intermediary probably drops query parameters"
        )


class UnsafeName(SyncStopped):
    """A table or column has a name that the local store cannot hold (SECURITY L-08)."""


class NotUpToDate(ClientError):
    """The shapes did not all reach up-to-date in the time given."""

    def __init__(self, tables: tuple[str, ...], seconds: float) -> None:
        self.tables = tables
        super().__init__(
            f"not up to date within {seconds:g} s: {', '.join(tables)}; check the connection, or wait longer"
        )


class SubsetNotFetched(ClientError):
    """Rows that were asked for on demand did not come."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(f"rows of {table!r} were not fetched: {reason}; check the connection, and ask again")


class ShapeConflict(ClientError):
    """The table is already subscribed with another definition."""

    def __init__(self, table: str) -> None:
        super().__init__(f"table {table!r} is subscribed with another definition: unsubscribe from it first")


class NotSubscribed(ClientError):
    """The table is not subscribed in this session."""

    def __init__(self, table: str) -> None:
        super().__init__(f"table {table!r} is not subscribed: expected a subscribe before")


class SessionClosed(ClientError):
    """The session was closed; its rows can be read by opening another one."""

    def __init__(self) -> None:
        super().__init__("the session is closed: open another one")


class StoreError(ClientError):
    """Root of the local store's errors."""


class StoreLocked(StoreError):
    """Another session writes into this store."""

    def __init__(self) -> None:
        super().__init__(
            "another session already syncs this org for this user: expected one writer; stop the other one, "
            "or read with `shapegate client query`"
        )


class StoreMissing(StoreError):
    """Nothing was synced yet for this org and user."""

    def __init__(self) -> None:
        super().__init__("nothing is stored for this org yet: sync first (shapegate client sync TABLE...)")


class StoreMismatch(StoreError):
    """The file belongs to somebody else, or was written by a later version."""


class StoreDamaged(StoreError):
    """The file is no database any more; it holds copies only, so delete it and sync again."""


class KeyringFailed(StoreError):
    """The login lies in the system's keyring, and that does not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the system's keyring cannot be used ({reason}): unlock it, "
            "or log in again (shapegate client login)"
        )


class StoreFailed(StoreError):
    """The local database could not be read or written."""
