"""Each indicator against a literal twin in pandas, an outside oracle, and numbers by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.registry import find
from steelyard.types import Panel


def one_asset(close, high=None, low=None) -> Panel:
    close = np.asarray(close, dtype=float)[:, None]
    fields = {"open": close, "high": close, "low": close, "close": close}
    for name, values in (("high", high), ("low", low)):
        if values is not None:
            fields[name] = np.asarray(values, dtype=float)[:, None]
    return Panel(np.datetime64("2020-01-01") + np.arange(len(close)), ("A",), fields)


def values_of(name: str, panel: Panel) -> np.ndarray:
    return find("features", name)(panel)


def twin(name: str, bars: pd.DataFrame) -> pd.Series:
    """The published definitions, row by row of one ticker; slow and obvious."""
    close, high, low = bars["close"], bars["high"], bars["low"]

    def sma(series, n):
        return series.rolling(n, min_periods=1).mean()

    if name == "return_1":
        return np.log(close).diff()
    if name == "macd":
        return close.ewm(span=12).mean() - close.ewm(span=26).mean()
    if name in ("boll_ub", "boll_lb"):
        sign = 1.0 if name == "boll_ub" else -1.0
        return sma(close, 20) + sign * 2.0 * close.rolling(20, min_periods=1).std(ddof=1)
    if name == "rsi_30":
        change = close.diff()
        up = change.clip(lower=0.0).ewm(alpha=1 / 30).mean()
        down = (-change).clip(lower=0.0).ewm(alpha=1 / 30).mean()
        return 100.0 - 100.0 / (1.0 + up / down)
    if name == "cci_30":
        price = (high + low + close) / 3.0
        spread = price.rolling(30).apply(lambda w: np.abs(w - w.mean()).mean(), raw=True)
        return (price - sma(price, 30)) / (0.015 * spread)
    if name == "dx_30":
        rise, fall = high.diff().clip(lower=0.0), (-low.diff()).clip(lower=0.0)
        before = close.shift(1)
        span = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1)
        true_range = span.max(axis=1).ewm(alpha=1 / 30).mean()
        plus = 100.0 * rise.where(rise > fall, 0.0).ewm(span=30).mean() / true_range
        minus = 100.0 * fall.where(fall > rise, 0.0).ewm(span=30).mean() / true_range
        return 100.0 * (plus - minus).abs() / (plus + minus)
    assert name in ("close_30_sma", "close_60_sma")
    return sma(close, int(name.split("_")[1]))


NAMES = ["return_1", "macd", "boll_ub", "boll_lb", "rsi_30", "cci_30", "dx_30"]
NAMES += ["close_30_sma", "close_60_sma"]


@pytest.mark.parametrize("name", NAMES)
def test_an_indicator_equals_its_definition_ticker_by_ticker(name, panel):
    made = values_of(name, panel)
    warmup = find("features", name).warmup
    for column in range(len(panel.assets)):
        bars = pd.DataFrame({f: panel[f][:, column] for f in ("high", "low", "close")})
        expected = twin(name, bars.dropna()).iloc[warmup:]
        assert len(expected) > 50
        np.testing.assert_allclose(made[expected.index, column], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"return_1", "dx_30"}))
def test_an_indicator_equals_stockstats_where_its_versions_agree(name, complete_panel):
    stockstats = pytest.importorskip("stockstats")
    made = values_of(name, complete_panel)
    warmup = find("features", name).warmup
    for column in range(len(complete_panel.assets)):
        fields = ("open", "high", "low", "close", "volume")
        bars = pd.DataFrame({field: complete_panel[field][:, column] for field in fields})
        expected = stockstats.wrap(bars)[name].to_numpy()
        np.testing.assert_allclose(made[warmup:, column], expected[warmup:], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "alpha", "first"),
    [("macd", 2 / 27, 0), ("rsi_30", 1 / 30, 1), ("dx_30", 2 / 31, 1)],
)
def test_an_exponential_warm_up_ends_when_one_per_cent_of_the_weight_is_missing(name, alpha, first):
    """`first` is the row of the first term: a level has one on row 0, a change on row 1."""
    missing = (1.0 - alpha) ** (find("features", name).warmup + 1 - first)
    assert missing <= 0.01 < missing / (1.0 - alpha)


def test_return_is_the_logarithm_of_the_price_ratio():
    assert values_of("return_1", one_asset([1.0, 2.0, 1.0]))[1:, 0] == pytest.approx(
        [np.log(2.0), -np.log(2.0)]
    )


def test_bollinger_bands_worked_by_hand():
    """Ten closes of 9 and ten of 11: mean 10, sample variance 20/19."""
    panel = one_asset([9.0] * 10 + [11.0] * 10)
    width = 2.0 * (20.0 / 19.0) ** 0.5
    assert values_of("boll_ub", panel)[-1, 0] == pytest.approx(10.0 + width, rel=1e-14)
    assert values_of("boll_lb", panel)[-1, 0] == pytest.approx(10.0 - width, rel=1e-14)


def test_commodity_channel_index_worked_by_hand():
    """Thirty rising prices 1..30: 14.5 above a mean of 15.5 whose mean deviation is 7.5."""
    ramp = np.arange(1.0, 31.0)
    assert values_of("cci_30", one_asset(ramp))[-1, 0] == pytest.approx(14.5 / (0.015 * 7.5))


def test_moving_averages_of_a_ramp_lie_half_a_window_back():
    panel = one_asset(np.arange(100.0))
    assert values_of("close_30_sma", panel)[-1, 0] == pytest.approx(99.0 - 14.5)
    assert values_of("close_60_sma", panel)[-1, 0] == pytest.approx(99.0 - 29.5)


def test_a_price_that_only_rises_has_full_strength_and_one_direction():
    ramp = np.linspace(10.0, 50.0, 200)
    panel = one_asset(ramp, ramp + 1.0, ramp - 1.0)
    assert values_of("rsi_30", panel)[-1, 0] == pytest.approx(100.0)
    assert values_of("dx_30", panel)[-1, 0] == pytest.approx(100.0)
    falling = one_asset(ramp[::-1], ramp[::-1] + 1.0, ramp[::-1] - 1.0)
    assert values_of("rsi_30", falling)[-1, 0] == pytest.approx(0.0)
    assert values_of("dx_30", falling)[-1, 0] == pytest.approx(100.0)


@pytest.mark.parametrize("name", ["rsi_30", "cci_30", "dx_30"])
@pytest.mark.parametrize("price", [0.1, 1.0 / 3.0, 7.77, 1e5])
def test_a_price_that_never_moves_has_no_oscillator(name, price):
    """0/0 is not the dust of a division of roundings."""
    assert np.isnan(values_of(name, one_asset(np.full(200, price)))).all()


@pytest.mark.parametrize("price", [0.1, 7.77])
def test_thirty_equal_prices_after_a_move_are_a_channel_without_width(price):
    made = values_of("cci_30", one_asset([2.0 * price] * 40 + [price] * 31))[:, 0]
    # row 40 moves; the first window without it begins there and ends on row 69
    assert np.isfinite(made[40:69]).all()
    assert np.isnan(made[69:]).all()


@pytest.mark.parametrize("name", ["macd", "boll_ub", "boll_lb", "close_30_sma", "close_60_sma"])
def test_a_price_that_never_moves_is_its_own_average(name):
    made = values_of(name, one_asset(np.full(200, 0.1)))[-1, 0]
    assert made == pytest.approx(0.0 if name == "macd" else 0.1, abs=1e-16)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_oscillators_keep_their_range_and_ignore_the_currency(seed, scale):
    random = np.random.default_rng(seed)
    close = np.exp(np.cumsum(random.normal(0.0, 0.03, 160)))
    high, low = close * (1.0 + random.uniform(0, 0.02, 160)), close * 0.99
    panel, other = one_asset(close, high, low), one_asset(*(scale * x for x in (close, high, low)))
    for name in ("rsi_30", "dx_30", "cci_30"):
        made = values_of(name, panel)[137:]
        np.testing.assert_allclose(values_of(name, other)[137:], made, rtol=1e-9, atol=1e-9)
        if name != "cci_30":
            assert ((made >= 0.0) & (made <= 100.0)).all()


def test_directional_movement_smooths_with_a_span_as_the_contest_data_did(complete_panel):
    """stockstats from 0.6 on smooths with 1/30 instead: points apart, so it is no oracle here."""
    stockstats = pytest.importorskip("stockstats")
    fields = ("open", "high", "low", "close", "volume")
    bars = pd.DataFrame({field: complete_panel[field][:, 0] for field in fields})
    newer = stockstats.wrap(bars)["dx_30"].to_numpy()[200:]
    assert np.abs(values_of("dx_30", complete_panel)[200:, 0] - newer).max() > 1.0
