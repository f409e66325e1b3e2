from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probes import BestAction, ConstantReward, DelayedReward, MatchSign, ObservedReward, Probe
from steelyard.agents.ppo import PPO
from steelyard.errors import ConfigError, TrainingError
from steelyard.evaluation.training import fit

SMALL = PPO(
    learning_rate=5e-3, steps=8_192, envs=32, horizon=8, minibatch=64, epochs=4, hidden=(16,)
)


def learned(probe: Probe, agent: PPO = SMALL) -> tuple[object, object]:
    @eqx.filter_jit
    def train(key: jax.Array) -> object:
        state = agent.init(key, probe, None)
        step = lambda state, _: agent.advance(state, probe, None)  # noqa: E731
        return jax.lax.scan(step, state, None, length=agent.updates)[0]

    state = train(jax.random.key(0))
    return state.policy, state.critic


def value(critic: object, *seen: float) -> float:
    return float(critic(jnp.array(seen))[0])


@pytest.mark.parametrize("discrete", [True, False], ids=["choices", "box"])
@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (ConstantReward, {(0.0, 0.0): 1.0}),
        (ObservedReward, {(1.0, 0.0): 1.0, (-1.0, 0.0): -1.0}),
        (DelayedReward, {(0.0, 0.0): 0.99, (0.0, 1.0): 1.0}),
    ],
)
def test_the_critic_solves_the_probes_of_value(
    probe: type[Probe], expected: dict[tuple[float, float], float], discrete: bool
) -> None:
    _, critic = learned(probe(discrete=discrete))
    for seen, worth in expected.items():
        assert value(critic, *seen) == pytest.approx(worth, abs=0.1)


@pytest.mark.parametrize("discrete", [True, False], ids=["choices", "box"])
@pytest.mark.parametrize("probe", [BestAction, MatchSign])
def test_the_policy_solves_the_probes_of_action(probe: type[Probe], discrete: bool) -> None:
    env = probe(discrete=discrete)
    policy, _ = learned(env)
    for sign in (1.0, -1.0) if probe is MatchSign else (0.0,):
        action = policy(jnp.array([sign, 0.0]), None)[0].mode()
        best = sign if probe is MatchSign else 1.0
        assert float(env.signed(action)) * best > 0.7


def test_training_piece_by_piece_from_the_host_is_the_training_program() -> None:
    env, key = MatchSign(discrete=True), jax.random.key(3)
    short = replace(SMALL, steps=1_024, learning_rate=1e-3)
    policy, log = jax.jit(lambda k: eqx.filter(short.train(k, env, None), eqx.is_array))(key)
    trained = fit(short, env, None, seeds=(3, 4), pieces=4)
    assert trained.complete
    ours, theirs = (jax.tree.leaves(p) for p in (policy, trained.policies[0]))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert len(trained.logs[1]["kl"]) == short.updates == len(log["kl"])


def test_float_hyper_parameters_sweep_by_vmap() -> None:
    env = MatchSign(discrete=True)
    agent = replace(SMALL, steps=1_024)

    def run(rate: jax.Array) -> jax.Array:
        swept = eqx.tree_at(lambda a: a.learning_rate, agent, rate)
        return swept.train(jax.random.key(0), env, None)[1]["reward"]

    rewards = jax.jit(jax.vmap(run))(jnp.array([0.0, 1e-2]))
    alone = jax.jit(run)(jnp.float32(1e-2))
    np.testing.assert_allclose(rewards[1], alone, atol=1e-5)
    assert not np.allclose(rewards[0], rewards[1])


def test_a_limit_on_kl_keeps_an_update_from_moving_further() -> None:
    env = MatchSign(discrete=False)
    free = PPO(
        learning_rate=2e-2, steps=256, envs=32, horizon=8, minibatch=64, epochs=20, hidden=(8,)
    )
    held = eqx.tree_at(lambda a: a.target_kl, free, 1e-3)
    start = jax.jit(
        lambda: eqx.filter(free.init(jax.random.key(0), env, None).policy, eqx.is_array)
    )()
    moved = []
    for agent in (free, held):
        end = jax.jit(
            lambda a=agent: eqx.filter(a.train(jax.random.key(0), env, None)[0], eqx.is_array)
        )()
        gaps = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), start, end)
        moved.append(float(sum(jax.tree.leaves(gaps))))
    assert moved[1] < 0.5 * moved[0]


def test_a_minibatch_that_does_not_divide_the_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="must divide"):
        PPO(envs=10, horizon=10, minibatch=64)


class Poison(MatchSign):
    def worth(self, state: object, action: jax.Array) -> jax.Array:
        return super().worth(state, action) * jnp.nan


def test_training_stops_at_the_first_number_that_is_none_and_names_the_seed() -> None:
    with pytest.raises(TrainingError, match="seed 7 is not finite at update 1"):
        fit(SMALL, Poison(discrete=True), None, seeds=(7,))


def test_an_interrupted_training_keeps_what_it_learned_and_says_so() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    trained = fit(SMALL, MatchSign(discrete=True), None, seeds=(0,), progress=stop)
    assert not trained.complete
    assert 0 < trained.updates < SMALL.updates
    assert len(trained.policies) == 1
