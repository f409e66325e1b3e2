"""DQN and its forms: targets worked by hand, its schedules, and its names."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_ddpg import nobody, sample_of

from probes import MATCH, Probe
from steelyard.agents.critics import QNetwork
from steelyard.agents.diversity import Peers
from steelyard.agents.dqn import DQN, DoubleDQN, DuelingDQN, huber_loss
from steelyard.benchmark.scoring import resolve_agent
from steelyard.errors import ConfigError
from steelyard.registry import find
from steelyard.types import Space

THREE = Space(choices=3)
NOW, LATER = np.array([1.0, 3.0, 2.0]), np.array([5.0, 0.5, 4.0])
"""What the trained network and the target say everywhere."""


def says(network, values):
    """The network with the same values at every observation."""
    flat = jax.tree.map(jnp.zeros_like, network)
    return eqx.tree_at(lambda n: n.tails[0].layers[-1].bias, flat, jnp.asarray(values, jnp.float32))


def bias(network):
    return network.tails[0].layers[-1].bias


@eqx.filter_jit
def errors(agent):
    policy, rest = agent.create(jax.random.key(0), 3, THREE)
    policy = eqx.tree_at(lambda p: p.network, policy, says(policy.network, NOW))
    rest = rest._replace(target=says(rest.target, LATER))
    sample = sample_of()._replace(action=jnp.array([0, 1, 2, 0, 1, 2]))
    learned = agent.learn(None, policy, rest, sample, nobody, jnp.asarray(0))
    return learned.error, sample, learned.losses


def test_the_target_takes_the_best_choice_and_double_the_one_that_is_chosen_now():
    for agent, worth in ((DQN(hidden=(4,)), 5.0), (DoubleDQN(hidden=(4,)), 0.5)):
        found, sample, losses = errors(agent)
        wanted = NOW[[0, 1, 2, 0, 1, 2]] - (sample.reward + sample.discount * worth)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
        loss = np.mean(sample.weight * np.asarray(huber_loss(jnp.asarray(wanted), 1.0)))
        assert losses["value_error"] == pytest.approx(float(loss), rel=1e-5)


def test_the_huber_loss_is_quadratic_up_to_its_limit_and_then_linear():
    np.testing.assert_allclose(huber_loss(jnp.array([0.5, -2.0, 5.0]), 2.0), [0.125, 2.0, 8.0])
    assert float(jax.grad(lambda e: huber_loss(e, 2.0))(7.0)) == 2.0
    assert float(huber_loss(jnp.asarray(3.0), jnp.inf)) == 4.5


def test_a_dueling_network_says_value_of_the_state_plus_centred_advantages():
    network = QNetwork.create(jax.random.key(0), 3, (5, 4), 3, dueling=True)
    vectors = jax.random.normal(jax.random.key(1), (6, 3))
    hidden = jax.nn.relu(network.first(vectors))
    worth, advantage = (np.asarray(tail(hidden)) for tail in network.tails)
    centred = advantage - advantage.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(network(vectors), worth + centred, rtol=1e-5, atol=1e-6)


def test_random_choices_fade_over_their_part_of_the_training():
    agent = DQN(exploration_fraction=0.5, exploration_end=0.1)
    for progress, chance in ((0.0, 1.0), (0.25, 0.55), (0.5, 0.1), (0.9, 0.1)):
        assert float(agent.epsilon(progress)) == pytest.approx(chance)
    policy, _ = agent.create(jax.random.key(0), 3, THREE)
    vectors = jnp.zeros((4, 3))
    best = int(jnp.argmax(policy.values(vectors[0])))
    draws = (jnp.array([0.05, 0.2, 0.05, 0.2]), jnp.full(4, (best + 1) % 3))
    tried = agent.explore(draws, policy, vectors, 0.9)
    np.testing.assert_array_equal(tried, [(best + 1) % 3, best, (best + 1) % 3, best])


def test_the_target_moves_when_its_environment_steps_have_passed():
    agent = DQN(target_every=10, tau=1.0, envs=4, hidden=(4,))
    policy, rest = jax.jit(lambda key: agent.create(key, 3, THREE))(jax.random.key(0))
    policy = eqx.tree_at(lambda p: p.network, policy, says(policy.network, NOW))
    rest = rest._replace(target=says(rest.target, LATER))
    before_learning = jax.jit(agent.before_learning)
    moved = []
    for count in range(1, 9):  # 4, 8, 12, ... environment steps
        after = before_learning(policy, rest, jnp.asarray(count))
        moved.append(bool(jnp.all(bias(after.target) == bias(policy.network))))
    assert moved == [False, False, True, False, True, False, False, True]  # past 10, 20 and 30


def test_the_forms_have_names_of_their_own():
    assert find("agents", "double_dqn")().double
    assert not find("agents", "double_dqn")().dueling
    assert find("agents", "dueling_dqn")().dueling
    assert not find("agents", "dueling_dqn")().double
    assert resolve_agent(DoubleDQN())[0] == "double_dqn"
    assert resolve_agent(DuelingDQN())[0] == "dueling_dqn"
    assert resolve_agent(DQN(double=True))[0] == "dqn"


def test_peers_are_refused_because_values_are_no_preferences():
    agent = DQN(steps=64, warmup=32, envs=2, horizon=4, minibatch=4, hidden=(4,), capacity=64)

    def advance(key):
        state = agent.init(key, Probe(discrete=True), MATCH)
        group = jax.tree.map(lambda leaf: leaf[None], state.policy)
        return agent.advance(state, Probe(discrete=True), MATCH, Peers((group,), (jnp.ones(1),)))

    with pytest.raises(ConfigError, match="only values"):
        jax.eval_shape(advance, jax.random.key(0))
