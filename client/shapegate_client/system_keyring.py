"""The system's keyring, if the optional library `keyring` is installed and knows one here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shapegate_client.vault import Keyring

PRIORITY_MIN: Final = 1
"""As the library counts: less are those that fail, forget, or write plain text."""


def system_keyring() -> Keyring | None:
    """Find the keyring that the user chose, or the system's own; None where none can be trusted.

    For a program to pass on to its credentials: it decides whether a keyring is used.
    """
    try:
        import keyring  # optional: installed with shapegate[keyring]

        found = keyring.get_keyring()
        return found if found.priority >= PRIORITY_MIN else None
    except (ImportError, AttributeError, RuntimeError):  # also of a backend that the user named wrongly
        return None
