"""Distributions over actions: what every policy answers with."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from steelyard.rollout import Action

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

    def normal(self) -> Normal:
        """Itself; every continuous distribution of the house has a normal one near it."""
        return self

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


class Deterministic(NamedTuple):
    """The distribution of a policy that has made up its mind: all mass on one action.

    Attributes:
        action: (A,) numbers, or () a choice.
    """

    action: Action

    def sample(self, key: PRNGKeyArray) -> Action:
        """The action."""
        del key  # nothing is random
        return self.action

    def mode(self) -> Action:
        """The action."""
        return self.action

    def log_prob(self, action: Action) -> Float[Array, ""]:
        """0 for the action and minus infinity for any other."""
        return jnp.where(jnp.all(action == self.action), 0.0, -jnp.inf)

    def entropy(self) -> Float[Array, ""]:
        """0 nats."""
        return jnp.zeros(())

    def kl(self, other: Any) -> Float[Array, ""]:
        """KL(self || other): minus the log probability that `other` gives to the action."""
        return jnp.negative(other.log_prob(self.action))
