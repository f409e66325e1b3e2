"""How several distributions over actions become one: the rules of ensembles.

K members answer at one observation; each has a weight, the weights sum to one, and a member of
weight 0 is not heard at all, whatever it answers. On a box the rules work with each member's mode,
cut to the limits of the box because nothing beyond them is ever executed, and with the spread of
the normal distribution near its answer (exact for a normal one, an approximation for others).

* **average**: the mixture; its action is the weighted mean of modes, or the likeliest choice.
* **majority**: every member that is heard has one vote, whatever its weight; ties go to the larger
  weight, then to the lower choice. On a box each asset is voted on: hold, sell or buy; the action
  is the weighted mean of the winning side. In a full tie nothing is traded.
* **confidence**: weighted sum of scores (logits, or action values). On a box, the mean weighted by
  weight times precision (one over the variance).
* **product**: Boltzmann multiplication, the product of the softmaxes of the scores, each to the
  power of its weight. It decides as *confidence* does: the logarithm of a softmax is the score
  less a constant. On a box the two are the same rule.
* **sum**: Boltzmann addition, the weighted sum of the softmaxes of the scores. On a box, for each
  asset the member's mode at which the mixture is densest: the action on which most agree, where
  their mean may be one that nobody wants.

Confidence, product and sum as compared in FinRL Contest 2024, task 1 (team Fermion).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from steelyard.agents.distributions import Categorical, Normal
from steelyard.agents.diversity import near_normal
from steelyard.errors import ConfigError

RULES = ("average", "majority", "confidence", "product", "sum")
IMPOSSIBLE = -1e9
"""Log probability of what a member never chooses; finite, so that others can still choose it."""
PARTS = 4096
"""Weights are compared in parts of one when they break a tie, so that rounding does not."""


class Mixture(NamedTuple):
    """A weighted mixture of the members' distributions on a box.

    Attributes:
        parts: the members' distributions, those of one kind stacked; K in all.
        weights: (K,).
        modes: (K, A) of the members, inside the box.
        log_stds: (K, A) of the normal distributions near them.
        action: (A,) what is done where nothing is drawn.
    """

    parts: tuple[Any, ...]
    weights: Float[Array, " K"]
    modes: Float[Array, "K A"]
    log_stds: Float[Array, "K A"]
    action: Float[Array, " A"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, " A"]:
        """A draw from a member that is drawn by weight."""
        member_key, *keys = jax.random.split(key, len(self.parts) + 1)
        draws = [
            jax.vmap(lambda one, k: one.sample(k))(part, jax.random.split(k, _size(part)))
            for part, k in zip(self.parts, keys, strict=True)
        ]
        member = jax.random.categorical(member_key, jnp.log(self.weights))
        drawn: Float[Array, " A"] = jnp.concatenate(draws)[member]
        return drawn

    def mode(self) -> Float[Array, " A"]:
        """The action of the rule; not the highest point of the density."""
        return self.action

    def log_prob(self, action: Float[Array, " A"]) -> Float[Array, ""]:
        """Log density, exact."""
        log_probs = _of_all(self.parts, lambda one: one.log_prob(action))
        return _log_mean(log_probs, self.weights)

    def entropy(self) -> Float[Array, ""]:
        """Lower bound in nats: the weighted mean of the members' entropies."""
        entropies = _of_all(self.parts, lambda one: one.entropy())
        return jnp.sum(jnp.where(self.weights > 0, self.weights * entropies, 0))

    def normal(self) -> Normal:
        """The normal distribution with the mean and the variances of the members' near ones."""
        mean = weighted_mean(self.modes, self.weights[:, None])
        variance = jnp.exp(2 * self.log_stds) + (self.modes - mean) ** 2
        heard = self.weights[:, None] > 0
        total = jnp.sum(jnp.where(heard, self.weights[:, None] * variance, 0), axis=0)
        return Normal(mean, 0.5 * jnp.log(total))

    def kl(self, other: Any) -> Float[Array, ""]:
        """KL(self || other) in nats, between the normal distributions near both."""
        divergence: Float[Array, ""] = self.normal().kl(near_normal(other))
        return divergence


def vote(
    parts: tuple[Any, ...],
    weights: Float[Array, " K"],
    rule: str = "average",
    *,
    limits: tuple[float, float] | None = None,
    choices: int = 0,
    temperature: float | Float[Array, ""] = 1.0,
    dead_zone: float | Float[Array, ""] = 0.01,
) -> Mixture | Normal | Categorical:
    """One distribution of K members' distributions.

    Args:
        parts: the members' distributions, those of one kind stacked along a leading axis.
        weights: (K,) in the order of the parts; they sum to one.
        rule: one of `RULES`.
        limits: of the box; None = modes count as they are.
        choices: how many there are; 0 = as many as the members have logits.
        temperature: by which scores are divided in "product" and "sum".
        dead_zone: a smaller action is a vote to hold; 0.01 is one share at `max_shares` 100.

    Raises:
        ConfigError: an unknown rule, or members that act in different spaces.
    """
    if rule not in RULES:
        raise ConfigError(f"no rule named `{rule}`", hint="use " + ", ".join(RULES))
    modes = [jax.vmap(lambda one: one.mode())(part) for part in parts]
    _require_one_space(modes)
    stacked = jnp.concatenate(modes)
    if jnp.issubdtype(stacked.dtype, jnp.integer):
        return _vote_on_choices(parts, weights, rule, stacked, choices, temperature)
    stacked = stacked if limits is None else jnp.clip(stacked, *limits)
    spreads = _of_all(
        parts, lambda one: jnp.broadcast_to(near_normal(one).log_std, one.mode().shape)
    )
    if rule in ("confidence", "product"):
        return _precise(stacked, spreads, weights, temperature if rule == "product" else 1.0)
    if rule == "majority":
        return _box_majority(stacked, spreads, weights, dead_zone)
    action = weighted_mean(stacked, weights[:, None])
    if rule == "sum":
        action = _densest(stacked, spreads + 0.5 * jnp.log(temperature), weights)
    return Mixture(parts, weights, stacked, spreads, action)


def weighted_mean(values: Float[Array, "K A"], weights: Float[Array, "K #A"]) -> Float[Array, " A"]:
    """Mean by weights that sum to one; exactly the common value where all heard members agree."""
    weights = jnp.broadcast_to(weights, values.shape)
    heaviest = jnp.argmax(weights, axis=0)[None]
    anchor = jnp.take_along_axis(values, heaviest, axis=0)[0]
    moved = jnp.where(weights > 0, weights * (values - anchor), 0)
    return anchor + jnp.sum(moved, axis=0)


def _vote_on_choices(
    parts: tuple[Any, ...],
    weights: Float[Array, " K"],
    rule: str,
    modes: Int[Array, " K"],
    choices: int,
    temperature: float | Float[Array, ""],
) -> Categorical:
    """The rules for numbered choices; the result is exact for all but the shares of a majority."""
    count = choices or max((part.logits.shape[-1] for part in parts if _scored(part)), default=0)
    if not count:
        raise ConfigError("nothing says how many choices there are", hint="vote(..., choices=3)")
    if rule == "majority":
        cast = (modes[:, None] == jnp.arange(count)) & (weights > 0)[:, None]
        standing = _standing(cast, weights)
        return Categorical(jnp.log(jnp.maximum(standing / jnp.max(standing), 1e-9)))
    if rule == "average":
        options = jnp.arange(count)
        log_probs = _of_all(parts, lambda one: jax.vmap(one.log_prob)(options))
        return Categorical(_log_mean(jnp.maximum(log_probs, IMPOSSIBLE), weights))
    scores = jnp.concatenate([_scores(part, count) for part in parts])
    if rule == "confidence":
        return Categorical(_weighted_sum(scores, weights))
    log_probs = jax.nn.log_softmax(scores / temperature)
    if rule == "product":
        return Categorical(_weighted_sum(log_probs, weights))
    return Categorical(_log_mean(log_probs, weights))


def _precise(
    modes: Float[Array, "K A"],
    spreads: Float[Array, "K A"],
    weights: Float[Array, " K"],
    temperature: float | Float[Array, ""],
) -> Normal:
    """Product of normal distributions, each to the power of its weight over the temperature."""
    heard = weights[:, None] > 0
    log_precision = jnp.where(heard, jnp.log(weights)[:, None] - 2 * spreads, -jnp.inf)
    total = jax.nn.logsumexp(log_precision, axis=0)
    mean = weighted_mean(modes, jnp.exp(log_precision - total))
    return Normal(mean, 0.5 * (jnp.log(temperature) - total))


def _box_majority(
    modes: Float[Array, "K A"],
    spreads: Float[Array, "K A"],
    weights: Float[Array, " K"],
    dead_zone: float | Float[Array, ""],
) -> Normal:
    """Hold (0), sell (1) or buy (2) for each asset, and the mean of those who won."""
    side = jnp.where(jnp.abs(modes) < dead_zone, 0, jnp.where(modes < 0, 1, 2))
    heard = (weights > 0)[:, None]
    cast = (side[..., None] == jnp.arange(3)) & heard[..., None]
    winner = jnp.argmax(jax.vmap(_standing, (1, None))(cast, weights), axis=-1)
    share = jnp.where((side == winner) & heard, weights[:, None], 0)
    share = share / jnp.sum(share, axis=0)
    variance = jnp.sum(jnp.where(share > 0, share * jnp.exp(2 * spreads), 0), axis=0)
    return Normal(weighted_mean(modes, share), 0.5 * jnp.log(variance))


def _densest(
    modes: Float[Array, "K A"], spreads: Float[Array, "K A"], weights: Float[Array, " K"]
) -> Float[Array, " A"]:
    """For each asset the member's mode where the mixture of normal distributions is densest."""
    away = (modes[:, None] - modes[None]) * jnp.exp(-spreads)[None]
    log_density = _log_mean(jnp.swapaxes(-0.5 * away * away - spreads[None], 0, 1), weights)
    best = jnp.argmax(jnp.where((weights > 0)[:, None], log_density, -jnp.inf), axis=0)
    return jnp.take_along_axis(modes, best[None], axis=0)[0]


def _standing(cast: Shaped[Array, "K C"], weights: Float[Array, " K"]) -> Float[Array, " C"]:
    """Votes for each of C options, plus half a vote shared by weight: it can only break a tie."""
    behind = jnp.sum(jnp.where(cast, weights[:, None], 0), axis=0)
    return jnp.sum(cast, axis=0) + 0.5 * jnp.round(behind * PARTS) / PARTS


def _log_mean(values: Float[Array, "K *S"], weights: Float[Array, " K"]) -> Float[Array, "*S"]:
    """Logarithm of the weighted mean of exponentials, over the members that are heard."""
    weights = weights.reshape(-1, *[1] * (values.ndim - 1))
    return jax.nn.logsumexp(jnp.where(weights > 0, jnp.log(weights) + values, -jnp.inf), axis=0)


def _weighted_sum(values: Float[Array, "K C"], weights: Float[Array, " K"]) -> Float[Array, " C"]:
    """Weighted sum over the members that are heard."""
    return jnp.sum(jnp.where(weights[:, None] > 0, weights[:, None] * values, 0), axis=0)


def _scored(part: Any) -> bool:
    return hasattr(part, "logits")


def _scores(part: Any, count: int) -> Float[Array, "M C"]:
    """What a softmax would be taken of; log probabilities where members have no scores."""
    if _scored(part):
        scores: Float[Array, "M C"] = part.logits
        return scores
    log_probs = _of_all((part,), lambda one: jax.vmap(one.log_prob)(jnp.arange(count)))
    return jnp.maximum(log_probs, IMPOSSIBLE)


def _of_all(parts: tuple[Any, ...], ask: Callable[[Any], Any]) -> Any:
    """What every member says, along a leading axis K."""
    return jnp.concatenate([jax.vmap(ask)(part) for part in parts])


def _size(part: Any) -> int:
    return int(jax.tree.leaves(part)[0].shape[0])


def _require_one_space(modes: list[Any]) -> None:
    """Members of one ensemble act in one space."""
    spaces = {
        (one.shape[1:], "choices" if jnp.issubdtype(one.dtype, jnp.integer) else "box")
        for one in modes
    }
    if len(spaces) > 1:
        told = " and ".join(sorted(f"{kind} {shape}" for shape, kind in spaces))
        raise ConfigError(
            f"members must act in one space, not in {told}",
            hint="choose agents for one kind of action",
        )
