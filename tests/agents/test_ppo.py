import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stock_windows import ENV, eventful

from probes import (
    CONSTANT_REWARD,
    MATCH_SIGN,
    Probe,
)
from steelyard.agents.diversity import Peers, divergence
from steelyard.agents.networks import MLP
from steelyard.agents.onpolicy import as_experience, collect, replay, shuffles
from steelyard.agents.ppo import PPO
from steelyard.agents.vectors import WholeVectors, cheaper_view
from steelyard.errors import ConfigError, TrainingError
from steelyard.evaluation.training import fit
from steelyard.rollout import TimeStep, bind, rollout
from steelyard.types import Space

SHORT = PPO(steps=1_024, envs=32, horizon=8, minibatch=64, epochs=4, hidden=(8,))


@pytest.mark.slow
def test_training_piece_by_piece_from_the_host_is_the_training_program() -> None:
    env, key = Probe(discrete=True), jax.random.key(3)
    policy, log = eqx.filter_jit(lambda k, p: SHORT.train(k, env, p))(key, jnp.asarray(MATCH_SIGN))
    trained = fit(SHORT, env, jnp.asarray(MATCH_SIGN), seeds=(3,), pieces=4)
    assert trained.complete
    ours, theirs = (jax.tree.leaves(p) for p in (policy, trained.policies[0]))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert len(trained.logs[0]["kl"]) == SHORT.updates == len(log["kl"])


@pytest.mark.slow
def test_float_hyper_parameters_sweep_by_vmap() -> None:
    start = SHORT.init(jax.random.key(0), Probe(discrete=False), jnp.asarray(MATCH_SIGN))

    def distance(rate: jax.Array, target_kl: jax.Array) -> jax.Array:
        """How far training moves the policy."""
        agent = eqx.tree_at(lambda a: (a.learning_rate, a.target_kl), SHORT, (rate, target_kl))
        end, _ = agent.train(jax.random.key(0), Probe(discrete=False), jnp.asarray(MATCH_SIGN))
        pairs = zip(jax.tree.leaves(start.policy), jax.tree.leaves(end), strict=True)
        return sum(jnp.sum((a - b) ** 2) for a, b in pairs)

    rates, limits = jnp.array([0.0, 2e-2, 2e-2, 2e-2]), jnp.array([jnp.inf, jnp.inf, jnp.inf, 1e-3])
    moved = np.asarray(jax.jit(jax.vmap(distance))(rates, limits))
    assert moved[0] < 1e-3 * moved[1]  # only what another initial key moved
    assert moved[1] == moved[2]
    assert moved[3] < 0.5 * moved[2]  # a limit on KL keeps an update from moving further


def test_a_minibatch_that_does_not_divide_the_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="must divide"):
        PPO(envs=10, horizon=10, minibatch=64)
    with pytest.raises(ConfigError, match=r"fewer than 2,147,483,648 steps"):
        PPO(envs=2**30, horizon=2, minibatch=2**31)


def test_minibatches_of_a_policy_with_memory_are_whole_sequences() -> None:
    with pytest.raises(ConfigError, match="multiple of the horizon"):
        PPO(envs=8, horizon=16, minibatch=8, memory="gru")


@pytest.mark.parametrize("count", [1, 37])
def test_a_shuffle_holds_every_step_once_and_each_pass_its_own(count: int) -> None:
    found = np.asarray(shuffles(jax.random.key(0), 5, count))
    np.testing.assert_array_equal(np.sort(found, axis=1), np.tile(np.arange(count), (5, 1)))
    assert len(np.unique(found, axis=0)) > 1 or count == 1


def test_a_table_larger_than_the_batch_is_left_out_and_changes_no_answer() -> None:
    params = eventful()
    rows = ENV.table(params).shape[0]
    assert cheaper_view(ENV, params, rows) is ENV
    view = cheaper_view(ENV, params, rows - 1)
    assert isinstance(view, WholeVectors)

    @eqx.filter_jit
    def outputs(params: object) -> list[jax.Array]:
        network = MLP.create(jax.random.key(0), 1 + 1 + 24 + 5, (8,), 1, 1.0)
        obs = ENV.reset(jax.random.key(1), params)[1].obs
        return [network.bind(env, params)(obs) for env in (view, ENV)]

    np.testing.assert_allclose(*outputs(params), atol=1e-5)


@pytest.mark.slow
def test_peers_push_a_policy_away_the_more_they_weigh_and_without_weight_not_at_all() -> None:
    env, problem = Probe(discrete=False), jnp.asarray(CONSTANT_REWARD)
    agent = PPO(steps=64, envs=4, horizon=4, minibatch=16, epochs=3, hidden=(4,), anneal=0.0)

    @jax.jit
    def apart(weights: jax.Array) -> tuple[jax.Array, object, object]:
        """KL from the peer after an update, and the policy; alone as well."""
        state = agent.init(jax.random.key(0), env, problem)
        group = jax.tree.map(lambda leaf: leaf[None] + 0.01, state.policy)

        def pushed(weight: jax.Array) -> tuple[jax.Array, object]:
            peers = Peers((group,), (weight[None],))
            policy = agent.advance(state, env, problem, peers)[0].policy
            other = jax.tree.map(lambda leaf: leaf[0], group)
            here = jnp.zeros(2)
            return divergence(policy(here, None)[0], other(here, None)[0]), policy

        return *jax.vmap(pushed)(weights), agent.advance(state, env, problem)[0].policy

    distance, policies, alone = apart(jnp.array([0.0, 0.1, 1.0]))
    assert float(distance[0]) < float(distance[1]) < float(distance[2])
    for one, other in zip(jax.tree.leaves(policies), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(one[0], other, atol=1e-6)


class Recall(eqx.Module):
    """Shows a sign on the first of four steps, and pays on the last for acting on it."""

    def reset(self, key: jax.Array, params: None) -> tuple[jax.Array, TimeStep]:
        sign = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
        state = jnp.stack([sign, 0.0])
        return state, self._answer(state, jnp.zeros(()), sign)

    def step(
        self, key: jax.Array, state: jax.Array, action: jax.Array, params: None
    ) -> tuple[jax.Array, TimeStep]:
        state = state + jnp.array([0.0, 1.0])
        reward = jnp.where(state[1] == 4, (2.0 * action - 1.0) * state[0], 0.0)
        return state, self._answer(state, reward, jnp.zeros(()))

    def _answer(self, state: jax.Array, reward: jax.Array, seen: jax.Array) -> TimeStep:
        obs = jnp.stack([seen, state[1] / 4])
        return TimeStep(obs, reward, state[1] == 4, jnp.asarray(False), {})

    def observe(self, obs: jax.Array, params: None) -> jax.Array:
        return obs

    def action_space(self, params: None) -> Space:
        return Space(choices=2)


def test_replayed_from_its_memory_a_policy_gives_the_probabilities_that_acted() -> None:
    agent = PPO(steps=30, envs=3, horizon=10, minibatch=30, hidden=(8,), memory="gru")

    @jax.jit
    def twice(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = agent.init(key, Recall(), None)
        louder = jax.tree.map(lambda leaf: 20 * leaf, state.policy)  # heads start close to 0
        state = state._replace(policy=louder)
        live, _, _ = collect(key, state, agent, Recall(), None)  # ends inside of episodes
        state = state._replace(live=live)
        _, steps, _ = collect(jax.random.key(1), state, agent, Recall(), None)
        nothing = jnp.zeros_like(steps.reward)
        sample = as_experience(steps, nothing, nothing[..., None], live.carry)
        act = bind(louder, Recall(), None)
        found = replay(act, louder.initial_carry(), sample)
        return jax.vmap(lambda one, a: one.log_prob(a))(found, sample.action.ravel()), sample

    found, sample = twice(jax.random.key(0))
    assert np.asarray(sample.begins).any()
    assert np.ptp(found) > 0.1
    np.testing.assert_allclose(found, sample.log_prob.ravel(), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["none", "lstm", "gru", "convolution", "transformer"])
def test_what_was_shown_long_ago_is_used_by_a_policy_with_memory_alone(memory: str) -> None:
    agent = PPO(
        learning_rate=5e-3, steps=24_576, envs=32, horizon=8, minibatch=64, epochs=4,
        hidden=(16,), memory=memory, span=4,
    )  # fmt: skip

    @jax.jit
    def earned(key: jax.Array) -> jax.Array:
        """Mean reward of 100 episodes after training."""
        policy, _ = agent.train(key, Recall(), None)
        return jnp.sum(rollout(key, Recall(), None, policy, 400, sample=False)[1].reward) / 100

    reward = float(earned(jax.random.key(0)))
    assert abs(reward) < 0.4 if memory == "none" else reward > 0.95


class Poison(Probe):
    def step(self, *words: object) -> object:
        state, after = super().step(*words)
        return state, after._replace(reward=after.reward * jnp.nan)


def test_training_stops_at_the_first_number_that_is_none_and_names_the_seed() -> None:
    with pytest.raises(TrainingError, match="seed 7 is not finite at update 1"):
        fit(SHORT, Poison(discrete=True), jnp.asarray(MATCH_SIGN), seeds=(7,), pieces=4)


def test_an_interrupted_training_keeps_what_it_learned_and_says_so() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    env, problem = Probe(discrete=True), jnp.asarray(MATCH_SIGN)
    trained = fit(SHORT, env, problem, seeds=(0,), progress=stop, pieces=4)
    assert not trained.complete
    assert 0 < trained.updates < SHORT.updates
    assert len(trained.policies) == 1
