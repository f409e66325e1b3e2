"""Losses and estimators, written for one sample or one trajectory; callers vmap."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def generalized_advantage(
    reward: Float[Array, " T"],
    value: Float[Array, " T"],
    next_value: Float[Array, " T"],
    terminated: Bool[Array, " T"],
    truncated: Bool[Array, " T"],
    discount: float | Float[Array, ""],
    decay: float | Float[Array, ""],
) -> Float[Array, " T"]:
    """Generalised advantage estimates (Schulman et al., 2016, eq. 16).

    Args:
        reward: of each step.
        value: of the observation before each step.
        next_value: of the observation after each step, from before any reset. It counts where
            the episode was truncated and not where it terminated.
        terminated, truncated: how each step ended; neither lets an advantage pass.
        discount, decay: gamma and lambda, in [0, 1].
    """
    alive = 1.0 - terminated.astype(value.dtype)
    passes = 1.0 - (terminated | truncated).astype(value.dtype)
    delta = reward + discount * alive * next_value - value

    def back(
        advantage: Float[Array, ""], step: tuple[Float[Array, ""], Float[Array, ""]]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        delta, passes = step
        advantage = delta + discount * decay * passes * advantage
        return advantage, advantage

    start = jnp.zeros((), value.dtype)
    return jax.lax.scan(back, start, (delta, passes), reverse=True)[1]


def policy_gradient(
    log_prob: Float[Array, "*B"], advantage: Float[Array, "*B"]
) -> Float[Array, "*B"]:
    """A loss whose gradient is that of the return (Mnih et al., 2016, section 4).

    Args:
        log_prob: of the action taken.
        advantage: of that action.
    """
    return -log_prob * advantage


def clipped_surrogate(
    ratio: Float[Array, "*B"], advantage: Float[Array, "*B"], clip: float | Float[Array, ""]
) -> Float[Array, "*B"]:
    """PPO's pessimistic objective as a loss (Schulman et al., 2017, eq. 7).

    Args:
        ratio: new over old probability of the action taken.
        advantage: of that action.
        clip: epsilon, > 0.
    """
    clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
    return -jnp.minimum(ratio * advantage, clipped * advantage)


def standardise(values: Float[Array, " B"]) -> Float[Array, " B"]:
    """Shift to mean 0 and scale to standard deviation 1 over the batch."""
    return (values - jnp.mean(values)) / (jnp.std(values) + 1e-8)
