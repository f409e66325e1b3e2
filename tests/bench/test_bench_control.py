"""The classic problems against Gymnasium's own classes, step for step."""

from __future__ import annotations

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steelyard.bench.control import PROBLEMS, ControlState

STEPS = 60


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_a_problem_is_gymnasiums_step_for_step(name: str) -> None:
    theirs = gymnasium.make(name).unwrapped
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        env, params = PROBLEMS[name]
        step = jax.jit(lambda state, action: env.step(jax.random.key(0), state, action, params))
        ended = 0
        for episode in range(4):
            theirs.reset(seed=episode)
            # wide starts reach the limits of place, angle and speed
            theirs.state = rng.uniform(-1, 1, 2) * (8, 8) if name[0] == "P" else theirs.state
            state = ControlState(jnp.asarray(theirs.state), jnp.zeros((), jnp.int32))
            for _ in range(STEPS):
                if name[0] == "P":
                    action = rng.uniform(-1.5, 1.5, 1)  # beyond the box as well
                    given = 2.0 * action
                else:
                    given = action = np.int64(rng.random() < 0.5 + 0.4 * (episode % 2))
                seen, reward, terminated, _, _ = theirs.step(given)
                state, answer = step(state, jnp.asarray(action))
                np.testing.assert_allclose(state.motion, theirs.state, rtol=1e-12, atol=1e-12)
                np.testing.assert_allclose(answer.obs, seen, rtol=1e-6, atol=1e-6)
                assert float(answer.reward) == pytest.approx(float(reward), rel=1e-12)
                assert bool(answer.terminated) == terminated
                if terminated:
                    ended += 1
                    break
    assert (ended > 0) == (name == "CartPole-v1")


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_the_time_limit_and_the_first_states_are_gymnasiums(name: str) -> None:
    env, params = PROBLEMS[name]
    spec = gymnasium.spec(name)
    assert params.length == spec.max_episode_steps
    starts = jax.vmap(lambda key: env.reset(key, params)[0].motion)(
        jax.random.split(jax.random.key(0), 400)
    )
    theirs = gymnasium.make(name).unwrapped
    drawn = []
    for seed in range(400):
        theirs.reset(seed=seed)
        drawn.append(theirs.state)
    # both uniform on the same box: its corners are reached to 2 % of its width
    for edge in (np.min, np.max):
        np.testing.assert_allclose(
            edge(starts, axis=0) / np.ptp(drawn, axis=0),
            edge(np.array(drawn), axis=0) / np.ptp(drawn, axis=0),
            atol=0.02,
        )


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_the_time_limit_truncates_and_does_not_terminate(name: str) -> None:
    env, params = PROBLEMS[name]
    action = jnp.zeros(1) if name[0] == "P" else jnp.asarray(0)
    state = env.reset(jax.random.key(0), params)[0]
    for before, truncated in ((params.length - 2, False), (params.length - 1, True)):
        answer = env.step(jax.random.key(0), state._replace(steps=before), action, params)[1]
        assert bool(answer.truncated) is truncated
        assert not bool(answer.terminated)
