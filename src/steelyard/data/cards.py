"""Data cards: what a bundled set is, where it came from, and what is wrong with it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from steelyard.errors import UnknownNameError
from steelyard.registry import did_you_mean

FOLDER = Path(__file__).parent / "bundled"
"""Where the bundled sets lie, each a Parquet file with its card beside it."""


@dataclass(frozen=True)
class Origin:
    """One place that a set was taken from.

    Attributes:
        repository: where the files are.
        files: which of them.
        commit: the state of the repository.
        publisher: who published the numbers first.
        licence: what the repository states.
    """

    repository: str
    files: str
    commit: str
    publisher: str
    licence: str


@dataclass(frozen=True)
class Card:
    """The facts about a bundled set; every number is held against the file by a test.

    Attributes:
        name: what `load("bundled", name)` takes.
        title, summary: for people; the summary fits a line of a list.
        licence: what the set may be used under; `terms` adds what it does not cover.
        attribution: the line to print where the data is shown.
        origin: where it was taken from.
        sha256: digest of the Parquet file; `load` refuses a file with another.
        rows, sessions: rows of the table, and distinct dates or times.
        start, end: first and last session; with the time of day where rows have one.
        assets: names in the set.
        columns: column -> meaning and unit.
        adjustments: what has been done to the prices, and what `load` does.
        flaws: what is known to be wrong or missing.
        checks: what was checked, and the result.
        context: series that `load` joins by date: name -> bundled set whose close it is.
        kind: "prices" for bars of assets, "book" for an order book, which `load` reads as such.
        book: of a book, how it is read: options of `book_files.read_book` and `books.to_book`.
        segments: of a book, stretches without a gap.
    """

    name: str
    title: str
    summary: str
    licence: str
    terms: str
    attribution: str
    origin: tuple[Origin, ...]
    sha256: str
    rows: int
    sessions: int
    start: date
    end: date
    assets: tuple[str, ...]
    columns: Mapping[str, str]
    adjustments: tuple[str, ...]
    flaws: tuple[str, ...]
    checks: tuple[str, ...]
    context: Mapping[str, str]
    kind: str = "prices"
    book: Mapping[str, Any] = field(default_factory=dict)
    segments: int = 1

    @property
    def path(self) -> Path:
        """The Parquet file."""
        return FOLDER / f"{self.name}.parquet"

    def to_dict(self) -> dict[str, Any]:
        """The card ready for JSON: dates as ISO text."""
        return asdict(self) | {"start": self.start.isoformat(), "end": self.end.isoformat()}


def datasets() -> list[Card]:
    """The cards of all bundled sets, by name."""
    return [show(name) for name in _names()]


@cache
def show(name: str) -> Card:
    """The card of the bundled set `name`.

    Raises:
        UnknownNameError: there is no such set; the hint names the nearest ones.
    """
    if name not in _names():
        raise UnknownNameError(f"no bundled set named `{name}`", hint=did_you_mean(name, _names()))
    facts = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    origin = tuple(Origin(**entry) for entry in facts.pop("origin"))
    context = facts.pop("context", {})
    lists = {key: tuple(value) for key, value in facts.items() if isinstance(value, list)}
    return Card(name=name, origin=origin, context=context, **(facts | lists))


def _names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))
