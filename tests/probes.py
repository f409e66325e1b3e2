"""Five small problems with known answers, and policies to play them with (Jones, 2018)."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from steelyard.rollout import TimeStep
from steelyard.types import Space

CONSTANT_REWARD, OBSERVED_REWARD, DELAYED_REWARD, BEST_ACTION, MATCH_SIGN = range(5)
"""Which problem; the params of `Probe`, so that one compiled program serves all five.

1 for anything; the observed sign; 1 on the second of two steps; the action itself; 1 for the action
that matches the observed sign and -1 for the other.
"""


class ProbeState(NamedTuple):
    seen: jax.Array
    step: jax.Array


class Probe(eqx.Module):
    """Observes a sign and the step, acts, and ends after a step or two, or after `length`."""

    length: int = eqx.field(static=True, default=0)
    discrete: bool = eqx.field(static=True, default=True)

    def reset(self, key: jax.Array, params: jax.Array) -> tuple[ProbeState, TimeStep]:
        signed = (params == OBSERVED_REWARD) | (params == MATCH_SIGN)
        sign = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
        state = ProbeState(jnp.where(signed, sign, 0.0), jnp.zeros((), jnp.int32))
        return state, self.answer(state, jnp.zeros(()), params)

    def step(
        self, key: jax.Array, state: ProbeState, action: Any, params: jax.Array
    ) -> tuple[ProbeState, TimeStep]:
        chosen = self.signed(action)
        delayed = jnp.where(state.step == 1, 1.0, 0.0)
        worth = jnp.stack([jnp.ones(()), state.seen, delayed, chosen, chosen * state.seen])
        state = ProbeState(state.seen, state.step + 1)
        return state, self.answer(state, worth[params], params)

    def answer(self, state: ProbeState, reward: jax.Array, params: jax.Array) -> TimeStep:
        obs = jnp.stack([state.seen, state.step.astype(jnp.float32)])
        length = self.length or jnp.where(params == DELAYED_REWARD, 2, 1)
        over = state.step >= length
        return TimeStep(obs, reward, over, jnp.asarray(False), {})

    def observe(self, obs: jax.Array, params: Any) -> jax.Array:
        return obs

    def action_space(self, params: Any) -> Space:
        return Space(choices=2) if self.discrete else Space(shape=(1,))

    def signed(self, action: Any) -> jax.Array:
        return 2.0 * action - 1.0 if self.discrete else jnp.clip(action[0], -1, 1)


MATCH = jnp.asarray(MATCH_SIGN)
"""Params of the problem that most tests use."""


class Corridor(eqx.Module):
    """Counts its steps and is truncated at the end; for tests of the loop."""

    length: int = eqx.field(static=True, default=3)

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, TimeStep]:
        return jnp.zeros((), jnp.int32), self._answer(jnp.zeros((), jnp.int32))

    def step(
        self, key: jax.Array, state: jax.Array, action: Any, params: Any
    ) -> tuple[jax.Array, TimeStep]:
        return state + 1, self._answer(state + 1)

    def _answer(self, state: jax.Array) -> TimeStep:
        obs = state.astype(jnp.float32)[None]
        return TimeStep(obs, jnp.zeros(()), jnp.asarray(False), state >= self.length, {})

    def observe(self, obs: jax.Array, params: Any) -> jax.Array:
        return obs

    def action_space(self, params: Any) -> Space:
        return Space(shape=(1,))


class Uniform(eqx.Module):
    """Draws every action from [-1, 1]; policy and distribution in one."""

    size: int = eqx.field(static=True)

    def initial_carry(self) -> None:
        return None

    def __call__(self, vector: jax.Array, carry: None) -> tuple[Uniform, None]:
        return self, carry

    def sample(self, key: jax.Array) -> jax.Array:
        return jax.random.uniform(key, (self.size,), jnp.float32, -1, 1)

    def mode(self) -> jax.Array:
        return jnp.zeros(self.size)

    def log_prob(self, action: jax.Array) -> jax.Array:
        return jnp.zeros(())
