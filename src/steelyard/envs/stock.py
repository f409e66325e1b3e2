"""Trading many stocks in whole shares, one decision a bar."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num, PRNGKeyArray

from steelyard.envs.constraints import Limits, gate_fires, limit_order
from steelyard.envs.rewards import Memory, Reward, ValueChange
from steelyard.ledger import Account, equity, execute
from steelyard.market import Market
from steelyard.registry import member
from steelyard.rollout import Space, TimeStep


class StockParams(eqx.Module):
    """The settings of `StockEnv`; every leaf can be vmapped.

    Attributes:
        market: prices, gauges and the table of observations.
        first: first row on which an episode may start.
        last: last row that an episode may reach.
        length: steps of an episode; episodes shorter than `last - first` start at random rows.
        cash: starting capital, in quote currency.
        cost: commission on each side as a fraction of the traded value, in [0, 1).
        max_shares: shares of one asset that an action of 1 orders (the published `hmax`).
        stagger: an episode is shortened by 0 to `stagger` steps, drawn evenly, so that parallel
            episodes do not all end together; 0 in a backtest.
        limits: risk gates and limits.
        reward: what a step is worth to the learner.
    """

    market: Market
    first: int | Int[Array, ""]
    last: int | Int[Array, ""]
    length: int | Int[Array, ""]
    cash: float | Float[Array, ""] = 1_000_000.0
    cost: float | Float[Array, ""] = 1e-3
    max_shares: float | Num[Array, ""] = 100.0
    stagger: int | Int[Array, ""] = 0
    limits: Limits = Limits()
    reward: Reward = ValueChange()


class StockObs(NamedTuple):
    """What a step stores of an observation: the account and the row of the market.

    Attributes:
        account: cash and units, in the money of the market.
        row: () index of the bar whose close is known.
    """

    account: Account
    row: Int[Array, ""]


class StockState(NamedTuple):
    """An episode in progress: the account, the row, the steps taken, the memory of the reward."""

    account: Account
    row: Int[Array, ""]
    steps: Int[Array, ""]
    memory: Memory


@member("envs", "stock")
class StockEnv(eqx.Module):
    """Many stocks, whole shares, one decision a bar; the account of DESIGN section 4.

    * Observation: `2 + N + D` float32. Log of value over starting capital; cash and each holding
      as fractions of the value; row t of `market.table`.
    * Action: N numbers, clipped to [-1, 1], times `max_shares`, truncated to whole shares; + buys,
      - sells.
    * Fills: at `market.bid` and `market.ask`; by default the open of the next bar.
    * Reward: `params.reward` of the account value from close to close.
    * Ends: truncated after `length` steps or at row `last`; terminated when the value is not
      positive (long-short only).
    * Info: `value`, `cash`, `units` after the step, `order` in whole shares as decided, `gated`.

    Attributes:
        short: holdings may become negative. Set a leverage limit then; shorting costs no borrow
            fee here.
        published: observe as the reference environment does: `[cash, close, shares, indicators]`,
            unscaled; the table then holds close and indicators as they are.
    """

    short: bool = eqx.field(static=True, default=False)
    published: bool = eqx.field(static=True, default=False)

    def reset(self, key: PRNGKeyArray, params: StockParams) -> tuple[StockState, TimeStep]:
        """All cash, at a random row from which a whole episode fits."""
        market = params.market
        latest = jnp.asarray(params.last - params.length, jnp.int32)
        first = jnp.asarray(params.first, jnp.int32)
        row_key, age_key = jax.random.split(key)
        row = jax.random.randint(row_key, (), first, jnp.maximum(latest, first) + 1, jnp.int32)
        money = market.mark.dtype
        cash = jnp.asarray(params.cash, money) * market.money
        cash = jnp.round(cash) if market.exact else cash
        account = Account(cash, jnp.zeros(market.assets, money))
        memory = params.reward.initial(jnp.asarray(params.cash, money))
        age = jax.random.randint(age_key, (), 0, jnp.asarray(params.stagger, jnp.int32) + 1)
        state = StockState(account, row, age.astype(jnp.int32), memory)
        step = self._answer(state, equity(account, market.mark[row]), params, jnp.zeros((), money))
        return state, step

    def step(
        self,
        key: PRNGKeyArray,
        state: StockState,
        action: Float[Array, " N"],
        params: StockParams,
    ) -> tuple[StockState, TimeStep]:
        """Decide at the close of `state.row`, fill, and value at the close of the next bar."""
        del key  # history is deterministic
        market, account, row = params.market, state.account, state.row
        before = equity(account, market.mark[row])
        order = whole_shares(action, params.max_shares).astype(account.cash.dtype)
        gated = gate_fires(params.limits, market, row, state.steps == 0)
        limited = limit_order(order, account, before, market.ask[row], params.limits, closed=gated)
        account = execute(
            account,
            limited,
            market.bid[row],
            market.ask[row],
            market.tradable[row],
            params.cost,
            exact=market.exact,
            short=self.short,
        )
        after = equity(account, market.mark[row + 1])
        memory, reward = params.reward(state.memory, before / market.money, after / market.money)
        state = StockState(account, row + 1, state.steps + 1, memory)
        return state, self._answer(state, after, params, reward, order, gated)

    def _answer(
        self,
        state: StockState,
        value: Float[Array, ""],
        params: StockParams,
        reward: Float[Array, ""],
        order: Float[Array, " N"] | None = None,
        gated: Bool[Array, ""] | None = None,
    ) -> TimeStep:
        account = state.account
        return TimeStep(
            obs=StockObs(account, state.row),
            reward=reward,
            terminated=value <= 0,
            truncated=(state.steps >= params.length) | (state.row >= params.last),
            info={
                "value": value / params.market.money,
                "cash": account.cash / params.market.money,
                "units": account.units,
                "order": jnp.zeros_like(account.units) if order is None else order,
                "gated": jnp.asarray(False) if gated is None else gated,
            },
        )

    def own(self, obs: StockObs, params: StockParams) -> Float[Array, " O"]:
        """The account as networks see it: log growth, cash and holdings as fractions of value."""
        market = params.market
        if self.published:
            return jnp.append(obs.account.cash / market.money, obs.account.units)
        held = obs.account.units * market.mark[obs.row]
        value = obs.account.cash + jnp.sum(held)
        safe = jnp.maximum(value, market.mark.dtype.type(1e-6))
        growth = jnp.log(safe / (market.money * params.cash))
        fractions = jnp.append(obs.account.cash, held) / safe
        return jnp.append(growth, fractions).astype(jnp.float32)

    def table(self, params: StockParams) -> Float[Array, "T D"]:
        """The market part of the observation, row by row."""
        return params.market.table

    def observe(self, obs: StockObs, params: StockParams) -> Float[Array, " D"]:
        """The whole vector; see the class for its layout."""
        own, shared = self.own(obs, params), params.market.table[obs.row]
        if not self.published:
            return jnp.append(own, shared)
        assets = params.market.assets
        return jnp.concatenate([own[:1], shared[:assets], own[1:], shared[assets:]])

    def action_space(self, params: StockParams) -> Space:
        """N numbers in [-1, 1]."""
        return Space(shape=(params.market.assets,))


def whole_shares(
    action: Float[Array, " N"], max_shares: float | Num[Array, ""]
) -> Float[Array, " N"]:
    """An action in [-1, 1] as whole shares, truncated towards zero, in float32.

    One precision for this product everywhere, so that a recorded action means the same order in
    training, in a scored backtest and when a bundle is verified.
    """
    scaled = jnp.clip(action.astype(jnp.float32), -1, 1) * jnp.asarray(max_shares, jnp.float32)
    return jnp.trunc(scaled)


def whole_window(
    market: Market, first: int, last: int, *, cash: float = 1_000_000.0, cost: float = 1e-3
) -> StockParams:
    """Params for one pass over the rows `first`..`last`, as a backtest makes it."""
    return StockParams(market, first=first, last=last, length=last - first, cash=cash, cost=cost)
