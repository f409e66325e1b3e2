"""GRPO: what a group is worth by hand, and what a training on groups can and cannot learn."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probes import OBSERVED_REWARD, Probe
from steelyard.agents.diversity import Peers, divergence
from steelyard.agents.grpo import GRPO, group_advantage
from steelyard.errors import ConfigError
from steelyard.rollout import TimeStep
from steelyard.types import Space

SMALL = GRPO(
    learning_rate=1e-2, steps=12_800, envs=16, horizon=4, group=8, minibatch=32, hidden=(8,)
)


def test_an_advantage_is_the_distance_from_the_group_in_its_standard_deviations():
    advantage, kept = group_advantage(jnp.array([1.0, 2.0, 3.0, 6.0]), 1e-6)
    np.testing.assert_allclose(advantage, np.array([-2, -1, 0, 3]) / np.sqrt(3.5), rtol=1e-6)
    assert kept
    scaled, _ = group_advantage(-1e-4 * jnp.array([1.0, 2.0, 3.0, 6.0]), 1e-6)
    np.testing.assert_allclose(scaled, -advantage, rtol=1e-4)


@pytest.mark.parametrize("reward", [0.0, 0.1, -7e5])
def test_a_group_of_equal_rewards_says_nothing(reward):
    advantage, kept = group_advantage(jnp.full(10, reward), 1e-6)
    assert not kept
    np.testing.assert_array_equal(advantage, 0)


def test_the_clip_lets_probabilities_grow_further_than_shrink():
    ratio = jnp.array([1.5, 1.5, 0.5, 0.5, 1.1])
    advantage = jnp.array([1.0, -1.0, 1.0, -1.0, 2.0])
    np.testing.assert_allclose(
        GRPO().surrogate(ratio, advantage), [1.28, -1.5, 0.5, -0.8, 2.2], rtol=1e-6
    )


class Weather(eqx.Module):
    """Two steps; pays now or at the end what the first action was, and the weather on top."""

    def reset(self, key, params):
        state = jnp.zeros(2)  # the first action, the step
        return state, self._answer(state, jnp.zeros(()))

    def step(self, key, state, action, params):
        first = state[1] == 0
        held = jnp.where(first, jnp.clip(action[0], -1, 1), state[0])
        pays = jnp.where(params, ~first, first)  # params: whether the reward is delayed
        after = jnp.stack([held, state[1] + 1])
        return after, self._answer(after, jnp.where(pays, held, 0) + 100 * jax.random.normal(key))

    def _answer(self, state, reward):
        return TimeStep(state[1:], reward, state[1] >= 2, jnp.asarray(False), {})

    def observe(self, obs, params):
        return obs

    def action_space(self, params):
        return Space(shape=(1,))


NOW, LATER = jnp.asarray(False), jnp.asarray(True)


@eqx.filter_jit
def trained(agent, params):
    """The first action of the policy, and the log."""
    policy, log = agent.train(jax.random.key(0), Weather(), params)
    return policy(jnp.zeros(1), None)[0].mode()[0], log


def test_a_group_is_compared_in_the_same_weather_and_pays_for_the_first_step_alone():
    # noise of 100 beside a reward of 1 would drown it, were the step's key not shared
    action, log = trained(SMALL, NOW)
    assert action > 0.7
    assert log["kept"][0] == 0.5  # the second step pays nothing


def test_looking_ahead_finds_what_pays_a_step_later():
    assert trained(SMALL, LATER)[1]["kept"].max() == 0  # one step shows no difference
    far = eqx.tree_at(lambda a: a.target_kl, GRPO(**{**vars(SMALL), "lookahead": 2}), 0.3)
    assert trained(far, LATER)[0] > 0.7


@pytest.mark.slow
def test_a_policy_without_anything_to_learn_stays_unless_a_peer_drives_it_away():
    env, problem = Probe(discrete=True), jnp.asarray(OBSERVED_REWARD)
    start, other = (SMALL.init(jax.random.key(seed), env, problem) for seed in (0, 1))

    @jax.jit
    def apart(weight):
        """KL from the peer before and after a training."""
        peers = Peers((jax.tree.map(lambda leaf: leaf[None], other.policy),), (weight[None],))
        end = jax.lax.fori_loop(
            0, 6, lambda _, state: SMALL.advance(state, env, problem, peers)[0], start
        )
        peer, *ours = (
            p(jnp.array([1.0, 0.0]), None)[0] for p in (other.policy, start.policy, end.policy)
        )
        return jnp.stack([divergence(mine, peer) for mine in ours])

    (before, alone), (_, driven) = jax.vmap(apart)(jnp.array([0.0, 1.0]))
    assert alone == before
    assert driven > 2 * before


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"minibatch": 100}, "must divide"), ({"group": 1}, "group 1"), ({"lookahead": 0}, "ahead 0")],
)
def test_settings_that_cannot_hold_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message) as error:
        GRPO(**settings)
    assert error.value.hint
