"""Who trades in which market, known at the close of the row and not later."""

from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stock_windows import ENV, eventful, play_policy, walk, window
from tiny_learner import Tiny

from steelyard.agents.check import check_agent
from steelyard.agents.population import Population
from steelyard.agents.regime import Regime, equal_index, rises
from steelyard.errors import ConfigError, ContractError
from steelyard.lookahead import another_future

PAIR = Population(((Tiny(), 1), (Tiny(log_std=-1.0), 1)))
regimes = jax.jit(rises, static_argnums=(1, 2, 3))


def slow_twin(mark, fast, slow, confirm):
    """Row by row, from the words of the page."""
    level = [1.0]
    for before, after in pairwise(mark):
        listed = (before > 0) & (after > 0)
        level.append(level[-1] * (1 + (after[listed] / before[listed] - 1).mean()))
    counts, lasted, last, found = True, 0, True, []
    for row in range(len(level)):
        above = True
        if row >= slow - 1:
            fast_mean = np.mean(level[row - fast + 1 : row + 1])
            above = fast_mean > np.mean(level[row - slow + 1 : row + 1])
        lasted = lasted + 1 if above == last else 1
        last = above
        counts = above if lasted >= confirm else counts
        found.append(counts)
    return np.array(found), np.array(level)


@pytest.mark.parametrize("confirm", [1, 3, 12])
def test_the_regime_is_that_of_its_definition(confirm):
    close = walk(300, 3, seed=4)
    market = window(close).market
    expected, level = slow_twin(close, 5, 20, confirm)
    np.testing.assert_allclose(equal_index(market), level, rtol=1e-4)
    np.testing.assert_array_equal(regimes(market, 5, 20, confirm), expected)
    assert 2 < np.abs(np.diff(expected.astype(int))).sum() < 60


def test_an_asset_counts_in_the_index_once_it_is_listed():
    close = np.array([[10.0, np.nan], [11.0, 50.0], [11.0, 55.0]])
    np.testing.assert_allclose(equal_index(window(close).market), [1, 1.1, 1.1 * 1.05], rtol=1e-5)


def test_the_regime_of_a_row_does_not_change_with_what_comes_after_it():
    market = window(walk(120, 4, seed=1)).market
    before = regimes(market, 5, 20, 3)
    for row in (30, 64, 100):
        after = regimes(another_future(market, row), 5, 20, 3)
        np.testing.assert_array_equal(before[: row + 1], after[: row + 1])


@pytest.mark.slow
def test_each_regime_is_traded_by_its_own_agent_on_one_account():
    params = window(walk(120, 3, seed=4), max_shares=10.0, cost=1e-3)
    agent = Regime(PAIR, fast=5, slow=20, confirm=2)
    policy, _ = eqx.filter_jit(agent.train)(jax.random.key(0), ENV, params)
    lived = play_policy(policy, params, 118)
    rising = np.asarray(regimes(params.market, 5, 20, 2))[np.asarray(lived.obs.row)]
    assert 10 < rising.sum() < 110

    @jax.jit
    def alone(group):
        one = jax.tree.map(lambda leaf: leaf[0], group)
        return jax.vmap(lambda obs: one.bind(ENV, params)(obs, None)[0].mode())(lived.obs)

    up, down = (np.clip(alone(group), -1, 1) for group in policy.groups)
    np.testing.assert_allclose(lived.action, np.where(rising[:, None], up, down), atol=1e-5)
    assert (np.abs(up - down) > 1e-2).any()


@pytest.mark.slow
def test_the_agent_keeps_the_contract_on_a_market_with_gaps():
    check_agent(Regime(PAIR, fast=5, slow=20, confirm=2), ENV, eventful(), steps=24)


def test_settings_that_cannot_hold_are_refused():
    for settings in ({"fast": 200}, {"confirm": 0}, {"population": Population(((Tiny(), 2),))}):
        with pytest.raises(ConfigError) as error:
            Regime(**{"population": PAIR, **settings})
        assert error.value.hint
    with pytest.raises(ContractError, match="stored observation"):
        Regime(PAIR).combine(({}, {}))(jnp.zeros(2), ())
