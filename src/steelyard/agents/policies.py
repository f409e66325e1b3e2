"""Policies: a network and the distribution that it answers with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.agents.distributions import Categorical, Normal
from steelyard.agents.networks import MLP
from steelyard.rollout import Act, Carry, Env, Params, Space


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
