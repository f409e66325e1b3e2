"""The features against a table that FinRL's own pipeline made (2020-07-01..2021-03-31, 29 names).

The published prices are rebuilt from the bundled ones: the close is adjusted for dividends (times a
constant per ticker for those paid later), open, high and low are not, as FinRL's downloader does.
"""

from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steelyard.features import compute
from steelyard.features.market_wide import turbulence_as_published
from steelyard.types import Panel

DATA = Path(__file__).resolve().parents[2] / "../shared/data/dev"
TABLE = DATA / "parity_finrl_trade_2020-07_2021-03.parquet"
BUNDLED = files("steelyard.data") / "bundled/us_djia30_daily_2009_2023.parquet"
LARGEST_ERROR = {
    "macd": 1e-4,
    "boll_ub": 1e-3,
    "boll_lb": 1e-3,
    "rsi_30": 1e-3,
    "cci_30": 1e-2,
    "dx_30": 1e-2,
    "close_30_sma": 1e-4,
    "close_60_sma": 1e-4,
    "turbulence": 1e-2,
}


def table_of(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    return rows.pivot("tic", index="date", values=column).sort("date")


@pytest.fixture(scope="module")
def published() -> pl.DataFrame:
    if not TABLE.exists():
        pytest.skip("the parity table of FinRL is not part of the repository")
    return pl.read_parquet(TABLE).with_columns(pl.col("tic").cast(pl.String))


@pytest.fixture(scope="module")
def rebuilt(published) -> Panel:
    names = sorted(published["tic"].unique())
    bars = pl.read_parquet(str(BUNDLED)).with_columns(pl.col("tic").cast(pl.String))
    fields = {
        name: table_of(bars, name).select(names).to_numpy().astype(np.float64)
        for name in ("high", "low", "adj_close")
    }
    dates = table_of(bars, "high")["date"].to_numpy().astype("datetime64[D]")
    theirs = table_of(published, "close")
    rows = np.isin(dates, theirs["date"].to_numpy().astype("datetime64[D]"))
    factor = {
        "close": np.median(theirs.select(names).to_numpy() / fields["adj_close"][rows], axis=0)
    }
    for name in ("high", "low"):
        ratio = table_of(published, name).select(names).to_numpy() / fields[name][rows]
        factor[name] = np.median(ratio, axis=0)  # 1, but for MMM's later spin-off
    return Panel(
        dates,
        tuple(names),
        {
            "high": factor["high"] * fields["high"],
            "low": factor["low"] * fields["low"],
            "close": factor["close"] * fields["adj_close"],
        },
    )


def largest_error(name: str, rebuilt: Panel, published: pl.DataFrame) -> float:
    theirs = table_of(published, name)
    days = theirs["date"].to_numpy().astype("datetime64[D]")
    rows = np.searchsorted(rebuilt.timestamps, days)
    if name == "turbulence":
        made = np.repeat(turbulence_as_published(rebuilt)[:, None], len(rebuilt.assets), axis=1)
    else:
        made = compute([name], rebuilt)[name]
    return float(np.abs(made[rows] - theirs.select(rebuilt.assets).to_numpy()).max())


def test_the_prices_are_rebuilt_for_every_day_and_name(rebuilt, published):
    assert len(rebuilt.assets) == 29
    assert published.height == 29 * len(published["date"].unique()) > 5_000
    assert largest_error_of_close(rebuilt, published) < 1e-3


def largest_error_of_close(rebuilt: Panel, published: pl.DataFrame) -> float:
    theirs = table_of(published, "close")
    rows = np.searchsorted(rebuilt.timestamps, theirs["date"].to_numpy().astype("datetime64[D]"))
    return float(np.abs(rebuilt["close"][rows] - theirs.select(rebuilt.assets).to_numpy()).max())


@pytest.mark.parametrize("name", LARGEST_ERROR)
def test_a_feature_equals_the_published_column(name, rebuilt, published):
    assert largest_error(name, rebuilt, published) <= LARGEST_ERROR[name]


def test_the_comparison_sees_a_shift_by_one_day(rebuilt, published):
    shifted = Panel(
        rebuilt.timestamps[1:],
        rebuilt.assets,
        {name: values[:-1] for name, values in rebuilt.fields.items()},
    )
    for name, bar in LARGEST_ERROR.items():
        assert largest_error(name, shifted, published) > 10.0 * bar
