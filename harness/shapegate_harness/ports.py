"""Ports that a developer can remember, where they are free."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Ports that are wanted; 0 takes any that is free."""

    proxy: int = 0
    issuer: int = 0
    electric: int = 0


def preferred_ports(first: int) -> Ports:
    """Ask for `first` and the two ports behind it; one that is taken is left to chance."""
    proxy, issuer, electric = (port if _is_free(port) else 0 for port in range(first, first + 3))
    return Ports(proxy=proxy, issuer=issuer, electric=electric)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
