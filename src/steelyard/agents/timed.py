"""Agents without learning that look at the clock, or at nothing."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from steelyard.agents.distributions import Deterministic
from steelyard.errors import ConfigError
from steelyard.registry import member
from steelyard.rollout import Act, Env, Obs, Params, Policy
from steelyard.types import Space


class Always(eqx.Module):
    """The same choice at every step.

    Attributes:
        choice: its number.
    """

    choice: int = eqx.field(static=True)

    def initial_carry(self) -> None:
        """Nothing to remember."""

    def __call__(self, vector: Float[Array, " D"], carry: None) -> tuple[Deterministic, None]:
        """The choice, whatever the observation."""
        del vector
        return Deterministic(jnp.asarray(self.choice, jnp.int32)), carry


class Timed(eqx.Module):
    """Enters, waits, leaves, and begins again.

    Attributes:
        space: of the actions; of a box, all of it is bought and sold.
        hold: decisions from entry to exit.
        column: of the observation; its sign at the entry is the direction, 0 is up. Always up
            where None.
    """

    space: Space = eqx.field(static=True)
    hold: int = eqx.field(static=True)
    column: int | None = eqx.field(static=True, default=None)

    def initial_carry(self) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Decisions since the last entry, and its direction."""
        return jnp.zeros((), jnp.int32), jnp.ones((), jnp.int32)

    def __call__(self, vector: Float[Array, " D"], carry: Any) -> tuple[Deterministic, Any]:
        """Enter at age 0, leave at age `hold`, else wait."""
        age, direction = carry
        if self.column is not None:
            seen = jnp.where(vector[self.column] < 0, -1, 1)
            direction = jnp.where(age == 0, seen, direction).astype(jnp.int32)
        leaves = age == self.hold
        side = jnp.where(leaves, -direction, jnp.where(age == 0, direction, 0))
        following = jnp.where(leaves, 0, age + 1).astype(jnp.int32)
        return Deterministic(self._action(side)), (following, direction)

    def _action(self, side: Int[Array, ""]) -> Array:
        """Buy, wait or sell."""
        space = self.space
        if space.choices:
            traded = jnp.where(side > 0, space.choices - 1, 0)
            return jnp.where(side == 0, space.idle, traded).astype(jnp.int32)
        bound = jnp.where(side > 0, space.high, jnp.where(side < 0, space.low, 0.0))
        return jnp.full(space.shape, bound, jnp.float32)

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations; without a column no vector is built."""
        if self.column is None:
            return lambda obs, carry: self(jnp.zeros(0), carry)

        def act(obs: Obs, carry: Any) -> tuple[Deterministic, Any]:
            return self(env.observe(obs, params), carry)

        return act


@member("agents", "fixed_time_exit")
class FixedTimeExit(eqx.Module):
    """Enters, leaves a fixed time later, and begins again: the baseline of the paper's Table 7.

    The paper does not say when it enters or how long it stays; here it always goes long, or in the
    direction of one column of the observation, and stays for 60 decisions.

    Attributes:
        hold: decisions from entry to exit.
        signal: column of the market whose sign is the direction; always long where empty.
    """

    hold: int = eqx.field(static=True, default=60)
    signal: str = eqx.field(static=True, default="")
    learns: ClassVar[bool] = False

    def __check_init__(self) -> None:
        """Refuse settings that cannot hold."""
        if self.hold < 1:
            raise ConfigError(f"hold must be at least 1, got {self.hold}", hint="hold=60")

    def train(self, key: PRNGKeyArray, env: Env, params: Params) -> tuple[Policy, dict[str, Array]]:
        """A clock.

        Raises:
            ConfigError: the market has no column of that name.
        """
        del key
        column = None if not self.signal else self._column(env, params)
        return Timed(env.action_space(params), self.hold, column), {}

    def prepare(
        self, key: PRNGKeyArray, env: Env, params: Params
    ) -> tuple[Policy, dict[str, Array]]:
        """The same clock: it needs nothing of the rows that are traded."""
        return self.train(key, env, params)

    def _column(self, env: Env, params: Params) -> int:
        names: tuple[str, ...] = getattr(getattr(params, "market", None), "columns", ())
        if self.signal not in names:
            raise ConfigError(
                f"the market has no column `{self.signal}`",
                hint="it has: " + (", ".join(names) or "none"),
            )

        def observed(key: PRNGKeyArray) -> Array:
            return env.observe(env.reset(key, params)[1].obs, params)

        vector = jax.eval_shape(observed, jax.random.key(0))
        return int(vector.shape[0]) - len(names) + names.index(self.signal)
