from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.data import check, load, optimum
from steelyard.data.planted import CRASH, KINDS, PREMIUM, Plan, forecast
from steelyard.errors import ConfigError, DataError, UnknownNameError
from steelyard.types import Panel

PLANTED = [kind for kind in KINDS if kind not in ("none", "crashes")]
"""Kinds whose returns can be forecast."""
SIZE = {"rows": 4000, "assets": 20}


def returns(panel: Panel) -> np.ndarray:
    return panel["close"] / panel["open"] - 1.0


def plan(kind: str, **changes: float) -> Plan:
    strength, memory = KINDS[kind]
    facts = {"strength": strength, "memory": memory} | changes
    return Plan(kind, 0, 8, 2, facts["strength"], 0.01, facts["memory"], "2000-01-03")


def standard_error(values: np.ndarray) -> float:
    return float(values.std() / math.sqrt(values.size))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_request_gives_the_same_market_and_another_seed_another(kind: str) -> None:
    one = load("synthetic", kind, seed=3, rows=100)
    assert one.digest() == load("synthetic", kind, seed=3, rows=100).digest() == one.sha256
    assert one.digest() != load("synthetic", kind, seed=4, rows=100).digest()


@pytest.mark.parametrize("kind", KINDS)
def test_more_rows_continue_the_market_of_fewer(kind: str) -> None:
    short, long = (load("synthetic", kind, seed=3, rows=rows) for rows in (60, 100))
    assert long.rows(0, 60).digest() == short.digest()


@pytest.mark.parametrize("kind", KINDS)
def test_bars_are_consistent_and_open_at_the_close_before(kind: str) -> None:
    panel = load("synthetic", kind, seed=1, rows=500, volatility=0.03)
    np.testing.assert_array_equal(panel["open"][1:], panel["close"][:-1])
    assert (panel["high"] >= np.maximum(panel["open"], panel["close"])).all()
    assert (panel["low"] <= np.minimum(panel["open"], panel["close"])).all()
    assert (panel["low"] > 0).all()
    assert (panel["volume"] > 0).all()
    assert np.ptp(panel["vix"]) == 0
    assert check(panel, exchange=None).findings == ()


def test_bars_fall_on_weekdays_from_the_start_date() -> None:
    panel = load("synthetic", "none", rows=6, start_date="2020-02-01")  # a Saturday
    days = ["2020-02-03", "2020-02-04", "2020-02-05", "2020-02-06", "2020-02-07", "2020-02-10"]
    assert panel.timestamps.astype(str).tolist() == days


def test_where_no_skill_is_possible_returns_are_zero_on_average_and_unrelated() -> None:
    values = returns(load("synthetic", "none", seed=7, **SIZE))
    assert abs(values.mean()) < 3 * standard_error(values)
    assert values.std() == pytest.approx(0.01, rel=0.02)
    for lag in (1, 2, 10):
        product = values[lag:] * values[:-lag]
        assert abs(product.mean()) < 3 * standard_error(product)


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("strength", [0.1, 0.5])
def test_a_market_has_the_volatility_that_was_asked_for(kind: str, strength: float) -> None:
    values = returns(load("synthetic", kind, seed=2, strength=strength, **SIZE))
    assert values.std() == pytest.approx(0.01, rel=0.03)


@pytest.mark.parametrize("kind", ["momentum", "reversion"])
@pytest.mark.parametrize(("strength", "memory"), [(0.1, 1), (0.3, 1), (0.2, 10)])
def test_strength_is_the_correlation_of_the_forecast_with_the_return(
    kind: str, strength: float, memory: float
) -> None:
    panel = load(
        "synthetic", kind, seed=4, strength=strength, memory=memory, volatility=0.002, **SIZE
    )
    drift = optimum(panel).expected_return[200:-1].ravel()
    measured = np.corrcoef(drift, returns(panel)[201:].ravel())[0, 1]
    assert abs(measured - strength) < 3 / math.sqrt(drift.size)


@given(
    kind=st.sampled_from(["momentum", "reversion"]),
    strength=st.floats(0.01, 0.95),
    memory=st.floats(1, 1000),
)
def test_the_drift_explains_the_square_of_the_strength(
    kind: str, strength: float, memory: float
) -> None:
    rule = plan(kind, strength=strength, memory=memory)
    coefficient = rule.decay + rule.gain  # of the trend, an autoregression of order one
    assert abs(coefficient) < 1
    explained = rule.gain**2 * rule.noise**2 / (1 - coefficient**2)
    assert explained / (explained + rule.noise**2) == pytest.approx(strength**2, rel=1e-6)
    assert explained + rule.noise**2 == pytest.approx(rule.volatility**2, rel=1e-6)
    assert (rule.gain > 0) == (kind == "momentum")


@pytest.mark.parametrize("kind", ["momentum", "reversion"])
def test_with_a_memory_of_one_bar_the_rule_is_an_autoregression(kind: str) -> None:
    rule = plan(kind, memory=1.0, strength=0.3)
    coefficient = 0.3 if kind == "momentum" else -0.3
    assert rule.gain == pytest.approx(coefficient, abs=1e-15)
    past = np.random.default_rng(0).normal(0, 0.01, (8, 2))
    np.testing.assert_allclose(forecast(rule, past), coefficient * past, rtol=1e-12)


def test_the_trend_is_the_weighted_sum_of_past_returns() -> None:
    rule = plan("momentum", memory=4.0)
    past = np.random.default_rng(1).normal(0, 0.01, (8, 2))
    for row in range(8):
        slow = sum(0.75**age * past[row - age] for age in range(row + 1))
        np.testing.assert_allclose(forecast(rule, past)[row], rule.gain * slow, rtol=1e-12)


def test_the_filter_of_regimes_is_the_posterior_over_all_paths() -> None:
    rule = plan("regimes", strength=0.6, memory=5.0)
    past = np.random.default_rng(2).normal(0, 0.01, (7, 1))
    size, stay = 0.6 * 0.01, 1 - 1 / 5
    for row in range(7):
        weight, drift = 0.0, 0.0
        for path in itertools.product((1, -1), repeat=row + 2):  # states up to the next bar
            likely = 0.5
            for before, after in itertools.pairwise(path):
                likely *= stay if before == after else 1 - stay
            for state, value in zip(path[:-1], past[: row + 1, 0], strict=True):
                likely *= math.exp(-0.5 * ((value - state * size) / rule.noise) ** 2)
            weight += likely
            drift += likely * path[-1] * size
        assert forecast(rule, past)[row, 0] == pytest.approx(drift / weight, rel=1e-9)


def sees_the_future(rule: Plan, past: np.ndarray) -> np.ndarray:
    return np.roll(forecast(rule, past), -1, axis=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [forecast, sees_the_future])
def test_the_optimum_at_a_row_does_not_see_beyond_it(kind: str, rule: object) -> None:
    market = plan(kind)
    past = np.random.default_rng(3).normal(0, 0.01, (30, 2))
    garbage = past.copy()
    garbage[20:] = 7.0
    causal = np.array_equal(rule(market, past)[:20], rule(market, garbage)[:20])  # type: ignore[operator]
    assert causal == (rule is forecast or kind not in PLANTED)


@pytest.mark.parametrize("kind", PLANTED)
def test_the_optimum_beats_holding_where_structure_is_planted(kind: str) -> None:
    panel = load("synthetic", kind, seed=11, **SIZE)
    best = optimum(panel)
    assert set(np.unique(best.position)) == {0.0, 1.0}
    earned = best.position[:-1] * returns(panel)[1:]
    excess = earned - returns(panel)[1:]
    assert excess.mean() > 5 * standard_error(excess)
    assert abs(earned.mean() - best.gain) < 3 * standard_error(earned)
    if kind != "regimes":  # the mean of the positive part of a normal forecast
        assert best.gain == pytest.approx(0.2 * 0.01 / math.sqrt(2 * math.pi), rel=0.03)


def tail(values: np.ndarray, share: float = 0.05) -> float:
    """Mean loss of the worst `share` of the returns of one asset."""
    return float(-np.sort(values)[: int(share * len(values))].mean())


def test_the_asset_that_crashes_earns_more_and_has_the_heavier_tail() -> None:
    size, many = 1e-4, 400_000  # prices must last
    values = returns(load("synthetic", "crashes", seed=5, rows=many, assets=2, volatility=size))
    crashing, calm = values.T / size
    noise = math.sqrt(1 + CRASH**2 * 0.02 * 0.98)
    assert crashing.mean() == pytest.approx(0.3 * PREMIUM, abs=3 * noise / math.sqrt(many))
    assert calm.mean() == pytest.approx(0.3, abs=3 / math.sqrt(many))
    assert (crashing.std(), calm.std()) == pytest.approx((noise, 1), rel=0.01)
    # normal: density over share at the quantile, less the mean; the other by quadrature
    assert tail(calm) == pytest.approx(1.763, abs=0.01)
    assert tail(crashing) == pytest.approx(3.291, abs=0.03)


def test_twins_differ_by_the_premium_and_by_crashes_that_nobody_can_foresee() -> None:
    values = returns(load("synthetic", "crashes", seed=6, memory=40, **SIZE))
    gap = (values[:, ::2] - values[:, 1::2]) / 0.01
    steady = 0.3 * (PREMIUM - 1) + CRASH / 40
    assert set(np.unique(gap.round(9))) == {round(steady - CRASH, 9), round(steady, 9)}
    crash = (gap < 0).astype(float)
    assert crash.mean() == pytest.approx(1 / 40, abs=3 * math.sqrt(1 / 40 / gap.size))
    follows = (crash[1:] - 1 / 40) * (crash[:-1] - 1 / 40)
    assert abs(follows.mean()) < 3 * standard_error(follows)
    assert np.corrcoef(crash.T)[0, 1] == pytest.approx(0, abs=3 / math.sqrt(len(gap)))


def test_where_crashes_are_planted_what_earns_most_is_to_hold_everything() -> None:
    best = optimum(load("synthetic", "crashes", rows=50, assets=3))
    assert best.position.all()
    np.testing.assert_allclose(best.expected_return[7], [0.00345, 0.003, 0.00345], rtol=1e-12)


@pytest.mark.parametrize("kind", PLANTED)
def test_the_rule_of_another_market_earns_nothing_where_no_skill_is_possible(kind: str) -> None:
    values = returns(load("synthetic", "none", seed=11, **SIZE))
    held = forecast(plan(kind), values)[:-1] > 0
    earned = held * values[1:]
    assert 0.3 < held.mean() < 0.7
    assert abs(earned.mean()) < 3 * standard_error(earned)


def test_where_no_skill_is_possible_the_optimum_is_cash() -> None:
    best = optimum(load("synthetic", "none", rows=50))
    assert best.gain == 0
    assert not best.position.any()


@pytest.mark.parametrize("kind", PLANTED)
def test_the_optimum_of_a_part_is_the_part_of_the_optimum(kind: str) -> None:
    whole = load("synthetic", kind, seed=1, rows=300, assets=3)
    part = optimum(whole.rows(100, 200).select(["S02", "S00"]))
    np.testing.assert_array_equal(part.position, optimum(whole).position[100:200][:, [2, 0]])


def test_only_synthetic_markets_have_an_optimum(index: Panel) -> None:
    with pytest.raises(DataError, match="not known") as caught:
        optimum(index)
    assert "synthetic" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("momentum", {"strength": 1.0}, "strength"),
        ("momentum", {"strength": -0.1}, "strength"),
        ("none", {"strength": 0.2}, "strength"),
        ("none", {"volatility": 0.0}, "volatility"),
        ("none", {"rows": 1}, "rows"),
        ("none", {"rows": 10.5}, "whole number"),
        ("none", {"assets": 0}, "assets"),
        ("none", {"seed": -1}, "seed"),
        ("none", {"seed": "three"}, "`three`"),
        ("regimes", {"memory": 1.0}, "memory"),
        ("crashes", {"memory": 1.5}, "memory"),
        ("none", {"start_date": "soon"}, "`soon`"),
        ("none", {"volatility": 0.1, "rows": 9000, "assets": 9}, "0.0001"),
    ],
)
def test_settings_that_cannot_hold_are_refused(
    kind: str, options: dict[str, float], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load("synthetic", kind, **options)
    assert "\n" not in caught.value.message


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load("synthetic", "regime")
    assert "`regimes`" in caught.value.hint
