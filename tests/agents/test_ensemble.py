"""What an ensemble makes of its members, and of what validation says about them."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_learner import Tiny

from probes import MATCH, Probe
from steelyard.agents.check import check_agent
from steelyard.agents.ensemble import BEST, Ensemble, chosen, sharpe_weights
from steelyard.agents.population import Population
from steelyard.agents.voting import RULES
from steelyard.errors import ConfigError
from steelyard.registry import members
from steelyard.rollout import bind

BOX, CHOICES = Probe(discrete=False), Probe(discrete=True)
KEY = jax.random.key(2)
MIXED = Population(((Tiny(), 3), (Tiny(log_std=-1.0), 2)))
OBS = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.3, 1.0]])


@eqx.filter_jit
def untrained(population, env):
    return population.init(KEY, env, MATCH).policy


@eqx.filter_jit
def decide(policy, env):
    """Actions at some observations."""
    act = bind(policy, env, MATCH)
    return jax.vmap(lambda obs: act(obs, policy.initial_carry())[0].mode())(OBS)


@pytest.mark.parametrize("env", [BOX, CHOICES], ids=["box", "choices"])
@pytest.mark.parametrize("rule", [*RULES, BEST])
def test_an_ensemble_of_identical_agents_is_the_agent(rule, env):
    (group, _) = untrained(MIXED, env)
    same = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:1], leaf.shape), group)
    ensemble = Ensemble(Population(((Tiny(), 3),)), rule=rule)
    sharpe = jnp.array([0.2, -0.1, 0.3])
    alone = decide(jax.tree.map(lambda leaf: leaf[0], group), env)
    for policy in (ensemble.combine((same,)), ensemble.combine((same,), sharpe)):
        np.testing.assert_array_equal(
            decide(policy, env), alone if env is CHOICES else jnp.clip(alone, -1, 1)
        )


def test_weights_are_the_softmax_of_sharpe_ratios_without_those_below_the_threshold():
    sharpe = jnp.array([0.5, -0.4, 0.1, 0.0])
    kept = np.exp([0.5, 0.1, 0.0]) / np.exp([0.5, 0.1, 0.0]).sum()
    weights = sharpe_weights(sharpe)
    np.testing.assert_allclose(weights, [kept[0], 0, kept[1], kept[2]], rtol=1e-6)
    assert weights[1] == 0
    assert float(weights.sum()) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(sharpe_weights(sharpe - 1), [1, 0, 0, 0])
    np.testing.assert_allclose(sharpe_weights(sharpe, -1.0, 1e6), [0.25] * 4, atol=1e-5)
    assert np.isnan(sharpe_weights(jnp.array([0.1, jnp.nan]))).all()  # and not a silent zero


def test_an_ensemble_hears_the_first_members_of_each_group_and_weighs_them():
    groups = untrained(MIXED, BOX)
    ensemble = Ensemble(MIXED, take=(1, 2), discard=-1.0)
    assert ensemble.counts == (1, 2)
    sharpe = jnp.array([0.3, 9.0, 9.0, 0.1, -0.2])
    policy = ensemble.combine(groups, sharpe)
    expected = np.exp([0.3, 0.1, -0.2]) / np.exp([0.3, 0.1, -0.2]).sum()
    np.testing.assert_allclose(policy.weights, expected, rtol=1e-6)
    modes = np.stack(
        [
            decide(jax.tree.map(lambda x, i=i: x[i], groups[g]), BOX)
            for g, i in [(0, 0), (1, 0), (1, 1)]
        ]
    )
    np.testing.assert_allclose(
        decide(policy, BOX)[:, 0], expected @ np.clip(modes[..., 0], -1, 1), rtol=1e-5
    )
    assert Ensemble(MIXED, take=2).counts == (2, 2)
    only = Ensemble(MIXED, take=(0, 1)).combine(groups)
    np.testing.assert_allclose(decide(only, BOX), np.clip(modes[1], -1, 1), rtol=1e-6)


def test_the_best_member_decides_alone_and_the_first_one_where_nothing_is_known():
    groups = untrained(MIXED, BOX)
    ensemble = Ensemble(MIXED, rule=BEST)
    policy = ensemble.combine(groups, jnp.array([0.1, -0.2, 0.3, 0.4, 0.2]))
    np.testing.assert_array_equal(policy.weights, [0, 0, 0, 1, 0])
    best = decide(jax.tree.map(lambda leaf: leaf[0], groups[1]), BOX)
    np.testing.assert_array_equal(decide(policy, BOX), jnp.clip(best, -1, 1))
    np.testing.assert_array_equal(ensemble.combine(groups).weights, [1, 0, 0, 0, 0])


def test_a_discarded_member_is_not_heard_even_if_it_broke():
    groups = untrained(MIXED, BOX)
    broken = jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), groups[0])
    sharpe = jnp.array([0.1, -5.0, 0.2, 0.0, 0.1])
    for rule in RULES:
        ensemble = Ensemble(MIXED, rule=rule)
        np.testing.assert_array_equal(
            decide(ensemble.combine((broken, groups[1]), sharpe), BOX),
            decide(ensemble.combine(groups, sharpe), BOX),
        )


def test_windows_are_combined_as_one_after_the_other():
    ensemble = Ensemble(MIXED, take=2)
    groups = [untrained(MIXED, BOX), jax.tree.map(jnp.negative, untrained(MIXED, BOX))]
    sharpe = jax.random.normal(KEY, (2, 5))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *groups)
    together = jax.vmap(ensemble.combine)(stacked, sharpe)
    for window in range(2):
        one = jax.tree.map(lambda leaf, w=window: leaf[w], together)
        alone = ensemble.combine(groups[window], sharpe[window])
        np.testing.assert_allclose(decide(one, BOX), decide(alone, BOX), rtol=1e-6)


@pytest.mark.slow
def test_an_ensemble_is_an_agent():
    check_agent(Ensemble(MIXED), BOX, MATCH, steps=4)
    check_agent(Ensemble(Population(((Tiny(), 2),)), rule="majority"), CHOICES, MATCH, steps=4)


def test_a_grid_is_an_ensemble_whose_best_variant_decides():
    agent = chosen(Tiny(), {"learning_rate": (0.1, 0.0)})
    groups, _ = eqx.filter_jit(lambda: agent.population.train(KEY, BOX, MATCH))()
    begun = untrained(agent.population, BOX)
    policy = agent.combine(groups, jnp.array([0.0, 0.1]))
    still = jax.tree.map(lambda leaf: leaf[1], begun[0])  # a rate of 0 has learned nothing
    np.testing.assert_allclose(decide(policy, BOX), jnp.clip(decide(still, BOX), -1, 1), rtol=1e-6)


def test_ensembles_that_share_a_training_have_equal_populations():
    room = members("agents")
    names = [
        f"ensemble_{kind}" for kind in ("1", "2", "3", "majority", "confidence", "product", "sum")
    ]
    made = {name: room[name].value() for name in names}
    assert {hash(one.population) for one in made.values()} == {hash(made["ensemble_1"].population)}
    assert all(one.population == made["ensemble_1"].population for one in made.values())
    assert made["ensemble_2"].counts == (5, 5, 5)
    assert made["ensemble_3"].population.counts == (10, 10, 10)
    assert room["ensemble_best"].value().population != made["ensemble_1"].population
    other = replace(made["ensemble_1"].population, diversity=0.5)
    assert other != made["ensemble_1"].population


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"take": 0}, "an ensemble needs members"),
        ({"take": (1,)}, "an ensemble needs members"),
        ({"take": (4, 1)}, r"takes \[4, 1\] of \[3, 2\]"),
        ({"take": (-1, 3)}, "an ensemble needs members"),
        ({"rule": "loudest"}, "no rule named"),
        ({"temperature": 0.0}, "temperature must be positive"),
    ],
)
def test_settings_that_cannot_hold_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message) as error:
        Ensemble(MIXED, **settings)
    assert error.value.hint
