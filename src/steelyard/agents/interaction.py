"""Environments and learners that remember: what one vector step is, and what chance it takes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PRNGKeyArray

from steelyard.agents.distributions import to_box
from steelyard.agents.replay import Step
from steelyard.rollout import Action, Env, Live, Params
from steelyard.types import Space


class Chances(NamedTuple):
    """What chance decides in vector steps of E environments.

    Attributes:
        keys: of the steps.
        begun: episodes that begin where one ends.
    """

    keys: Key[Array, "*T E"]
    begun: Live


class PlayDraws(NamedTuple):
    """Random numbers of vector steps: for exploring, for the environments, and their number."""

    exploration: Any
    chances: Chances
    number: Int[Array, "*R"]


def draw_chances(key: PRNGKeyArray, shape: tuple[int, ...], env: Env, params: Params) -> Chances:
    """Chances of `shape` = (..., E), drawn at once because a loop would draw them slowly."""
    step_key, live_key = jax.random.split(key)
    return Chances(jax.random.split(step_key, shape), fresh_episodes(live_key, shape, env, params))


def fresh_episodes(key: PRNGKeyArray, shape: tuple[int, ...], env: Env, params: Params) -> Live:
    """As many fresh episodes as `shape` says."""

    def begin(key: PRNGKeyArray) -> Live:
        state, step = env.reset(key, params)
        return Live(state, step.obs, None)

    flat = jax.vmap(begin)(jax.random.split(key, math.prod(shape)))
    shaped: Live = jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), flat)
    return shaped


def interact(
    live: Live, action: Action, chances: Chances, env: Env, params: Params
) -> tuple[Live, Step]:
    """One step of E environments; those that end go on with a fresh episode.

    Args:
        action: (E, A) in [-1, 1], or (E,) choices.
    """
    space = env.action_space(params)

    def one(live: Live, action: Action, chances: Chances) -> tuple[Live, Step]:
        told = action if space.choices else to_box(action, space.low, space.high)
        state, after = env.step(chances.keys, live.state, told, params)
        ended = after.terminated | after.truncated
        following = jax.tree.map(
            lambda new, old: jnp.where(ended, new, old),
            chances.begun,
            Live(state, after.obs, None),
        )
        reward = after.reward.astype(jnp.float32)
        return following, Step(
            live.obs, action, reward, after.obs, after.terminated, after.truncated
        )

    return jax.vmap(one)(live, action, chances)


def random_actions(key: PRNGKeyArray, shape: tuple[int, int], space: Space) -> Action:
    """Actions of (T, E) steps drawn evenly: numbers in [-1, 1], or choices."""
    if space.choices:
        return jax.random.randint(key, shape, 0, space.choices)
    return jax.random.uniform(key, (*shape, math.prod(space.shape)), jnp.float32, -1, 1)
