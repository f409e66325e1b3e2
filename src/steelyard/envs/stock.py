"""Trading many stocks in whole shares, one decision a bar."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num, PRNGKeyArray

from steelyard.envs.constraints import Limits, gate_fires, limit_order
from steelyard.envs.rewards import Memory, Reward, ValueChange
from steelyard.lanes import batch_last, draw_below, take_row, total
from steelyard.ledger import Account, equity, execute
from steelyard.market import Market, Quotes
from steelyard.registry import member
from steelyard.rollout import TimeStep
from steelyard.types import Space


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
    """An episode in progress.

    Attributes:
        account: what is owned.
        value: () of it at the close of `row`, in the money of the market.
        row: () index of the bar whose close is known.
        steps: () steps taken.
        memory: of the reward.
    """

    account: Account
    value: Float[Array, ""]
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
        choices = jnp.stack([jnp.maximum(latest - first, 0), jnp.asarray(params.stagger)])
        later, age = draw_below(key, choices.astype(jnp.int32) + 1)
        money = market.mark.dtype
        cash = jnp.asarray(params.cash, money) * market.money
        cash = jnp.round(cash) if market.exact else cash
        account = Account(cash, jnp.zeros(market.assets, money))
        memory = params.reward.initial(jnp.asarray(params.cash, money))
        state = StockState(account, cash, first + later, age, memory)
        return state, self._answer(state, params, jnp.zeros((), money))

    def step(
        self,
        key: PRNGKeyArray,
        state: StockState,
        action: Float[Array, " N"],
        params: StockParams,
    ) -> tuple[StockState, TimeStep]:
        """Decide at the close of `state.row`, fill, and value at the close of the next bar."""
        del key  # history is deterministic
        market, row = params.market, state.row
        gated = gate_fires(params.limits, market, row, state.steps == 0)
        account, value, order = self._settle(state, action, gated, params)
        memory, reward = params.reward(
            state.memory, state.value / market.money, value / market.money
        )
        state = StockState(account, value, row + 1, state.steps + 1, memory)
        return state, self._answer(state, params, reward, order, gated)

    def _settle(
        self, state: StockState, action: Float[Array, " N"], gated: Bool[Array, ""], p: StockParams
    ) -> tuple[Account, Float[Array, ""], Float[Array, " N"]]:
        """The account after an order, its value at the next close, and the order as decided."""
        exact, short = p.market.exact, self.short

        @batch_last
        def settle(
            account: Account,
            value: Float[Array, "*#B"],
            action: Float[Array, "N *#B"],
            quotes: Quotes,
            mark: Float[Array, "N *#B"],
            rules: tuple[Limits, Any, Any, Any],
        ) -> tuple[Account, Float[Array, "*#B"], Float[Array, "N *#B"]]:
            limits, gated, cost, max_shares = rules
            order = whole_shares(action, max_shares).astype(account.units.dtype)
            limited = limit_order(order, account, value, quotes.ask, limits, closed=gated)
            bid, ask, tradable = quotes
            account = execute(account, limited, bid, ask, tradable, cost, exact=exact, short=short)
            return account, equity(account, mark), order

        quotes, mark = p.market.quotes(state.row), take_row(p.market.mark, state.row + 1)
        rules = (p.limits, gated, p.cost, p.max_shares)
        settled: tuple[Account, Float[Array, ""], Float[Array, " N"]]
        settled = settle(state.account, state.value, action, quotes, mark, rules)
        return settled

    def _answer(
        self,
        state: StockState,
        params: StockParams,
        reward: Float[Array, ""],
        order: Float[Array, " N"] | None = None,
        gated: Bool[Array, ""] | None = None,
    ) -> TimeStep:
        account = state.account
        return TimeStep(
            obs=StockObs(account, state.row),
            reward=reward,
            terminated=state.value <= 0,
            truncated=(state.steps >= params.length) | (state.row >= params.last),
            info={
                "value": state.value / params.market.money,
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
        start = market.money * params.cash
        parts: Float[Array, " O"] = _account_parts(
            obs.account, take_row(market.mark, obs.row), start
        )
        return parts

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


@batch_last
def _account_parts(
    account: Account, mark: Float[Array, "N *#B"], start: Float[Array, "*#B"]
) -> Float[Array, "O *#B"]:
    """Log of the value over that at the start; cash and holdings as fractions of the value."""
    held = account.units * mark
    value = account.cash + total(held)
    safe = jnp.maximum(value, mark.dtype.type(1e-6))
    growth = jnp.log(safe / start)
    parts = [growth[None], (account.cash / safe)[None], held / safe]
    return jnp.concatenate([part.astype(jnp.float32) for part in parts])


def whole_shares(
    action: Float[Array, "N *#B"], max_shares: float | Num[Array, "*#B"]
) -> Float[Array, "N *#B"]:
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
