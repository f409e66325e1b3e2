"""The rows of an order book: what is wrong with them, and what may be set right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.data.report import Finding
from steelyard.errors import ConfigError, DataError
from steelyard.registry import did_you_mean
from steelyard.types import Floats

Mask = NDArray[np.bool_]
Stamps = NDArray[np.datetime64]

SIDES = ("bid", "ask")
FLOWS = ("limit", "cancel", "market")

REPAIRS = {
    "levels": "leave out levels on which nothing lies: those behind them move up",
    "drop": "leave out the rows that cannot stand",
}
"""What `repair` may say of a book, and what it does."""

_DROP = 'correct the source, or use repair="drop"'
_HINTS = {
    "unreadable": "write times as 2021-04-07 11:32:42.5",
    "unsorted": _DROP,
    "duplicate": _DROP,
    "missing_value": 'take fewer levels, or use repair="drop"',
    "non_positive_price": _DROP,
    "non_positive_size": 'use repair="levels" or repair="drop"',
    "negative_flow": _DROP,
    "crossed_book": _DROP,
    "unsorted_levels": _DROP,
}
"""Kind of fault -> what to do about it."""


@dataclass
class BookRows:
    """Rows of a book as they were read: nothing is judged yet.

    Attributes:
        timestamps: (T,) datetime64[us]; NaT where a time cannot be read.
        columns: field of a book panel -> (T,) float64; `bid_1`.., `ask_1`.., `bid_size_1`..,
            `ask_size_1`.. up to `levels`, and flows. NaN where a number cannot be read.
        levels: L, per side.
        place: where the rows came from, for messages.
    """

    timestamps: Stamps
    columns: dict[str, Floats]
    levels: int
    place: str = "the book"

    def keep(self, rows: Mask) -> None:
        """Leave out all but `rows`, one column after the other."""
        if rows.all():
            return
        self.timestamps = self.timestamps[rows]
        for name in self.columns:
            self.columns[name] = self.columns[name][rows]


def parse_repairs(repair: str | Sequence[str]) -> tuple[str, ...]:
    """The names in `repair`, given as a sequence or as text with commas.

    Raises:
        ConfigError: a name is none of `REPAIRS`.
    """
    parts = repair.split(",") if isinstance(repair, str) else list(repair)
    names = tuple(part.strip() for part in parts if part.strip())
    for name in names:
        if name not in REPAIRS:
            raise ConfigError(
                f"no repair of books named `{name}`", hint=did_you_mean(name, REPAIRS)
            )
    return names


def judge(rows: BookRows, *, asset: str, drop: bool) -> list[Finding]:
    """Refuse the first row that cannot stand, or leave all of them out.

    The times are judged last, among the rows that remain.

    Returns:
        One finding per kind of fault, with the number of rows that were left out for it; a row
        with two faults counts for the first.

    Raises:
        DataError: a row cannot stand and `drop` is not set, or no row remains.
    """
    found: list[Finding] = []
    origin = np.arange(1, len(rows.timestamps) + 1)
    for faults in (_value_faults, _time_faults):
        bad = np.zeros(len(rows.timestamps), dtype=bool)
        told: dict[str, tuple[int, int, str]] = {}  # kind -> first row, rows, words
        for kind, mask, words, numbers in faults(rows):
            new = mask & ~bad
            if new.any():
                row = int(np.argmax(new))
                text = words.format(*(f"{values[row]:.10g}" for values in numbers))
                first, count, before = told.get(kind, (len(bad), 0, ""))
                text = text if row < first else before
                told[kind] = min(row, first), count + int(new.sum()), text
                bad |= mask
        stage = [_finding(rows, kind, asset, origin, *fault) for kind, fault in told.items()]
        if stage and not drop:
            refused = min(stage, key=lambda one: told[one.kind][0])
            raise DataError(refused.detail, hint=refused.hint)
        found += stage
        origin = origin[~bad]
        rows.keep(~bad)
    if len(rows.timestamps) == 0:
        hint = found[0].hint if found else "is it the right file?"
        raise DataError(f"{rows.place} has no row that can stand", hint=hint)
    return found


def close_ranks(rows: BookRows, levels: int) -> None:
    """Leave out levels without a size: those behind move up, with their flows.

    Args:
        rows: with as many spare levels as may be needed; changed in place.
        levels: how many to keep; a row with fewer has NaN on the last.
    """
    for side in SIDES:
        prefixes = [f"{side}_", f"{side}_size_", *(f"{side}_{flow}_" for flow in FLOWS)]
        held = [prefix for prefix in prefixes if f"{prefix}1" in rows.columns]
        numbers = range(1, rows.levels + 1)
        empty = [rows.columns[f"{side}_size_{k}"] == 0 for k in numbers]
        at = np.flatnonzero(np.any(empty, axis=0))
        lies = np.stack([~mask[at] for mask in empty], axis=1)
        order = np.argsort(~lies, axis=1, kind="stable")
        absent = ~np.take_along_axis(lies, order, axis=1)
        for prefix in held:
            block = np.stack([rows.columns[f"{prefix}{k}"][at] for k in numbers], axis=1)
            moved = np.where(absent, np.nan, np.take_along_axis(block, order, axis=1))
            for k in numbers:
                rows.columns[f"{prefix}{k}"][at] = moved[:, k - 1]
    trim(rows, levels)


def trim(rows: BookRows, levels: int) -> None:
    """Leave out the levels behind the first `levels`."""
    for k in range(levels + 1, rows.levels + 1):
        for side in SIDES:
            for name in ("", "size_", *(f"{flow}_" for flow in FLOWS)):
                rows.columns.pop(f"{side}_{name}{k}", None)
    rows.levels = levels


Fault = tuple[str, Mask, str, tuple[Floats, ...]]
"""A kind, the rows (T,) that have it, and the words for one with the numbers that fill them."""


def _value_faults(rows: BookRows) -> Iterator[Fault]:
    """Faults that a row has by itself."""
    yield "unreadable", np.isnat(rows.timestamps), "the time cannot be read", ()
    numbers = range(1, rows.levels + 1)
    prices = [f"{side}_{k}" for side in SIDES for k in numbers]
    sizes = [f"{side}_size_{k}" for side in SIDES for k in numbers]
    for name in (*prices, *sizes):
        values = rows.columns[name]
        yield "missing_value", ~np.isfinite(values), f"{name} is not there", ()
    for kind, names in (("non_positive_price", prices), ("non_positive_size", sizes)):
        for name in names:
            values = rows.columns[name]
            yield kind, values <= 0, f"{name} is {{}}, not above 0", (values,)
    for name in rows.columns.keys() - {*prices, *sizes}:
        values = rows.columns[name]
        yield "negative_flow", values < 0, f"{name} is {{}}, below 0", (values,)
    bid, ask = rows.columns["bid_1"], rows.columns["ask_1"]
    words = "the best bid {} is not below the best ask {}"
    yield "crossed_book", bid >= ask, words, (bid, ask)
    for k in numbers[1:]:
        for side, sign, order in (("bid", -1.0, "below"), ("ask", 1.0, "above")):
            near, far = rows.columns[f"{side}_{k - 1}"], rows.columns[f"{side}_{k}"]
            text = f"{side}_{k} is {{}}, not {order} {side}_{k - 1} ({{}})"
            yield "unsorted_levels", sign * (far - near) <= 0, text, (far, near)


def _time_faults(rows: BookRows) -> Iterator[Fault]:
    """Times that do not rise."""
    stamps = rows.timestamps.astype("datetime64[us]").astype(np.int64)
    if len(stamps) < 2:
        return
    latest = np.maximum.accumulate(stamps)
    back, again = np.zeros(len(stamps), dtype=bool), np.zeros(len(stamps), dtype=bool)
    back[1:] = stamps[1:] < latest[:-1]
    again[1:] = stamps[1:] == latest[:-1]
    yield "unsorted", back, "the time is before that of a row above", ()
    yield "duplicate", again, "the time is that of a row above", ()


def _finding(
    rows: BookRows,
    kind: str,
    asset: str,
    origin: NDArray[np.int64],
    first: int,
    count: int,
    words: str,
) -> Finding:
    time = rows.timestamps[first]
    stamp = "" if np.isnat(time) else str(time).replace("T", " ").removesuffix(".000000")
    more = f" (and {count - 1} more)" if count > 1 else ""
    at = f" ({stamp})" if stamp else ""
    detail = f"{rows.place} row {origin[first]}{at}: {words}{more}"
    return Finding(kind, asset, stamp, count, "error", _HINTS[kind], detail)
