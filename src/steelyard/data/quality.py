"""What is wrong with a data set: the rules that a panel or a file is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steelyard.data.adjust import PRICES
from steelyard.data.books import check_book, is_book
from steelyard.data.calendar import Days, extra_sessions, missing_sessions
from steelyard.data.report import Finding, Report, finding, ordered
from steelyard.data.rows import repair_rows, row_defects
from steelyard.data.splits import unadjusted_splits
from steelyard.data.table import find_files, read_table, to_panel
from steelyard.errors import DataError
from steelyard.types import Panel

if TYPE_CHECKING:
    import polars as pl

Mask = NDArray[np.bool_]

_TOLERANCE = 1e-4  # of the price: rounded prices may cross by less
_FILLED = 5  # unchanged rows at an end of a life from which they count as filled in


def check(panel: Panel, *, exchange: str | None = "XNYS") -> Report:
    """Every finding about `panel`.

    An asset lives from its first row with a close to its last; before and after, nothing is
    expected of it.

    Args:
        panel: prices; rules on fields that it lacks are left out. A book has rules of its own,
            see `books.check_book`.
        exchange: calendar that its days are held against; None for markets that never close.

    Raises:
        UnknownNameError: no exchange has that name.
    """
    if is_book(panel):
        return check_book(panel)
    return _inspect(panel, exchange, np.zeros((len(panel), len(panel.assets)), dtype=bool))


def check_file(
    request: str | Path | Sequence[str | Path], *, exchange: str | None = "XNYS"
) -> Report:
    """Every finding about files as they lie, where `load` would stop at the first.

    Rows that cannot stand are reported and left out; the rest is held against all rules.

    Args:
        request: a CSV or Parquet file, a folder of them, or several paths.
        exchange: calendar that the days are held against; None for none.

    Raises:
        DataError: there is no such file, or it is no price table at all.
    """
    table = read_table(find_files(request))
    defects = [*table.defects, *row_defects(table.frame)]
    found = [finding(d.kind, d.asset, d.date, d.count, str(d)) for d in defects]
    good = repair_rows(table.frame, ("prices", "duplicates", "sort"))
    good = good.unique(["tic", "date"], keep="first", maintain_order=True)
    name = request if isinstance(request, str | Path) else ",".join(map(str, request))
    if good.is_empty():
        raise DataError(f"no row of {name} can stand: {defects[0]}", hint=defects[0].hint)
    left_out = _emptied(table.frame.join(good, on=["tic", "date"], how="anti"))
    panel = to_panel(good.vstack(left_out), how="all", name=str(name), sha256="")
    report = _inspect(panel, exchange, _cells(panel, left_out))
    known = {(one.kind, one.asset) for one in found}
    new = [one for one in report.findings if (one.kind, one.asset) not in known]
    return replace(report, findings=ordered([*found, *new]))


def _emptied(rows: pl.DataFrame) -> pl.DataFrame:
    """One row without numbers for each date and asset of `rows`."""
    import polars as pl

    once = rows.unique(["tic", "date"], keep="first", maintain_order=True)
    empty = [pl.lit(None, pl.Float64).alias(c) for c in rows.columns if rows[c].dtype == pl.Float64]
    return once.with_columns(empty)


def _cells(panel: Panel, rows: pl.DataFrame) -> Mask:
    """(T, N) where `rows` have a date and asset of the panel."""
    mask = np.zeros((len(panel), len(panel.assets)), dtype=bool)
    for asset, stamp in zip(rows["tic"].to_list(), rows["date"].to_numpy(), strict=True):
        mask[panel.timestamps == stamp, panel.assets.index(asset)] = True
    return mask


def _inspect(panel: Panel, exchange: str | None, reported: Mask) -> Report:
    """Every finding; `reported` cells (T, N) are known to be missing already."""
    found: list[Finding] = []
    fields = [c for c in PRICES if c in panel.fields] or list(panel.fields)
    observed = np.any([np.isfinite(panel[c]) for c in fields], axis=0)
    filled_before, filled_after = _filled(panel, observed)
    masks = {
        "gap": _alive(observed) & ~observed & ~reported,
        "rows_before_listing": filled_before,
        "rows_after_delisting": filled_after,
        "unadjusted_split": unadjusted_splits(panel),
        **_row_rules(panel, observed, filled_before | filled_after),
    }
    if exchange:
        days = panel.timestamps.astype("datetime64[D]")
        extra = extra_sessions(days, exchange)
        masks["gap"] &= ~np.isin(days, extra)[:, None]
        found += _days("missing_session", missing_sessions(days, exchange))
        found += _days("extra_session", extra)
    for kind, mask in masks.items():
        found += _per_asset(kind, panel, mask)
    found += _lives(panel, observed)
    return _report(panel, exchange, found)


def _row_rules(panel: Panel, observed: Mask, filled: Mask) -> dict[str, Mask]:
    """Rules that look at one bar alone."""
    fields = [panel[c] for c in PRICES if c in panel.fields] or list(panel.fields.values())
    masks = {
        "missing_value": observed & np.any([~np.isfinite(v) for v in fields], axis=0),
        "non_positive_price": np.any([v <= 0 for v in fields], axis=0),
    }
    if all(name in panel.fields for name in PRICES):
        opened, high, low, close = fields
        slack = _TOLERANCE * np.abs(close)
        above = np.maximum(opened, close) - high > slack
        below = low - np.minimum(opened, close) > slack
        masks["ohlc_violation"] = above | below
        masks["flat_row"] = (opened == high) & (high == low) & (low == close) & ~filled
    if "volume" in panel.fields:
        volume = panel["volume"]
        masks["negative_volume"] = volume < 0
        masks["zero_volume"] = observed & (volume == 0) & ~filled
        masks["missing_value"] |= observed & ~np.isfinite(volume)
    return masks


def _alive(observed: Mask) -> Mask:
    """(T, N) whether the asset has a row at or before, and one at or after."""
    begun = np.logical_or.accumulate(observed, axis=0)
    not_ended = np.logical_or.accumulate(observed[::-1], axis=0)[::-1]
    return np.asarray(begun & not_ended)


def _filled(panel: Panel, observed: Mask) -> tuple[Mask, Mask]:
    """Rows at the start and at the end of a life that repeat one price without any trading."""
    before, after = np.zeros_like(observed), np.zeros_like(observed)
    names = [name for name in (*PRICES, "volume") if name in panel.fields]
    if "close" not in names:
        return before, after
    traded = panel["volume"] > 0 if "volume" in names else observed
    for asset in range(len(panel.assets)):
        rows, close = np.flatnonzero(observed[:, asset]), panel["close"][:, asset]
        for mask, order in ((before, rows), (after, rows[::-1])):
            if len(order) <= _FILLED:
                continue
            bars = np.array([panel[name][order, asset] for name in names])
            repeats = (bars == bars[:, :1]).all(axis=0)  # copies of one bar
            untraded = ~traded[order, asset] & (close[order] == close[order[0]])
            same = repeats | untraded
            length = len(order) if same.all() else int(np.argmin(same))
            length -= bool(traded[order[length - 1], asset])  # the bar that was copied
            if length >= _FILLED:
                mask[order[:length], asset] = True
    return before, after


def _lives(panel: Panel, observed: Mask) -> list[Finding]:
    found = []
    for column, asset in enumerate(panel.assets):
        rows = np.flatnonzero(observed[:, column])
        if len(rows) == 0:
            found.append(finding("late_listing", asset, "", len(panel)))
            continue
        if rows[0] > 0:
            first = str(panel.timestamps[rows[0]])
            found.append(finding("late_listing", asset, first, int(rows[0])))
        if rows[-1] < len(panel) - 1:
            last = str(panel.timestamps[rows[-1]])
            after = len(panel) - 1 - int(rows[-1])
            found.append(finding("early_delisting", asset, last, after))
    return found


def _per_asset(kind: str, panel: Panel, mask: Mask) -> list[Finding]:
    return [
        finding(
            kind,
            panel.assets[column],
            str(panel.timestamps[np.argmax(mask[:, column])]),
            int(mask[:, column].sum()),
        )
        for column in np.flatnonzero(mask.any(axis=0))
    ]


def _days(kind: str, days: Days) -> list[Finding]:
    return [finding(kind, "", str(days[0]), len(days))] if len(days) else []


def _report(panel: Panel, exchange: str | None, found: Sequence[Finding]) -> Report:
    return Report(
        name=panel.name,
        exchange=exchange or "",
        start=str(panel.timestamps[0]) if len(panel) else "",
        end=str(panel.timestamps[-1]) if len(panel) else "",
        rows=len(panel),
        assets=len(panel.assets),
        findings=ordered(found),
    )
