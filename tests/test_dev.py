"""dev.py before it has anything installed: what it says, and what it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEV = Path(__file__).parents[1] / "dev.py"


def run(*words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, str(DEV), *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("words", [(), ("help",), ("-h",), ("--help",)])
def test_without_a_command_it_lists_them(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 0
    for command in ("demo", "up", "test", "bench", "check", "lock"):
        assert f"python3 dev.py {command}" in done.stdout


def test_an_unknown_command_is_a_usage_error() -> None:
    done = run("deploy")
    assert done.returncode == 2
    assert "unknown command 'deploy'" in done.stderr


def test_nothing_but_the_standard_library_is_imported() -> None:
    code = (
        "import sys, runpy; sys.argv = ['dev.py', 'help']\n"
        "try: runpy.run_path(r'" + str(DEV) + "', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "known = set(sys.stdlib_module_names) | {'__main__'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - known))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr
