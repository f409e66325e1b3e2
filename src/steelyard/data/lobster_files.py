"""Files of LOBSTER: every event of one trading day, and the book after each of them.

A day is a pair of CSV files without headers, `*_message_*.csv` (time in seconds after midnight,
type, order, size, price, direction) and `*_orderbook_*.csv` (ask price, ask size, bid price, bid
size, level after level), or one Parquet file with both. Prices are whole multiples of 1e-4 USD.
Several events may share a time, so the book is read on a clock: a row holds what stood before its
instant, after the last event that came earlier.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steelyard.data.book_rows import BookRows
from steelyard.data.books import Duration, duration
from steelyard.errors import DataError, MissingDataError
from steelyard.types import Floats

if TYPE_CHECKING:
    import polars as pl

UNIT = 1e-4
"""USD per unit of a price."""

MESSAGE = ("time", "type", "order_id", "size", "price", "direction")
SUBMITTED, CANCELLED, DELETED, EXECUTED, HIDDEN, HALTED = 1, 2, 3, 4, 5, 7
"""Types of events; the price of `HALTED` is 1 where trading resumes."""

_NOTHING = 9_999_999_999  # price of a level on which nothing lies, with either sign
_DAY = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
_FIELDS = {"": ("price", UNIT), "size_": ("size", 1.0)}


@dataclass(frozen=True)
class Day:
    """The events of one day.

    Attributes:
        events: (E,) columns of `MESSAGE` by name.
        book: `bid1_price`, `ask1_size`, ... -> (E,) after each event.
        levels: L.
        date: of the day.
        asset: as the files name it.
        place: for messages.
        sha256: of the files.
    """

    events: Mapping[str, NDArray[Any]]
    book: Mapping[str, NDArray[Any]]
    levels: int
    date: np.datetime64
    asset: str
    place: str
    sha256: str


def read_day(request: str | Path, *, date: str = "") -> Day:
    """Read the files of one day.

    Args:
        request: one of the two CSV files, the folder in which the pair lies, or a Parquet file.
        date: ISO date of the day, where the name of the file has none.

    Raises:
        MissingDataError: a file does not exist.
        DataError: the files do not belong together, their times fall, or the date is not known.
    """
    message, book = _pair(Path(request))
    events, depth = _read(message, book)
    times = events["time"].to_numpy()
    wrong = np.isnan(times) | np.append(False, np.diff(times) < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{message.name} row {row + 1}: the time {times[row]} is before that of the row above",
            hint="take the files as LOBSTER made them",
        )
    return Day(
        events={name: events[name].to_numpy() for name in MESSAGE},
        book={name: depth[name].to_numpy() for name in depth.columns},
        levels=len(depth.columns) // 4,
        date=_date(date or message.name),
        asset=message.name.split("_")[0] if book is not None else message.stem,
        place=message.name,
        sha256=_digest(message, book),
    )


def on_clock(day: Day, *, levels: int, every: Duration, flows: bool) -> BookRows:
    """The book at whole multiples of `every`: what stood before each instant.

    Rows between the halt of trading and its end are left out, which makes a gap.

    Args:
        day: the events.
        levels: per side; NaN where nothing lies on one.
        every: the step of the clock.
        flows: whether to sum up the events since the row before.

    Raises:
        DataError: the day has fewer levels, or is shorter than one step.
    """
    if not 1 <= levels <= day.levels:
        raise DataError(
            f"{day.place} has {day.levels} levels per side, not {levels}",
            hint=f"levels={day.levels}",
        )
    step = int(duration(every).astype(np.int64))
    times = day.events["time"]
    ticks = np.arange(int(times[0] * 1e6 // step) + 1, int(times[-1] * 1e6 // step) + 1) * step
    if len(ticks) == 0:
        raise DataError(f"{day.place} is shorter than one step of the clock", hint="every=1s")
    instants = ticks / 1e6
    latest = np.searchsorted(times, instants, side="left") - 1  # an event at the instant is later
    columns: dict[str, Floats] = {}
    for side in ("bid", "ask"):
        for k in range(1, levels + 1):
            empty = np.abs(day.book[f"{side}{k}_price"][latest]) == _NOTHING
            for kind, (name, unit) in _FIELDS.items():
                values = day.book[f"{side}{k}_{name}"][latest] * unit
                decimals = np.round(values, 4)  # 579.4000000000001 is not what was quoted
                columns[f"{side}_{kind}{k}"] = np.where(empty, np.nan, decimals)
    if flows:
        columns |= _flows(day, instants, levels)
    stamps = day.date.astype("datetime64[us]") + ticks.astype("timedelta64[us]")
    rows = BookRows(stamps, columns, levels, day.place)
    rows.keep(~_halted(day)[latest])
    return rows


def _flows(day: Day, instants: Floats, levels: int) -> dict[str, Floats]:
    """What happened since the row before, in USD: at each level, and traded in all."""
    events, count = day.events, len(instants)
    row = np.searchsorted(instants, events["time"], side="right")  # of the first row that knows
    notional = events["size"] * (events["price"] * UNIT)
    kinds, direction = events["type"], events["direction"]

    def total(mask: NDArray[np.bool_], weights: NDArray[Any]) -> Floats:
        known = mask & (row < count)
        return np.bincount(row[known], weights[known], minlength=count).astype(np.float64)

    traded = (kinds == EXECUTED) | (kinds == HIDDEN)
    found = {
        "buys": total(traded & (direction == -1), notional),  # against an order to sell
        "sells": total(traded & (direction == 1), notional),
        "trades": total(traded, np.ones(len(kinds))),
    }
    before = np.maximum(np.arange(len(kinds)) - 1, 0)
    names = {"limit": (SUBMITTED,), "cancel": (CANCELLED, DELETED), "market": (EXECUTED,)}
    for side, sign in (("bid", 1), ("ask", -1)):
        for k in range(1, levels + 1):
            after = day.book[f"{side}{k}_price"]
            for name, members in names.items():
                quoted = after if name == "limit" else after[before]
                here = (direction == sign) & (quoted == events["price"]) & np.isin(kinds, members)
                found[f"{side}_{name}_{k}"] = total(here, notional)
    return found


def _date(text: str) -> np.datetime64:
    """The day that stands in `text`."""
    named = _DAY.search(text)
    try:
        return np.datetime64("-".join(named.groups()) if named else text, "D")
    except ValueError:
        raise DataError(f"the day of {text} is not known", hint='date="2012-06-21"') from None


def _halted(day: Day) -> NDArray[np.bool_]:
    """(E,) whether trading is halted after each event."""
    told = day.events["type"] == HALTED
    latest = np.maximum.accumulate(np.where(told, np.arange(len(told)), -1))
    return np.asarray((latest >= 0) & (day.events["price"][latest] != 1))


def _pair(path: Path) -> tuple[Path, Path | None]:
    """The file of messages, and that of books, None where they are one."""
    if path.is_dir():
        found = sorted(path.glob("*_message_*.csv"))
        if len(found) != 1:
            raise MissingDataError(
                f"the folder {path} holds {len(found)} files *_message_*.csv",
                hint="name the file of one day",
            )
        path = found[0]
    if not path.is_file():
        raise MissingDataError(f"no file {path}", hint="check the path")
    if path.suffix.lower() == ".parquet":
        return path, None
    message = path.with_name(path.name.replace("_orderbook_", "_message_"))
    book = path.with_name(path.name.replace("_message_", "_orderbook_"))
    if message == book or not message.is_file() or not book.is_file():
        raise MissingDataError(
            f"{path.name} is not one of a pair",
            hint="LOBSTER writes *_message_*.csv and *_orderbook_*.csv, which lie side by side",
        )
    return message, book


def _read(message: Path, book: Path | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The columns of messages, and those of books under the names of the Parquet form."""
    import polars as pl

    try:
        if book is None:
            whole = pl.read_parquet(message, glob=False)
            missing = [name for name in MESSAGE if name not in whole.columns]
            quotes = [name for name in whole.columns if re.fullmatch(r"(bid|ask)\d+_\w+", name)]
            if missing or not quotes:
                raise DataError(
                    f"{message.name} is no file of LOBSTER: no {', '.join(missing or ['book'])}",
                    hint="columns time, type, order_id, size, price, direction, ask1_price, ...",
                )
            return whole.select(MESSAGE), whole.select(quotes)
        events = pl.read_csv(message, has_header=False, columns=list(range(6)))
        depth = pl.read_csv(book, has_header=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"{message.name} cannot be read: {reason}", hint="is it a table?"
        ) from error
    if len(events) != len(depth) or depth.width % 4 or events.is_empty():
        raise DataError(
            f"{message.name} has {len(events)} rows, {book.name} {len(depth)} in {depth.width} "
            "columns: they do not belong together",
            hint="one row per event in both, four columns per level",
        )
    events.columns = list(MESSAGE)
    parts = ("ask{}_price", "ask{}_size", "bid{}_price", "bid{}_size")
    depth.columns = [part.format(k + 1) for k in range(depth.width // 4) for part in parts]
    counts = [pl.col(name).cast(pl.Int64) for name in MESSAGE[1:]]
    return events.select(pl.col("time").cast(pl.Float64), *counts), depth.cast(pl.Int64)


def _digest(message: Path, book: Path | None) -> str:
    """sha256 of the one file, or of the pair."""
    files = [path for path in (message, book) if path is not None]
    found = []
    for path in files:
        with path.open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return found[0] if len(found) == 1 else hashlib.sha256("\n".join(found).encode()).hexdigest()
