"""What one gradient step of a learner that remembers takes and makes, and what the pages share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
from jaxtyping import Array, Float, Int, Key, UInt32

from steelyard.agents.replay import Batch
from steelyard.errors import ConfigError
from steelyard.rollout import Action, Env, Params
from steelyard.types import Space

Number: TypeAlias = float | Float[Array, ""]
Apart: TypeAlias = Callable[[Any], Float[Array, ""]]
"""Mean divergence of a batch of distributions from rivals, times lambda; see `diversity`."""


class Sample(NamedTuple):
    """A minibatch as networks take it.

    Attributes:
        vectors, next_vectors: before the first and after the last step.
        action: as the learner takes it.
        reward, discount, weight: see `replay.Batch`.
    """

    vectors: Float[Array, "B D"]
    next_vectors: Float[Array, "B D"]
    action: Action
    reward: Float[Array, " B"]
    discount: Float[Array, " B"]
    weight: Float[Array, " B"]


class Learned(NamedTuple):
    """What a gradient step makes.

    Attributes:
        policy, rest: the networks after it, as of `OffPolicyState`.
        losses: what the log reports.
        error: (B,) of the values, from which priorities are made.
    """

    policy: Any
    rest: Any
    losses: dict[str, Float[Array, ""]]
    error: Float[Array, " B"]


class LearnDraws(NamedTuple):
    """Random numbers of gradient steps: for the places drawn, for learning, to draw rivals."""

    places: UInt32[Array, "*R B"]
    learning: Any
    rivals: Key[Array, "*R"]
    number: Int[Array, "*R"]


def polyak(target: Any, trained: Any, tau: Number) -> Any:
    """Target networks, moved towards the trained ones by the fraction `tau`."""
    return jax.tree.map(lambda old, new: old + tau * (new - old), target, trained)


def require_box(name: str, space: Space) -> int:
    """A, the number of action components.

    Raises:
        ConfigError: the actions are numbered choices.
    """
    if space.choices:
        raise ConfigError(
            f"{name} acts in a box, the environment has {space.choices} choices", hint="use dqn"
        )
    return math.prod(space.shape)


def as_sample(batch: Batch, env: Env, params: Params) -> Sample:
    """The vectors of a minibatch, built once for all networks."""
    vectors, next_vectors = (
        jax.vmap(lambda obs: env.observe(obs, params))(obs) for obs in (batch.obs, batch.next_obs)
    )
    return Sample(vectors, next_vectors, batch.action, batch.reward, batch.discount, batch.weight)
