"""Distributions over actions: what every policy answers with."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from steelyard.rollout import Action

LOG_2PI = float(np.log(2 * np.pi))

QUANTILES = 4096
"""Values that `standard_normal` takes, each equally likely; the outermost is 3.67."""

NODES = 16
"""Points of the quadrature in `TanhNormal.entropy`."""


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
        return self.at(standard_normal(key, self.mean.shape).astype(self.mean.dtype))

    def at(self, noise: Float[Array, "*B A"]) -> Float[Array, "*B A"]:
        """The draw that standard normal noise is mapped to."""
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


class TanhNormal(eqx.Module):
    """Normal distributions squashed by tanh into the box [low, high] (Haarnoja et al., 2018b).

    Attributes:
        mean, log_std: (..., A) of the normal distributions before the squashing.
        low, high: ends of the box, the same for all components.
    """

    mean: Float[Array, "*B A"]
    log_std: Float[Array, "*B A"]
    low: float = eqx.field(static=True, default=-1.0)
    high: float = eqx.field(static=True, default=1.0)

    def before(self) -> Normal:
        """The normal distributions before the squashing."""
        return Normal(self.mean, self.log_std)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "*B A"]:
        """A draw in the box."""
        return squash(self.before().sample(key), self.low, self.high)

    def mode(self) -> Float[Array, "*B A"]:
        """The squashed mean, which is the median: what is traded where nothing is drawn."""
        return squash(self.mean, self.low, self.high)

    def log_prob(self, action: Float[Array, "*B A"]) -> Float[Array, "*B"]:
        """Log density of a point of the box; the ends count as points just inside of it."""
        unit = 2 * (action - self.low) / (self.high - self.low) - 1
        raw = jnp.arctanh(jnp.clip(unit, -1 + 1e-6, 1 - 1e-6))
        return self.log_prob_of(raw)

    def log_prob_of(self, raw: Float[Array, "*B A"]) -> Float[Array, "*B"]:
        """Log density of the action that `raw` is squashed to; finite for every finite `raw`."""
        stretch = self._log_stretch(raw)
        return self.before().log_prob(raw) - jnp.sum(stretch, axis=-1)

    def entropy(self) -> Float[Array, "*B"]:
        """Differential entropy in nats, by quadrature with `NODES` points a component.

        It has no closed form. The error is below 0.01 nats a component for standard deviations up
        to 1 and below 0.1 up to 3.
        """
        nodes, weights = _hermite()
        points = self.mean[..., None] + jnp.exp(self.log_std)[..., None] * nodes
        stretch = jnp.sum(weights * self._log_stretch(points), axis=-1)
        return jnp.sum(stretch + self.log_std + 0.5 * (1 + LOG_2PI), axis=-1)

    def normal(self) -> Normal:
        """The normal distribution near it in the box: mode, and spread times the slope there."""
        return Normal(self.mode(), self.log_std + self._log_stretch(self.mean))

    def kl(self, other: TanhNormal) -> Float[Array, "*B"]:
        """KL(self || other) in nats: squashing both alike changes nothing."""
        return self.before().kl(other.before())

    def _log_stretch(self, raw: Float[Array, "*B A"]) -> Float[Array, "*B A"]:
        """Log of the slope of the squashing, log(1 - tanh^2) without cancellation."""
        return log_slope(raw) + math.log((self.high - self.low) / 2)


@jax.custom_jvp
def log_slope(raw: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """log(1 - tanh(raw)^2), the log of the slope of tanh, without cancellation."""
    return 2 * (math.log(2) - raw - jax.nn.softplus(-2 * raw))


@log_slope.defjvp
def _log_slope_jvp(
    primals: tuple[Float[Array, "*B"]], tangents: tuple[Float[Array, "*B"]]
) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """Its derivative is -2 tanh(raw)."""
    return log_slope(primals[0]), -2 * jnp.tanh(primals[0]) * tangents[0]


def squash(raw: Float[Array, "*B"], low: float, high: float) -> Float[Array, "*B"]:
    """Any number into the box [low, high], by tanh."""
    return to_box(jnp.tanh(raw), low, high)


def to_box(unit: Float[Array, "*B"], low: float, high: float) -> Float[Array, "*B"]:
    """From [-1, 1] to [low, high]."""
    return (high + low) / 2 + (high - low) / 2 * unit


@cache
def _hermite() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points and weights of a mean over the standard normal distribution."""
    points, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return points.astype(np.float32), (weights / weights.sum()).astype(np.float32)


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
