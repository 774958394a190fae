"""A plain request as it goes to `serving`: what of it is read only when somebody asks for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from yarl import URL

from shapegate_proxy.incoming import Incoming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shapegate_proxy.admissions import Admission
    from shapegate_proxy.plain_head import HeadReader, PlainHead

    Peer = Callable[[], str | None]


def new_request(plain: PlainHead, head: bytes, *, peer: Peer) -> Incoming:
    """Make one of a head that was read."""
    return _incoming(plain.target, plain.org, plain.values, head, peer)


def known_request(admission: Admission, head: bytes, reader: HeadReader, *, peer: Peer) -> Incoming:
    """Make one of a head that came before, and was plain then."""
    incoming = _incoming(admission.target, admission.org, _Values(reader, head), head, peer)
    incoming.admission = admission
    return incoming


def _incoming(
    target: str, org: str | None, values: Callable[[str], Sequence[str]], head: bytes, peer: Peer
) -> Incoming:
    return Incoming(
        method="GET",
        target=target,
        org=org,
        values=values,
        query=partial(_query, target),
        read_body=_no_body,
        peer=peer,
        head=head,
    )


def _query(target: str) -> Iterable[tuple[str, str]]:
    """Decode the parameters of a target as aiohttp does."""
    path, _, query = target.partition("?")
    return URL.build(path=path, query_string=query, encoded=True).query.items()


class _Values:
    """All values of a header, read when somebody asks; the head is not printed, since it holds a token."""

    __slots__ = ("_head", "_reader")

    def __init__(self, reader: HeadReader, head: bytes) -> None:
        self._reader = reader
        self._head = head

    def __call__(self, name: str, /) -> Sequence[str]:
        plain = self._reader.read(self._head)
        return () if plain is None else plain.values(name)


async def _no_body() -> None:
    return None
