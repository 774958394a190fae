"""Load by wrk: its command and its report."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.running import Missing, WrongAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CONNECTIONS: Final = 64
_SLACK_SECONDS: Final = 30.0
_DONE: Final = re.compile(r"^\s*(\d+) requests in ([0-9.]+)(us|ms|s|m), ", re.MULTILINE)
_SECONDS: Final[Mapping[str, float]] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_REFUSED: Final = re.compile(r"^\s*Non-2xx or 3xx responses: (\d+)$", re.MULTILINE)
_BROKEN: Final = re.compile(
    r"^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What wrk says of one run."""

    requests: int
    seconds: float
    failures: int
    """Answers with another status than 2xx or 3xx, and broken connections."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def parse_report(text: str) -> Report:
    """Read a report. Raises WrongAnswer if it is none, or if nothing was answered."""
    done = _DONE.search(text)
    if done is None or int(done[1]) == 0:
        raise WrongAnswer(f"wrk counted no answer: {text[-500:]!r}")
    failures = [int(count) for count in _REFUSED.findall(text)]
    failures += [int(count) for found in _BROKEN.findall(text) for count in found]
    return Report(requests=int(done[1]), seconds=float(done[2]) * _SECONDS[done[3]], failures=sum(failures))


async def run_wrk(
    url: str,
    *,
    headers: Mapping[str, str],
    seconds: int,
    connections: int = CONNECTIONS,
    script: Path | None = None,
    arguments: Sequence[str] = (),
) -> Report:
    """Load one target. Raises Missing without wrk, and WrongAnswer unless every answer was good."""
    if shutil.which("wrk") is None:
        raise Missing("this system has no wrk")
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    words += [f"-H{name}: {value}" for name, value in headers.items()]
    words += [] if script is None else ["-s", str(script)]
    process = await asyncio.create_subprocess_exec(
        *(*words, url, *(("--", *arguments) if arguments else ())),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), seconds + _SLACK_SECONDS)
    except TimeoutError as exc:
        raise WrongAnswer(f"wrk did not end {_SLACK_SECONDS:g} s after its time") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report = parse_report(said.decode(errors="replace"))
    if report.failures:
        raise WrongAnswer(f"{report.failures} of {report.requests} requests to {url[:60]} failed")
    return report
