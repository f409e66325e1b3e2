"""Every learner of the room solves the five small problems with known answers (Jones, 2018)."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_learners import PROBED, TRIED, learners, small

from probes import (
    BEST_ACTION,
    CONSTANT_REWARD,
    DELAYED_REWARD,
    MATCH_SIGN,
    OBSERVED_REWARD,
    Probe,
)
from steelyard.errors import ConfigError

FAST = {("ppo", True), ("grpo", False), ("dqn", True), ("sac", False)}
"""(learner, whether it has choices); all others are slow tests, which are the same code mostly."""

SEEN = ((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0))
"""The observations of all problems."""


def admits(name: str, discrete: bool) -> bool:
    """Whether the learner acts in such a space; whether it does in any is a test of its own."""
    env, problem = Probe(discrete=discrete), jnp.asarray(0)
    try:
        jax.eval_shape(lambda key: small(name, PROBED).init(key, env, problem), jax.random.key(0))
    except ConfigError:
        return False
    return True


@cache
def learned(name: str, discrete: bool) -> tuple[Any, Any]:
    """What it thinks that states are worth, and does there: (problem, observation)."""
    agent, env = small(name, PROBED), Probe(discrete=discrete)

    def solve(problem: jax.Array) -> Any:
        state, _ = jax.lax.scan(
            lambda state, _: agent.advance(state, env, problem),
            agent.init(jax.random.key(0), env, problem),
            None,
            length=agent.updates,
        )

        def answer(vector: jax.Array) -> Any:
            action = state.policy(vector, None)[0].mode()
            return worth(state, vector, action), env.signed(action)

        return jax.vmap(answer)(jnp.array(SEEN))

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(solve))(jnp.arange(5)))


def worth(state: Any, vector: jax.Array, action: jax.Array) -> jax.Array | None:
    """Of a state, or of the best action there; None where the learner has no critic."""
    if getattr(state, "critic", None) is not None:
        return state.critic(vector)[0]
    if hasattr(state, "rest") and hasattr(state.rest, "critics"):
        critics = state.rest.critics
        return jnp.stack(critics(critics.see(vector[None]), action[None])).min()
    policy = getattr(state.policy, "policy", state.policy)  # of a menu
    return jnp.max(policy.values(vector)) if hasattr(policy, "values") else None


def cases() -> list[Any]:
    """(learner, space), each a test; the spaces that a learner refuses are skipped when run."""
    return [
        pytest.param(
            name,
            discrete,
            id=f"{name}-{'choices' if discrete else 'box'}",
            marks=() if (name, discrete) in FAST else pytest.mark.slow,
        )
        for name in learners()
        for discrete in (True, False)
    ]


VALUES = {
    CONSTANT_REWARD: {(0.0, 0.0): 1.0},
    OBSERVED_REWARD: {(1.0, 0.0): 1.0, (-1.0, 0.0): -1.0},
    DELAYED_REWARD: {(0.0, 0.0): 0.99, (0.0, 1.0): 1.0},
}
ACTIONS = {BEST_ACTION: {(0.0, 0.0): 1.0}, MATCH_SIGN: {(1.0, 0.0): 1.0, (-1.0, 0.0): -1.0}}


@pytest.mark.parametrize(("name", "discrete"), cases())
def test_a_learner_solves_the_probes_that_its_actions_admit(name: str, discrete: bool) -> None:
    if not admits(name, discrete):
        pytest.skip("does not act in this space")
    values, actions = learned(name, discrete)
    for problem, expected in VALUES.items():
        for seen, value in expected.items():
            if values is not None:
                assert values[problem, SEEN.index(seen)] == pytest.approx(value, abs=0.1)
    for problem, expected in ACTIONS.items():
        for seen, best in expected.items():
            assert actions[problem, SEEN.index(seen)] * best > 0.7


def test_every_learner_has_an_entry_and_acts_in_some_space() -> None:
    assert set(PROBED) == set(TRIED) == set(learners())
    for name in learners():
        assert admits(name, True) or admits(name, False), name
