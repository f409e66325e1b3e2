"""Networks, the distributions they answer with, and policies made of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist
from typing import Any, NamedTuple, TypeGuard

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from steelyard.rollout import Act, Carry, Env, Obs, Params, SharedTable, Space

LOG_2PI = float(np.log(2 * np.pi))

QUANTILES = 4096
"""Values that `standard_normal` takes, each equally likely; the outermost is 3.67."""


class Normal(NamedTuple):
    """Independent normal distributions over A action components.

    Attributes:
        mean: (A,) or (..., A).
        log_std: natural logarithm of the standard deviations, broadcast to `mean`.
    """

    mean: Float[Array, "*B A"]
    log_std: Float[Array, " A"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "*B A"]:
        """A draw, in the float type of the mean; see `standard_normal`."""
        noise = standard_normal(key, self.mean.shape).astype(self.mean.dtype)
        return self.mean + jnp.exp(self.log_std) * noise

    def mode(self) -> Float[Array, "*B A"]:
        """The mean."""
        return self.mean

    def log_prob(self, action: Float[Array, "*B A"]) -> Float[Array, "*B"]:
        """Log density summed over the components."""
        scaled = (action - self.mean) * jnp.exp(-self.log_std)
        return jnp.sum(-0.5 * (scaled * scaled + LOG_2PI) - self.log_std, axis=-1)

    def entropy(self) -> Float[Array, ""]:
        """Differential entropy in nats."""
        return jnp.sum(self.log_std + 0.5 * (1 + LOG_2PI), axis=-1)

    def kl(self, other: Normal) -> Float[Array, "*B"]:
        """KL(self || other) in nats."""
        ratio = jnp.exp(2 * (self.log_std - other.log_std))
        shift = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return jnp.sum(0.5 * (ratio + shift - 1) + other.log_std - self.log_std, axis=-1)


def standard_normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draws from a standard normal distribution rounded to `QUANTILES` quantiles, float32.

    Exploration noise would otherwise take as long as the market's step: two draws share one random
    word, and a look-up stands for the inverse of the distribution function.
    """
    count = math.prod(shape)
    words = jax.random.bits(key, ((count + 1) // 2,), jnp.uint32)
    places = jnp.concatenate([words >> 20, words & (QUANTILES - 1)])[:count].astype(jnp.int32)
    table = jnp.asarray(_normal_quantiles())
    return table.at[places].get(mode="promise_in_bounds").reshape(shape)


@cache
def _normal_quantiles() -> NDArray[np.float32]:
    """Midpoint quantiles, scaled to variance 1."""
    inverse = NormalDist().inv_cdf
    quantiles = np.array([inverse((i + 0.5) / QUANTILES) for i in range(QUANTILES)])
    scaled: NDArray[np.float32] = (quantiles / quantiles.std()).astype(np.float32)
    return scaled


class Categorical(NamedTuple):
    """A distribution over `choices` numbered from 0.

    Attributes:
        logits: (..., choices) unnormalised log probabilities.
    """

    logits: Float[Array, "*B C"]

    def sample(self, key: PRNGKeyArray) -> Int[Array, "*B"]:
        """A draw."""
        return jax.random.categorical(key, self.logits)

    def mode(self) -> Int[Array, "*B"]:
        """The most likely choice; the first of equals."""
        return jnp.argmax(self.logits, axis=-1)

    def log_prob(self, action: Int[Array, "*B"]) -> Float[Array, "*B"]:
        """Log probability of `action`."""
        log_probs = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]

    def entropy(self) -> Float[Array, "*B"]:
        """Entropy in nats."""
        log_probs = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)

    def kl(self, other: Categorical) -> Float[Array, "*B"]:
        """KL(self || other) in nats."""
        mine, theirs = jax.nn.log_softmax(self.logits), jax.nn.log_softmax(other.logits)
        return jnp.sum(jnp.exp(mine) * (mine - theirs), axis=-1)


class Dense(eqx.Module):
    """A linear layer `x @ weight + bias`; weight is (inputs, outputs)."""

    weight: Float[Array, "I O"]
    bias: Float[Array, " O"]

    @classmethod
    def create(cls, key: PRNGKeyArray, inputs: int, outputs: int, gain: float) -> Dense:
        """Normal weights whose columns have norm `gain` on average, zero bias.

        Close to the orthogonal start usual for PPO, without compiling a QR for every shape.
        """
        weight = jax.random.normal(key, (inputs, outputs), jnp.float32) * (gain / inputs**0.5)
        return cls(weight, jnp.zeros(outputs, jnp.float32))

    def __call__(self, x: Float[Array, "*B I"]) -> Float[Array, "*B O"]:
        """Apply the layer."""
        return x @ self.weight + self.bias


class MLP(eqx.Module):
    """Dense layers with tanh between them."""

    layers: tuple[Dense, ...]

    @classmethod
    def create(
        cls, key: PRNGKeyArray, inputs: int, hidden: Sequence[int], outputs: int, gain: float
    ) -> MLP:
        """Hidden layers with gain sqrt(2), the last one with `gain`."""
        sizes = [inputs, *hidden, outputs]
        gains = [2**0.5] * len(hidden) + [gain]
        keys = jax.random.split(key, len(gains))
        layers = [
            Dense.create(keys[i], sizes[i], sizes[i + 1], gains[i]) for i in range(len(gains))
        ]
        return cls(tuple(layers))

    def __call__(self, x: Float[Array, "*B I"]) -> Float[Array, "*B O"]:
        """Apply all layers."""
        return self.after_first(self.layers[0](x))

    def after_first(self, x: Float[Array, "*B H"]) -> Float[Array, "*B O"]:
        """Everything behind the first linear layer, whose output is `x`."""
        for layer in self.layers[1:]:
            x = layer(jnp.tanh(x))
        return x

    def bind(self, env: Env, params: Params) -> Callable[[Obs], Float[Array, " O"]]:
        """This network on stored observations.

        Where the environment shares a table, its part of the first layer is computed once for
        every row of the table instead of once for every step: the same function up to rounding,
        and the vector is never built.
        """
        if shares_table(env):
            return self._bind_to_table(env, params)
        return lambda obs: self(env.observe(obs, params))

    def _bind_to_table(self, env: SharedTable, params: Params) -> Callable[[Obs], Any]:
        first = self.layers[0]
        table = env.table(params)
        split = first.weight.shape[0] - table.shape[1]
        rows = table @ first.weight[split:] + first.bias
        return lambda obs: self.after_first(
            env.own(obs, params) @ first.weight[:split] + rows[obs.row]
        )


def shares_table(env: Any) -> TypeGuard[SharedTable]:
    """Whether the vector of `env` is its own part followed by a row of a shared table."""
    return isinstance(env, SharedTable) and not getattr(env, "published", False)


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
