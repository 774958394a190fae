"""Every refusal of the gate and of the issuer, and every error of the client, as the code has them."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, TypeVar

import shapegate_client
import shapegate_harness.issuer
import shapegate_proxy
from shapegate_client.errors import ClientError
from shapegate_harness.issuer.errors import Refused as IssuerRefused
from shapegate_proxy.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

T = TypeVar("T")


def refusals() -> dict[str, type[Refused]]:
    """The gate's refusals by their codes; two classes of one code have one status."""
    return {refusal.code: refusal for refusal in _below(Refused, shapegate_proxy)}


def problems() -> dict[str, type[IssuerRefused]]:
    """The issuer's refusals by their codes."""
    return {problem.code: problem for problem in _below(IssuerRefused, shapegate_harness.issuer)}


def client_errors() -> dict[str, type[ClientError]]:
    """The client's errors by the names of their classes, roots left out."""
    return {error.__name__: error for error in _below(ClientError, shapegate_client) if not _is_root(error)}


def _is_root(error: type[ClientError]) -> bool:
    return (error.__doc__ or "").startswith("Root of")


def _below(root: type[T], package: ModuleType) -> Iterator[type[T]]:
    """Walk the subclasses that a package defines, with all of its modules loaded."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting = root.__subclasses__()
    while waiting:
        found = waiting.pop()
        waiting += found.__subclasses__()
        if found.__module__.startswith(f"{package.__name__}."):
            yield found
