"""Order books as panels: prices and sizes of every level, and where the clock has gaps.

A book panel has one asset and the fields

* `bid_1`, `bid_2`, ..., `ask_1`, ...: prices in quote currency, level 1 the best,
* `bid_size_1`, ..., `ask_size_1`, ...: what lies there, in units of the asset,
* `close`: the mid, halfway between the best bid and the best ask,
* `buys`, `sells`: traded since the row before, in quote currency; `trades`, how many; where the
  source has them,
* `bid_limit_1`, `bid_cancel_1`, `bid_market_1`, ..., `ask_...`: placed, cancelled and taken at a
  level since the row before, in quote currency; where the source has them,

and `context["segment"]`, which counts 0, 1, 2, ... stretches without a gap. Nothing that looks at
several rows (a window, a feature, an episode) may cross from one segment into another unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from steelyard.data.book_rows import (
    SIDES,
    BookRows,
    Stamps,
    close_ranks,
    judge,
    parse_repairs,
    trim,
)
from steelyard.data.report import Finding, Report, finding
from steelyard.errors import ConfigError, DataError, MissingDataError
from steelyard.types import Floats, Panel

Duration = str | float | np.timedelta64
"""A length of time: "5s", "250ms", "1min", "2h", "1d", a number of seconds, or a timedelta64."""

USUAL = 1.5
"""A step longer than this many usual (median) steps is a gap, where nothing else is said."""

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|sec|m|min|h|d)")


def book_panel(
    timestamps: Stamps,
    bids: Floats,
    asks: Floats,
    bid_sizes: Floats,
    ask_sizes: Floats,
    *,
    asset: str = "asset",
    max_gap: Duration = "",
    name: str = "book",
    sha256: str = "",
    flows: Mapping[str, Floats] | None = None,
    repair: str | Sequence[str] = "",
    left_out: list[Finding] | None = None,
) -> Panel:
    """A checked book panel of arrays.

    Args:
        timestamps: (T,) datetime64, strictly increasing.
        bids, asks: (T, L) prices in quote currency; bids fall and asks rise from column 0 on.
        bid_sizes, ask_sizes: (T, L) units of the asset, above 0.
        asset: name of what is traded.
        max_gap: a longer step from row to row begins a new segment; half as much again as the
            median step where empty.
        name, sha256: see `Panel`.
        flows: further fields (T,), not below 0: `buys`, `sells`, `trades`, `bid_limit_1`, ...
        repair: what may be set right instead of refused, see `book_rows.REPAIRS`.
        left_out: takes up a finding per kind of row that `repair="drop"` leaves out.

    Raises:
        DataError: arrays whose shapes do not belong together; a row that is crossed, not sorted,
            not above 0 or incomplete; a time that does not rise. Rows count from 1.
        ConfigError: a repair or a gap that cannot be.
    """
    arrays = {"bid_": bids, "ask_": asks, "bid_size_": bid_sizes, "ask_size_": ask_sizes}
    shape = np.shape(bids)
    if len(shape) != 2 or shape[1] < 1 or any(np.shape(v) != shape for v in arrays.values()):
        shapes = ", ".join(str(np.shape(values)) for values in arrays.values())
        raise DataError(f"bids, asks and their sizes must all be (T, L), got {shapes}")
    further = {key: np.asarray(values, dtype=np.float64) for key, values in (flows or {}).items()}
    for key, length in [("timestamps", np.shape(timestamps)), *_shapes(further)]:
        if length != shape[:1]:
            raise DataError(f"{key} has shape {length}, not (T,) = {shape[:1]}")
    columns = {
        f"{prefix}{k + 1}": np.array(values[:, k], dtype=np.float64)
        for prefix, values in arrays.items()
        for k in range(shape[1])
    }
    rows = BookRows(np.asarray(timestamps), columns | further, shape[1], name or "the book")
    return to_book(
        rows, asset=asset, max_gap=max_gap, name=name, sha256=sha256, repair=repair,
        left_out=left_out,
    )  # fmt: skip


def to_book(
    rows: BookRows,
    *,
    asset: str,
    name: str,
    sha256: str = "",
    levels: int | None = None,
    max_gap: Duration = "",
    repair: str | Sequence[str] = "",
    left_out: list[Finding] | None = None,
) -> Panel:
    """The panel of `rows`, which are used up; arguments and errors as of `book_panel`.

    Args:
        rows: as read.
        levels: how many to keep; all where None. More may have been read, for `repair="levels"`.
    """
    gap = longest_gap(max_gap)
    repairs = parse_repairs(repair)
    kept = rows.levels if levels is None else levels
    if "levels" in repairs:
        close_ranks(rows, kept)
    else:
        trim(rows, kept)
    found = judge(rows, asset=asset, drop="drop" in repairs)
    if left_out is not None:
        left_out += found
    mid = (rows.columns["bid_1"] + rows.columns["ask_1"]) / 2.0
    fields = {key: rows.columns.pop(key)[:, None] for key in list(rows.columns)}
    stretch = segments(rows.timestamps, usual_gap(rows.timestamps) if gap is None else gap)
    return Panel(
        timestamps=rows.timestamps,
        assets=(asset,),
        fields=fields | {"close": mid[:, None]},
        context={"segment": stretch.astype(np.float64)},
        name=name,
        sha256=sha256,
    )


def levels(panel: Panel) -> int:
    """Levels per side of a book panel.

    Raises:
        MissingDataError: the panel is no book.
    """
    count = 0
    while all(f"{side}_{count + 1}" in panel.fields for side in SIDES):
        count += 1
    if count == 0:
        raise MissingDataError(
            f"`{panel.name}` is no order book: it has no fields bid_1 and ask_1",
            hint='load one with load("books", PATH) or load("book:imbalance")',
        )
    return count


def is_book(panel: Panel) -> bool:
    """Whether a panel has a book's best prices and segments."""
    return {"bid_1", "ask_1"} <= set(panel.fields) and "segment" in panel.context


def segments(timestamps: Stamps, max_gap: Duration) -> NDArray[np.int64]:
    """Number (T,) of the stretch without a gap that each row lies in: 0, 1, 2, ...

    Args:
        timestamps: (T,) datetime64, strictly increasing.
        max_gap: the longest step that is no gap.

    Raises:
        ConfigError: a gap that cannot be read, or is not above 0.
    """
    steps = np.diff(timestamps.astype("datetime64[us]"))
    return np.concatenate([[0], np.cumsum(steps > duration(max_gap))])[: len(timestamps)]


def usual_gap(timestamps: Stamps) -> np.timedelta64:
    """`USUAL` times the median step: a missing row is a gap, an uneven clock is none."""
    if len(timestamps) < 2:
        return np.timedelta64(1, "s")
    steps = np.diff(timestamps.astype("datetime64[us]")).astype(np.int64)
    return np.timedelta64(max(1, int(USUAL * float(np.median(steps)))), "us")


def longest_gap(max_gap: Duration) -> np.timedelta64 | None:
    """`max_gap` as a length of time; None where nothing is said.

    Raises:
        ConfigError: it cannot be read, or is not above 0.
    """
    return None if isinstance(max_gap, str) and not max_gap else duration(max_gap)


def duration(length: Duration) -> np.timedelta64:
    """A length of time in microseconds.

    Raises:
        ConfigError: it cannot be read, or is not above 0.
    """
    if isinstance(length, np.timedelta64 | timedelta):
        found = np.timedelta64(np.timedelta64(length), "us")
    else:
        match = _DURATION.fullmatch(f"{length}".strip().lower())
        unit = {"d": 86400.0, **_SECONDS}[match[2]] if match else 1.0
        try:
            seconds = float(match[1] if match else length) * unit
            found = np.timedelta64(round(seconds * 1e6), "us")
        except (TypeError, ValueError, OverflowError):
            raise ConfigError(
                f"`{length}` is no length of time", hint="write it as 5s, 250ms or 1min"
            ) from None
    if not found > np.timedelta64(0, "us"):
        raise ConfigError(f"a length of time must lie above 0, got `{length}`", hint="5s")
    return found


def check_book(panel: Panel, left_out: Sequence[Finding] = ()) -> Report:
    """The report on a book panel: its gaps, and what was left out when it was loaded.

    Raises:
        MissingDataError: the panel is no book.
    """
    levels(panel)
    found = list(left_out)
    borders = np.flatnonzero(np.diff(panel["segment"]) != 0)
    if len(borders):
        first = str(panel.timestamps[borders[0]])
        found.append(finding("segment_border", panel.assets[0], first, len(borders)))
    return Report(
        name=panel.name,
        exchange="",
        start=str(panel.timestamps[0]),
        end=str(panel.timestamps[-1]),
        rows=len(panel),
        assets=len(panel.assets),
        findings=tuple(found),
    )


def _shapes(arrays: Mapping[str, Floats]) -> list[tuple[str, tuple[int, ...]]]:
    return [(key, values.shape) for key, values in arrays.items()]
