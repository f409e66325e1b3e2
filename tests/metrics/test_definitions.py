import math

import numpy as np
import pytest
from curve_builders import batch, curve, from_returns, index_curve
from hypothesis import given
from hypothesis import strategies as st

from steelyard import metrics
from steelyard.errors import ConfigError, DataError, UnknownNameError
from steelyard.metrics.ratios import tail_means

TEXTBOOK = curve(100.0, 110.0, 99.0, 108.9, periods_per_year=3)
"""Returns +10 %, -10 %, +10 % over exactly one year."""

BY_HAND = {
    "cumulative_return": 0.089,
    "annual_return": 0.089,
    "annual_volatility": 0.2,  # variance (2 * (1/15)^2 + (2/15)^2) / 2 = 1/75, times 3 bars
    "sharpe_ratio": 0.5,  # sqrt(3) * (1/30) / sqrt(1/75)
    "daily_sharpe_ratio": math.sqrt(1 / 8),  # (1/30) / sqrt(2/225)
    "max_drawdown": -0.1,
    "rachev_ratio": 1.0,
    "romad": 0.89,
    "sortino_ratio": 1.0,  # sqrt(3) * (1/30) / sqrt(0.01/3)
    "calmar_ratio": 0.89,
    "omega_ratio": 2.0,
    "win_loss_ratio": 2.0,
}


def test_three_bars_give_what_is_worked_out_by_hand():
    assert metrics.summary(TEXTBOOK, BY_HAND) == pytest.approx(BY_HAND, abs=1e-12)


def test_a_loss_on_the_first_bar_is_a_drawdown_from_the_starting_capital():
    assert metrics.max_drawdown(curve(100.0, 80.0, 90.0)) == pytest.approx(-0.2)


def test_a_drawdown_runs_from_a_peak_to_a_later_trough_only():
    assert metrics.max_drawdown(curve(50.0, 100.0, 90.0, 200.0, 150.0)) == pytest.approx(-0.25)


def test_annual_rates_compound_per_bar():
    grown = from_returns(0.01, -0.02, 0.03, periods_per_year=3)
    bar = 1.331 ** (1 / 3) - 1
    assert bar == pytest.approx(0.1)
    returns = np.array([0.01, -0.02, 0.03])
    excess = returns - bar
    sharpe = math.sqrt(3) * excess.mean() / excess.std(ddof=1)
    sortino = math.sqrt(3) * excess.mean() / math.sqrt((excess**2).mean())  # all fall short
    assert metrics.sharpe_ratio(grown, risk_free=0.331) == pytest.approx(sharpe)
    assert metrics.sortino_ratio(grown, target=0.331) == pytest.approx(sortino)
    assert metrics.omega_ratio(grown, threshold=0.331) == 0.0
    calmar = (metrics.annual_return(grown) - 0.331) / 0.02
    assert metrics.calmar_ratio(grown, risk_free=0.331) == pytest.approx(calmar)


def test_rachev_tails_hold_the_returns_at_the_quantile():
    returns = [k / 100 for k in range(-10, 10)] + [0.2]  # 21 bars: P5 is the second of each end
    mixed = np.random.default_rng(0).permutation(returns)
    assert metrics.rachev_ratio(from_returns(*mixed)) == pytest.approx(0.145 / 0.095)
    assert metrics.rachev_ratio(from_returns(*mixed), tail=0.1) == pytest.approx(0.37 / 0.27)


@given(
    st.lists(st.lists(st.integers(-9, 9), min_size=40, max_size=40), min_size=1, max_size=3),
    st.integers(1, 40),
    st.sampled_from([0.01, 0.05, 0.1, 0.25]),
)
def test_tails_by_partial_sort_equal_tails_by_quantile_with_ties(rows, bars, tail):
    returns = np.array(rows)[:, :bars] / 128
    worst, best = tail_means(returns, tail)
    for row, low, high in zip(returns, worst, best, strict=True):
        assert low == pytest.approx(row[row <= np.quantile(row, tail)].mean(), abs=1e-15)
        assert high == pytest.approx(row[row >= np.quantile(row, 1 - tail)].mean(), abs=1e-15)


def test_tails_by_partial_sort_equal_tails_by_quantile_at_every_length():
    random = np.random.default_rng(1)
    for bars in range(1, 130):
        row = random.normal(size=bars)
        (worst,), (best,) = tail_means(row[None], 0.05)
        assert worst == pytest.approx(row[row <= np.quantile(row, 0.05)].mean(), rel=1e-13)
        assert best == pytest.approx(row[row >= np.quantile(row, 0.95)].mean(), rel=1e-13)


def test_win_loss_counts_closed_trades_where_known_and_bars_where_not():
    value = (1.0, 1.1, 1.2, 1.1)
    assert metrics.win_loss_ratio(curve(*value)) == 2.0
    trades = np.array([5.0, -1.0, 0.0, 2.0, -3.0, 4.0, 0.5])
    assert metrics.win_loss_ratio(curve(*value, trades=trades)) == 2.0
    assert metrics.win_loss_ratio(curve(*value, trades=trades[:2])) == 1.0
    assert metrics.win_loss_ratio(curve(*value, trades=np.array([]))) == 0.0
    padded = np.array([[1.0, 2.0, -1.0], [-1.0, np.nan, np.nan]])
    pair = batch(np.array([value, value]), trades=padded)
    assert metrics.win_loss_ratio(pair).tolist() == [2.0, 0.0]


def test_a_card_says_direction_unit_formula_and_defaults():
    card = metrics.metric_card("sharpe_ratio")
    assert card["better"] == "higher"
    assert card["unit"] == "per sqrt(year)"
    assert card["ddof"] == 1
    assert card["options"] == {"risk_free": 0.0}
    assert "bars instead" in metrics.metric_card("win_loss_ratio")["note"]
    assert metrics.metric_card("annual_volatility")["better"] == "lower"
    assert metrics.metric_card("max_drawdown")["better"] == "higher"  # it is negative


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean `sharpe_ratio`"):
        metrics.metric_card("sharp_ratio")
    with pytest.raises(UnknownNameError, match="did you mean `romad`"):
        metrics.summary(TEXTBOOK, ["romand"])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (curve(1.0, math.nan, 2.0), "not a sum of money"),
        (curve(1.0, math.inf), "not a sum of money"),
        (curve(0.0, 1.0), "starts with capital 0"),
        (curve(-5.0, 1.0), "starts with capital -5"),
        (batch(np.empty(0)), "T >= 1"),
        (batch(np.ones((2, 2, 2))), "T >= 1"),
        (curve(1.0, 2.0, periods_per_year=0.0), "periods_per_year is 0"),
        (batch(np.ones((3, 4)), trades=np.ones((2, 4))), "for 3 curves"),
    ],
)
def test_what_is_no_curve_is_refused(bad, message):
    with pytest.raises(DataError, match=message):
        metrics.summary(bad)


def test_options_out_of_range_are_refused():
    with pytest.raises(DataError, match=r"a fraction above -1, not -1\.5"):
        metrics.sharpe_ratio(TEXTBOOK, risk_free=-1.5)
    with pytest.raises(ConfigError, match=r"between 0 and 0\.5, not 5"):
        metrics.rachev_ratio(TEXTBOOK, tail=5)


@pytest.mark.parametrize(
    ("ticker", "start", "end", "gain", "daily_sharpe", "drawdown"),
    [
        ("^DJI", "2023-10-25", "2023-11-14", 0.0542, 0.45, -0.0187),
        ("^DJI", "2023-11-15", "2023-11-22", 0.0081, 0.49, -0.0018),
        ("^GSPC", "2019-01-02", "2023-12-29", 0.9003, 0.0448, -0.3393),
        ("^NDX", "2019-01-02", "2023-12-29", 1.6452, 0.0558, -0.3556),
    ],
)
def test_index_rows_of_the_paper_come_out(ticker, start, end, gain, daily_sharpe, drawdown):
    row = metrics.summary(index_curve(ticker, start, end))
    digits = 4 if daily_sharpe < 0.1 else 2
    assert row["cumulative_return"] == pytest.approx(gain, abs=5.1e-5)
    assert row["daily_sharpe_ratio"] == pytest.approx(daily_sharpe, abs=0.51 * 10**-digits)
    assert row["max_drawdown"] == pytest.approx(drawdown, abs=5.1e-5)


@pytest.mark.parametrize(("ticker", "rachev"), [("^GSPC", 0.9047), ("^NDX", 0.9434)])
def test_rachev_ratios_of_the_paper_come_out(ticker, rachev):
    index = index_curve(ticker, "2019-01-02", "2023-12-29")
    assert metrics.rachev_ratio(index) == pytest.approx(rachev, abs=5.1e-5)
