"""docs/openapi.yaml names what the routes and the errors are, and a running gate and issuer keep to it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from yarl import URL

import shapegate_harness.issuer.app as issuer_app
from shapegate_harness.electric import DevElectric
from shapegate_harness.issuer import IssuerSettings, TokenIssuer
from shapegate_harness.stack import Silent
from shapegate_proxy.app import SHAPE_PATHS, load_policy, open_proxy
from shapegate_proxy.config import IssuerConfig, ProxyConfig, Secret
from shapegate_proxy.limit_settings import LimitSettings
from shapegate_schema.domains import policy_file
from shapegate_schema.roles import set_login
from tests.docs.blocks import DOCS
from tests.docs.refusals import problems, refusals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.conftest import CreateDatabase

SCHEMA: Final = schemathesis.openapi.from_path(DOCS / "openapi.yaml")
PATHS: Final[dict[str, Any]] = SCHEMA.raw_schema["paths"]
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES: Final = 12
"""Of each operation, by an order that is always the same."""
MANY: Final = 1_000_000
EMAIL, PASSWORD = "ada@acme.example", "a password of the tests"
ACME: Final = "ac3e0000-0000-4000-8000-000000000000"


def operations() -> Iterator[Any]:
    for result in SCHEMA.get_all_operations():
        assert isinstance(result, Ok), result
        yield result.ok()


OPERATIONS: Final = list(operations())


def codes_of(schema: str) -> list[str]:
    return list(SCHEMA.raw_schema["components"]["schemas"][schema]["properties"]["code"]["enum"])


def is_the_issuers(operation: Any) -> bool:
    return "issuer" in operation.definition.raw["tags"] and "health" not in operation.definition.raw["tags"]


def test_it_is_a_description_as_OpenAPI_defines_them() -> None:
    SCHEMA.validate()


def test_it_names_every_code_of_the_gate_and_of_the_issuer() -> None:
    assert codes_of("Refused") == sorted(refusals())
    assert codes_of("Problem") == sorted(problems())


def test_it_names_every_route() -> None:
    gates = {*SHAPE_PATHS, "/health", "/health/detailed"}
    issuers = {
        route.resource.canonical
        for route in issuer_app.create_app(service=None).router.routes()  # type: ignore[arg-type]  # never asked
        if route.resource is not None
    }
    assert PATHS.keys() == gates | issuers


@dataclass(frozen=True)
class Served:
    """Where the gate and the issuer are, and a header that both accept."""

    gate: str
    issuer: str
    headers: dict[str, str] = field(repr=False)


async def login_url(owner_url: str, role: str) -> str:
    """Let a role log in, and return its URL of the same database."""
    password = secrets.token_urlsafe()
    await set_login(owner_url, role, password)
    parts = urlsplit(owner_url)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.hostname}:{parts.port}"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(
    create_session_database: CreateDatabase, seeded_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    """A gate before a development Electric, and an issuer, with bounds that no example reaches."""
    url = await create_session_database(seeded_database)
    trusted = IssuerSettings(
        key_file=tmp_path_factory.mktemp("issuer") / "key.pem",
        failures_per_minute_user=MANY,
        failures_per_minute_address=MANY,
        refreshes_per_minute_user=MANY,
    )
    async with (
        DevElectric.open(database_url=await login_url(url, "electric"), secret="electric") as electric,
        TokenIssuer.open(database_url=await login_url(url, "shapegate_issuer"), settings=trusted) as issuer,
    ):
        await issuer.set_password(EMAIL, PASSWORD)
        config = ProxyConfig(
            electric_url=URL(electric.url),
            electric_secret=Secret("electric"),
            issuers=(
                IssuerConfig(
                    issuer=trusted.issuer,
                    audience=trusted.audience,
                    jwks_url=URL(issuer.url) / ".well-known/jwks.json",
                ),
            ),
            policy_path=policy_file("controls"),
            limits=LimitSettings(
                shapes_per_hour_principal=MANY, shapes_per_hour_org=MANY, failures_per_minute_address=MANY
            ),
            port=0,
        )
        async with open_proxy(config, load_policy(config), observer=Silent()) as gate_url:
            yield Served(str(gate_url.origin()), issuer.url, await bearer(issuer.url))


async def bearer(issuer_url: str) -> dict[str, str]:
    body = {"email": EMAIL, "password": PASSWORD}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{issuer_url}/api/auth/login", json=body) as answer,
    ):
        return {"authorization": f"Bearer {(await answer.json())['access_token']}"}


def examples(operation: Any, mode: GenerationMode, ask: Callable[[Any], None]) -> None:
    """Ask for some examples of an operation, the same in each run."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        ask(case)

    run()


def has_input(operation: Any) -> bool:
    raw = operation.definition.raw
    return "parameters" in raw or "requestBody" in raw


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        pytest.param(operation, mode, id=f"{operation.label} {mode}")
        for operation in OPERATIONS
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or has_input(operation)
    ],
)
async def test_every_answer_is_one_that_the_description_has(
    served: Served, operation: Any, mode: GenerationMode
) -> None:
    base_url = served.issuer if is_the_issuers(operation) else served.gate
    # A login of its own for each operation, since logout and password end it.
    headers = await bearer(served.issuer)

    def ask(case: Any) -> None:
        answer = case.call(base_url=base_url, headers=headers, timeout=30)
        case.validate_response(answer, checks=CHECKS)

    await asyncio.to_thread(examples, operation, mode, ask)


START: Final = {"table": "controls", "offset": "-1"}
PAGE: Final = {"where": "current_quadrant = $1", "params": {"1": "self"}, "order_by": "name", "limit": 2}
KNOWN: Final[dict[str, tuple[str, dict[str, Any], int]]] = {
    "a log": ("GET /v1/shape", {"query": START}, 200),
    "a log of some columns": ("GET /api/electric/sync", {"query": START | {"columns": "id,name"}}, 200),
    "a log with the organization in the URL": (
        "GET /api/electric/orgs/{org}/sync",
        {"query": START, "path_parameters": {"org": ACME}},
        200,
    ),
    "nothing but the end": ("GET /v1/shape", {"query": START | {"offset": "now"}}, 200),
    "a subset": ("GET /v1/shape", {"query": START | {"subset__where": "true = true"}}, 200),
    "a page": ("POST /v1/shape", {"query": START, "body": PAGE, "media_type": "application/json"}, 200),
    "a handle of nobody": ("GET /v1/shape", {"query": START | {"offset": "0_0", "handle": "1-1"}}, 409),
    "a table that is not there": ("GET /v1/shape", {"query": START | {"table": "nothing"}}, 403),
    "a filter that is none": ("GET /v1/shape", {"query": START | {"where": "1"}}, 400),
    "a request that is too long": ("GET /v1/shape", {"query": START | {"cursor": "1" * 10_000}}, 414),
}
"""Requests that random ones do not find, and the status that each has to lead to."""


@pytest.mark.parametrize(("label", "parts", "status"), KNOWN.values(), ids=KNOWN)
async def test_a_known_request_has_an_answer_that_the_description_has(
    served: Served, label: str, parts: dict[str, Any], status: int
) -> None:
    (operation,) = [operation for operation in OPERATIONS if operation.label == label]
    case = operation.Case(**parts)
    answer = await asyncio.to_thread(case.call, base_url=served.gate, headers=served.headers, timeout=30)
    assert answer.status_code == status
    case.validate_response(answer, checks=CHECKS)
