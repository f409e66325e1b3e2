"""SAC: its distribution is what it says, and its gradient step that of three separate losses."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_ddpg import BOX, adam, apart, plain, sample_of

from probes import MATCH, Probe
from steelyard.agents.distributions import Normal, TanhNormal
from steelyard.agents.diversity import Peers, divergence
from steelyard.agents.sac import SAC

LOW, HIGH = -2.0, 4.0
SHAPES = [(0.0, -1.0), (0.7, 0.0), (-1.5, 0.3), (3.0, -0.5)]
"""(mean, log standard deviation) before the squashing."""


def distribution(mean, log_std):
    return TanhNormal(jnp.array([mean]), jnp.array([log_std]), LOW, HIGH)


def integral(function):
    """Over the box, on a grid that is even before the squashing: (value, points)."""
    raw = np.linspace(-12, 12, 40_001)
    points = (HIGH + LOW) / 2 + (HIGH - LOW) / 2 * np.tanh(raw)
    step = np.diff(points)
    middle = (points[1:] + points[:-1]) / 2
    kept = step > 0
    return float(np.sum(function(middle[kept]) * step[kept]))


@jax.jit
def densities(d, points):
    return jax.vmap(lambda x: d.log_prob(x[None]))(points)


def density(d, points):
    return np.asarray(densities(d, jnp.asarray(points, jnp.float32)))


@pytest.mark.parametrize(("mean", "log_std"), SHAPES[:3])
def test_the_density_adds_up_to_one_and_the_entropy_is_its_own(mean, log_std):
    d = distribution(mean, log_std)
    assert integral(lambda x: np.exp(density(d, x))) == pytest.approx(1, abs=5e-3)
    entropy = -integral(lambda x: np.exp(density(d, x)) * density(d, x))
    assert float(d.entropy()) == pytest.approx(entropy, abs=0.02)


@pytest.mark.parametrize(("mean", "log_std"), SHAPES[:3])
def test_the_divergence_in_the_box_is_that_of_the_normals_underneath(mean, log_std):
    one, other = distribution(mean, log_std), distribution(0.2, -0.3)
    found = integral(lambda x: np.exp(density(one, x)) * (density(one, x) - density(other, x)))
    normals = Normal(one.mean, one.log_std).kl(Normal(other.mean, other.log_std))
    assert float(one.kl(other)) == pytest.approx(float(normals)) == pytest.approx(found, abs=0.02)


def test_draws_stay_in_the_box_and_their_density_stays_finite():
    d = distribution(*SHAPES[3])
    draws = jax.vmap(d.sample)(jax.random.split(jax.random.key(0), 2_000))
    assert (draws >= LOW).all()
    assert (draws <= HIGH).all()
    assert np.median(draws) == pytest.approx(float(d.mode()[0]), abs=0.01)
    raw = jnp.array([-60.0, -20.0, 0.0, 20.0, 60.0])
    values, slopes = jax.vmap(jax.value_and_grad(lambda u: d.log_prob_of(u[None])))(raw)
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()
    assert np.isfinite(density(d, [LOW, HIGH])).all()


def test_the_slope_of_the_density_is_that_of_finite_differences():
    d, points = distribution(0.7, 0.0), np.array([-2.0, -0.3, 0.4, 2.5])
    slope = jax.vmap(jax.grad(lambda u: d.log_prob_of(u[None])))(jnp.asarray(points, jnp.float32))
    exact = lambda u: -0.5 * (u - 0.7) ** 2 - np.log(1 - np.tanh(u) ** 2)  # noqa: E731
    np.testing.assert_allclose(slope, (exact(points + 1e-5) - exact(points - 1e-5)) / 2e-5, 1e-3)


def test_the_normal_near_it_is_exact_where_squashing_is_nearly_linear():
    d = TanhNormal(jnp.array([0.3]), jnp.array([-5.0]), LOW, HIGH)
    draws = np.asarray(jax.vmap(d.sample)(jax.random.split(jax.random.key(1), 20_000)))
    near = d.normal()
    assert float(near.mean[0]) == pytest.approx(draws.mean(), abs=1e-3)
    assert float(jnp.exp(near.log_std[0])) == pytest.approx(draws.std(), rel=0.02)


def test_a_gradient_step_is_that_of_three_separate_losses():
    agent = SAC(hidden=(5, 4), learning_rate=1e-2, temperature=0.3, target_entropy=-0.5)
    both, losses, entropy = jax.jit(lambda key: step_and_twin(agent, key))(jax.random.key(0))
    for ours, theirs in both:
        for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert losses["entropy"] == pytest.approx(float(entropy), abs=1e-4)
    assert losses["temperature"] == pytest.approx(0.3)


def step_and_twin(agent, key):
    """What the gradient step trains, and the same by three losses of their own."""
    sample, draws = sample_of(), jax.random.normal(jax.random.key(9), (2, 6, 2))
    policy, rest = agent.create(key, 3, BOX)

    def act(network, vectors, noise):
        """An action and its log density, from the formula of the paper (eq. 26)."""
        mean, log_std = jnp.split(network(vectors), 2, axis=1)
        raw = mean + jnp.exp(log_std) * noise
        normal = -0.5 * noise**2 - log_std - 0.5 * np.log(2 * np.pi)
        return jnp.tanh(raw), jnp.sum(normal - jnp.log(1 - jnp.tanh(raw) ** 2), axis=1)

    def lower(critics, vectors, action):
        return jnp.minimum(*(plain(critics, i)(vectors, action) for i in (0, 1)))

    action, log_prob = act(policy.network, sample.next_vectors, draws[0])
    soft = lower(rest.critics, sample.next_vectors, action) - 0.3 * log_prob
    target = sample.reward + sample.discount * soft

    def critic_loss(critics):
        errors = [plain(critics, i)(sample.vectors, sample.action) - target for i in (0, 1)]
        return sum(jnp.mean(sample.weight * error**2) for error in errors) / 2

    def actor_loss(network):
        action, log_prob = act(network, sample.vectors, draws[1])
        mean = network(sample.vectors)[:, :2]
        return jnp.mean(0.3 * log_prob - lower(rest.critics, sample.vectors, action)) - apart(mean)

    entropy = -jnp.mean(act(policy.network, sample.vectors, draws[1])[1])

    def heat_loss(log_temperature):
        return log_temperature * (entropy + 0.5 * 2)

    learned = agent.learn(
        (draws[0], draws[1]), policy, rest, sample, lambda d: apart(d.mean), jnp.asarray(0)
    )
    both = (
        (learned.rest.critics, adam(critic_loss, rest.critics)),
        (learned.policy.network, adam(actor_loss, policy.network)),
        (learned.rest.log_temperature, adam(heat_loss, rest.log_temperature)),
    )
    return both, learned.losses, entropy


@pytest.mark.slow
def test_lambda_drives_a_policy_away_from_its_peer_and_zero_leaves_it():
    env = Probe(discrete=False)
    agent = SAC(
        learning_rate=1e-2, steps=192, warmup=64, envs=8, horizon=16, minibatch=16,
        capacity=256, hidden=(8,),
    )  # fmt: skip
    alone = agent.init(jax.random.key(0), env, MATCH)
    rival = agent.init(jax.random.key(5), env, MATCH).policy

    @eqx.filter_jit
    def apart(weight):
        group = jax.tree.map(lambda leaf: leaf[None], rival)
        state, log = agent.advance(alone, env, MATCH, Peers((group,), (weight[None],)))
        vectors = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
        away = jax.vmap(lambda v: divergence(state.policy(v, None)[0], rival(v, None)[0]))(vectors)
        return jnp.mean(away), log["policy_loss"]

    found = [float(apart(jnp.asarray(weight))[0]) for weight in (0.0, 0.3, 3.0)]
    assert found[0] < found[1] < found[2]
    _, log = eqx.filter_jit(lambda s: agent.advance(s, env, MATCH))(alone)
    assert float(apart(jnp.zeros(()))[1]) == pytest.approx(float(log["policy_loss"]), abs=1e-4)
