"""A2C against a slow twin of its update, and where its settings are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from probes import MATCH_SIGN, Probe
from steelyard.agents.a2c import A2C
from steelyard.agents.distributions import Categorical
from steelyard.agents.onpolicy import collect
from steelyard.errors import ConfigError

AGENT = A2C(
    learning_rate=1e-2, anneal=0.5, discount=0.9, entropy_weight=0.03, steps=120, envs=3,
    horizon=5, hidden=(4,),
)  # fmt: skip
ENV = Probe(discrete=True, length=3)
PROBLEM = jnp.asarray(MATCH_SIGN)


def n_step_returns(steps, critic):
    """Discounted rewards up to the end of the episode or of the rollout, then the value."""
    found = np.zeros(steps.reward.shape)
    for env in range(AGENT.envs):
        for t in range(AGENT.horizon):
            weight = 1.0
            for later in range(t, AGENT.horizon):
                found[t, env] += weight * steps.reward[later, env]
                weight *= AGENT.discount
                if steps.terminated[later, env]:
                    break
            else:
                found[t, env] += weight * critic(steps.next_obs[-1, env])[0]
    return found


def test_an_update_is_one_step_of_rmsprop_along_the_n_step_policy_gradient():
    @jax.jit
    def first(key):
        """The state before and after an update, and what it collected."""
        state = AGENT.init(key, ENV, PROBLEM)
        rollout_key = jax.random.split(state.key, 3)[0]
        _, steps, _ = collect(rollout_key, state, AGENT, ENV, PROBLEM)
        return state, steps, AGENT.advance(state, ENV, PROBLEM)

    state, steps, (after, log) = first(jax.random.key(0))
    assert steps.terminated.any()  # both ways for a return to end are met
    returns = n_step_returns(steps, state.critic)

    weights, restore = ravel_pytree((state.policy, state.critic))

    def loss(weights):
        policy, critic = restore(weights)
        distribution = Categorical(policy.network(steps.obs))
        value = critic(steps.obs)[..., 0]
        advantage = returns - jax.lax.stop_gradient(value)
        actor = -jnp.mean(distribution.log_prob(steps.action) * advantage)
        error = jnp.mean((value - returns) ** 2)
        return actor + 0.5 * error - 0.03 * jnp.mean(distribution.entropy())

    gradient = np.asarray(jax.jit(jax.grad(loss))(weights))
    gradient = gradient * min(1, 0.5 / np.sqrt((gradient**2).sum()))
    moved = weights - 1e-2 * gradient / np.sqrt(0.99 + 0.01 * gradient**2 + 1e-5)
    np.testing.assert_allclose(ravel_pytree((after.policy, after.critic))[0], moved, atol=1e-6)
    assert float(log["kl"]) > 0
    assert float(log["reward"]) == pytest.approx(float(steps.reward.mean()))
    assert int(after.update) == 1


def test_a_training_without_steps_is_refused():
    with pytest.raises(ConfigError, match="steps must be positive"):
        A2C(steps=0)
