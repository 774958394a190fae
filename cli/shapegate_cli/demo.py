"""`shapegate demo`: the scenario, narrated."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click
from rich.console import Console

from shapegate_cli.problems import Failed, explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapegate_harness.scenario import StepResult


class Narrator(Protocol):
    """How a run is told."""

    def progress(self, text: str) -> None:
        """Something longer begins."""

    def step(self, result: StepResult) -> None:
        """A step ended."""

    def end(self, *, held: bool, seconds: float) -> None:
        """The run ended."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for machines.")
@click.option("--domain", default="controls", show_default=True, help="One of the shipped domains.")
def demo(as_json: bool, domain: str) -> None:
    """Show the whole system at work: login, sync, offline, switch, re-sync, and the cheats.

    Everything is real and of this run only: Postgres, Electric's protocol, tokens, sockets, SQLite files.
    Exit code 0 if every check held, 1 if one did not.
    """
    from shapegate_harness.electric import ElectricError
    from shapegate_harness.home import HomeUnknown
    from shapegate_harness.issuer import IssuerError
    from shapegate_harness.postgres import PostgresError
    from shapegate_schema.errors import SchemaError

    logging.basicConfig(level=logging.ERROR)  # what goes wrong on purpose would only distract
    narrator: Narrator = JsonNarrator() if as_json else TextNarrator()
    known = (PostgresError, SchemaError, IssuerError, ElectricError, HomeUnknown, OSError)
    started = time.monotonic()
    with explained(dict.fromkeys(known, Failed)):
        held = asyncio.run(_demo(narrator, domain))
    narrator.end(held=held, seconds=time.monotonic() - started)
    if not held:
        raise Failed("the scenario did not hold; the step that failed says what differed")


async def _demo(narrator: Narrator, domain: str) -> bool:
    from shapegate_harness.home import shapegate_home
    from shapegate_harness.ports import Ports
    from shapegate_harness.scenario import Recorder, run_scenario
    from shapegate_harness.stack import open_stack

    recorder = Recorder()
    with _folder_of_this_run(shapegate_home()) as folder:
        async with open_stack(
            folder,
            ports=Ports(),
            observer=recorder,
            domain=domain,
            durable=False,
            on_progress=narrator.progress,
        ) as stack:
            return await run_scenario(stack, recorder, folder / "clients", narrator.step)


@contextmanager
def _folder_of_this_run(home: Path) -> Iterator[Path]:
    """Make a folder that the server's account may enter, also for root; it is removed at the end."""
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=home))
    if os.geteuid() == 0:
        folder.chmod(0o711)  # the server runs as another account, below this folder
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class TextNarrator:
    """Lines for people: coloured on a terminal, plain elsewhere."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def progress(self, text: str) -> None:
        """Print what begins."""
        self._console.print(f"      {text} ...", style="dim")

    def step(self, result: StepResult) -> None:
        """Print what was checked, or what differed."""
        from shapegate_harness.scenario import StepDone

        if isinstance(result, StepDone):
            mark, text = "[green]ok[/]   ", result.checked
        else:
            mark, text = "[bold red]FAIL[/] ", result.difference
        self._console.print(f"{mark} {result.name:<12} ", end="")
        self._console.print(f"{text} ({result.seconds:.2f} s)", markup=False)

    def end(self, *, held: bool, seconds: float) -> None:
        """Print the outcome."""
        outcome = "[green]every check held[/]" if held else "[bold red]a check did not hold[/]"
        self._console.print(f"{outcome} in {seconds:.1f} s")


class JsonNarrator:
    """One JSON object a line."""

    def progress(self, text: str) -> None:
        """Say nothing: only results are for machines."""

    def step(self, result: StepResult) -> None:
        """Print the result with its kind: `done` or `failed`."""
        from shapegate_harness.scenario import StepDone

        kind = "done" if isinstance(result, StepDone) else "failed"
        click.echo(json.dumps({"step": kind, **asdict(result)}))

    def end(self, *, held: bool, seconds: float) -> None:
        """Print the outcome."""
        click.echo(json.dumps({"held": held, "seconds": round(seconds, 3)}))
