"""The sources `books` and `lobster`: files of order books of the user."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from steelyard.data.book_files import SPARE, read_book
from steelyard.data.book_rows import parse_repairs
from steelyard.data.books import USUAL, Duration, check_book, duration, longest_gap, to_book
from steelyard.data.lobster_files import on_clock, read_day
from steelyard.data.report import Finding, Report
from steelyard.data.sources import load, parse_address
from steelyard.data.synthetic import real_number, whole_number
from steelyard.data.table import find_files
from steelyard.errors import ConfigError
from steelyard.registry import member
from steelyard.types import Panel


@member("sources")
def books(
    request: str | Path,
    *,
    levels: int | None = None,
    max_gap: Duration = "",
    repair: str | Sequence[str] = "",
    tick: float = 0.0,
    flows: bool = True,
    asset: str = "",
    every: Duration = "1s",
    start: str = "2000-01-01",
    left_out: list[Finding] | None = None,
) -> Panel:
    """Order books in one CSV or Parquet file: prices and sizes of every level, row by row.

    The columns are `timestamp,bid_1,bid_size_1,ask_1,ask_size_1,...`, or `bid1_price,...`, or those
    of the Kaggle set martinsn/high-frequency-crypto-limit-order-book-data (1 s, 1 min, 5 min). The
    file is read in chunks: memory holds the chosen columns and one chunk.

    Args:
        request: the file.
        levels: per side; five where nothing is said, or all where there are fewer.
        max_gap: a longer step from row to row begins a new segment: "5s", "90s", "1min"; half as
            much again as the median step where nothing is said.
        repair: what may be set right instead of refused: "levels" leaves out levels on which
            nothing lies, "drop" the rows that cannot stand; both with a comma.
        tick: the venue's grid in quote currency, on which prices are rounded: 32-bit files need
            it; 0 leaves them as they are.
        flows: whether to read what was placed, cancelled and traded; 0 saves memory.
        asset: name of what is traded; that of the file where empty.
        every, start: the clock of a file that has no times but counts its rows as `row`.
        left_out: takes up a finding per kind of row that `repair="drop"` leaves out.

    Raises:
        MissingDataError: the file does not exist.
        DataError: the file is no book, or a row is crossed, not sorted, not above zero, incomplete
            or not later than the row before; the message names file, row and time of the first.
        ConfigError: an option that cannot be.
    """
    path = _one_file(request)
    repairs, gap = parse_repairs(repair), longest_gap(max_gap)  # before the long reading
    rows, sha256 = read_book(
        path,
        levels=levels if levels is None else whole_number("levels", levels),
        spare=SPARE if "levels" in repairs else 0,
        flows=bool(whole_number("flows", flows)),
        tick=real_number("tick", tick),
        start=start,
        every=every,
    )
    return to_book(
        rows,
        asset=asset or path.stem,
        name=_address(books, request, locals()),
        sha256=sha256,
        levels=min(5, rows.levels) if levels is None else int(levels),
        max_gap=max_gap if gap is None else gap,
        repair=repairs,
        left_out=left_out,
    )


@member("sources")
def lobster(
    request: str | Path,
    *,
    every: Duration = "1s",
    levels: int | None = None,
    max_gap: Duration = "",
    repair: str | Sequence[str] = "",
    flows: bool = True,
    date: str = "",
    asset: str = "",
    left_out: list[Finding] | None = None,
) -> Panel:
    """A day of LOBSTER, its message and its book file, on a clock.

    A row holds the book before its instant: after the last event that came earlier. Times are
    those of the exchange. Rows during a halt of trading are left out.

    Args:
        request: one of the two files, their folder, or one Parquet file that holds both.
        every: step of the clock.
        levels: per side; five where nothing is said, or all where there are fewer.
        max_gap: as of `books`; half as much again as `every` where nothing is said.
        repair, flows, left_out: as of `books`.
        date: ISO date, where the name of the file has none.
        asset: name of what is traded; the first word of the file's name where empty.

    Raises:
        MissingDataError: a file does not exist.
        DataError: the files do not belong together, or a row cannot stand.
        ConfigError: an option that cannot be.
    """
    repairs, gap, step = parse_repairs(repair), longest_gap(max_gap), duration(every)
    day = read_day(request, date=date)
    kept = min(5, day.levels) if levels is None else whole_number("levels", levels)
    spare = SPARE if "levels" in repairs else 0
    read = kept if kept > day.levels else min(kept + spare, day.levels)
    rows = on_clock(day, levels=read, every=step, flows=bool(whole_number("flows", flows)))
    return to_book(
        rows,
        asset=asset or day.asset,
        name=_address(lobster, request, locals()),
        sha256=day.sha256,
        levels=kept,
        max_gap=USUAL * (step / np.timedelta64(1, "s")) if gap is None else gap,
        repair=repairs,
        left_out=left_out,
    )


def check_book_file(address: str) -> Report:
    """Every finding about a book as it lies, where `load` would stop at the first.

    Rows that cannot stand are reported and left out, as with `repair="drop"`.

    Args:
        address: `books:FILE` or `lobster:FILE`, with options.

    Raises:
        DataError: there is no such file, it is no book, or no row of it can stand.
    """
    _, _, options = parse_address(address)
    repairs = parse_repairs(str(options.get("repair", "")))
    found: list[Finding] = []
    panel = load(address, repair=(*repairs, "drop"), left_out=found)
    return replace(check_book(panel, found), name=address)


def _one_file(request: str | Path) -> Path:
    if not isinstance(request, str | Path) or Path(request).is_dir():
        raise ConfigError("a book is one file", hint='load("books", "BTC_1sec.csv")')
    return find_files(request)[0]


def _address(source: Callable[..., Panel], request: object, given: Mapping[str, Any]) -> str:
    """What `load` would be asked for this panel: the options that differ from the usual ones."""
    said = []
    for name, option in inspect.signature(source).parameters.items():
        value = given[name]
        if option.kind is option.KEYWORD_ONLY and name != "left_out" and value != option.default:
            said.append(f"{name}={_text(value)}")
    mark = "?" if said else ""
    return f"{source.__name__}:{request}{mark}{'&'.join(said)}"


def _text(value: object) -> str:
    """An option as an address writes it."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, np.timedelta64):
        return f"{value / np.timedelta64(1, 's'):.10g}s"
    return ",".join(value) if isinstance(value, tuple | list) else str(value)
