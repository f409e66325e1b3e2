import jax
import jax.numpy as jnp
import numpy as np

from markets import random_panel, whole
from probes import Corridor, Uniform
from steelyard.envs.stock import StockEnv
from steelyard.market import build_market
from steelyard.rollout import rollout, start


def test_an_episode_that_ends_is_reset_and_its_last_observation_is_kept() -> None:
    env = Corridor(length=3)
    _, steps = rollout(jax.random.key(0), env, None, Uniform(1), 7)
    assert steps.obs[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert steps.next_obs[:, 0].tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert steps.truncated.tolist() == [False, False, True, False, False, True, False]


def test_a_rollout_continued_is_the_rollout_uninterrupted() -> None:
    env = Corridor(length=5)
    live, first = rollout(jax.random.key(1), env, None, Uniform(1), 4)
    _, second = rollout(jax.random.key(2), env, None, Uniform(1), 4, live)
    states = jnp.concatenate([first.obs, second.obs])[:, 0]
    assert states.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]


def test_a_batch_of_environments_gives_what_each_gives_alone() -> None:
    env = StockEnv()
    params = whole(build_market(random_panel(seed=0, rows=30, assets=3)), cash=10_000.0)
    keys = jax.random.split(jax.random.key(3), 8)
    together = jax.jit(jax.vmap(lambda k: rollout(k, env, params, Uniform(3), 20)[1]))(keys)
    alone = jax.jit(lambda k: rollout(k, env, params, Uniform(3), 20)[1])
    for number, key in enumerate(keys):
        one = alone(key)
        assert np.array_equal(one.action, together.action[number])
        assert np.array_equal(one.info["units"], together.info["units"][number])


def test_the_same_key_gives_the_same_rollout_and_another_key_another() -> None:
    env, policy = Corridor(length=5), Uniform(1)
    one, same, other = (
        rollout(jax.random.key(k), env, None, policy, 10)[1].action for k in (0, 0, 1)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_start_resets_the_memory_of_the_policy() -> None:
    live = start(jax.random.key(0), Corridor(length=2), None, Uniform(1))
    assert live.carry is None
