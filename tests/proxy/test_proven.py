"""Tokens that were proven before: a bounded memory that does not hold them."""

from __future__ import annotations

from shapegate_proxy.keys import FixedKey, VerificationKey
from shapegate_proxy.proven import ProvenToken, ProvenTokens
from shapegate_proxy.token_body import Lifetime
from tests.proxy.builders import principal

KEY = VerificationKey("HS256", b"key")


def proven(key: VerificationKey = KEY) -> ProvenToken:
    return ProvenToken(
        principal=principal(),
        lifetime=Lifetime(begins=0.0, ends=1.0),
        keys=FixedKey(KEY),
        kid=None,
        key=key,
    )


def test_J_15_what_was_remembered_is_recalled_by_the_whole_text_alone() -> None:
    tokens, one = ProvenTokens(), proven()
    tokens.remember("a.b.c", one)
    assert tokens.recall("a.b.c") is one
    assert tokens.recall("a.b.d") is None
    tokens.forget("a.b.c")
    tokens.forget("a.b.c")
    assert tokens.recall("a.b.c") is None


def test_J_15_the_memory_is_bounded_and_keeps_what_is_used() -> None:
    tokens = ProvenTokens(size_max=3)
    for number in range(3):
        tokens.remember(f"token {number}", proven())
    tokens.recall("token 0")
    tokens.remember("token 3", proven())
    tokens.remember("token 3", proven())
    assert len(tokens) == 3
    assert tokens.recall("token 1") is None
    assert all(tokens.recall(f"token {number}") for number in (0, 2, 3))


async def test_J_15_a_proof_stands_with_its_very_key() -> None:
    assert await proven().stands()
    assert not await proven(VerificationKey("HS256", b"key")).stands()
