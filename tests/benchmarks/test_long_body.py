from __future__ import annotations

import hashlib
import json

import pytest

from benchmarks.long_body import PIECE_BYTES, digest, pieces, print_chunked


@pytest.mark.parametrize("size", [4, 5, PIECE_BYTES, PIECE_BYTES + 4, 3 * PIECE_BYTES + 17])
def test_a_body_has_exactly_its_size_and_is_json_in_small_pieces(size: int) -> None:
    made = list(pieces(size))
    body = b"".join(made)
    assert len(body) == size
    assert max(map(len, made)) <= PIECE_BYTES
    assert isinstance(json.loads(body), list)
    assert digest(size) == hashlib.blake2b(body).hexdigest()


def test_a_chunk_says_its_length_in_hexadecimal() -> None:
    assert print_chunked(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
