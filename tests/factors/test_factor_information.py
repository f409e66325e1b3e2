"""The information coefficient and ridge regression, against slow twins and known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from steelyard.errors import ConfigError
from steelyard.factors.baseline import compare, readout, ridge
from steelyard.factors.information import gained, information_coefficient, ranks

RANDOM = np.random.default_rng(5)


def test_ranks_share_ties() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_the_coefficient_is_spearmans() -> None:
    score = RANDOM.integers(0, 9, 300).astype(float)
    future = score + RANDOM.normal(scale=5.0, size=300)
    future[:7] = np.nan
    found = information_coefficient(score, future, block=10)
    assert found.value == pytest.approx(stats.spearmanr(score[7:], future[7:])[0], abs=1e-12)
    assert found.rows == 293
    assert found.low < found.value < found.high


def test_order_is_all_that_counts() -> None:
    score = RANDOM.normal(size=100)
    assert information_coefficient(score, np.exp(score), block=5).value == pytest.approx(1.0)
    assert information_coefficient(score, -(score**3), block=5).value == pytest.approx(-1.0)


def test_a_score_that_never_changes_knows_nothing() -> None:
    found = information_coefficient(np.ones(100), RANDOM.normal(size=100), block=5)
    assert math.isnan(found.value)


def test_there_is_no_interval_from_a_handful_of_blocks() -> None:
    score, future = RANDOM.normal(size=(2, 70))
    assert math.isfinite(information_coefficient(score, future, block=8).low)
    assert math.isnan(information_coefficient(score, future, block=9).low)


def test_overlapping_returns_need_blocks() -> None:
    """Of sums over 20 rows, the variance is 1 + 2 sum (1 - k/20)^2 = 13.4 times that of rows."""
    noise = np.cumsum(np.random.default_rng(0).normal(size=(2, 4_020)), axis=1)
    slow, quick = noise[:, 20:] - noise[:, :-20], np.diff(noise, prepend=0.0)

    def width(series: np.ndarray, block: int) -> float:
        found = information_coefficient(series[0], series[1], block=block)
        return found.high - found.low

    assert width(quick, 40) == pytest.approx(width(quick, 10), rel=0.3)
    assert width(slow, 40) > 1.5 * width(slow, 2)
    assert width(slow, 40) == pytest.approx(13.4**0.5 * width(quick, 40), rel=0.35)


def test_the_same_score_gains_nothing_on_itself() -> None:
    score, future = RANDOM.normal(size=(2, 200))
    found = gained(score, score, future, block=10)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_ridge_regression_solves_its_normal_equations() -> None:
    inputs = RANDOM.normal(size=(200, 4)) @ RANDOM.normal(size=(4, 4)) + 2.0
    target = inputs @ np.array([[1.0], [0.0], [-2.0], [0.5]]) + RANDOM.normal(size=(200, 1))
    target[:3] = np.nan
    found = ridge(inputs, target, inputs[:50], target[:50], penalties=(0.3,))
    x, y = inputs[3:] - inputs[3:].mean(axis=0), target[3:] - target[3:].mean()
    penalty = 0.3 * (x**2).mean() * len(x)
    expected = np.linalg.solve(x.T @ x + penalty * np.eye(4), x.T @ y)
    np.testing.assert_allclose(found.weight, expected, rtol=1e-9)
    np.testing.assert_allclose(found(inputs[3:]).mean(axis=0), target[3:].mean(axis=0))


def test_the_penalty_is_what_the_validation_rows_choose() -> None:
    inputs = RANDOM.normal(size=(300, 40))
    signal, noise = inputs[:, :1] * 3.0, RANDOM.normal(size=(300, 1))
    targets = np.hstack([signal, noise])
    found = ridge(inputs[:60], targets[:60], inputs[60:], targets[60:])
    assert found.penalty[0] < 1e-3
    assert found.penalty[1] >= 1.0


def test_a_readout_is_least_squares_on_the_rows_that_are_whole() -> None:
    inputs = RANDOM.normal(size=(50, 2))
    targets = inputs @ np.array([[2.0], [-1.0]]) + 0.5
    inputs[:4, 1], targets[4:9] = np.nan, np.nan
    found = readout(inputs, targets)
    np.testing.assert_allclose(found.weight[:, 0], [2.0, -1.0])
    np.testing.assert_allclose(found.offset, [0.5])


def test_both_sides_of_a_comparison_are_judged_on_the_same_rows() -> None:
    score, other, future = RANDOM.normal(size=(3, 100, 1))
    score[:30] = np.nan
    (one,) = compare(score, other, future, (2,))
    assert one.factors.rows == one.ridge.rows == one.difference.rows == 70
    assert one.difference.value == pytest.approx(one.factors.value - one.ridge.value)


def test_what_cannot_be_is_refused() -> None:
    score = RANDOM.normal(size=30)
    with pytest.raises(ConfigError, match="block 0"):
        information_coefficient(score, score, block=0)
    with pytest.raises(ConfigError, match="must be"):
        information_coefficient(score, score[1:], block=2)
    with pytest.raises(ConfigError, match="penalties"):
        ridge(score[:, None], score[:, None], score[:, None], score[:, None], penalties=(0.0,))
    with pytest.raises(ConfigError, match="0 validation rows"):
        ridge(score[:, None], score[:, None], score[:, None], np.full((30, 1), np.nan))
