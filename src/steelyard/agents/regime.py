"""One agent for rising markets and another for falling ones (Kuxlnw, FinRL Contest 2025, task 1).

The published way merges short regimes into the one before, which needs their end to be known, and
rescales the account at every change. Here a regime counts once it has lasted, as far as is known at
the close of the row, and there is one account: whoever takes over pays for what it changes.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steelyard.agents.cppo import CPPO
from steelyard.agents.ensemble import Combination
from steelyard.agents.population import Population
from steelyard.agents.ppo import PPO
from steelyard.agents.vectors import WholeVectors
from steelyard.agents.views import market_in
from steelyard.agents.voting import vote
from steelyard.errors import ConfigError, ContractError
from steelyard.market import Market
from steelyard.registry import member
from steelyard.rollout import Act, Carry, Env, Obs, Params, bind


@member("agents", "ppo_cppo_regime")
class Regime(Combination):
    """PPO while the market rises, CPPO while it falls.

    The market rises while the mean of its index over `fast` rows is above that over `slow` rows.
    The index weighs all listed assets equally: its return is the mean of theirs. A new regime
    counts once it has lasted `confirm` rows. Before there are `slow` rows the market counts as
    rising, as published.

    Attributes:
        population: two groups of one member: for rising, for falling markets.
        fast, slow: rows of the two means.
        confirm: rows until a new regime counts; 1 = at once.
    """

    population: Population = eqx.field(
        default_factory=lambda: Population(((PPO(), 1), (CPPO(), 1)))
    )
    fast: int = eqx.field(static=True, default=50)
    slow: int = eqx.field(static=True, default=200)
    confirm: int = eqx.field(static=True, default=30)

    def __check_init__(self) -> None:
        """Settings that cannot hold are refused before anything is compiled."""
        if self.population.counts != (1, 1):
            raise ConfigError(
                f"one agent for each of two regimes, not {list(self.population.counts)}",
                hint="Regime(Population(((PPO(), 1), (CPPO(), 1))))",
            )
        if not 1 <= self.fast < self.slow or self.confirm < 1:
            raise ConfigError(
                f"fast {self.fast} must be below slow {self.slow}, and confirm {self.confirm} "
                "positive",
                hint="use fast=50, slow=200, confirm=30",
            )

    def combine(
        self, policies: tuple[Any, ...], sharpe: Float[Array, " M"] | None = None
    ) -> RegimePolicy:
        """The two policies and the rule that changes between them; Sharpe ratios play no part."""
        del sharpe
        even = jnp.full(2, 0.5, jnp.float32)
        return RegimePolicy(policies, even, self.fast, self.slow, self.confirm)


class RegimePolicy(eqx.Module):
    """Two policies, of which the regime of the row lets one decide.

    Attributes:
        groups: for rising, for falling markets; each with a leading axis of one member.
        weights: (2,) how much each counts before anything is known of the market, for reports.
        fast, slow, confirm: see `Regime`.
    """

    groups: tuple[Any, ...]
    weights: Float[Array, "*W K"]
    fast: int = eqx.field(static=True)
    slow: int = eqx.field(static=True)
    confirm: int = eqx.field(static=True)

    def initial_carry(self) -> Carry:
        """Per policy its memory; both see every row."""
        return tuple(jax.vmap(lambda one: one.initial_carry())(group) for group in self.groups)

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Any, Carry]:
        """Always raises: the regime is read from the market, not from a vector."""
        raise ContractError(
            "an agent that changes with the regime decides on the stored observation",
            hint="use steelyard.rollout.bind(policy, env, params)",
        )

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations, which must name their `row`."""
        whole = WholeVectors(env)
        rising = rises(market_in(params), self.fast, self.slow, self.confirm)

        def act(obs: Obs, carry: Carry) -> tuple[Any, Carry]:
            answers = [
                jax.vmap(lambda policy, memory: bind(policy, whole, params)(obs, memory))(*pair)
                for pair in zip(self.groups, carry, strict=True)
            ]
            parts, memories = zip(*answers, strict=True)
            up = rising[obs.row]
            return vote(parts, jnp.stack([up, ~up]).astype(jnp.float32)), memories

        return act


def rises(market: Market, fast: int, slow: int, confirm: int) -> Bool[Array, " T"]:
    """Whether the market counts as rising at the close of each row; see `Regime`.

    Row t depends on marks up to row t and on nothing later.
    """
    level = equal_index(market)
    row = jnp.arange(len(level))
    above = _mean_of_last(level, fast) > _mean_of_last(level, slow)
    above = jnp.where(row < slow - 1, True, above)
    changed = jnp.concatenate([jnp.zeros(1, bool), above[1:] != above[:-1]])
    begun = jax.lax.cummax(jnp.where(changed, row, 0))
    sure = jax.lax.cummax(jnp.where(row - begun + 1 >= confirm, row, -1))
    return jnp.where(sure >= 0, above[jnp.maximum(sure, 0)], True)


def equal_index(market: Market) -> Float[Array, " T"]:
    """Index, from 1, of the mean return of the assets that are listed on a row and before it."""
    before, after = market.mark[:-1], market.mark[1:]
    listed = (before > 0) & (after > 0)
    change = jnp.where(listed, after / jnp.where(listed, before, 1) - 1, 0).astype(jnp.float32)
    mean = jnp.sum(change, axis=1) / jnp.maximum(jnp.sum(listed, axis=1), 1)
    return jnp.exp(jnp.cumsum(jnp.append(jnp.zeros(1, jnp.float32), jnp.log1p(mean))))


def _mean_of_last(level: Float[Array, " T"], rows: int) -> Float[Array, " T"]:
    """Mean of the last `rows` values; of nothing but zeros before there are any."""
    total: Float[Array, " T"] = jax.lax.reduce_window(
        level, jnp.zeros((), level.dtype), jax.lax.add, (rows,), (1,), [(rows - 1, 0)]
    )
    return total / rows
