"""The configured issuers with their keys at hand, for as long as the gate runs."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp

from shapegate_proxy.config import clashes
from shapegate_proxy.errors import ConfigError
from shapegate_proxy.jwks import open_published_keys
from shapegate_proxy.keys import FixedKey, UnfitKeyError, bind_secret, parse_public_key
from shapegate_proxy.tokens import TrustedIssuer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from shapegate_proxy.config import IssuerConfig
    from shapegate_proxy.keys import KeySource


@asynccontextmanager
async def open_issuers(
    configs: Sequence[IssuerConfig], *, sessions: bool
) -> AsyncIterator[tuple[TrustedIssuer, ...]]:
    """Open every entry's keys; `sessions` says whether there is a database of sessions.

    Raises ConfigError if there is no entry, a key is unfit, or two entries claim the same tokens.
    """
    problems = clashes(configs) if configs else ("no issuer is configured: expected at least one",)
    if problems:
        raise ConfigError(problems)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield tuple(
            [
                TrustedIssuer(
                    config=config,
                    keys=await _keys(config, http, stack),
                    sessions=sessions and config.revocation,
                )
                for config in configs
            ]
        )


async def _keys(config: IssuerConfig, http: aiohttp.ClientSession, stack: AsyncExitStack) -> KeySource:
    try:
        if config.secret is not None:
            return FixedKey(bind_secret(config.secret))
        if config.public_key is not None:
            return FixedKey(parse_public_key(config.public_key))
    except UnfitKeyError as exc:
        raise ConfigError((f"the key of the issuer {config.issuer!r} {exc}",)) from exc
    assert config.jwks_url is not None, "an issuer has one kind of key"
    return await stack.enter_async_context(open_published_keys(config.jwks_url, http))
