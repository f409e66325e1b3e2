"""The memory never pairs what does not belong together, and draws as often as it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.agents.priorities import LEAST, Priorities
from steelyard.agents.replay import Replay, Step

LENGTH, ENVS, DISCOUNT = 7, 3, 0.9
ADDED = 20


def history(seed=0):
    """ADDED vector steps; an observation is a number that no other one has."""
    random = np.random.default_rng(seed)
    shape = (ADDED, ENVS)
    names = np.arange(ADDED * ENVS, dtype=np.float32).reshape(shape)
    return Step(
        obs=names,
        action=names[..., None] + 0.25,
        reward=random.normal(size=shape).astype(np.float32),
        next_obs=names + 0.5,
        terminated=random.random(shape) < 0.2,
        truncated=random.random(shape) < 0.2,
    )


def at(steps, t):
    return jax.tree.map(lambda leaf: leaf[t], steps)


def expected(steps, t, env, n_steps):
    """Reward, next observation and discount, added up step by step over the whole history."""
    total, factor = 0.0, 1.0
    for later in range(t, t + n_steps):
        total += factor * steps.reward[later, env]
        factor *= DISCOUNT
        if steps.terminated[later, env]:
            return total, steps.next_obs[later, env], 0.0
        if steps.truncated[later, env]:
            break
    return total, steps.next_obs[later, env], factor


@pytest.mark.parametrize("prioritised", [False, True], ids=["uniform", "prioritised"])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_every_draw_is_a_true_piece_of_one_episode(n_steps, prioritised):
    steps = history()
    add = jax.jit(lambda memory, step: memory.add(step))
    bits = np.random.default_rng(1).integers(0, 2**32, 300, np.uint32)
    sample = jax.jit(lambda memory: memory.sample(jnp.asarray(bits), DISCOUNT))
    memory = Replay.create(at(steps, 0), LENGTH, n_steps=n_steps, prioritised=prioritised)
    for now in range(ADDED):
        memory = add(memory, at(steps, now))
        if now + 1 < n_steps or now % 4 != 2:  # empty, filling, around the end and around again
            continue
        batch = jax.tree.map(np.asarray, sample(memory))
        oldest, newest = max(0, now + 1 - LENGTH), now + 1 - n_steps
        assert set(batch.obs) == set(steps.obs[oldest : newest + 1].ravel())
        for i, name in enumerate(batch.obs.astype(int)):
            t, env = divmod(name, ENVS)
            reward, next_obs, discount = expected(steps, t, env, n_steps)
            assert batch.action[i, 0] == name + 0.25
            assert batch.next_obs[i] == next_obs
            assert batch.reward[i] == pytest.approx(reward, abs=1e-5)
            assert batch.discount[i] == pytest.approx(discount, abs=1e-6)


def test_truncation_bootstraps_and_termination_does_not():
    ends = np.array([[True, False, False]])
    step = Step(
        obs=np.zeros((1, 3), np.float32), action=np.zeros((1, 3, 1), np.float32),
        reward=np.ones((1, 3), np.float32), next_obs=np.ones((1, 3), np.float32),
        terminated=ends, truncated=ends[:, ::-1],
    )  # fmt: skip

    @jax.jit
    def discounts(step):
        memory = Replay.create(step, 2).add(step)
        return memory.sample(jnp.arange(3, dtype=jnp.uint32), DISCOUNT).discount

    np.testing.assert_allclose(discounts(at(step, 0)), [0.0, DISCOUNT, DISCOUNT])


def test_draws_come_in_proportion_to_priorities():
    exponent, size = 0.5, 4_000
    error = np.array([0.0, 1.0, 4.0, 9.0, 16.0, 25.0], np.float32)

    @jax.jit
    def draws(key):
        priorities = Priorities.create(length=4, envs=3)
        for slot in (0, 1, 2):
            priorities = priorities.open(jnp.asarray(slot), jnp.asarray(True))
        priorities = priorities.close(jnp.asarray(2))  # and slot 3 was never opened
        priorities = priorities.put(jnp.arange(6), jnp.asarray(error), exponent)
        return priorities.sample(jax.random.bits(key, (size,), jnp.uint32))

    place, chance = map(np.asarray, draws(jax.random.key(0)))
    wanted = (error + LEAST) ** exponent
    wanted /= wanted.sum()
    found = np.bincount(place, minlength=6) / size
    np.testing.assert_allclose(found, wanted, atol=2 / size)  # one draw from each equal part
    np.testing.assert_allclose(chance, wanted[place], rtol=1e-5)


def test_weights_undo_what_priorities_favour():
    error = np.abs(np.random.default_rng(3).normal(size=LENGTH * ENVS)).astype(np.float32)

    @jax.jit
    def draws(key, steps):
        memory = Replay.create(at(steps, 0), LENGTH, prioritised=True)
        memory, _ = jax.lax.scan(lambda m, s: (m.add(s), None), memory, steps)
        bits = jax.random.bits(key, (20_000,), jnp.uint32)
        everything = memory.sample(bits, DISCOUNT)._replace(place=jnp.arange(LENGTH * ENVS))
        memory = memory.reprioritise(everything, jnp.asarray(error), 0.5)
        return memory.priorities, memory.sample(bits, DISCOUNT, importance=1.0)

    first = jax.tree.map(lambda leaf: jnp.asarray(leaf[:LENGTH]), history())
    priorities, drawn = draws(jax.random.key(0), first)
    # weighted, every entry counts the same; unweighted, the larger errors count more
    weighted = np.bincount(drawn.place, weights=drawn.weight)
    np.testing.assert_allclose(weighted / weighted.mean(), 1, atol=0.05)
    assert np.corrcoef(np.bincount(drawn.place), error)[0, 1] > 0.9
    np.testing.assert_allclose(priorities.sums, priorities.entries.sum(axis=1), rtol=1e-6)


def test_memories_stack():
    steps = [history(seed) for seed in (0, 1)]
    both = jax.tree.map(lambda *leaves: np.stack(leaves), *steps)
    bits = jax.random.bits(jax.random.key(0), (16,), jnp.uint32)

    def last(step):
        memory = Replay.create(at(step, 0), LENGTH, n_steps=2, prioritised=True)
        memory, _ = jax.lax.scan(lambda m, s: (m.add(s), None), memory, step)
        return memory.sample(bits, DISCOUNT)

    together = jax.jit(jax.vmap(last))(both)
    loop = jax.jit(last)
    for number, one in enumerate(steps):
        alone = loop(one)
        for mine, own in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(mine[number], own)
