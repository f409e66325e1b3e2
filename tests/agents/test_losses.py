import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.agents.distributions import Categorical, Normal, standard_normal
from steelyard.agents.losses import (
    clipped_surrogate,
    generalized_advantage,
    policy_gradient,
    standardise,
)


def test_advantages_worked_by_hand() -> None:
    # gamma 0.5, lambda 0.5; the second step terminates, the third is truncated
    advantage = generalized_advantage(
        reward=jnp.array([1.0, 2.0, 3.0]),
        value=jnp.array([0.5, 1.0, 2.0]),
        next_value=jnp.array([1.0, 9.0, 4.0]),
        terminated=jnp.array([False, True, False]),
        truncated=jnp.array([False, False, True]),
        discount=0.5,
        decay=0.5,
    )
    # step 3: 3 + 0.5*4 - 2 = 3; step 2: 2 - 1 = 1; step 1: 1 + 0.5 - 0.5 + 0.25*1 = 1.25
    assert advantage.tolist() == [1.25, 1.0, 3.0]


def test_with_decay_one_the_advantage_is_the_discounted_return_less_the_value() -> None:
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=6), rng.normal(size=7)
    no = jnp.zeros(6, bool)
    found = generalized_advantage(
        *(jnp.asarray(v, jnp.float32) for v in (reward, value[:-1], value[1:])), no, no, 0.9, 1.0
    )
    for t in range(6):
        total = sum(0.9 ** (k - t) * reward[k] for k in range(t, 6)) + 0.9 ** (6 - t) * value[6]
        assert float(found[t]) == pytest.approx(total - value[t], abs=1e-5)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [(1.5, 1.0, -1.2), (0.5, 1.0, -0.5), (1.5, -1.0, 1.5), (0.5, -1.0, 0.8)],
)
def test_the_clipped_objective_is_the_pessimistic_one(
    ratio: float, advantage: float, loss: float
) -> None:
    found = clipped_surrogate(jnp.float32(ratio), jnp.float32(advantage), 0.2)
    assert float(found) == pytest.approx(loss)


def test_the_policy_gradient_is_that_of_the_expected_reward() -> None:
    # rewards 3 and 1 of two choices: d/dx of p * 3 + (1 - p) * 1 is 2 p (1 - p) in the first logit
    reward = jnp.array([3.0, 1.0])

    def loss(logits: jax.Array) -> jax.Array:
        log_prob = jax.nn.log_softmax(logits)
        weight = jax.lax.stop_gradient(jnp.exp(log_prob))  # as often as the policy draws it
        return jnp.sum(weight * policy_gradient(log_prob, reward))

    gradient = jax.grad(loss)(jnp.log(jnp.array([0.25, 0.75])))
    assert gradient.tolist() == pytest.approx([-0.375, 0.375])


def test_standardised_values_have_mean_0_and_deviation_1() -> None:
    values = standardise(jnp.array([1.0, 2.0, 3.0, 4.0]))
    assert float(values.mean()) == pytest.approx(0, abs=1e-6)
    assert float(values.std()) == pytest.approx(1, abs=1e-5)


def test_normal_density_entropy_and_divergence_against_sampling() -> None:
    one = Normal(jnp.array([0.3, -0.2]), jnp.array([-0.5, 0.1]))
    other = Normal(jnp.array([0.0, 0.1]), jnp.array([0.0, -0.2]))
    draws = jax.vmap(one.sample)(jax.random.split(jax.random.key(0), 40_000))
    assert draws.mean(0) == pytest.approx([0.3, -0.2], abs=0.02)
    mine, theirs = jax.vmap(one.log_prob)(draws), jax.vmap(other.log_prob)(draws)
    assert float(one.entropy()) == pytest.approx(-float(mine.mean()), abs=0.02)
    assert float(one.kl(other)) == pytest.approx(float((mine - theirs).mean()), abs=0.03)
    assert float(one.log_prob(one.mode())) == pytest.approx(-np.log(2 * np.pi) + 0.4, abs=1e-6)


def test_categorical_density_entropy_and_divergence_worked_by_hand() -> None:
    half = Categorical(jnp.log(jnp.array([0.5, 0.25, 0.25])))
    even = Categorical(jnp.zeros(3))
    assert int(half.mode()) == 0
    assert float(half.log_prob(jnp.array(1))) == pytest.approx(np.log(0.25))
    assert float(half.entropy()) == pytest.approx(1.5 * np.log(2))
    assert float(half.kl(even)) == pytest.approx(np.log(3) - 1.5 * np.log(2), abs=1e-6)
    counts = np.bincount(jax.vmap(half.sample)(jax.random.split(jax.random.key(1), 8_000)))
    assert counts / 8_000 == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


def test_exploration_noise_is_standard_normal_and_its_components_independent() -> None:
    draws = np.asarray(standard_normal(jax.random.key(2), (60_000, 3)))
    assert draws.mean(0) == pytest.approx([0, 0, 0], abs=0.015)
    assert np.cov(draws.T) == pytest.approx(np.eye(3), abs=0.02)
    inside = [(np.abs(draws) < z).mean() for z in (0.6745, 1.0, 1.96, 3.0)]
    assert inside == pytest.approx([0.5, 0.6827, 0.95, 0.9973], abs=0.003)
