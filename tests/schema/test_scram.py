from __future__ import annotations

import base64

from shapegate_schema.scram import scram_verifier


def test_the_verifier_is_the_one_of_rfc_7677() -> None:
    """The example of RFC 7677: password `pencil`, its salt, 4096 rounds; server key from its signature."""
    verifier = scram_verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert verifier == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
