"""Weights of the classic portfolios against closed forms and against many random portfolios."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.agents import allocation
from steelyard.agents.allocation import maximum_ratio, minimum_variance, re_estimated
from steelyard.errors import ConfigError


def returns(rows, assets, seed=0, mean=0.0):
    random = np.random.default_rng(seed)
    common = random.normal(0, 0.01, (rows, 1))
    spread = np.linspace(0.005, 0.02, assets)
    return mean + common + random.normal(size=(rows, assets)) * spread


def random_portfolios(count, assets, cap, seed=1):
    """Long-only weights under the cap, spread over the whole set and towards its corners."""
    weights = np.random.default_rng(seed).dirichlet(np.full(assets, 0.3), 20 * count)
    return weights[(weights <= cap).all(axis=1)][:count]


@given(st.integers(0, 1000))
@settings(max_examples=15)
def test_two_assets_have_the_weights_of_the_closed_form(seed):
    history = returns(80, 2, seed)
    cov = np.cov(history.T)
    first = np.clip((cov[1, 1] - cov[0, 1]) / (cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]), 0, 1)
    np.testing.assert_allclose(minimum_variance(history), [first, 1 - first], atol=1e-4)


@pytest.mark.parametrize("cap", [1.0, 0.4])
def test_no_random_portfolio_varies_less(cap):
    history = returns(120, 6)
    weights = minimum_variance(history, cap)
    others = random_portfolios(4000, 6, cap)
    assert len(others) > 1000
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    assert weights.max() <= cap + 1e-5
    assert np.var(history @ weights) <= np.var(history @ others.T, axis=0).min() * (1 + 1e-4)


@pytest.mark.parametrize("cap", [1.0, 0.4])
def test_no_random_portfolio_has_a_larger_ratio(cap):
    history = returns(120, 6, mean=0.001)
    weights = maximum_ratio(history, cap)
    others = random_portfolios(4000, 6, cap)
    assert weights.max() <= cap + 1e-5

    def ratio(r):
        return r.mean(axis=0) / r.std(axis=0)

    assert ratio(history @ weights) >= ratio(history @ others.T).max() * (1 - 1e-4)


def test_where_everything_falls_the_ratio_gives_way_to_minimum_variance():
    history = returns(120, 6, mean=-0.01)
    assert history.mean(axis=0).max() < 0
    np.testing.assert_array_equal(maximum_ratio(history, 0.4), minimum_variance(history, 0.4))


def test_where_one_asset_rises_but_the_cap_forces_losers_the_ratio_gives_way_too():
    history = returns(120, 4, mean=-0.02)
    history[:, 0] += 0.025  # alone it gains, but half of the account must lose 2 % a day
    assert history.mean(axis=0)[0] > 0
    np.testing.assert_array_equal(maximum_ratio(history, 0.5), minimum_variance(history, 0.5))


def test_more_assets_than_rows_still_give_weights():
    weights = minimum_variance(returns(30, 40))
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0


def first_asset(history):
    """An allocation that shows what it was given: the sum of its returns, and their number."""
    return np.append([history[:, 0].sum(), len(history)], np.zeros(history.shape[1] - 2))


def prices_and_members(rows=120, assets=4, mean=0.0):
    mark = 100 * np.cumprod(1 + returns(rows, assets, mean=mean), axis=0)
    return mark, np.ones(mark.shape, bool)


def test_an_estimate_sees_the_returns_of_the_rows_up_to_its_own_and_no_other():
    mark, member = prices_and_members()
    history = mark[1:] / mark[:-1] - 1  # row t of it is the return of row t + 1
    weights = re_estimated(mark, member, (70, 119), first_asset, every=21, lookback=80, shortest=60)
    for row, count in ((70, 70), (91, 80), (112, 80)):
        expected = [history[row - count : row, 0].sum(), count, 0, 0]
        np.testing.assert_allclose(weights[row], expected)
        np.testing.assert_array_equal(
            weights[row : row + 21], np.tile(weights[row], (21, 1))[: 120 - row]
        )
    assert (weights[:70] == 0).all()


def test_assets_not_observed_over_the_whole_estimate_get_nothing():
    mark, member = prices_and_members(assets=6)
    member[50, 0] = False  # a day's halt is no reason
    member[70, 1] = False  # halted at the estimate
    mark[:30, 2] = 0  # listed late
    member[:30, 2] = False
    mark[:, 4] = 7.0  # never moves
    weights = re_estimated(
        mark, member, (70, 119), minimum_variance, every=100, lookback=80, shortest=60
    )
    assert (weights[70, [1, 2, 4]] == 0).all()
    assert (weights[70, [0, 3, 5]] > 0).all()


def test_without_enough_assets_later_on_the_weights_stay_as_they_were():
    mark, member = prices_and_members()
    member[91:] = False
    weights = re_estimated(
        mark, member, (70, 119), minimum_variance, every=21, lookback=80, shortest=60
    )
    np.testing.assert_array_equal(weights[91:], np.tile(weights[90], (29, 1)))
    assert weights[90].sum() == pytest.approx(1)


def test_a_window_too_close_to_the_start_of_the_data_is_refused_by_name():
    mark, member = prices_and_members()
    with pytest.raises(ConfigError, match=r"window of rows 40\.\.119 has 40 rows before it") as e:
        re_estimated(mark, member, (40, 119), minimum_variance, every=21, lookback=80, shortest=60)
    assert "row 60 or later" in e.value.hint


@pytest.mark.parametrize("assets", [3, 4, 7, 19])
def test_a_cap_that_weights_cannot_meet_is_refused_with_one_that_they_can(assets):
    mark, member = prices_and_members(assets=assets, mean=0.002)

    def weights_under(cap):
        return re_estimated(
            mark,
            member,
            (70, 119),
            lambda history: maximum_ratio(history, cap),
            every=50,
            lookback=80,
            shortest=60,
            cap=cap,
        )

    with pytest.raises(ConfigError, match="cannot add up to 1") as error:
        weights_under(0.05)
    typed, _, cap = error.value.hint.rpartition("=")
    assert typed == "--set mean_variance.cap"
    weights = weights_under(float(cap))[70]
    assert weights.sum() == pytest.approx(1)
    assert weights.max() <= float(cap) + 1e-5


def test_without_any_asset_no_cap_is_proposed():
    mark, member = prices_and_members()
    with pytest.raises(ConfigError, match="0 assets are observed over the 70 rows") as error:
        re_estimated(mark, ~member, (70, 119), minimum_variance, every=21, lookback=80, shortest=60)
    assert "cap" not in error.value.hint


# what the solver has answered before


def test_the_same_question_is_answered_from_memory_and_another_one_is_not(monkeypatch):
    asked = []
    monkeypatch.setattr(allocation, "_solved", {})
    monkeypatch.setattr(
        allocation, "_solve", lambda returns, *how: asked.append(how) or np.full(4, 0.25)
    )
    history = returns(80, 4)
    minimum_variance(history)[:] = 0.0  # what was handed out is the caller's
    np.testing.assert_array_equal(minimum_variance(history.copy()), np.full(4, 0.25))
    assert len(asked) == 1
    for other in (history + 1e-12, history[1:], history.reshape(160, 2)):
        minimum_variance(other)
    minimum_variance(history, 0.5)
    allocation._mean_risk(history, 1.0, "MAXIMIZE_RATIO")
    assert len(asked) == 6


def test_the_memory_of_the_solver_is_bounded(monkeypatch):
    monkeypatch.setattr(allocation, "_solved", {})
    monkeypatch.setattr(allocation, "_solve", lambda returns, *how: np.full(2, 0.5))
    for seed in range(allocation.MOST_SOLVED + 10):
        minimum_variance(returns(3, 2, seed))
    assert len(allocation._solved) == allocation.MOST_SOLVED
