from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from steelyard.features import rolling

ROLLING = {
    "rolling_sum": lambda window: window.sum(),
    "rolling_mean": lambda window: window.mean(),
    "rolling_std": lambda window: window.std(ddof=1),
    "rolling_deviation": lambda window: np.abs(window - window.mean()).mean(),
}
small_tables = arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.integers(1, 3)),
    elements=st.floats(-1e3, 1e3, allow_subnormal=False),
)


@pytest.mark.parametrize("name", ROLLING)
@settings(max_examples=40, deadline=None)
@given(values=small_tables, n=st.integers(2, 45))
def test_a_rolling_operator_is_its_formula_on_every_window(name, values, n):
    result = getattr(rolling, name)(values, n)
    assert np.isnan(result[: n - 1]).all()
    for row in range(n - 1, len(values)):
        for column in range(values.shape[1]):
            window = values[row - n + 1 : row + 1, column]
            assert result[row, column] == pytest.approx(ROLLING[name](window), rel=1e-11, abs=1e-9)


@pytest.mark.parametrize("alpha", [1 / 30, 2 / 13, 2 / 27, 2 / 31, 0.9])
def test_exponential_mean_is_the_adjusted_one_of_pandas(alpha):
    values = np.random.default_rng(0).lognormal(3.0, 1.0, (700, 4))
    expected = pd.DataFrame(values).ewm(alpha=alpha, adjust=True, ignore_na=False).mean()
    np.testing.assert_allclose(rolling.exponential_mean(values, alpha), expected, rtol=1e-12)


def test_exponential_mean_worked_by_hand():
    values = np.array([[1.0], [4.0], [10.0]])
    means = rolling.exponential_mean(values, 0.5)[:, 0]
    # weights 1; 1, 1/2; 1, 1/2, 1/4, newest first
    np.testing.assert_allclose(means, [1.0, 4.5 / 1.5, 12.25 / 1.75], rtol=1e-15)


def test_exponential_sum_is_its_recursion():
    values = np.random.default_rng(1).normal(size=(300, 3))
    expected = values.copy()
    for row in range(1, len(values)):
        expected[row] += 0.9 * expected[row - 1]
    np.testing.assert_allclose(rolling.exponential_sum(values, 0.1), expected, atol=1e-13)


@pytest.mark.parametrize("alpha", [1 / 30, 2 / 27])
def test_after_the_rows_to_forget_one_per_cent_of_the_weight_is_missing(alpha):
    rows = rolling.rows_to_forget(alpha)
    assert (1.0 - alpha) ** rows <= 0.01 < (1.0 - alpha) ** (rows - 1)


def test_a_constant_keeps_its_value_in_every_mean_and_has_no_spread():
    values = np.full((100, 2), 0.1)
    np.testing.assert_allclose(rolling.exponential_mean(values, 2 / 13), values, rtol=1e-14)
    np.testing.assert_allclose(rolling.rolling_mean(values, 30)[29:], values[29:], rtol=1e-15)
    np.testing.assert_allclose(rolling.rolling_std(values, 20)[19:], 0.0, atol=1e-16)


def test_a_small_spread_on_a_large_level_keeps_its_digits():
    """Spread / level = 1e-11: running sums of squares (1e-22) would have nothing left."""
    values = 1e8 + np.random.default_rng(2).normal(0.0, 1e-3, (200, 1))
    exact = [Fraction(value) for value in values[-20:, 0].tolist()]
    mean = sum(exact) / 20
    variance = sum((value - mean) ** 2 for value in exact) / 19
    assert rolling.rolling_std(values, 20)[-1, 0] == pytest.approx(float(variance) ** 0.5, rel=1e-5)


@pytest.mark.parametrize("name", ROLLING)
def test_a_bad_tick_is_forgotten_to_the_last_bit_with_its_window(name):
    clean = np.random.default_rng(3).normal(100.0, 1.0, (200, 2))
    ticked = clean.copy()
    ticked[50] = 1e15
    operator = getattr(rolling, name)
    np.testing.assert_array_equal(operator(ticked, 30)[80:], operator(clean, 30)[80:])


def test_rows_that_are_not_observed_are_skipped_and_keep_their_place():
    values = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, 3.0], [5.0, 6.0]])
    changes = rolling.per_asset(lambda x: x - rolling.previous(x), values)
    expected = [[np.nan, 0.0], [0.0, np.nan], [np.nan, 2.0], [3.0, 3.0]]
    np.testing.assert_array_equal(changes, expected)


def test_a_formula_without_a_value_gives_nan_and_no_warning():
    values = np.array([[0.0, 1.0], [0.0, 2.0]])
    expected = [[np.nan, 1.0], [np.nan, 1.0]]
    np.testing.assert_array_equal(rolling.per_asset(lambda x: x / x, values), expected)
    assert np.isnan(rolling.per_asset(lambda x: 1.0 / (0.0 * x), values)).all()


@pytest.mark.parametrize("chunk", [1, 50, 10**6])
def test_the_size_of_a_chunk_changes_no_bit(chunk, monkeypatch):
    values = np.random.default_rng(4).lognormal(size=(60, 7))
    values[3:9, 5] = np.nan
    whole = rolling.per_asset(lambda x: rolling.rolling_std(x, 20), values)
    monkeypatch.setattr(rolling, "CHUNK", chunk)
    parts = rolling.per_asset(lambda x: rolling.rolling_std(x, 20), values)
    np.testing.assert_array_equal(parts, whole)
