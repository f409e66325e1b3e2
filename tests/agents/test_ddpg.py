"""DDPG against a slow twin of its gradient step, and what learners from memory refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from stock_windows import ENV, eventful

from probes import MATCH, Probe
from steelyard.agents.check import check_agent
from steelyard.agents.critics import Critics, QNetwork
from steelyard.agents.ddpg import DDPG
from steelyard.agents.minibatch import Sample
from steelyard.agents.networks import MLP
from steelyard.agents.policies import SquashedPolicy, TanhPolicy, ValuePolicy
from steelyard.errors import ConfigError
from steelyard.rollout import bind
from steelyard.types import Space

BOX = Space(shape=(2,), low=-2.0, high=4.0)
AGENT = DDPG(hidden=(5, 4), learning_rate=1e-2, discount=0.9, tau=0.1, minibatch=6)


def sample_of(seed=0, size=6, inputs=3, actions=2):
    keys = jax.random.split(jax.random.key(seed), 5)
    return Sample(
        vectors=jax.random.normal(keys[0], (size, inputs)),
        next_vectors=jax.random.normal(keys[1], (size, inputs)),
        action=jax.random.uniform(keys[2], (size, actions), jnp.float32, -1, 1),
        reward=jax.random.normal(keys[3], (size,)),
        discount=jnp.where(jnp.arange(size) == 0, 0.0, 0.9),
        weight=jax.random.uniform(keys[4], (size,)),
    )


def plain(critics, number):
    """One critic as an ordinary network on observation and action together."""
    width = critics.action.shape[1] // len(critics.tails)
    part = slice(number * width, (number + 1) * width)
    first = critics.first.layers[0]
    weight = jnp.concatenate([first.weight[:, part], critics.action[:, part]])

    def value(vectors, action):
        x = jnp.concatenate([vectors, action], axis=1) @ weight + first.bias[part]
        for layer in critics.tails[number].layers:
            x = jnp.maximum(x, 0) @ layer.weight + layer.bias
        return x[:, 0]

    return value


def nobody(distribution):
    return jnp.zeros(())


def apart(mean):
    """Stands for the divergence from rivals; a learner adds it to its objective."""
    return jnp.mean(mean**2)


def test_critics_side_by_side_are_ordinary_networks():
    @jax.jit
    def both(key):
        critics, sample = Critics.create(key, 3, 2, (5, 4), 2), sample_of()
        together = critics(critics.see(sample.vectors), sample.action)
        return together, [plain(critics, i)(sample.vectors, sample.action) for i in (0, 1)]

    together, alone = both(jax.random.key(0))
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    assert not np.allclose(*together)


def adam(loss, weights):
    optimiser = optax.adam(1e-2)
    change, _ = optimiser.update(jax.grad(loss)(weights), optimiser.init(weights))
    return optax.apply_updates(weights, change)


def step_and_twin(key):
    """What the gradient step makes, and the same by two losses of their own."""
    sample = sample_of()
    policy, rest = AGENT.create(key, 3, BOX)
    target_policy = AGENT.create(jax.random.key(1), 3, BOX)[0]
    rest = rest._replace(target_policy=target_policy)
    next_action = jnp.tanh(target_policy.network(sample.next_vectors))
    next_value = plain(rest.target_critics, 0)(sample.next_vectors, next_action)
    target = sample.reward + sample.discount * next_value

    def critic_loss(critics):
        error = plain(critics, 0)(sample.vectors, sample.action) - target
        return jnp.mean(sample.weight * error**2)

    def actor_loss(network):
        unit = jnp.tanh(network(sample.vectors))
        return -jnp.mean(plain(rest.critics, 0)(sample.vectors, unit)) - apart(1 + 3 * unit)

    network = adam(actor_loss, policy.network)
    old = target_policy.network.layers[0].weight
    twins = {
        "critics": adam(critic_loss, rest.critics),
        "network": network,
        "target": 0.9 * old + 0.1 * network.layers[0].weight,
        "log_std": policy.log_std,
        "value_error": critic_loss(rest.critics),
    }
    learned = AGENT.learn(None, policy, rest, sample, lambda d: apart(d.mean), jnp.asarray(0))
    return {
        "critics": learned.rest.critics,
        "network": learned.policy.network,
        "target": learned.rest.target_policy.network.layers[0].weight,
        "log_std": learned.policy.log_std,
        "value_error": learned.losses["value_error"],
    }, twins


def test_a_gradient_step_is_that_of_two_separate_losses():
    ours, theirs = jax.jit(step_and_twin)(jax.random.key(0))
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_policy_answers_in_the_box_with_the_spread_of_its_exploration():
    @jax.jit
    def act(key):
        policy, _ = AGENT.create(key, 3, BOX)
        far = AGENT.explore(jnp.full((4, 2), 30.0), policy, jnp.zeros((4, 3)), 0.0)
        return policy(jnp.array([1e3, -1e3, 5e2]), None)[0], far

    answer, moved = act(jax.random.key(0))
    assert (answer.mode() >= BOX.low).all()
    assert (answer.mode() <= BOX.high).all()
    np.testing.assert_allclose(jnp.exp(answer.log_std), 0.1 * 3.0, rtol=1e-5)
    np.testing.assert_array_equal(moved, jnp.ones((4, 2)))  # cut to the ends of the box


def policies(space, inputs):
    key = jax.random.key(3)
    size = space.shape[0]
    hidden = (5, 4)
    yield TanhPolicy(MLP.create(key, inputs, hidden, size, 1.0, "relu"), jnp.zeros(size))
    yield SquashedPolicy(MLP.create(key, inputs, hidden, 2 * size, 1.0, "relu"))
    for dueling in (False, True):
        network = QNetwork.create(key, inputs, hidden, 3, dueling=dueling)
        yield ValuePolicy(network, jnp.ones(()))


def test_policies_say_the_same_on_a_shared_table_as_on_whole_vectors():
    @jax.jit
    def answers(params):
        obs = ENV.reset(jax.random.key(0), params)[1].obs
        vector = ENV.observe(obs, params)
        made = list(policies(ENV.action_space(params), vector.shape[0]))
        there = [bind(policy, ENV, params)(obs, None)[0] for policy in made]
        return there, [policy(vector, None)[0] for policy in made]

    for one, other in zip(*map(jax.tree.leaves, answers(eventful())), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 10, "collect": 4}, "must divide horizon"),
        ({"warmup": 10, "envs": 16}, "must hold 1 steps of 16 environments"),
        ({"capacity": 40, "n_steps": 3}, "must hold 3 steps"),
        ({"gradient_steps": 0}, "gradient_steps must be at least 1"),
        ({"hidden": ()}, "at least one layer"),
    ],
)
def test_settings_that_cannot_hold_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        DDPG(**settings)


def test_choices_are_refused():
    with pytest.raises(ConfigError, match="acts in a box"):
        jax.eval_shape(lambda k: AGENT.init(k, Probe(discrete=True), MATCH), jax.random.key(0))


@pytest.mark.slow
def test_it_keeps_the_contract_on_a_stock_market():
    agent = DDPG(steps=64, warmup=32, envs=2, horizon=8, minibatch=8, hidden=(8,), capacity=64)
    check_agent(agent, ENV, eventful(), steps=16)
