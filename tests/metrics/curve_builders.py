"""Curves for the tests of the metrics."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

import steelyard
from steelyard.types import EquityCurve, Floats

INDEX_FILE = Path(steelyard.__file__).parent / "data/bundled/us_index_daily_2009_2023.parquet"


def curve(
    *value: float, periods_per_year: float = 252.0, trades: Floats | None = None
) -> EquityCurve:
    """A curve of the given account values."""
    return batch(np.array(value), periods_per_year=periods_per_year, trades=trades)


def batch(
    value: Floats, *, periods_per_year: float = 252.0, trades: Floats | None = None
) -> EquityCurve:
    """A curve (T,) or a batch (B, T) on consecutive days."""
    days = np.datetime64("2020-01-01") + np.arange(value.shape[-1])
    return EquityCurve(days, value, periods_per_year, trades)


def from_returns(*returns: float, periods_per_year: float = 252.0) -> EquityCurve:
    """A curve that starts at 1 and has the given returns."""
    return batch(np.cumprod([1.0, *(1 + r for r in returns)]), periods_per_year=periods_per_year)


def index_curve(ticker: str, start: str, end: str) -> EquityCurve:
    """The closes of an index from `start` to `end`, both inclusive, from the bundled file."""
    rows = (
        pl.read_parquet(INDEX_FILE)
        .filter(
            pl.col("tic").cast(pl.String) == ticker,
            pl.col("date").is_between(date.fromisoformat(start), date.fromisoformat(end)),
        )
        .sort("date")
    )
    return EquityCurve(rows["date"].to_numpy(), rows["close"].cast(pl.Float64).to_numpy())
