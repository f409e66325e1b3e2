"""TD3: the lower of two smoothed targets, and a policy that waits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_ddpg import BOX, nobody, plain, sample_of

from steelyard.agents.td3 import TD3
from steelyard.errors import ConfigError

AGENT = TD3(hidden=(5, 4), learning_rate=1e-2, smoothing=0.2, smoothing_limit=0.5, tau=0.1, delay=2)


def test_the_target_is_the_lower_one_of_a_smoothed_action():
    found, error, values = jax.jit(step_and_twin)(jax.random.key(2))
    np.testing.assert_allclose(found, error, rtol=1e-4, atol=1e-5)
    assert np.any(values[0] < values[1])
    assert np.any(values[0] > values[1])


def step_and_twin(key):
    """The error of the step, the same from the formula, and the two values of the target."""
    sample = sample_of()
    policy, rest = AGENT.create(key, 3, BOX)
    draws = jnp.array([[9.0, -9.0]] * 3 + [[1.0, -1.0]] * 3)  # the first ones meet the limit
    noise = jnp.array([[0.5, -0.5]] * 3 + [[0.2, -0.2]] * 3)
    action = jnp.clip(jnp.tanh(policy.network(sample.next_vectors)) + noise, -1, 1)
    values = [plain(rest.critics, i)(sample.next_vectors, action) for i in (0, 1)]
    target = sample.reward + sample.discount * jnp.minimum(*values)
    learned = AGENT.learn(draws, policy, rest, sample, nobody, jnp.asarray(0))
    error = plain(rest.critics, 0)(sample.vectors, sample.action) - target
    return learned.error, error, values


def test_policy_and_targets_move_at_every_second_step_alone():
    policy, rest = jax.jit(lambda key: AGENT.create(key, 3, BOX))(jax.random.key(0))
    step = jax.jit(
        lambda policy, rest, number: AGENT.learn(
            jnp.zeros((6, 2)), policy, rest, sample_of(), nobody, number
        )
    )

    def same(one, other):
        pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
        return all(np.array_equal(a, b) for a, b in pairs)

    first = step(policy, rest, jnp.asarray(0))
    assert same(first.policy, policy)
    assert same(first.rest.target_critics, rest.target_critics)
    assert not same(first.rest.critics, rest.critics)
    second = step(first.policy, first.rest, jnp.asarray(1))
    assert not same(second.policy.network, policy.network)
    old, new = rest.critics.action, second.rest.critics.action
    np.testing.assert_allclose(second.rest.target_critics.action, 0.9 * old + 0.1 * new, rtol=1e-5)


def test_a_delay_that_does_not_fit_an_update_is_refused():
    with pytest.raises(ConfigError, match="must divide the 128 gradient steps"):
        TD3(delay=3)
