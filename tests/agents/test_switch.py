"""Experts that take turns: their own accounts, the scores, and what they may see."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stock_windows import ENV, panel, play_policy, walk
from tiny_learner import Tiny

from probes import MATCH, Probe
from steelyard.agents.check import check_agent
from steelyard.agents.population import Population
from steelyard.agents.switch import FAMILIES, PPOSwitch
from steelyard.envs.stock import whole_window
from steelyard.errors import ConfigError, ContractError
from steelyard.features.scaling import fit
from steelyard.market import build_market

KEY = jax.random.key(1)
HIDDEN = tuple(tuple(name for name in FAMILIES if name != own) for own in FAMILIES)
EXPERTS = Population(((Tiny(), 5),), hidden=HIDDEN)
STEPS = 40


def stocks(precision="float32", features=FAMILIES[1:]):
    data = panel(walk(STEPS + 8, 3, seed=3))
    table = fit(data, features, (0, len(data)))(data)
    market = build_market(
        data, table.values, first=5, precision=precision, columns=table.columns, fill="same_close"
    )
    return whole_window(market, 5, len(data) - 1, cash=1e5, cost=0.0)


@pytest.fixture(scope="module")
def groups():
    """Five experts whose weights a tiny training has moved apart."""
    return eqx.filter_jit(EXPERTS.train)(KEY, ENV, stocks())[0]


def turns(worth, momentum, follow, periods):
    """Who decides on each row, from the words of the page; worth is (T, K)."""
    expert, base, following, found = 0, worth[0], follow, []
    for row in range(len(worth)):
        if row == following:
            recent = (worth[row] - worth[row - 5]) / 5
            expert = int(np.argmax(momentum * recent + (1 - momentum) * (worth[row] - base)))
            gains = [np.sum(worth[row] - worth[row - d]) for d in periods]
            base, following = worth[row], row + periods[int(np.argmax(gains))]
        found.append(expert)
    return np.array(found)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"momentum": 0.9, "periods": (3,), "follow": 12}, marks=pytest.mark.slow),
    ],
    ids=["published", "other"],
)
def test_the_real_account_follows_the_expert_whose_own_account_did_best(groups, settings):
    params = stocks()

    @eqx.filter_jit
    def alone(expert):
        lived = play_policy(expert, params, STEPS)
        return lived.info["value"] / 1e5

    worth = np.stack([alone(jax.tree.map(lambda x, i=i: x[i], groups[0])) for i in range(5)], 1)
    worth = np.vstack([np.ones(5), worth])[:STEPS]
    agent = PPOSwitch(EXPERTS, **settings)
    lived = play_policy(agent.combine(groups), params, STEPS)
    expected = turns(worth, float(agent.momentum), agent.follow, agent.periods)
    assert len(set(expected)) > 2

    @jax.jit
    def modes(seen):
        def one(obs):
            return jax.vmap(lambda p: p.bind(ENV, params)(obs, None)[0].mode())(groups[0])

        return jax.vmap(one)(seen)

    answers = np.asarray(modes(lived.obs))
    np.testing.assert_allclose(lived.action, answers[np.arange(STEPS), expected], atol=1e-5)


@pytest.mark.slow
def test_the_exact_ledger_gives_the_experts_exact_accounts(groups):
    with jax.enable_x64(True):
        policy = PPOSwitch(EXPERTS).combine(groups)
        assert policy.initial_carry().cash.dtype == jnp.float64
        exact = play_policy(policy, stocks("exact"), STEPS)
    assert PPOSwitch(EXPERTS).combine(groups).initial_carry().cash.dtype == jnp.float32
    rough = play_policy(PPOSwitch(EXPERTS).combine(groups), stocks(), STEPS)
    np.testing.assert_allclose(exact.info["value"], rough.info["value"], rtol=1e-3)


def test_sparse_trading_puts_all_into_one_asset_at_a_switch_and_rests_between(groups):
    lived = play_policy(PPOSwitch(EXPERTS, sparse=True).combine(groups), stocks(), STEPS)
    action = np.asarray(lived.action)
    trades = np.abs(action).sum(axis=1) > 0
    assert trades[0]
    assert not trades[1:10].any()
    assert trades[10]
    assert 4 < trades.sum() < 20
    assert set(np.unique(action[trades])) <= {-1.0, 1.0}
    assert ((action[trades] > 0).sum(axis=1) <= 1).all()


@pytest.mark.slow
def test_the_agent_keeps_the_contract():
    check_agent(PPOSwitch(EXPERTS), ENV, stocks(), steps=24)


def test_what_cannot_hold_is_refused():
    with pytest.raises(ConfigError, match="no columns of price_max_6, price_mean_6") as error:
        PPOSwitch().init(KEY, ENV, stocks(features=("price_min_6", "price_ema_6")))
    assert 'Task(features=(..., "price_max_6", "price_mean_6"))' in error.value.hint
    with pytest.raises(ConfigError, match="needs a market"):
        PPOSwitch().init(KEY, Probe(discrete=False), MATCH)
    plain = Population(((Tiny(), 5),))
    for settings in ({"follow": 6}, {"periods": ()}, {"periods": (0, 2)}, {"population": plain}):
        with pytest.raises(ConfigError) as error:
            PPOSwitch(**settings)
        assert error.value.hint
    with pytest.raises(ContractError, match="stored observation"):
        PPOSwitch().combine(({},))(jnp.zeros(2), ())
