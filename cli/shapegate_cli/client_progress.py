"""What `sync` shows while it waits: a line for each table on a terminal, nothing otherwise."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.filesize import decimal
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from shapegate_cli.output import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from shapegate_client import Session, ShapeProgress

FRAMES_PER_SECOND: Final = 8


@contextlib.contextmanager
def shown_progress(session: Session) -> Iterator[None]:
    """Show how the session's shapes come along, on standard error, during the block."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield
        return
    began_at, spinner = console.get_time(), Spinner("dots")

    def frame() -> RenderableType:
        return draw_progress(session.progress, console.get_time() - began_at, spinner)

    with Live(get_renderable=frame, console=console, refresh_per_second=FRAMES_PER_SECOND, transient=True):
        yield


def draw_progress(shapes: Sequence[ShapeProgress], seconds: float, spinner: RenderableType) -> RenderableType:
    """Draw rows, rows a second and bytes of each table; how many are to come, the protocol does not say."""
    table = Table.grid(padding=(0, 2))
    for shape in shapes:
        state: RenderableType = spinner
        if shape.complete:
            state = Text("\N{CHECK MARK}")
        elif not shape.reachable:
            state = Text("!")
        rate = shape.received_rows / seconds if seconds > 0 else 0.0
        table.add_row(
            state,
            Text(one_line(shape.table)),
            Text(f"{shape.received_rows:,} rows", justify="right"),
            Text(f"{rate:,.0f} rows/s", justify="right"),
            Text(decimal(shape.received_bytes), justify="right"),
            Text("" if shape.reachable else f"offline: {one_line(shape.reason)}"),
        )
    return Group(table)
