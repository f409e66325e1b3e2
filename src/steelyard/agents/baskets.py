"""Policies without networks: one works towards a basket of shares, one draws at random.

`BasketPolicy` is the fast path of this package's own agents: it holds arrays of all rows, row t of
which uses rows up to t. `steelyard.agents.basket_rules` says the same one decision after another.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from steelyard.agents.distributions import Deterministic
from steelyard.errors import ConfigError, ContractError
from steelyard.ledger import Account, equity
from steelyard.market import Market
from steelyard.rollout import Act, Carry, Env, Obs, Params
from steelyard.types import Space


class Plan(NamedTuple):
    """What a `BasketPolicy` remembers: the units it works towards, once it has decided on any."""

    target: Int[Array, " N"]
    decided: Bool[Array, ""]


class BasketPolicy(eqx.Module):
    """Puts the whole account into a basket on the rows of decision, and works towards it between.

    A decision fixes a number of whole units of each asset: what the account's value at the close
    buys at that close, commission included, in the proportions of the basket. An order that
    `max_shares` cuts goes on at the next rows until these units are held. An asset that does not
    trade at a decision is left as it is; the rest of the account is put into the others.

    Attributes:
        basket: (T, N) units of each asset in proportion to each other; all 0 = hold cash.
        trading: (T, N) whether each asset trades, as known at the row.
        decides: (T,) rows of decision; the first row of an episode always is one.
    """

    basket: Float[Array, "T N"]
    trading: Bool[Array, "T N"]
    decides: Bool[Array, " T"]

    def initial_carry(self) -> Plan:
        """Nothing decided yet."""
        return Plan(jnp.zeros(self.basket.shape[1], jnp.int32), jnp.zeros((), bool))

    def __call__(self, vector: Float[Array, " D"], carry: Carry) -> tuple[Deterministic, Plan]:
        """Always raises: the account is read from the stored observation, not from its vector."""
        raise ContractError(
            "an agent without learning decides on the stored observation, not on its vector",
            hint="use steelyard.rollout.bind(policy, env, params), or the rule that train makes",
        )

    def bind(self, env: Env, params: Params) -> Act:
        """The policy on stored observations with `account` and `row`.

        Raises:
            ConfigError: it was prepared on a market of another shape.
        """
        market = market_of(env, params)
        if market.mark.shape != self.basket.shape:
            raise ConfigError(
                f"the agent was prepared on a market of shape {self.basket.shape} and is asked to "
                f"trade one of {market.mark.shape}",
                hint="call prepare(key, env, params) with the params of the window to trade",
            )

        def act(obs: Obs, plan: Plan) -> tuple[Deterministic, Plan]:
            mark, trading, units = market.mark[obs.row], self.trading[obs.row], obs.account.units
            free = Account(obs.account.cash, jnp.where(trading, units, 0))
            basket = jnp.where(trading, self.basket[obs.row], 0)
            chosen = affordable_units(basket, equity(free, mark), mark * (1 + params.cost))
            chosen = jnp.where(trading, chosen, units.astype(jnp.int32))
            decides = self.decides[obs.row] | ~plan.decided
            target = jnp.where(decides, chosen, plan.target)
            order = target.astype(mark.dtype) - units
            action = action_for(order, params.max_shares)
            return Deterministic(action), Plan(target, jnp.ones((), bool))

        return act


class RandomPolicy(eqx.Module):
    """Draws every action anew, uniformly, and the same ones in every episode.

    Attributes:
        key: seed of the draws.
        space: where actions come from.
    """

    key: PRNGKeyArray
    space: Space = eqx.field(static=True)

    def initial_carry(self) -> Int[Array, ""]:
        """Steps since the start of the episode."""
        return jnp.zeros((), jnp.int32)

    def __call__(
        self, vector: Float[Array, " D"], carry: Int[Array, ""]
    ) -> tuple[Deterministic, Int[Array, ""]]:
        """A draw, whatever the observation."""
        del vector
        key, space = jax.random.fold_in(self.key, carry), self.space
        if space.choices:
            draw = jax.random.randint(key, (), 0, space.choices, jnp.int32)
        else:
            draw = jax.random.uniform(key, space.shape, jnp.float32, space.low, space.high)
        return Deterministic(draw), carry + 1


def affordable_units(
    basket: Float[Array, " N"], value: Float[Array, ""], price: Float[Array, " N"]
) -> Int[Array, " N"]:
    """Whole units of each asset, in the proportions of `basket`, that `value` buys at `price`."""
    basket = basket.astype(price.dtype)
    total = jnp.sum(basket * price)
    units = basket * jnp.where(total > 0, value / jnp.where(total > 0, total, 1), 0)
    # a whole number that rounding has put just below itself stays what it is
    return jnp.clip(jnp.floor(units * (1 + 1e-6)), 0, 2**30).astype(jnp.int32)


def action_for(
    order: Float[Array, " N"], max_shares: float | Float[Array, ""]
) -> Float[Array, " N"]:
    """The action in [-1, 1] that orders exactly `order` whole shares, or as many as it may.

    Markets truncate `action * max_shares` towards zero; half a share more keeps rounding away from
    the edge. Exact for `max_shares` up to two million.
    """
    aimed = order + 0.5 * jnp.sign(order)
    return jnp.clip(aimed / max_shares, -1, 1).astype(jnp.float32)


def market_of(env: Env, params: Params) -> Market:
    """The market of `params`, where orders in shares of N assets are possible.

    Raises:
        ConfigError: there is none, or actions are not one number per asset.
    """
    market: Market | None = getattr(params, "market", None)
    if market is None or env.action_space(params).shape != (market.assets,):
        raise ConfigError(
            f"agents without learning trade shares of many assets; {type(env).__name__} does not",
            hint="use random, hold_cash, buy_and_hold or fixed_time_exit",
        )
    return market
