"""Policies that keep away from each other: the KL term of equation 5 of the paper.

J'_i = J_i + lambda * sum_{j != i} KL(pi_i || pi_j), with a gradient that reaches pi_i. A learner
that may be one of several takes `peers` in `advance`, draws rivals from them once per gradient
step and adds `keep_apart` to its objective, averaged over the observations of the batch.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from steelyard.rollout import Env, Obs, Params, bind

CAP = 10.0
"""Nats of divergence from one rival beyond which nothing more is gained."""


class Peers(eqx.Module):
    """The other policies of a population, for one learner.

    Attributes:
        groups: policies that share a structure, stacked along a leading axis M.
        weights: (M,) for each group, lambda for a peer and 0 for the learner itself.
    """

    groups: tuple[Any, ...]
    weights: tuple[Float[Array, " M"], ...]


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


def divergence(one: Any, other: Any) -> Float[Array, ""]:
    """KL(one || other) in nats; of the normal distributions near them where they differ in kind."""
    if type(one) is type(other):
        exact: Float[Array, ""] = one.kl(other)
        return exact
    near: Float[Array, ""] = one.normal().kl(other.normal())
    return near
