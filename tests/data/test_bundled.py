from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steelyard.data import cards, datasets, load, show
from steelyard.data.bundled import _close_of
from steelyard.errors import ConfigError, DataError, MissingDataError, UnknownNameError
from steelyard.types import Panel

BTC = "crypto_btcusdt_binance_1h_2017_2023"
DOW = "us_djia30_daily_2009_2023"
NAMES = [BTC, DOW, "us_index_daily_2009_2023", "us_vix_daily_2005_2023"]


def raw(name: str = DOW) -> pl.DataFrame:
    frame = pl.read_parquet(show(name).path)
    return frame.with_columns(pl.col("date").dt.replace_time_zone(None)) if name == BTC else frame


def grid(frame: pl.DataFrame, column: str) -> np.ndarray:
    """(T, N) float64, by the pivot of another library."""
    table = frame.with_columns(pl.col("tic").cast(pl.String), pl.col(column).cast(pl.Float64))
    wide = table.pivot("tic", index="date", values=column).sort("date")
    return wide.select(sorted(c for c in wide.columns if c != "date")).to_numpy()


def test_every_bundled_set_has_a_card() -> None:
    known = datasets()
    assert [card.name for card in known if card.kind == "prices"] == NAMES
    files = sorted(path.stem for path in cards.FOLDER.glob("*.parquet"))
    assert files == [card.name for card in known]


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_on_a_card_are_those_of_the_file(name: str) -> None:
    card, frame = show(name), raw(name)
    assert hashlib.sha256(card.path.read_bytes()).hexdigest() == card.sha256
    assert len(frame) == card.rows
    assert frame["date"].n_unique() == card.sessions
    assert (frame["date"].min(), frame["date"].max()) == (card.start, card.end)
    assert frame.columns == list(card.columns)
    if "tic" in frame.columns:
        assert sorted(frame["tic"].cast(pl.String).unique()) == list(card.assets)
    else:
        assert len(card.assets) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_a_user_must_know(name: str) -> None:
    card = show(name)
    texts = [card.title, card.summary, card.licence, card.terms, card.attribution]
    assert all(texts)
    assert card.adjustments
    assert card.flaws
    assert card.checks
    assert all(origin.repository and origin.commit for origin in card.origin)
    assert card.to_dict()["start"] == card.start.isoformat()


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_set_loads_as_its_card_says(name: str) -> None:
    card, panel = show(name), load("bundled", name)
    assert len(panel) == card.sessions
    assert panel.assets == card.assets
    assert panel.timestamps[0] == np.datetime64(card.start)
    assert panel.timestamps[-1] == np.datetime64(card.end)
    assert panel.sha256 == card.sha256
    assert panel.name == f"bundled:{name}"
    observed = sum(int(np.isfinite(panel["close"][:, n]).sum()) for n in range(len(panel.assets)))
    assert observed == card.rows
    assert all(values.dtype == np.float64 for values in panel.fields.values())


def test_a_damaged_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(cards.FOLDER, tmp_path / "bundled")
    monkeypatch.setattr(cards, "FOLDER", tmp_path / "bundled")
    path = tmp_path / "bundled" / "us_vix_daily_2005_2023.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged") as caught:
        load("bundled", "us_vix_daily_2005_2023")
    assert "reinstall" in caught.value.hint
    path.unlink()
    with pytest.raises(DataError, match="is not there"):
        load("bundled", "us_vix_daily_2005_2023")


def test_adjusted_returns_are_those_of_the_adjusted_close(djia: Panel) -> None:
    adjusted = grid(raw(), "adj_close")
    expected = adjusted[1:] / adjusted[:-1]
    returns = djia["close"][1:] / djia["close"][:-1]
    np.testing.assert_allclose(returns, expected, rtol=1e-12)


@pytest.mark.parametrize("field", ["open", "high", "low"])
def test_adjusting_keeps_every_ratio_within_a_bar(djia: Panel, field: str) -> None:
    stored = grid(raw(), field) / grid(raw(), "close")
    np.testing.assert_allclose(djia[field] / djia["close"], stored, rtol=1e-12)


def test_splits_gives_the_prices_as_stored_and_volume_never_changes(djia: Panel) -> None:
    panel = load("bundled", DOW, adjust="splits")
    for field in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(panel[field], grid(raw(), field))
    np.testing.assert_array_equal(djia["volume"], panel["volume"])
    assert panel.name.endswith("?adjust=splits")


def test_close_only_puts_most_closes_below_the_low_of_their_day(djia: Panel) -> None:
    published = load("bundled", DOW, adjust="close_only")
    observed = np.isfinite(published["close"])
    assert (published["close"] < published["low"])[observed].mean() > 0.8
    assert not (djia["close"] < djia["low"])[observed].any()
    np.testing.assert_array_equal(published["close"], grid(raw(), "adj_close"))


def test_an_unknown_adjustment_is_named() -> None:
    with pytest.raises(ConfigError, match="closeonly") as caught:
        load("bundled", DOW, adjust="closeonly")
    assert "close_only" in caught.value.hint


def test_dow_is_not_observed_before_its_listing(djia: Panel) -> None:
    close = djia.select(["DOW"])["close"][:, 0]
    first = np.flatnonzero(np.isfinite(close))[0]
    assert str(djia.timestamps[first]) == "2019-03-20"
    assert np.isnan(close[:first]).all()
    assert np.isfinite(close[first:]).all()


def test_vix_is_joined_by_date_and_never_filled(djia: Panel) -> None:
    at = djia.timestamps == np.datetime64("2020-03-16")
    assert round(float(djia["vix"][at][0]), 2) == 82.69  # the highest close on record
    days = np.array(["2020-03-14", "2020-03-16", "2020-07-04"], dtype="datetime64[D]")
    joined = _close_of("us_vix_daily_2005_2023", days)
    assert np.isnan(joined[[0, 2]]).all()
    assert round(float(joined[1]), 2) == 82.69


def test_a_window_outside_the_data_is_refused(djia: Panel) -> None:
    for start, end in (("2008-01-01", "2010-01-01"), ("2023-01-01", "2024-06-30")):
        with pytest.raises(MissingDataError, match=r"2009-01-02\.\.2023-12-29") as caught:
            djia.between(start, end)
        assert caught.value.hint


def test_a_misspelt_set_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load("bundled", "us_djia30_daily")
    assert DOW in caught.value.hint
    with pytest.raises(UnknownNameError, match="no bundled set"):
        show("nothing")


def curve(index: Panel, asset: str, start: str, end: str) -> np.ndarray:
    return index.between(start, end).select([asset])["close"][:, 0]


@pytest.mark.parametrize(
    ("asset", "start", "end", "total", "drawdown"),
    [
        ("^DJI", "2023-10-25", "2023-11-14", 5.42, -1.87),
        ("^DJI", "2023-11-15", "2023-11-22", 0.81, -0.18),
        ("^GSPC", "2019-01-02", "2023-12-29", 90.03, -33.92),
        ("^NDX", "2019-01-02", "2023-12-29", 164.52, -35.56),
    ],
)
def test_index_returns_and_drawdowns_are_those_of_the_paper(
    index: Panel, asset: str, start: str, end: str, total: float, drawdown: float
) -> None:
    value = curve(index, asset, start, end)
    assert round(100 * (value[-1] / value[0] - 1), 2) == total
    peak, worst = value[0], 0.0
    for price in value:
        peak = max(peak, price)
        worst = min(worst, price / peak - 1)
    assert round(100 * worst, 2) == drawdown


@pytest.mark.parametrize(
    ("asset", "start", "end", "ratio", "places"),
    [
        ("^DJI", "2023-10-25", "2023-11-14", 0.45, 2),
        ("^DJI", "2023-11-15", "2023-11-22", 0.49, 2),
        ("^GSPC", "2019-01-02", "2023-12-29", 0.0448, 4),
        ("^NDX", "2019-01-02", "2023-12-29", 0.0558, 4),
    ],
)
def test_index_daily_sharpe_ratios_are_those_of_the_paper(
    index: Panel, asset: str, start: str, end: str, ratio: float, places: int
) -> None:
    value = curve(index, asset, start, end)
    returns = value[1:] / value[:-1] - 1
    assert round(float(returns.mean() / returns.std()), places) == ratio


def test_the_dow_of_table_5_gains_18_95_percent(index: Panel) -> None:
    value = curve(index, "^DJI", "2021-01-04", "2023-11-30")
    assert round(100 * (value[-1] / value[0] - 1), 2) == 18.95


def test_the_dow_is_the_sum_of_its_thirty_prices_over_the_divisor(index: Panel) -> None:
    period = ("2021-11-04", "2023-12-29")
    stored = load("bundled", DOW, adjust="splits").between(*period)
    at_the_time = np.where(np.array(stored.assets) == "WMT", 3.0, 1.0)  # split 3:1 in 2024
    rebuilt = (stored["close"] * at_the_time).sum(axis=1) / 0.15173
    published = curve(index, "^DJI", *period)
    np.testing.assert_allclose(rebuilt, published, rtol=1e-4)
    forgotten = stored["close"].sum(axis=1) / 0.15173  # the split left out is found
    assert not np.allclose(forgotten, published, rtol=1e-4)
