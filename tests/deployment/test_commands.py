"""Every command of compose.yaml, run as the service runs it: from an empty Postgres to rows for a user."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from yarl import URL

from shapegate_cli.servers import STOP_SECONDS
from shapegate_harness.electric import DevElectric
from shapegate_harness.postgres import EmbeddedPostgres
from tests.deployment.commands import Machine
from tests.deployment.compose import DEV, SECRETS, services
from tests.deployment.nginx import PROGRAM, free_port, needs_nginx, nginx
from tests.deployment.test_make_secrets import make
from tests.proxy.builders import gate, log_answer, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVICES = services(DEV)
PASSWORD = "a password of the test"
JWKS = "/.well-known/jwks.json"
needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is missing, which Electric's image has"
)
needs_wget = pytest.mark.skipif(
    shutil.which("wget") is None, reason="wget is missing, which nginx's image has"
)


@asynccontextmanager
async def database(secrets: Path, folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Run a Postgres as the image leaves it, and point the URLs of the secrets at it."""
    async with EmbeddedPostgres.open(folder, durable=False) as postgres:
        owner = await asyncpg.connect(postgres.url())
        await owner.execute("CREATE DATABASE shapegate")
        await owner.close()
        point_at(secrets, postgres)
        yield postgres


def point_at(secrets: Path, postgres: EmbeddedPostgres) -> None:
    for file in secrets.glob("*_url"):
        file.write_text(file.read_text().replace("@postgres:5432", f"@127.0.0.1:{postgres.port}"))
    (secrets / "owner_url").write_text(postgres.url("shapegate"))


async def test_S_02_P_24_P_47_from_nothing_to_rows_through_every_command(
    tmp_path: Path, new_folder: Path
) -> None:
    secrets, port, metrics_port, issuer_port = tmp_path / "secrets", *(free_port() for _ in range(3))
    make(secrets)
    secret = (secrets / "electric_secret").read_text().strip()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(database(secrets, new_folder))
        machine = Machine({SECRETS: str(secrets), "/var/lib/shapegate": str(tmp_path)})
        first = await machine.once(SERVICES["migrate"])
        others = await asyncio.gather(*(machine.once(SERVICES[name]) for name in ("logins", "seed")))
        for code, said in (first, *others):
            assert code == 0, said
            assert not any(file.read_text().strip() in said for file in secrets.iterdir())
        electric_url = (secrets / "electric_url").read_text().strip()
        electric = DevElectric(database_url=electric_url, secret=secret)
        await electric.start()
        stack.push_async_callback(electric.stop)

        translations = {
            SECRETS: str(secrets),
            "/var/lib/shapegate": str(tmp_path),
            "http://electric:3000": electric.url,
            "/etc/shapegate/policy.toml": "schema/shapegate_schema/domains/controls/policy.toml",
            "/etc/shapegate/shapegate.toml": "deploy/shapegate.toml",
            "0.0.0.0": "127.0.0.1",  # noqa: S104  # nothing is bound to it here
            "4000": str(port),
            "4001": str(issuer_port),
            "9400": str(metrics_port),
        }
        machine = Machine(translations)
        issuer, proxy = SERVICES["issuer"], SERVICES["proxy"]
        await stack.enter_async_context(machine.running(issuer, "--port", str(issuer_port)))
        issuer_url = URL.build(scheme="http", host="127.0.0.1", port=issuer_port)
        login_url = issuer_url
        if PROGRAM is not None:  # as far as the machine has it: the way of the profile `dev`
            door = await stack.enter_async_context(nginx("door.conf", issuer_url))
            keys = await stack.enter_async_context(nginx("keys.conf", door.url))
            machine = Machine({f"http://127.0.0.1:4001{JWKS}": f"{keys.url}{JWKS}", **translations})
            login_url = door.url
        set_password = ["shapegate", "issuer", "password", "--email", "ada@acme.example", "--password-stdin"]
        (code, said), (config_code, config) = await asyncio.gather(
            machine.run(issuer, set_password, PASSWORD.encode()),
            machine.run(proxy, ["shapegate", "config"]),
        )
        assert code == 0, said
        assert config_code == 0, config
        assert "DATABASE_URL = ***" in config
        assert await machine.healthy(issuer)

        await stack.enter_async_context(machine.running(proxy))
        await machine.until(proxy, healthy=True)
        gate_url, metrics_url = (URL(f"http://127.0.0.1:{each}") for each in (port, metrics_port))
        async with aiohttp.ClientSession() as http:
            credentials = {"email": "ada@acme.example", "password": PASSWORD}
            async with http.post(login_url / "api/auth/login", json=credentials) as answer:
                token = (await answer.json())["access_token"]
            query, bearer = {"table": "controls", "offset": "-1"}, {"authorization": f"Bearer {token}"}
            async with http.get(gate_url / "v1/shape", params=query, headers=bearer) as answer:
                assert answer.status == 200, await answer.text()
                assert await answer.json()
            async with http.get(metrics_url / "metrics") as answer:
                assert "shapegate_requests_total" in await answer.text()
        await electric.stop()
        await machine.until(proxy, healthy=False)


async def test_a_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "electric_url").unlink()
    code, said = await Machine({SECRETS: str(tmp_path)}).once(SERVICES["logins"])
    assert (code, said) == (
        1,
        f"shapegate: {tmp_path}/electric_url cannot be read as a URL (FileNotFoundError)\n",
    )


async def test_electric_is_started_with_its_two_secrets_and_not_without(tmp_path: Path) -> None:
    make(tmp_path / "secrets")
    entrypoint = tmp_path / "entrypoint"
    entrypoint.write_text('#!/bin/sh\necho "run: $1" "$DATABASE_URL" "$ELECTRIC_SECRET"\n')
    entrypoint.chmod(0o700)
    machine = Machine({SECRETS: str(tmp_path / "secrets"), "/app/bin/entrypoint": str(entrypoint)})
    electric = SERVICES["electric"]
    words = [*electric.parts["entrypoint"], *electric.command]
    secrets = [
        (tmp_path / "secrets" / name).read_text().strip() for name in ("electric_url", "electric_secret")
    ]
    assert await machine.run(electric, words) == (0, " ".join(["run: start", *secrets]) + "\n")
    (tmp_path / "secrets" / "electric_secret").unlink()
    code, said = await machine.run(electric, words)
    assert code != 0
    assert "run:" not in said


@needs_curl
@pytest.mark.parametrize(("status", "healthy"), [(200, True), (202, False), (503, False)])
async def test_P_47_electric_is_healthy_when_it_is_active_only(status: int, healthy: bool) -> None:
    async def say(_request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=status)

    async with serve(say) as (url, _):
        machine = Machine({"http://127.0.0.1:3000": str(url.origin())})
        assert await machine.healthy(SERVICES["electric"]) is healthy


@needs_nginx
@needs_wget
async def test_the_balancer_and_the_cache_are_healthy_while_they_can_serve(tmp_path: Path) -> None:
    for service in ("edge", "cache"):
        assert SERVICES[service].parts["entrypoint"] == [
            *("nginx", "-c", "/etc/shapegate/nginx.conf", "-g", "daemon off;")
        ]
        async with gate(log_answer, tmp_path) as before, nginx(f"{service}.conf", before.url) as running:
            machine = Machine({"http://127.0.0.1:8080": str(running.url.origin())})
            assert await machine.healthy(SERVICES[service])
        assert not await machine.healthy(SERVICES[service])


async def test_postgres_knows_every_setting_that_it_is_given(database_url: str) -> None:
    program, *words = SERVICES["postgres"].command
    assert (program, set(words[::2])) == ("postgres", {"-c"})
    settings = dict(word.split("=", 1) for word in words[1::2])
    assert settings["wal_level"] == "logical"
    connection = await asyncpg.connect(database_url)
    known = await connection.fetch("SELECT name FROM pg_settings WHERE name = ANY($1)", list(settings))
    await connection.close()
    assert {row["name"] for row in known} == settings.keys()


@pytest.mark.skipif(
    shutil.which("pg_isready") is None, reason="pg_isready is missing, which Postgres' image has"
)
async def test_postgres_is_healthy_while_it_takes_connections(database_url: str) -> None:
    port = str(URL(database_url).port)
    machine = Machine({"--host=127.0.0.1": f"--host=127.0.0.1 --port={port}"})
    how, *words = SERVICES["postgres"].healthcheck
    assert how == "CMD"
    split = [part for word in words for part in machine.here(word).split()]
    assert (await Machine({}).run(SERVICES["postgres"], split))[0] == 0
    closed = [word.replace(port, str(free_port())) for word in split]
    assert (await Machine({}).run(SERVICES["postgres"], closed))[0] != 0


def test_stopping_a_gate_takes_less_than_it_is_given() -> None:
    assert float(SERVICES["proxy"].parts["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
