"""A menu of actions: what a learner of choices answers in a box."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stock_windows import ENV, eventful

from steelyard.agents.check import check_agent
from steelyard.agents.distributions import Categorical, Normal
from steelyard.agents.dqn import DQN
from steelyard.agents.menu import MenuChoice, as_menu, menu_env, single_orders
from steelyard.agents.networks import shares_table
from steelyard.errors import ConfigError
from steelyard.rollout import rollout
from steelyard.types import Space

BOX = Space(shape=(2,))
MENU = single_orders(BOX)
LOGITS = jnp.array([0.0, 1.0, -1.0, 2.0, 0.5])


def test_the_default_menu_is_nothing_and_one_order_at_a_time():
    np.testing.assert_array_equal(MENU, [[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])
    wide = single_orders(Space(shape=(1,), low=-2.0, high=3.0))
    np.testing.assert_array_equal(wide, [[0], [3], [-2]])


def test_a_choice_from_a_menu_is_a_categorical_over_its_rows():
    one, other = MenuChoice(LOGITS, MENU), MenuChoice(-LOGITS, MENU)
    inside = Categorical(LOGITS)
    np.testing.assert_array_equal(one.mode(), MENU[3])
    for key in jax.random.split(jax.random.key(0), 5):
        np.testing.assert_array_equal(one.sample(key), MENU[inside.sample(key)])
    for row, action in enumerate(MENU):
        assert float(one.log_prob(0.9 * action)) == pytest.approx(
            float(inside.log_prob(jnp.asarray(row)))
        )
    assert float(one.entropy()) == pytest.approx(float(inside.entropy()))
    assert float(one.kl(other)) == pytest.approx(float(inside.kl(Categorical(-LOGITS))))


def test_the_normal_near_it_has_its_mean_and_variance():
    chance = np.exp(LOGITS) / np.exp(LOGITS).sum()
    mean = chance @ np.asarray(MENU)
    variance = chance @ (np.asarray(MENU) - mean) ** 2
    near = MenuChoice(LOGITS, MENU).normal()
    np.testing.assert_allclose(near.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(2 * near.log_std), variance, rtol=1e-4)
    certain = MenuChoice(jnp.array([0.0, 0, 0, 1e4, 0]), MENU).normal()
    assert np.isfinite(certain.kl(Normal(jnp.zeros(2), jnp.zeros(2))))


def test_a_menu_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="1 numbers, actions have 2"):
        as_menu(((0.0,),), BOX)
    with pytest.raises(ConfigError, match=r"reaches from -3\.0 to 0\.0"):
        as_menu(((0.0, -3.0),), BOX)
    with pytest.raises(ConfigError, match="box around 0"):
        single_orders(Space(shape=(1,), low=0.0, high=1.0))


def test_an_environment_with_a_menu_shares_its_table_and_takes_rows():
    params = eventful()
    menu = single_orders(ENV.action_space(params))
    env = menu_env(ENV, menu)
    assert shares_table(env)
    assert env.action_space(params).choices == 2 * 24 + 1

    @jax.jit
    def both(row, params):
        key = jax.random.key(0)
        state, _ = ENV.reset(key, params)
        ours, theirs = env.step(key, state, row, params), ENV.step(key, state, menu[row], params)
        return ours[1].info["units"], theirs[1].info["units"]

    for row in (0, 5, 40):
        np.testing.assert_array_equal(*both(jnp.asarray(row), params))


SMALL = DQN(steps=64, warmup=32, envs=2, horizon=8, minibatch=8, hidden=(8,), capacity=64)


def test_dqn_trains_on_a_stock_market_as_traced():
    train = eqx.filter_eval_shape(SMALL.train, jax.random.key(0), ENV, eventful())
    assert train[0].actions.shape == (49, 24)
    assert set(train[1]) == {"reward", "value_error", "value", "epsilon"}


@pytest.mark.slow
def test_dqn_records_box_actions_on_a_stock_market():
    params = eventful()
    policy, _ = eqx.filter_jit(SMALL.train)(jax.random.key(0), ENV, params)
    _, steps = rollout(jax.random.key(1), ENV, params, policy, 20)
    rows = {tuple(row) for row in np.asarray(policy.actions)}
    assert {tuple(action) for action in np.asarray(steps.action)} <= rows
    obs = ENV.reset(jax.random.key(0), params)[1].obs
    vector = ENV.observe(obs, params)
    best = int(jnp.argmax(policy.values(vector)))
    np.testing.assert_array_equal(policy(vector, None)[0].mode(), policy.actions[best])


@pytest.mark.slow
def test_dqn_keeps_the_contract_on_a_stock_market():
    check_agent(SMALL, ENV, eventful(), steps=16)
