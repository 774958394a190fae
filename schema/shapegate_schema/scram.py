"""The form in which Postgres stores a password. Pure: no I/O, no randomness.

Made here, so that the password itself never stands in a statement, where the server's log could keep it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

SALT_BYTES: Final = 16
_ITERATIONS: Final = 4096
"""The count that Postgres itself uses (`scram_iterations`)."""


def scram_verifier(password: str, salt: bytes) -> str:
    """Derive the SCRAM-SHA-256 verifier (RFC 5803) of a password in printable ASCII.

    For such a password the SASLprep of RFC 4013 changes nothing, so none is done.
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
