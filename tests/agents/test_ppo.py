import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probes import (
    BEST_ACTION,
    CONSTANT_REWARD,
    DELAYED_REWARD,
    MATCH_SIGN,
    OBSERVED_REWARD,
    Probe,
)
from steelyard.agents.ppo import PPO
from steelyard.errors import ConfigError, TrainingError
from steelyard.evaluation.training import fit

SMALL = PPO(
    learning_rate=5e-3, steps=8_192, envs=32, horizon=8, minibatch=64, epochs=4, hidden=(16,)
)
SHORT = PPO(steps=1_024, envs=32, horizon=8, minibatch=64, epochs=4, hidden=(8,))


@eqx.filter_jit
def learned(discrete: bool, problem: jax.Array) -> tuple[object, object]:
    """Policy and critic after training; one program for all problems of an action space."""
    env = Probe(discrete=discrete)
    state, _ = jax.lax.scan(
        lambda state, _: SMALL.advance(state, env, problem),
        SMALL.init(jax.random.key(0), env, problem),
        None,
        length=SMALL.updates,
    )
    return state.policy, state.critic


@pytest.mark.parametrize("discrete", [True, False], ids=["choices", "box"])
@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (CONSTANT_REWARD, {(0.0, 0.0): 1.0}),
        (OBSERVED_REWARD, {(1.0, 0.0): 1.0, (-1.0, 0.0): -1.0}),
        (DELAYED_REWARD, {(0.0, 0.0): 0.99, (0.0, 1.0): 1.0}),
    ],
)
def test_the_critic_solves_the_probes_of_value(
    problem: int, expected: dict[tuple[float, float], float], discrete: bool
) -> None:
    _, critic = learned(discrete, jnp.asarray(problem))
    for seen, worth in expected.items():
        assert float(critic(jnp.array(seen))[0]) == pytest.approx(worth, abs=0.1)


@pytest.mark.parametrize("discrete", [True, False], ids=["choices", "box"])
@pytest.mark.parametrize("problem", [BEST_ACTION, MATCH_SIGN])
def test_the_policy_solves_the_probes_of_action(problem: int, discrete: bool) -> None:
    policy, _ = learned(discrete, jnp.asarray(problem))
    for sign in (1.0, -1.0) if problem == MATCH_SIGN else (0.0,):
        action = policy(jnp.array([sign, 0.0]), None)[0].mode()
        best = sign if problem == MATCH_SIGN else 1.0
        assert float(Probe(discrete=discrete).signed(action)) * best > 0.7


def test_training_piece_by_piece_from_the_host_is_the_training_program() -> None:
    env, key = Probe(discrete=True), jax.random.key(3)
    policy, log = eqx.filter_jit(lambda k, p: SHORT.train(k, env, p))(key, jnp.asarray(MATCH_SIGN))
    trained = fit(SHORT, env, jnp.asarray(MATCH_SIGN), seeds=(3,), pieces=4)
    assert trained.complete
    ours, theirs = (jax.tree.leaves(p) for p in (policy, trained.policies[0]))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert len(trained.logs[0]["kl"]) == SHORT.updates == len(log["kl"])


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
