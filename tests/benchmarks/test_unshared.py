"""Whoever loads a target shares no code with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.unshared import copy_of, own_python

INTERPRETER = """
import re, sys
mapped = re.findall(r"r-xp .* (/.*)$", open("/proc/self/maps").read(), re.MULTILINE)
print(next((path for path in mapped if "/libpython" in path), None) or mapped[0])
import benchmarks.proxy_probe, uvloop
"""


def interpreter(program: str, environment: dict[str, str]) -> os.stat_result:
    """Say which file a Python runs, which has to find all that a driver needs."""
    words = [program, "-c", INTERPRETER]
    said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    return Path(said.splitlines()[0]).stat()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not say what is mapped")
def test_the_interpreter_of_a_driver_is_a_file_of_its_own() -> None:
    program, environment = own_python()
    own = interpreter(program, dict(environment))
    shared = interpreter(sys.executable, dict(os.environ))
    assert not os.path.samestat(own, shared)
    assert own.st_size == shared.st_size
    assert own_python() is own_python()


def test_a_program_is_copied_once_and_runs() -> None:
    copied = copy_of("/bin/sh")
    assert copy_of("/bin/sh") == copied
    assert not Path(copied).samefile("/bin/sh")
    assert subprocess.run([copied, "-c", "exit 3"], check=False).returncode == 3
