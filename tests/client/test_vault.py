"""Where a login is kept: the system's keyring, or a private file."""

from __future__ import annotations

import asyncio
import datetime
import logging
import stat
import sys
from pathlib import Path

import pytest

from shapegate_client import IssuerCredentials, system_keyring
from shapegate_client.errors import KeyringFailed, NotLoggedIn
from shapegate_client.login import Grant, Login
from shapegate_client.principal import Organization
from shapegate_client.vault import SERVICE, Vault
from tests.client.ports import START, HeldClock
from tests.client.servers import Issuer, served

ROOT = Path(__file__).parents[2]
ACME = Organization(id="acme", slug="acme", name="Acme", role="owner")


class Locked(Exception):
    """What a keyring raises that nobody unlocks."""


class MemoryKeyring:
    """A keyring in memory, that can be locked."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.entries[service, username]

    def _check(self) -> None:
        if self.locked:
            raise Locked("a text that may quote secret-1")


def login(serial: int = 1) -> Login:
    grant = Grant(
        organization_id="acme",
        access_token=f"access-{serial}",
        refresh_token=f"secret-{serial}",
        renew_at=START,
        expires_at=START + datetime.timedelta(hours=1),
    )
    return Login(
        issuer="i",
        user_id="u",
        email="e",
        home_organization_id="acme",
        organizations=(ACME,),
        grants={"acme": grant},
    )


def files_with_tokens(home: Path) -> list[str]:
    return [path.name for path in home.iterdir() if b"secret-" in path.read_bytes()]


async def test_L_11_without_a_keyring_the_login_lies_in_a_private_file(tmp_path: Path) -> None:
    vault = Vault(tmp_path, keyring=None)
    await vault.write(login())
    assert await vault.read() == login()
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600  # a test
    assert "credentials.json" in vault.place
    await vault.remove()
    with pytest.raises(NotLoggedIn):
        await vault.read()


async def test_L_11_with_a_keyring_no_token_is_on_disk_and_each_home_has_its_own_entry(
    tmp_path: Path,
) -> None:
    keyring, one, other = MemoryKeyring(), tmp_path / "one", tmp_path / "other"
    for serial, home in enumerate((one, other)):
        await Vault(home, keyring=keyring).write(login(serial))
    for serial, home in enumerate((one, other)):
        assert await Vault(home, keyring=keyring).read() == login(serial)
        assert files_with_tokens(home) == []
    assert Vault(one, keyring=keyring).place == "the system's keyring"
    await Vault(one, keyring=keyring).remove()
    assert list(keyring.entries) == [(SERVICE, str(other))]
    with pytest.raises(NotLoggedIn):
        await Vault(one, keyring=keyring).read()


async def test_a_login_in_the_file_moves_into_the_keyring_when_it_is_next_written(tmp_path: Path) -> None:
    keyring = MemoryKeyring()
    await Vault(tmp_path, keyring=None).write(login(1))
    vault = Vault(tmp_path, keyring=keyring)
    assert await vault.read() == login(1)
    await vault.write(login(2))
    assert await vault.read() == login(2)
    assert files_with_tokens(tmp_path) == []


async def test_a_keyring_that_fails_gives_the_login_to_the_file_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keyring = MemoryKeyring()
    vault = Vault(tmp_path, keyring=keyring)
    await vault.write(login(1))
    keyring.locked = True
    with caplog.at_level(logging.WARNING), pytest.raises(KeyringFailed, match="unlock it"):
        await vault.read()
    await vault.write(login(2))
    assert await vault.read() == login(2)
    assert "since the system's keyring failed (Locked)" in vault.place
    assert "secret-" not in vault.place + caplog.text
    keyring.locked = False
    later = Vault(tmp_path, keyring=keyring)
    assert await later.read() == login(2)  # never the older one that the keyring still has
    await later.write(login(3))
    assert await later.read() == login(3)
    assert files_with_tokens(tmp_path) == []


async def test_a_first_login_with_a_locked_keyring_is_kept_in_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keyring = MemoryKeyring()
    keyring.locked = True
    with caplog.at_level(logging.WARNING):
        await Vault(tmp_path, keyring=keyring).write(login())
    assert "the system's keyring cannot be used" in caplog.text
    assert await Vault(tmp_path, keyring=None).read() == login()


async def test_T_06_a_logout_says_where_tokens_are_left_in_a_locked_keyring(tmp_path: Path) -> None:
    keyring = MemoryKeyring()
    await Vault(tmp_path, keyring=keyring).write(login())
    keyring.locked = True
    with pytest.raises(KeyringFailed):
        await Vault(tmp_path, keyring=keyring).remove()
    with pytest.raises(KeyringFailed, match="not installed"):
        await Vault(tmp_path, keyring=None).read()
    keyring.locked = False
    await Vault(tmp_path, keyring=keyring).remove()
    assert keyring.entries == {}
    assert not (tmp_path / "credentials.json").exists()


async def test_an_entry_that_the_user_removed_is_no_login(tmp_path: Path) -> None:
    keyring = MemoryKeyring()
    vault = Vault(tmp_path, keyring=keyring)
    await vault.write(login())
    keyring.entries.clear()
    with pytest.raises(NotLoggedIn):
        await vault.read()
    await vault.remove()


async def test_credentials_use_the_keyring_that_they_are_given(tmp_path: Path) -> None:
    keyring, issuer = MemoryKeyring(), Issuer()
    async with (
        served(issuer.app) as url,
        IssuerCredentials(url, home=tmp_path, keyring=keyring, clock=HeldClock()) as credentials,
    ):
        await credentials.login("ada@acme.example", "correct")
        token = await credentials.token("acme")
        await credentials.token("acme", rejected=token)
        assert credentials.kept_in == "the system's keyring"
        (entry,) = keyring.entries.values()
        assert "refresh-2" in entry
        await credentials.logout()
    assert keyring.entries == {}
    assert issuer.revoked == ["acme"]


async def test_C_20_several_processes_renew_a_login_once(tmp_path: Path) -> None:
    issuer = Issuer(expires_in=0.0)
    async with served(issuer.app) as url:
        async with IssuerCredentials(url, home=tmp_path) as credentials:
            await credentials.login("ada@acme.example", "correct")
        issuer.expires_in = 900.0
        program = (
            "import asyncio, sys; from pathlib import Path; from shapegate_client import IssuerCredentials\n"
            "async def main():\n"
            "    async with IssuerCredentials(sys.argv[1], home=Path(sys.argv[2])) as credentials:\n"
            "        print((await credentials.token('acme')).value)\n"
            "asyncio.run(main())"
        )
        running = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", program, url, str(tmp_path)), stdout=asyncio.subprocess.PIPE
            )
            for _ in range(4)
        ]
        async with asyncio.timeout(30):
            said = {(await each.communicate())[0] for each in running}
    assert len(said) == 1
    assert issuer.asked == ["login", "refresh"]


def test_there_is_no_system_keyring_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert system_keyring() is None


def test_the_system_keyring_is_the_one_of_the_library_if_it_is_worth_the_name() -> None:
    library, backend, failing, forgetting = (
        pytest.importorskip(f"keyring{part}") for part in ("", ".backend", ".backends.fail", ".backends.null")
    )

    class InMemory(MemoryKeyring, backend.KeyringBackend):  # type: ignore[misc, name-defined]  # optional
        priority = 1

    before = library.get_keyring()
    try:
        good = InMemory()
        library.set_keyring(good)
        assert system_keyring() is good
        for poor in (failing.Keyring(), forgetting.Keyring()):
            library.set_keyring(poor)
            assert system_keyring() is None
    finally:
        library.set_keyring(before)
