"""Stepping an environment from outside JAX: what the doors for other libraries are made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray

from steelyard.rollout import Action, Env, Params, State, TimeStep


class Episode(NamedTuple):
    """An episode between two steps: the stream of keys that it draws from, and the state."""

    keys: Key[Array, "*B"]
    state: State


class Answer(NamedTuple):
    """What an environment says after a reset or a step; with a leading B axis from a batch.

    Attributes:
        vector: (D,) float32 what networks see.
        reward, terminated, truncated, info: as in `TimeStep`.
    """

    vector: Float[Array, "*B D"]
    reward: Float[Array, "*B"]
    terminated: Bool[Array, "*B"]
    truncated: Bool[Array, "*B"]
    info: dict[str, Array]


class Stepper:
    """An environment and its params as four compiled programs; the params are their argument.

    Two steppers of equal environments share their programs. Params that hold a number in 64 bits
    are stepped in 64 bits.

    Attributes:
        space: the actions.
        size: D, the length of the vector.
    """

    def __init__(self, env: Env, params: Params) -> None:
        self._double = in_double(params)
        self._env = eqx.partition(env, eqx.is_array)
        self.space = env.action_space(params)
        with jax.enable_x64(self._double):
            self._params = jax.tree.map(jnp.asarray, params)
            answer = jax.eval_shape(lambda key: _begin(env, key, params)[1], jax.random.key(0))
        self.size = int(answer.vector.shape[0])

    def keys(self, seeds: Sequence[int]) -> Key[Array, " B"]:
        """(B,) one stream of keys per seed."""
        return jax.vmap(jax.random.key)(np.array([seed % 2**32 for seed in seeds], np.uint32))

    def reset(self, keys: PRNGKeyArray) -> tuple[Episode, Answer]:
        """A fresh episode."""
        with jax.enable_x64(self._double):
            started: tuple[Episode, Answer] = _reset(self._env[1], self._env[0], keys, self._params)
        return started

    def step(self, episode: Episode, action: Action) -> tuple[Episode, Answer]:
        """One step; nothing is reset."""
        with jax.enable_x64(self._double):
            stepped: tuple[Episode, Answer] = _step(
                self._env[1], self._env[0], episode, action, self._params
            )
        return stepped

    def reset_all(self, keys: Key[Array, " B"]) -> tuple[Episode, Answer]:
        """B fresh episodes."""
        with jax.enable_x64(self._double):
            started: tuple[Episode, Answer] = _reset_all(
                self._env[1], self._env[0], keys, self._params
            )
        return started

    def step_all(self, episodes: Episode, actions: Action) -> tuple[Episode, Answer, Answer]:
        """One step of B episodes; those that end are followed by fresh ones at once.

        Returns:
            The episodes to go on with; what to act on next, with the reward and the ends of this
            step; and the answers from before any reset.
        """
        with jax.enable_x64(self._double):
            stepped: tuple[Episode, Answer, Answer] = _step_all(
                self._env[1], self._env[0], episodes, actions, self._params
            )
        return stepped


def in_double(params: Params) -> bool:
    """Whether any number in `params` is held in 64 bits."""
    leaves = jax.tree.leaves(params)
    return any(getattr(leaf, "dtype", None) == np.float64 for leaf in leaves)


def _begin(env: Env, keys: PRNGKeyArray, params: Params) -> tuple[Episode, Answer]:
    keys, key = jax.random.split(keys)
    state, step = env.reset(key, params)
    return Episode(keys, state), _answer(env, step, params)


def _advance(env: Env, episode: Episode, action: Action, params: Params) -> tuple[Episode, Answer]:
    keys, key = jax.random.split(episode.keys)
    state, step = env.step(key, episode.state, action, params)
    return Episode(keys, state), _answer(env, step, params)


def _answer(env: Env, step: TimeStep, params: Params) -> Answer:
    vector = env.observe(step.obs, params).astype(jnp.float32)
    return Answer(vector, step.reward, step.terminated, step.truncated, step.info)


def _advance_or_begin(
    env: Env, episode: Episode, action: Action, params: Params
) -> tuple[Episode, Answer, Answer]:
    """A step, and where it ended the episode the first observation and facts of the next."""
    episode, last = _advance(env, episode, action, params)
    fresh, first = _begin(env, episode.keys, params)
    ended = last.terminated | last.truncated
    (episode, vector, info) = jax.tree.map(
        lambda new, old: jnp.where(ended, new, old),
        (fresh, first.vector, first.info),
        (episode, last.vector, last.info),
    )
    return episode, last._replace(vector=vector, info=info), last


@partial(jax.jit, static_argnums=0)
def _reset(static: Any, arrays: Any, keys: PRNGKeyArray, params: Params) -> Any:
    return _begin(eqx.combine(arrays, static), keys, params)


@partial(jax.jit, static_argnums=0)
def _step(static: Any, arrays: Any, episode: Episode, action: Action, params: Params) -> Any:
    return _advance(eqx.combine(arrays, static), episode, action, params)


@partial(jax.jit, static_argnums=0)
def _reset_all(static: Any, arrays: Any, keys: Key[Array, " B"], params: Params) -> Any:
    env = eqx.combine(arrays, static)
    return jax.vmap(lambda one: _begin(env, one, params))(keys)


@partial(jax.jit, static_argnums=0)
def _step_all(static: Any, arrays: Any, episodes: Episode, actions: Action, params: Params) -> Any:
    env = eqx.combine(arrays, static)
    return jax.vmap(lambda e, a: _advance_or_begin(env, e, a, params))(episodes, actions)
