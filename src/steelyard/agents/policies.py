"""Policies: a network and the distribution that it answers with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.critics import QNetwork
from steelyard.agents.distributions import Categorical, Normal, TanhNormal, to_box
from steelyard.agents.networks import MLP
from steelyard.rollout import Act, Carry, Env, Params
from steelyard.types import Space

LOG_STD = (-20.0, 2.0)
"""Least and largest log standard deviation of a `SquashedPolicy`."""


class GaussianPolicy(eqx.Module):
    """A normal distribution over actions; the spread does not depend on the observation."""

    network: MLP
    log_std: Float[Array, " A"]

    def initial_carry(self) -> Carry:
        """No memory."""
        return None

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Normal, Carry]:
        """The distribution at one observation vector."""
        return Normal(self.network(vector), self.log_std), carry

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations; see `MLP.bind`."""
        network = self.network.bind(env, params)
        return lambda obs, carry: (Normal(network(obs), self.log_std), carry)

    def bind_to_act(self, env: Env, params: Params) -> Act:
        """The policy on stored observations of many environments; see `MLP.bind_to_act`."""
        network = self.network.bind_to_act(env, params)
        return lambda obs, carry: (Normal(network(obs), self.log_std), carry)


class CategoricalPolicy(eqx.Module):
    """A distribution over a fixed number of choices."""

    network: MLP

    def initial_carry(self) -> Carry:
        """No memory."""
        return None

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Categorical, Carry]:
        """The distribution at one observation vector."""
        return Categorical(self.network(vector)), carry

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations; see `MLP.bind`."""
        network = self.network.bind(env, params)
        return lambda obs, carry: (Categorical(network(obs)), carry)

    def bind_to_act(self, env: Env, params: Params) -> Act:
        """The policy on stored observations of many environments; see `MLP.bind_to_act`."""
        network = self.network.bind_to_act(env, params)
        return lambda obs, carry: (Categorical(network(obs)), carry)


class TanhPolicy(eqx.Module):
    """A certain action inside a box, with normal noise of a fixed spread around it.

    Attributes:
        network: observation to A numbers, squashed by tanh.
        log_std: (A,) natural log of the spread, in the units of the box; no gradient reaches it.
        low, high: ends of the box.
    """

    network: MLP
    log_std: Float[Array, " A"]
    low: float = eqx.field(static=True, default=-1.0)
    high: float = eqx.field(static=True, default=1.0)

    def initial_carry(self) -> Carry:
        """No memory."""
        return None

    def unit(self, vectors: Float[Array, "*B D"]) -> Float[Array, "*B A"]:
        """The action in [-1, 1], as critics take it."""
        return jnp.tanh(self.network(vectors))

    def around(self, unit: Float[Array, "*B A"]) -> Normal:
        """The distribution around an action in [-1, 1]."""
        spread = jnp.broadcast_to(jax.lax.stop_gradient(self.log_std), unit.shape)
        return Normal(to_box(unit, self.low, self.high), spread)

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Normal, Carry]:
        """The distribution at one observation vector."""
        return self.around(self.unit(vector)), carry

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations; see `MLP.bind`."""
        network = self.network.bind(env, params)
        return lambda obs, carry: (self.around(jnp.tanh(network(obs))), carry)


class SquashedPolicy(eqx.Module):
    """A normal distribution squashed into a box; mean and spread depend on the observation.

    Attributes:
        network: observation to A means and A log standard deviations, cut to `LOG_STD`.
        low, high: ends of the box.
    """

    network: MLP
    low: float = eqx.field(static=True, default=-1.0)
    high: float = eqx.field(static=True, default=1.0)

    def initial_carry(self) -> Carry:
        """No memory."""
        return None

    def __call__(self, vector: Float[Array, "*B D"], carry: Carry) -> tuple[TanhNormal, Carry]:
        """The distribution at an observation vector."""
        return self._answer(self.network(vector)), carry

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations; see `MLP.bind`."""
        network = self.network.bind(env, params)
        return lambda obs, carry: (self._answer(network(obs)), carry)

    def _answer(self, outputs: Float[Array, "*B K"]) -> TanhNormal:
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        return TanhNormal(mean, jnp.clip(log_std, *LOG_STD), self.low, self.high)


class ValuePolicy(eqx.Module):
    """Chooses by value: choice a with probability proportional to exp(Q(s, a) / temperature).

    Attributes:
        network: observation to C values.
        temperature: () in units of the return, > 0; what training does not move.
    """

    network: QNetwork
    temperature: Float[Array, ""]

    def initial_carry(self) -> Carry:
        """No memory."""
        return None

    def __call__(self, vector: Float[Array, "*B D"], carry: Carry) -> tuple[Categorical, Carry]:
        """The distribution at an observation vector; its mode has the highest value."""
        return Categorical(self.values(vector) / self.temperature), carry

    def values(self, vector: Float[Array, "*B D"]) -> Float[Array, "*B C"]:
        """Value of each choice."""
        return self.network(vector)

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations; see `MLP.bind`."""
        network = self.network.bind(env, params)
        return lambda obs, carry: (Categorical(network(obs) / self.temperature), carry)


def create_policy(
    key: PRNGKeyArray, inputs: int, hidden: Sequence[int], space: Space, *, log_std: float = 0.0
) -> GaussianPolicy | CategoricalPolicy:
    """A policy for `space`: categorical where it has choices, Gaussian where it is a box."""
    if space.choices:
        return CategoricalPolicy(MLP.create(key, inputs, hidden, space.choices, 0.01))
    size = int(np.prod(space.shape))
    network = MLP.create(key, inputs, hidden, size, 0.01)
    return GaussianPolicy(network, jnp.full(size, log_std, jnp.float32))


def vector_size(env: Env, params: Params) -> int:
    """Length D of the observation vector, without running anything."""

    def first(key: Any) -> Any:
        return env.observe(env.reset(key, params)[1].obs, params)

    return int(jax.eval_shape(first, jax.random.key(0)).shape[0])
