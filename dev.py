#!/usr/bin/env python3
"""One command for everything a developer does; standard library only.

    python3 dev.py demo     the whole system at work: login, sync, offline, switch, re-sync
    python3 dev.py up       the system until Ctrl-C, to develop an application against
    python3 dev.py test     the tests (words that follow go to pytest)
    python3 dev.py bench    measured figures against their goals (embedded, client, proxy)
    python3 dev.py check    format, lint, types and layers
    python3 dev.py lock     write requirements.lock anew from pyproject.toml (needs uv)

The first run makes `.venv` here and installs what requirements.lock names, with its hashes; later runs need
no network. Works as root and not, without a terminal, and in a path with spaces.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON_MIN = (3, 11)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
LOCK = os.path.join(ROOT, "requirements.lock")
STAMP = os.path.join(VENV, "installed")
PYTHON = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin", "python")

CHECKS = (
    ("format", ["-m", "ruff", "format", "--check", "."]),
    ("lint", ["-m", "ruff", "check", "."]),
    ("types", ["-m", "mypy", "."]),
    ("layers", ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]),
)


class Stop(Exception):
    """The command cannot go on; the text says why and what to do."""


def main(words: list[str]) -> int:
    if sys.version_info < PYTHON_MIN:
        seen, needed = (".".join(map(str, version)) for version in (sys.version_info[:2], PYTHON_MIN))
        raise Stop(f"this is Python {seen}, Shapegate needs {needed} or later: run `python3.11 dev.py ...`")
    command, rest = (words[0], words[1:]) if words else ("help", [])
    if command in ("help", "-h", "--help"):
        print(__doc__.strip())
        return 0
    if command in ("demo", "up"):
        prepare()
        return replace_by(["-m", "shapegate_cli", command, *rest])
    if command == "test":
        prepare()
        # A file's tests stay together; two processes take half the time, and each has its own Postgres.
        spread = ["--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
        return replace_by(["-m", "pytest", *spread, *rest])
    if command == "bench":
        prepare()
        return replace_by(["-m", "benchmarks", *rest])
    if command == "check":
        prepare()
        return check()
    if command == "lock":
        return lock()
    expected = "demo, up, test, bench, check or lock"
    print(f"dev.py: unknown command {command!r}: expected {expected}", file=sys.stderr)
    return 2


def replace_by(words: list[str]) -> int:
    """Become the command, so that signals and the exit code are its own."""
    os.chdir(ROOT)
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(PYTHON, [PYTHON, *words])  # noqa: S606  # no shell on purpose
    return subprocess.call([PYTHON, *words])


def check() -> int:
    """Run every check, also after one has failed; name those that did."""
    failed = []
    for name, words in CHECKS:
        print(f"check: {name}", flush=True)
        if subprocess.call([PYTHON, *words], cwd=ROOT) != 0:
            failed.append(name)
    if failed:
        print("check: failed: " + ", ".join(failed), file=sys.stderr)
        return 1
    print("check: all passed")
    return 0


def lock() -> int:
    """Resolve for every platform and Python at once; no index address gets into the files.

    The image installs what the tests run with: its two locks hold the same versions.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise Stop("uv is not installed: expected it on the PATH, it resolves the lock")
    same = ["--constraint", LOCK, "--no-annotate"]
    wanted: list[tuple[str, list[str], bytes]] = [
        (LOCK, ["pyproject.toml", "--all-extras", "--group", "dev"], b""),
        ("proxy/requirements.lock", ["pyproject.toml", "--extra", "cli", "--extra", "issuer", *same], b""),
        ("proxy/build.lock", ["-", *same], b"hatchling\n"),
    ]
    words = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
    for file, sources, given in wanted:
        resolve = [uv, "pip", "compile", *sources, *words, "--no-header", "--quiet", "--output-file", file]
        failed = subprocess.run(resolve, cwd=ROOT, input=given).returncode
        if failed:
            return failed
    return 0


def prepare() -> None:
    """Make sure that `.venv` holds what the lock names; quick when it does."""
    wanted = fingerprint()
    if installed() == wanted:
        return
    if not os.access(ROOT, os.W_OK):
        raise Stop(f"{ROOT!r} is not writable: expected a checkout of your own, .venv is made inside of it")
    with alone():
        if installed() == wanted:
            return
        started = time.monotonic()
        print("preparing .venv (once, well under a minute)", file=sys.stderr, flush=True)
        uv = shutil.which("uv")
        install = with_uv(uv) if uv else with_pip()
        run([*install, "--require-hashes", "-r", LOCK], "the locked packages could not be installed")
        run([*install, "--no-deps", "--no-build-isolation", "-e", ROOT], "shapegate could not be installed")
        with open(STAMP, "w", encoding="utf-8") as file:
            file.write(wanted)
        print(f"prepared in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def with_uv(uv: str) -> list[str]:
    run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV], "uv could not make .venv")
    return [uv, "pip", "install", "--quiet", "--python", PYTHON]


def with_pip() -> list[str]:
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        raise Stop(
            "this Python has no ensurepip, so no virtual environment can be made: install it "
            f"(Debian, Ubuntu: apt install python3-venv), or install uv; seen with {sys.executable}"
        ) from None
    run([sys.executable, "-m", "venv", "--clear", VENV], "the virtual environment could not be made")
    return [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]


def run(words: list[str], failure: str) -> None:
    """Run an installer; show what it said only if it failed."""
    env = dict(os.environ, PIP_ROOT_USER_ACTION="ignore")
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise Stop(f"{failure} (the first run needs the network):\n{said}")


def fingerprint() -> str:
    """Name what has to be installed, and where: another lock, Python or place means another .venv."""
    digest = hashlib.sha256()
    for path in (LOCK, os.path.join(ROOT, "pyproject.toml")):
        with open(path, "rb") as file:
            digest.update(file.read())
    digest.update(repr((ROOT, sys.version_info[:2], sys.implementation.name)).encode())
    return digest.hexdigest()


def installed() -> str | None:
    try:
        with open(STAMP, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


@contextmanager
def alone() -> Iterator[None]:
    """Let one process at a time make the environment."""
    try:
        import fcntl
    except ImportError:  # Windows: two first runs at once are the user's own doing
        yield
        return
    with open(os.path.join(ROOT, ".venv.lock"), "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        print(f"dev.py: {stop}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
