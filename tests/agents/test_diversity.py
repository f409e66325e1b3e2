"""The KL term that keeps members apart, and the measures of how far apart they are."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stock_windows import ENV, walk, window
from tiny_learner import Tiny

from probes import CONSTANT_REWARD, Probe
from steelyard.agents.distributions import Deterministic, Normal
from steelyard.agents.diversity import divergence, measure
from steelyard.agents.networks import MLP, Dense
from steelyard.agents.policies import CategoricalPolicy, GaussianPolicy
from steelyard.agents.population import Population
from steelyard.agents.ppo import PPO
from steelyard.agents.sac import SAC

KEY = jax.random.key(0)


def steady(actions, log_std=-1.0, inputs=2):
    """Policies (M, A) that always do the same."""

    def one(action):
        network = MLP((Dense(jnp.zeros((inputs, len(action))), action),))
        return GaussianPolicy(network, jnp.full(len(action), log_std))

    return jax.vmap(one)(jnp.asarray(actions, jnp.float32))


LEARNERS = {
    "tiny": (Tiny(rounds=30, learning_rate=0.02),),
    "ppo": (PPO(steps=2048, envs=4, horizon=16, minibatch=32, epochs=4, hidden=(8,), anneal=0.0),),
    "ppo and sac": (
        PPO(steps=512, envs=4, horizon=16, minibatch=32, epochs=4, hidden=(8,), anneal=0.0),
        SAC(steps=576, envs=4, horizon=16, minibatch=32, hidden=(8,), warmup=64, capacity=576),
    ),
}


@pytest.mark.parametrize(
    "name", ["tiny", *(pytest.param(n, marks=pytest.mark.slow) for n in ("ppo", "ppo and sac"))]
)
def test_members_are_further_apart_the_more_the_kl_term_weighs(name):
    env, params = Probe(length=2, discrete=False), jnp.asarray(CONSTANT_REWARD)

    @jax.jit
    @jax.vmap
    def apart(weight):
        groups = tuple((agent, 3) for agent in LEARNERS[name])
        policies, _ = Population(groups, diversity=weight).train(KEY, env, params)
        return jnp.mean(measure(policies, env, params, steps=2).kl)

    spread = np.asarray(apart(jnp.array([0.0, 0.01, 0.1, 0.2])))
    assert (np.diff(spread) > 0).all()
    assert spread[-1] > 1.5 * spread[0]


@pytest.mark.slow
def test_no_weight_is_no_term():
    """A weight of 0 and the program without peers learn the same."""
    env, params = Probe(discrete=False), jnp.asarray(CONSTANT_REWARD)

    def train(weight):
        return Population(((Tiny(), 2), (Tiny(), 1)), diversity=weight).train(KEY, env, params)[0]

    without, zero = eqx.filter_jit(train)(0.0), eqx.filter_jit(train)(jnp.zeros(()))
    for one, other in zip(jax.tree.leaves(without), jax.tree.leaves(zero), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_the_measures_of_members_that_always_do_the_same_are_those_by_hand():
    """Two assets of price 10; one rises and one falls, in turns by another rate."""
    rate = np.where(np.arange(9) % 2, 0.01, 0.03)[:, None] * [1, -1]
    params = window(10 * np.exp(np.cumsum(rate, axis=0)), max_shares=1.0, cash=1e4)
    first = steady([[1.0, 0.0], [1.0, -1.0], [0.0, 1.0]], inputs=4)
    second = steady([[0.004, 0.9]], -2.0, inputs=4)
    found = eqx.filter_jit(measure)((first, second), ENV, params)
    assert found.kl.shape == (4, 4)
    np.testing.assert_allclose(np.diag(found.kl), 0, atol=1e-6)
    # equal spreads e**-1: half the squared distance in spreads
    assert float(found.kl[0, 1]) == pytest.approx(0.5 * np.e**2, rel=1e-5)
    assert float(found.kl[0, 2]) == pytest.approx(np.e**2, rel=1e-5)
    shift = 0.5 * np.e**4 * ((1 - 0.004) ** 2 + 0.9**2)
    wider = np.e**2 - 1 - 2
    assert float(found.kl[0, 3]) == pytest.approx(shift + wider, rel=1e-5)
    # whole shares: 0.9 of one share is none
    expected = [[1, 0.5, 0, 0.5], [0.5, 1, 0, 0], [0, 0, 1, 0.5], [0.5, 0, 0.5, 1]]
    np.testing.assert_allclose(found.agreement, expected)
    assert float(found.correlation[0, 0]) == pytest.approx(1, abs=1e-4)
    assert float(found.correlation[0, 2]) < -0.9
    np.testing.assert_array_equal(found.correlation[3], 0)  # it never buys anything


def test_choices_agree_where_they_are_the_same():
    env, params = Probe(length=4), jnp.asarray(CONSTANT_REWARD)
    bias = jnp.array([[1.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    group = jax.vmap(lambda one: CategoricalPolicy(MLP((Dense(jnp.zeros((2, 2)), one),))))(bias)
    found = eqx.filter_jit(measure)((group,), env, params, steps=10)
    np.testing.assert_allclose(found.agreement, [[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    one, other = (jax.nn.softmax(row) for row in (bias[0], bias[2]))
    assert float(found.kl[0, 2]) == pytest.approx(float(jnp.sum(one * jnp.log(one / other))), 1e-4)


@pytest.mark.slow
def test_windows_are_measured_as_one_after_the_other():
    close = walk(24, 2)
    cut = [window(close[:12], max_shares=50.0), window(close[12:], max_shares=50.0)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *cut)
    groups = [(steady(jax.random.normal(k, (2, 2)), inputs=4),) for k in jax.random.split(KEY)]
    together = jax.vmap(lambda g, p: measure(g, ENV, p))(
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *groups), stacked
    )
    for number in range(2):
        alone = eqx.filter_jit(measure)(groups[number], ENV, cut[number])
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(one, other[number], atol=1e-4)


def test_certain_actions_have_a_divergence_too():
    certain, normal = Deterministic(jnp.array([0.2])), Normal(jnp.array([0.2]), jnp.array([-6.9]))
    assert float(divergence(certain, normal)) == pytest.approx(0, abs=1e-4)
    assert float(divergence(certain, Deterministic(jnp.array([0.3])))) > 1e3
    assert np.isfinite(float(divergence(normal, certain)))
