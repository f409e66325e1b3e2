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
from jax.extend.random import threefry2x32_p
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32
from numpy.typing import NDArray

from steelyard.lanes import batch_last, read, total
from steelyard.rollout import Action

LOG_2PI = float(np.log(2 * np.pi))

BITS, PER_WORD = 10, 3
"""Random bits of a draw of `standard_normal`, and draws that share a word."""

QUANTILES = 1 << BITS
"""Values that `standard_normal` takes, each equally likely; the outermost is 3.3."""

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

    def sample_log_prob(self, key: PRNGKeyArray) -> tuple[Float[Array, " A"], Float[Array, ""]]:
        """A draw and its log density; faster than `sample` and `log_prob`, without a gradient."""
        noise = standard_normal(key, self.mean.shape).astype(self.mean.dtype)
        drawn: tuple[Float[Array, " A"], Float[Array, ""]] = _draw(self, noise)
        return drawn

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


@batch_last
def _draw(
    distribution: Normal, noise: Float[Array, "A *#B"]
) -> tuple[Float[Array, "A *#B"], Float[Array, "*#B"]]:
    """The draw of standard normal noise, and its log density."""
    log_density = -0.5 * (noise * noise + LOG_2PI) - distribution.log_std
    return distribution.at(noise), total(log_density)


def standard_normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draws from a standard normal distribution rounded to `QUANTILES` quantiles, float32.

    Exploration noise would otherwise take as long as the market's step: three draws share one
    random word, and a look-up stands for the inverse of the distribution function.
    """
    count = math.prod(shape)

    @batch_last
    def draw(words: UInt32[Array, "W *B"]) -> Float[Array, "C *B"]:
        shifts = jnp.arange(PER_WORD, dtype=jnp.uint32)[:, *(None,) * words.ndim] * BITS
        places = (words >> shifts) & (QUANTILES - 1)
        table = jnp.asarray(_normal_quantiles())
        drawn = read(table, places.astype(jnp.int32))
        return drawn.reshape(-1, *words.shape[1:])[:count]

    drawn: Float[Array, "..."] = draw(random_words(key, -(-count // PER_WORD))).reshape(shape)
    return drawn


def random_words(key: PRNGKeyArray, count: int) -> UInt32[Array, " W"]:
    """`count` words of random bits; of many keys with the batch behind, see `lanes`."""
    if str(jax.random.key_impl(key)) != "threefry2x32":
        return jax.random.bits(key, (count,), jnp.uint32)

    @batch_last
    def draw(data: UInt32[Array, "2 *B"]) -> UInt32[Array, "W *B"]:
        half = -(-count // 2)
        place = jnp.arange(half, dtype=jnp.uint32)[:, *(None,) * (data.ndim - 1)]
        counter = jnp.broadcast_to(place, (half, *data.shape[1:]))
        keys = [jnp.broadcast_to(word, counter.shape) for word in data]
        bind: Any = threefry2x32_p.bind
        pair = bind(*keys, jnp.zeros_like(counter), counter)
        return jnp.concatenate(pair)[:count]

    words: UInt32[Array, " W"] = draw(jax.random.key_data(key))
    return words


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
