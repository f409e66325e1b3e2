"""Experts whose own accounts are ruined: what these are worth, and whom the real one follows."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from stock_windows import KEY, panel

from steelyard.agents.networks import MLP, Dense
from steelyard.agents.policies import GaussianPolicy
from steelyard.agents.switch import SwitchPolicy
from steelyard.agents.views import Masked
from steelyard.envs.constraints import Limits
from steelyard.envs.stock import StockEnv, StockParams
from steelyard.market import build_market
from steelyard.rollout import bind, scored_pass

ENV = StockEnv(short=True)
CLOSE = (100, 110, 105, 100, 400, 100, 99, 98, 97, 96, 95, 94, 93, 92)
"""Whoever is short at 400 is ruined; whoever is long from then on loses, but little."""
SELLS, BUYS = 0, 1


def stocks():
    data = panel(np.array(CLOSE, float)[:, None])
    market = build_market(data, np.zeros((len(CLOSE), 1), np.float32), fill="same_close")
    last = len(CLOSE) - 1
    return StockParams(
        market, 0, last, last, cash=1e4, cost=0.0, max_shares=90.0, limits=Limits(max_weight=0.5)
    )


def experts(*actions):
    """Experts (K,) of which each always does the same."""

    def one(action):
        network = MLP((Dense(jnp.zeros((4, 1)), action[None]),))
        return Masked(GaussianPolicy(network, jnp.zeros(1)), jnp.ones(4))

    return jax.vmap(one)(jnp.array(actions, jnp.float32))


@eqx.filter_jit
def watch(group):
    """Worth (T, K) of the experts' accounts row by row, and who decides there (T,)."""
    params, even = stocks(), jnp.full(2, 0.5)
    policy = SwitchPolicy(group, even, 0.3, follow=7, periods=(2, 5), sparse=False)
    act = bind(policy, ENV, params)
    state, first = ENV.reset(KEY, params)

    def step(so_far, _):
        state, obs, carry = so_far
        _, carry = act(obs, carry)
        state, after = ENV.step(KEY, state, jnp.zeros(1), params)
        return (state, after.obs, carry), (carry.worth[-1], carry.expert)

    begun = (state, first.obs, policy.initial_carry())
    return jax.lax.scan(step, begun, None, len(CLOSE) - 1)[1]


@eqx.filter_jit
def alone(group):
    """Value (T, K) of the experts' accounts, in starting capitals, where each trades alone."""

    def one(expert):
        value = scored_pass(KEY, ENV, stocks(), expert, len(CLOSE) - 2).info["value"]
        return jnp.append(1.0, value / 1e4)

    return jax.vmap(one, out_axes=1)(group)


def test_an_expert_s_own_account_is_what_it_earns_alone_and_ends_with_its_ruin():
    """Limits are those of what the account is worth: 49 shares at row 3, not the 50 of row 0."""
    group = experts(-1.0, 0.2)
    worth, _ = watch(group)
    np.testing.assert_allclose(worth, alone(group), rtol=1e-5)
    assert (worth[:4] > 0).all()
    assert (worth[4:, SELLS] == worth[4, SELLS]).all()
    assert worth[4, SELLS] < -4
    assert (jnp.diff(worth[6:, BUYS]) < 0).all()


def test_an_expert_that_is_ruined_is_not_chosen_while_another_one_loses_but_lives():
    _, expert = watch(experts(-1.0, 0.2))
    assert expert[:7].tolist() == [SELLS] * 7
    assert expert[7:].tolist() == [BUYS] * 6


def test_the_first_expert_decides_where_all_are_ruined():
    worth, expert = watch(experts(-0.9, -1.0))
    assert (worth[-1] < 0).all()
    assert expert.tolist() == [0] * 13
