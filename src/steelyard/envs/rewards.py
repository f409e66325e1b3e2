"""Rewards: what a step is worth to the learner. The account is the same under all of them."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

Memory: TypeAlias = Float[Array, " M"]
"""What a reward remembers between the steps of an episode."""


class Reward(Protocol):
    """A reward reads the account value before and after a step, in quote currency."""

    def initial(self, value: Float[Array, ""]) -> Memory:
        """The memory at the start of an episode with that value."""
        ...

    def __call__(
        self, memory: Memory, before: Float[Array, ""], after: Float[Array, ""]
    ) -> tuple[Memory, Float[Array, ""]]:
        """The memory for the next step, and the reward."""
        ...


class ValueChange(eqx.Module):
    """Change of the account value times `scale`: the paper's reward (section 3.2).

    Summed over an episode and divided by `scale` it is the profit, to the cent.
    """

    scale: float = 1e-4

    def initial(self, value: Float[Array, ""]) -> Memory:
        """Nothing to remember."""
        return jnp.zeros(0, value.dtype)

    def __call__(
        self, memory: Memory, before: Float[Array, ""], after: Float[Array, ""]
    ) -> tuple[Memory, Float[Array, ""]]:
        """`scale * (after - before)`."""
        return memory, self.scale * (after - before)


class RiskPenalised(eqx.Module):
    """Change of value minus a price on its square (Ritter, 2017, "Machine learning for trading").

    Attributes:
        scale: as in `ValueChange`.
        aversion: risk aversion on the return of the step; 0 gives `ValueChange`. A step that
            moves the account by a fraction r costs `aversion / 2 * r**2` of its value.
    """

    scale: float = 1e-4
    aversion: float = 1.0

    def initial(self, value: Float[Array, ""]) -> Memory:
        """Nothing to remember."""
        return jnp.zeros(0, value.dtype)

    def __call__(
        self, memory: Memory, before: Float[Array, ""], after: Float[Array, ""]
    ) -> tuple[Memory, Float[Array, ""]]:
        """`scale * (change - aversion / 2 * change**2 / before)`."""
        change = after - before
        penalty = 0.5 * self.aversion * change * change / jnp.maximum(before, 1e-9)
        return memory, self.scale * (change - penalty)


class DifferentialSharpe(eqx.Module):
    """Marginal contribution of a step to the Sharpe ratio (Moody & Saffell, 2001, eq. 13-14).

    Attributes:
        rate: adaptation rate of the moving moments; about one over the horizon in steps.
        variance: starting value of the second moment, a squared return per step; keeps the first
            steps of an episode finite.
    """

    rate: float = 1 / 252
    variance: float = 1e-4

    def initial(self, value: Float[Array, ""]) -> Memory:
        """First and second moment of the returns so far."""
        return jnp.array([0.0, self.variance], value.dtype)

    def __call__(
        self, memory: Memory, before: Float[Array, ""], after: Float[Array, ""]
    ) -> tuple[Memory, Float[Array, ""]]:
        """`(B dA - A dB / 2) / (B - A**2)**1.5` with A, B the moving moments before the step."""
        mean, square = memory
        gain = after / jnp.maximum(before, 1e-9) - 1
        mean_change, square_change = gain - mean, gain * gain - square
        spread = jnp.maximum(square - mean * mean, 1e-12)
        ratio = (square * mean_change - 0.5 * mean * square_change) / spread**1.5
        moved = jnp.stack([mean + self.rate * mean_change, square + self.rate * square_change])
        return moved, ratio
