"""Where empyrical-reloaded and quantstats are right, we equal them; where we differ, it shows here.

The table of differences in docs/concepts/metrics.md has a test each.
"""

import math
import warnings

import numpy as np
import pytest
from curve_builders import batch, curve, from_returns, index_curve

from steelyard import metrics

pd = pytest.importorskip("pandas")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    empyrical = pytest.importorskip("empyrical")
    quantstats = pytest.importorskip("quantstats").stats

RANDOM = np.random.default_rng(11)
CURVES = {
    "rising": batch(1e6 * np.cumprod(1 + RANDOM.normal(1e-3, 0.01, 1250))),
    "falling": batch(np.cumprod(1 + RANDOM.normal(-2e-3, 0.03, 300))),
    "fat tails": batch(np.cumprod(1 + 0.01 * RANDOM.standard_t(3, 700).clip(-30, 30))),
    "ten bars": batch(np.cumprod(1 + RANDOM.normal(0, 0.01, 11))),
    "index": index_curve("^GSPC", "2019-01-02", "2023-12-29"),
}

EMPYRICAL = {
    "cumulative_return": lambda r: empyrical.cum_returns_final(r),
    "annual_return": lambda r: empyrical.annual_return(r),
    "annual_volatility": lambda r: empyrical.annual_volatility(r),
    "sharpe_ratio": lambda r: empyrical.sharpe_ratio(r),
    "max_drawdown": lambda r: empyrical.max_drawdown(r),
    "sortino_ratio": lambda r: empyrical.sortino_ratio(r),
    "calmar_ratio": lambda r: empyrical.calmar_ratio(r),
    "omega_ratio": lambda r: empyrical.omega_ratio(r),
    "romad": lambda r: empyrical.cum_returns_final(r) / abs(empyrical.max_drawdown(r)),
}
QUANTSTATS = {
    "cumulative_return": lambda r: quantstats.comp(r),
    "annual_return": lambda r: quantstats.cagr(r),
    "annual_volatility": lambda r: quantstats.volatility(r),
    "sharpe_ratio": lambda r: quantstats.sharpe(r),
    "daily_sharpe_ratio": lambda r: (
        quantstats.sharpe(r, annualize=False) * math.sqrt(len(r) / (len(r) - 1))  # ddof 1 -> 0
    ),
    "max_drawdown": lambda r: quantstats.max_drawdown(r),
    "sortino_ratio": lambda r: quantstats.sortino(r),
    "calmar_ratio": lambda r: quantstats.calmar(r),
    "omega_ratio": lambda r: quantstats.omega(r),
    "romad": lambda r: quantstats.comp(r) / abs(quantstats.max_drawdown(r)),
}


def series(returns):
    """Returns as pandas has them, on business days."""
    return pd.Series(returns, index=pd.bdate_range("2020-01-01", periods=len(returns)))


@pytest.mark.parametrize("label", CURVES)
@pytest.mark.parametrize("name", EMPYRICAL)
def test_metrics_equal_empyrical(name, label):
    theirs = EMPYRICAL[name](series(CURVES[label].returns))
    assert metrics.summary(CURVES[label])[name] == pytest.approx(theirs, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("label", CURVES)
@pytest.mark.parametrize("name", QUANTSTATS)
def test_metrics_equal_quantstats(name, label):
    theirs = QUANTSTATS[name](series(CURVES[label].returns))
    assert metrics.summary(CURVES[label])[name] == pytest.approx(theirs, rel=1e-10, abs=1e-14)


def test_a_gain_without_loss_is_nan_there_and_the_limit_here():
    rising = from_returns(0.01, 0.02, 0.01)
    returns = series(rising.returns)
    assert math.isnan(empyrical.omega_ratio(returns))
    assert math.isnan(empyrical.calmar_ratio(returns))
    assert math.isinf(empyrical.sortino_ratio(returns))
    assert math.isnan(quantstats.omega(returns))
    assert math.isnan(quantstats.sortino(returns))
    assert metrics.omega_ratio(rising) == metrics.calmar_ratio(rising) == metrics.LIMIT


def test_a_curve_that_never_moves_is_nan_there_and_zero_here():
    flat = curve(*[1e6] * 10)
    returns = series(flat.returns)
    with np.errstate(invalid="ignore"):
        assert math.isnan(empyrical.sharpe_ratio(returns))
        assert math.isnan(empyrical.sortino_ratio(returns))
        assert math.isnan(quantstats.sharpe(returns))
    assert metrics.sharpe_ratio(flat) == metrics.sortino_ratio(flat) == 0.0


def test_rounding_makes_a_huge_sharpe_ratio_there_and_none_here():
    savings = batch(1e6 * 1.0001 ** np.arange(250))  # equal returns up to the last digit
    returns = series(savings.returns)
    assert empyrical.sharpe_ratio(returns) > 1e9
    assert quantstats.sharpe(returns) > 1e9
    assert metrics.sharpe_ratio(savings) == 0.0


def test_the_risk_free_rate_is_per_bar_in_empyrical_and_per_year_in_quantstats_and_here():
    index = CURVES["index"]
    per_bar = 1.04 ** (1 / 252) - 1
    theirs = empyrical.sharpe_ratio(series(index.returns), risk_free=per_bar)
    assert metrics.sharpe_ratio(index, risk_free=0.04) == pytest.approx(theirs, rel=1e-10)
    assert empyrical.sharpe_ratio(series(index.returns), risk_free=0.04) < -40
    theirs = quantstats.sharpe(series(index.returns), rf=0.04)
    assert metrics.sharpe_ratio(index, risk_free=0.04) == pytest.approx(theirs, rel=1e-10)


def test_a_leading_nan_counts_as_a_bar_in_empyrical():
    index = CURVES["index"]
    with_nan = series(np.concatenate([[np.nan], index.returns]))
    growth = 1 + metrics.cumulative_return(index)
    rows = len(index.value)
    assert empyrical.annual_return(with_nan) == pytest.approx(growth ** (252 / rows) - 1)
    assert metrics.annual_return(index) == pytest.approx(growth ** (252 / (rows - 1)) - 1)
    assert metrics.annual_return(index) > empyrical.annual_return(with_nan)


def test_an_account_in_debt_is_nan_there_and_a_total_loss_here():
    debt = from_returns(0.1, 0.1, 0.1, 0.1, -1.5)
    with np.errstate(invalid="ignore"):
        assert math.isnan(empyrical.annual_return(series(debt.returns)))
    assert metrics.annual_return(debt) == -1.0


def test_a_bust_account_earns_again_there_and_stays_bust_here():
    returns = [-1.5, -3.0]  # from 1 to -0.5, "a gain of -300 %" back to 1
    assert empyrical.cum_returns_final(series(returns)) == pytest.approx(0.0)
    assert quantstats.comp(series(returns)) == pytest.approx(0.0)
    assert metrics.cumulative_return(from_returns(*returns)) == -1.5


def test_win_loss_ratio_is_a_ratio_of_sizes_in_quantstats_and_of_counts_here():
    uneven = from_returns(0.01, 0.01, -0.04)
    theirs = quantstats.win_loss_ratio(series(uneven.returns))
    assert theirs == pytest.approx(0.01 / 0.04)
    assert metrics.win_loss_ratio(uneven) == 2.0


def test_tail_ratio_compares_quantiles_and_rachev_ratio_means_beyond_them():
    fat = CURVES["fat tails"]
    returns = fat.returns
    high, low = np.quantile(returns, 0.95), np.quantile(returns, 0.05)
    assert empyrical.tail_ratio(returns) == pytest.approx(high / abs(low))
    assert quantstats.tail_ratio(series(returns)) == pytest.approx(high / abs(low))
    beyond = returns[returns >= high].mean() / abs(returns[returns <= low].mean())
    assert metrics.rachev_ratio(fat) == pytest.approx(beyond, rel=1e-12)
    assert abs(empyrical.tail_ratio(returns) - beyond) > 0.01


def test_returns_that_look_like_prices_are_taken_for_prices_in_quantstats():
    soaring = from_returns(1.5, 0.5, 0.25)
    theirs = quantstats.volatility(series(soaring.returns))
    taken_for_prices = np.std([0.5 / 1.5 - 1, 0.25 / 0.5 - 1], ddof=1) * math.sqrt(252)
    assert theirs == pytest.approx(taken_for_prices)
    right = np.std([1.5, 0.5, 0.25], ddof=1) * math.sqrt(252)
    assert metrics.annual_volatility(soaring) == pytest.approx(right)
