"""Policies that keep away from each other: the KL term of equation 5 of the paper.

J'_i = J_i + lambda * sum_{j != i} KL(pi_i || pi_j), with a gradient that reaches pi_i. A learner
that may be one of several takes `peers` in `advance`, draws rivals from them once per gradient
step and adds `keep_apart` to its objective, averaged over the observations of the batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from steelyard.agents.distributions import Deterministic, Normal
from steelyard.agents.vectors import WholeVectors
from steelyard.rollout import Env, Obs, Params, bind, scored_pass

SAMPLES = 16
"""Observations of a minibatch on which a gradient step measures the divergence from rivals. The
mean over them is that over all of them up to noise, and costs as much less."""

CAP = 10.0
"""Nats of divergence from one rival beyond which nothing more is gained."""


CERTAIN = -6.9
"""Natural log of the spread that stands for certainty where a divergence needs one."""


class Peers(eqx.Module):
    """The other policies of a population, for one learner.

    Attributes:
        groups: policies that share a structure, stacked along a leading axis M.
        weights: (M,) for each group, lambda for a peer and 0 for the learner itself.
    """

    groups: tuple[Any, ...]
    weights: tuple[Float[Array, " _"], ...]


class Rivals(eqx.Module):
    """One policy drawn from each group, weighted so that the mean over draws is the whole sum.

    Attributes:
        policies: one per group, without gradient.
        weights: () for each group, the sum of the group's weights.
    """

    policies: tuple[Any, ...]
    weights: tuple[Float[Array, ""], ...]


NOBODY = Rivals((), ())
"""The rivals of a learner that is alone."""


def draw(key: PRNGKeyArray, peers: Peers | None) -> Rivals:
    """Rivals for one gradient step; a sum over all peers would cost as many networks."""
    if peers is None:
        return NOBODY
    policies, weights = [], []
    for number, (group, weight) in enumerate(zip(peers.groups, peers.weights, strict=True)):
        total = jnp.sum(weight)
        logits = jnp.where(weight > 0, jnp.log(jnp.maximum(weight, 1e-30)), -1e9)
        chosen = jax.random.categorical(jax.random.fold_in(key, number), logits)
        picked = jax.tree.map(lambda leaf, at=chosen: leaf[at], group)
        policies.append(jax.lax.stop_gradient(picked))
        weights.append(total)
    return Rivals(tuple(policies), tuple(weights))


def keep_apart(
    distribution: Any, obs: Obs, rivals: Rivals, env: Env, params: Params
) -> Float[Array, ""]:
    """The KL term at one stored observation, in nats times lambda; add it to the objective.

    The divergence from one rival counts up to `CAP`: KL has no upper bound.
    """
    total = jnp.zeros(())
    for policy, weight in zip(rivals.policies, rivals.weights, strict=True):
        other, _ = bind(policy, env, params)(obs, policy.initial_carry())
        total += weight * jnp.minimum(divergence(distribution, other), CAP)
    return total


def mean_apart(
    distributions: Any, obs: Obs, rivals: Rivals, env: Env, params: Params
) -> Float[Array, ""]:
    """The KL term as a mean over a batch: over the first `SAMPLES` of it, which are enough.

    Args:
        distributions, obs: of a minibatch drawn at random, stacked along a leading axis.
    """
    if not rivals.policies:
        return jnp.zeros(())
    few_distributions, few_obs = jax.tree.map(lambda leaf: leaf[:SAMPLES], (distributions, obs))
    terms = jax.vmap(lambda one, seen: keep_apart(one, seen, rivals, env, params))(
        few_distributions, few_obs
    )
    return jnp.mean(terms)


def divergence(one: Any, other: Any) -> Float[Array, ""]:
    """KL(one || other) in nats; of the normal distributions near them where they differ in kind."""
    if type(one) is type(other) and not isinstance(one, Deterministic):
        exact: Float[Array, ""] = one.kl(other)
        return exact
    return near_normal(one).kl(near_normal(other))


def near_normal(distribution: Any) -> Normal:
    """The normal distribution near a continuous one; one that is certain has a spread of 1e-3."""
    if hasattr(distribution, "normal"):
        own: Normal = distribution.normal()
        return own
    mode = distribution.mode()
    return Normal(mode, jnp.full_like(mode, CERTAIN))


class Diversity(NamedTuple):
    """How far the M members of a population are apart, in the order of its groups.

    Attributes:
        kl: (M, M) KL(row || column) in nats, the mean over the observations that the row visits.
            Between distributions of different kinds, that of the normal ones near them; no cap.
        agreement: (M, M) share of decisions (step and asset) in which both buy, both sell or both
            leave alone, in whole shares; of steps with the same choice where there are choices.
        correlation: (M, M) of the returns per bar; 0 with a member whose account never moves.
    """

    kl: Float[Array, "M M"]
    agreement: Float[Array, "M M"]
    correlation: Float[Array, "M M"]


class Pass(NamedTuple):
    """One pass of a member over a window, T steps; what comes after its end does not count.

    Attributes:
        obs: as the environment stores them.
        side: (T, A) -1, 0 or 1 for the order of each asset; a choice as it is, (T, 1).
        gain: (T,) return of the account per bar; the reward where there is no account.
        lives: (T,) whether the episode was still running.
    """

    obs: Obs
    side: Int[Array, "T A"]
    gain: Float[Array, " T"]
    lives: Bool[Array, " T"]


def measure(
    groups: tuple[Any, ...],
    env: Env,
    params: Params,
    key: PRNGKeyArray | None = None,
    *,
    steps: int | None = None,
) -> Diversity:
    """Let every member trade the window of `params` alone, and compare what they do.

    Pure: `jax.vmap` over windows, with `groups` and `params` stacked. Members take their modes.

    Args:
        groups: policies that share a structure, stacked along a leading axis, as of `Population`.
        params: one episode; a pass ends with it.
        key: of the environment's own draws; markets have none.
        steps: static bound of the pass; the rows of the market where omitted.
    """
    key = jax.random.key(0) if key is None else key
    bound = params.market.rows - 1 if steps is None else steps
    passes = [
        jax.vmap(lambda policy: _play(key, env, params, policy, bound))(group) for group in groups
    ]
    together: Pass = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *passes)
    number = jnp.arange(len(together.lives))
    kl = jax.vmap(lambda one, own: _apart(groups, one, own, env, params))(number, together)
    return Diversity(
        kl,
        _agreement(together.side, together.lives),
        _correlation(together.gain, together.lives),
    )


def _play(key: PRNGKeyArray, env: Env, params: Params, policy: Any, steps: int) -> Pass:
    lived = scored_pass(key, env, params, policy, steps)
    ended = lived.terminated | lived.truncated
    lives = jnp.cumsum(ended) - ended == 0
    decided: Any = lived.info.get("order", lived.action)
    decided = decided.reshape(steps, -1)
    chosen = jnp.issubdtype(decided.dtype, jnp.integer)
    side = (decided if chosen else jnp.sign(decided)).astype(jnp.int32)
    gain = lived.reward
    if "value" in lived.info:
        after = lived.info["value"]
        first = env.reset(key, params)[1].info["value"]
        before = jnp.concatenate([first[None].astype(after.dtype), after[:-1]])
        gain = jnp.where(before > 0, after / jnp.where(before > 0, before, 1) - 1, 0)
    return Pass(lived.obs, side, gain.astype(jnp.float32), lives)


def _apart(
    groups: tuple[Any, ...], number: Int[Array, ""], own: Pass, env: Env, params: Params
) -> Float[Array, " M"]:
    """KL of one member, by its number, from all others, where it goes."""
    whole = WholeVectors(env)

    def step(carries: Any, obs: Obs) -> tuple[Any, Float[Array, " M"]]:
        answers = [
            jax.vmap(lambda policy, carry: bind(policy, whole, params)(obs, carry))(*pair)
            for pair in zip(groups, carries, strict=True)
        ]
        return tuple(carry for _, carry in answers), _from_all([one for one, _ in answers], number)

    fresh = tuple(jax.vmap(lambda policy: policy.initial_carry())(group) for group in groups)
    _, apart = jax.lax.scan(step, fresh, own.obs)
    return jnp.mean(apart, axis=0, where=own.lives[:, None])


def _from_all(answers: list[Any], number: Int[Array, ""]) -> Float[Array, " M"]:
    """Divergence of one member's answer from all members', those of one kind taken together."""
    counts = [len(jax.tree.leaves(answer)[0]) for answer in answers]
    ends = np.cumsum(counts)
    kinds: list[Any] = [jax.tree.structure(answer) for answer in answers]
    apart = jnp.zeros(sum(counts), jnp.float32)
    if len(set(kinds)) > 1:
        near: Normal = jax.tree.map(
            lambda *leaves: jnp.concatenate(leaves),
            *[jax.vmap(near_normal)(answer) for answer in answers],
        )
        apart = jax.vmap(Normal(near.mean[number], near.log_std[number]).kl)(near)
    for kind in dict.fromkeys(kinds):
        same = [at for at, other in enumerate(kinds) if other == kind]
        places = np.concatenate([np.arange(ends[at] - counts[at], ends[at]) for at in same])
        stacked = jax.tree.map(
            lambda *leaves: jnp.concatenate(leaves), *[answers[at] for at in same]
        )
        place = jnp.argmax(jnp.asarray(places) == number)
        mine = jax.tree.map(lambda leaf, at=place: leaf[at], stacked)
        exact = jax.vmap(lambda other, mine=mine: divergence(mine, other))(stacked)
        inside = jnp.any(jnp.asarray(places) == number)
        apart = jnp.where(inside, apart.at[places].set(exact), apart)
    return apart


def _agreement(side: Int[Array, "M T A"], lives: Bool[Array, "M T"]) -> Float[Array, "M M"]:
    """Share of decisions that are the same, over the steps on which both live."""
    both = (lives[:, None] & lives[None]).astype(jnp.float32)
    same = jnp.mean(side[:, None] == side[None], axis=-1, dtype=jnp.float32)
    return jnp.sum(same * both, axis=-1) / jnp.sum(both, axis=-1)


def _correlation(gain: Float[Array, "M T"], lives: Bool[Array, "M T"]) -> Float[Array, "M M"]:
    """Pearson's correlation over the steps on which both live."""
    both = (lives[:, None] & lives[None]).astype(jnp.float32)
    count = jnp.sum(both, axis=-1, keepdims=True)

    def centred(values: Float[Array, "#M #M T"]) -> Float[Array, "M M T"]:
        mean = jnp.sum(values * both, axis=-1, keepdims=True) / count
        return (values - mean) * both

    one, two = centred(gain[:, None]), centred(gain[None])
    spread = jnp.sqrt(jnp.sum(one * one, axis=-1) * jnp.sum(two * two, axis=-1))
    moves = spread > 1e-12
    return jnp.where(moves, jnp.sum(one * two, axis=-1) / jnp.where(moves, spread, 1), 0)
