"""What the verbs print: one JSON document or a table on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steelyard.types import Facts


def emit(document: Any) -> None:
    """One JSON document on stdout; what JSON cannot hold (NaN, infinity) becomes null."""
    from steelyard.evaluation.documents import plain_json

    sys.stdout.write(json.dumps(plain_json(document), indent=2, allow_nan=False) + "\n")


def say(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(text + "\n")


def show_error(message: str, hint: str) -> None:
    """An error and what to type next, on stderr."""
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")


def show_table(rows: Iterable[Facts], columns: Sequence[str], title: str = "") -> None:
    """Rows as a plain table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    Console().print(table)


def show_card(card: Facts) -> None:
    """One card on stdout, a line per fact."""
    from rich.console import Console

    console = Console(highlight=False)
    for name, value in card.items():
        if isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
            value = ", ".join(value)
        elif isinstance(value, (Mapping, list, tuple)):
            value = json.dumps(value, default=str)
        console.print(f"[bold]{name}[/bold]: ", end="")
        console.print(str(value), markup=False)


class Progress:
    """Progress on stderr: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._told = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description:<28}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Report that `what` has come to `done` of `total`."""
        if self._bar is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bar.add_task(what, total=total)
            self._bar.update(self._tasks[what], completed=done, total=total)
        elif time.monotonic() - self._told > 5:
            self._told = time.monotonic()
            say(f"{what}: {done} of {total}")
