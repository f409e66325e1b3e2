"""The contract of the room: every registered metric is tested here by existing."""

import numpy as np
import pytest
from curve_builders import batch, curve, from_returns
from hypothesis import given
from hypothesis import strategies as st

from steelyard import metrics, registry
from steelyard.metrics import LIMIT, Paths, metric
from steelyard.registry import find, members
from steelyard.types import EquityCurve

NAMES = sorted(members("metrics"))
TABLE_3 = {
    "cumulative_return",
    "annual_return",
    "annual_volatility",
    "sharpe_ratio",
    "max_drawdown",
    "rachev_ratio",
    "romad",
    "sortino_ratio",
    "calmar_ratio",
    "omega_ratio",
    "win_loss_ratio",
}

ODD_CURVES = {
    "one row": (1e6,),
    "never moves": (1e6,) * 30,
    "one bar up": (1.0, 1.5),
    "one bar down": (1.0, 0.5),
    "only rises": tuple(1.01**k for k in range(50)),
    "only falls": tuple(0.99**k for k in range(50)),
    "total loss": (1.0, 1.2, 0.0, 0.0),
    "total loss at the end": (1.0, 1.2, 0.0),
    "debt": (1.0, 0.5, -0.3, -0.4),
    "debt and back": (1.0, 0.5, -0.3, 2.0),
    "zero and back": (1.0, 0.0, 3.0),
    "next to nothing and back": (1.0, 1e-300, 1.0),
    "a bar of huge gain": (1e-3, 1e90, 1.0),
    "rounding only": tuple(1e6 + 1e-9 * (k % 3) for k in range(30)),
}

steps = st.lists(st.integers(-900, 900), min_size=1, max_size=40)
"""Returns in units of 0.1 %: either nothing or far above rounding."""


def grown(returns: list[int]) -> EquityCurve:
    return from_returns(*(r / 1000 for r in returns))


def check_total(name: str) -> None:
    for label, values in ODD_CURVES.items():
        result = find("metrics", name)(curve(*values))
        assert isinstance(result, float), f"{name} of `{label}` is a {type(result)}"
        assert np.isfinite(result), f"{name} of `{label}` is {result}"


def test_all_metrics_of_table_3_are_registered_and_both_sharpe_ratios():
    assert TABLE_3 | {"daily_sharpe_ratio"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_is_finite_for_every_curve(name):
    check_total(name)


def test_the_check_for_totality_catches_a_metric_that_is_not_total():
    @metric(better="higher", unit="ratio", formula="mean / std, zero or not")
    def careless_ratio(curve: Paths) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return curve.mean / curve.spread(ddof=0)

    try:
        with pytest.raises(AssertionError, match="careless_ratio of `one row` is nan"):
            check_total("careless_ratio")
    finally:
        del registry._members["metrics"]["careless_ratio"]


@pytest.mark.parametrize("name", NAMES)
def test_doing_nothing_scores_zero(name):
    assert find("metrics", name)(curve(*ODD_CURVES["never moves"])) == 0.0
    assert find("metrics", name)(curve(1e6)) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_has_a_card_that_json_can_hold(name):
    import json

    card = metrics.metric_card(name)
    assert {"name", "summary", "formula", "better", "unit"} <= json.loads(json.dumps(card)).keys()
    assert card["better"] in ("higher", "lower")


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_equals_its_curves_one_by_one(name, monkeypatch):
    random = np.random.default_rng(3)
    value = np.cumprod(1 + random.normal(0, 0.02, (7, 60)), axis=1)
    value[2, 30:] = 0.0
    value[4] = 5.0
    value[5, 20:] *= -1
    alone = [find("metrics", name)(batch(row)) for row in value]
    assert find("metrics", name)(batch(value)) == pytest.approx(alone, rel=1e-12, abs=1e-15)
    monkeypatch.setattr("steelyard.metrics.room.CHUNK", 2 * 60 * 8)  # pieces of 2, 2, 2 and 1
    assert metrics.summary(batch(value))[name] == pytest.approx(alone, rel=1e-12, abs=1e-15)


@given(steps, st.floats(1e-6, 1e9))
def test_the_currency_does_not_matter(returns, rate):
    one, other = grown(returns), grown(returns)
    scaled = batch(other.value * rate)
    assert metrics.summary(scaled) == pytest.approx(metrics.summary(one), rel=1e-8, abs=1e-10)


@given(steps)
def test_a_ratio_has_the_sign_of_what_was_earned(returns):
    row = metrics.summary(grown(returns))
    gained = np.sign(np.round(row["cumulative_return"], 12))
    assert np.sign(np.round(row["romad"], 12)) == gained
    assert np.sign(np.round(row["calmar_ratio"], 12)) == gained
    mean = np.sign(sum(returns))
    assert np.sign(np.round(row["sortino_ratio"], 10)) == mean
    moved = len(set(returns)) > 1
    assert np.sign(np.round(row["sharpe_ratio"], 10)) == mean * moved
    assert np.sign(np.round(row["daily_sharpe_ratio"], 10)) == mean * moved
    assert (row["omega_ratio"] > 1) == (mean > 0) or abs(row["omega_ratio"] - 1) < 1e-9


@given(steps, steps)
def test_two_curves_one_after_the_other_add_up(first, second):
    one, two, both = (metrics.summary(grown(r)) for r in (first, second, first + second))
    growth = (1 + one["cumulative_return"]) * (1 + two["cumulative_return"])
    assert 1 + both["cumulative_return"] == pytest.approx(growth, rel=1e-10)
    assert both["max_drawdown"] <= min(one["max_drawdown"], two["max_drawdown"]) + 1e-12


@given(steps)
def test_the_same_bars_twice_are_no_other_result(returns):
    once, twice = metrics.summary(grown(returns)), metrics.summary(grown(returns * 2))
    for name in ("annual_return", "daily_sharpe_ratio", "sortino_ratio", "omega_ratio"):
        assert twice[name] == pytest.approx(once[name], rel=1e-8, abs=1e-9)


def test_a_gain_without_any_loss_has_the_limit_not_infinity():
    row = metrics.summary(curve(*ODD_CURVES["only rises"]))
    for name in ("romad", "calmar_ratio", "sortino_ratio", "omega_ratio", "rachev_ratio"):
        assert row[name] == LIMIT
    assert row["win_loss_ratio"] == LIMIT


def test_returns_without_spread_have_no_sharpe_ratio():
    for values in (ODD_CURVES["only rises"], (1.0, 1.5), ODD_CURVES["rounding only"]):
        assert metrics.sharpe_ratio(curve(*values)) == 0.0
        assert metrics.daily_sharpe_ratio(curve(*values)) == 0.0


def test_an_annual_return_from_a_few_bars_stays_below_the_limit():
    assert metrics.annual_return(curve(1.0, 21.0)) == pytest.approx(LIMIT)


def test_a_bust_account_stays_bust():
    broke, risen = (metrics.summary(curve(1.0, 1.2, 0.0, *tail)) for tail in ((0.0,), (9.0,)))
    assert broke == risen
    assert broke["cumulative_return"] == broke["annual_return"] == broke["max_drawdown"] == -1.0
    assert broke["romad"] == -1.0


def test_a_debt_is_a_loss_of_more_than_everything():
    row = metrics.summary(curve(1.0, 2.0, -0.5))
    assert row["cumulative_return"] == -1.5
    assert row["annual_return"] == -1.0
    assert row["max_drawdown"] == -1.25


def test_a_metric_from_outside_joins_by_its_decorator():
    @metric(better="lower", unit="fraction", formula="mean over t of 1 - V[t] / peak")
    def mean_drawdown(curve: Paths) -> np.ndarray:
        """Average distance below the last peak."""
        return (1 - curve.value / np.maximum.accumulate(curve.value, axis=1)).mean(axis=1)

    try:
        row = metrics.summary(curve(1.0, 2.0, 1.0, 2.0))
        assert row["mean_drawdown"] == mean_drawdown(curve(1.0, 2.0, 1.0, 2.0)) == 0.125
        assert metrics.metric_card("mean_drawdown")["summary"].startswith("Average distance")
    finally:
        del registry._members["metrics"]["mean_drawdown"]
