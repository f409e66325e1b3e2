"""Trading one asset in its limit order book."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from steelyard.envs.book_rules import (
    AGENT,
    CAPITAL,
    THIN,
    Holding,
    agent_order,
    forced_exit,
)
from steelyard.envs.book_settings import LADDER, BookParams, book_window, read_cost, unit_size
from steelyard.envs.rewards import Memory, ValueChange
from steelyard.ledger import Trade, share_of, trade
from steelyard.registry import member
from steelyard.rollout import TimeStep
from steelyard.types import Space

__all__ = ["BookObs", "BookParams", "BookState", "OrderBookEnv", "book_window"]


class BookObs(NamedTuple):
    """What a step stores of an observation: the account's part, and the row of the book.

    Attributes:
        own: (3,) see `OrderBookEnv`.
        row: () index of the book that is known.
    """

    own: Float[Array, "3"]
    row: Int[Array, ""]


class BookState(NamedTuple):
    """An episode in progress.

    Attributes:
        cash: () in the money of the market.
        position: () units, whole.
        age: () decisions since the position was opened.
        best: () best mid since then.
        profit: () what the position has earned since then, costs included.
        mark: () mid of the row.
        row, left, jump: () where the episode stands; see `BookMarket`.
        steps: () decisions made.
        memory: of the reward.
    """

    cash: Float[Array, ""]
    position: Float[Array, ""]
    age: Int[Array, ""]
    best: Float[Array, ""]
    profit: Float[Array, ""]
    mark: Float[Array, ""]
    row: Int[Array, ""]
    left: Int[Array, ""]
    jump: Int[Array, ""]
    steps: Int[Array, ""]
    memory: Memory


@member("envs", "orderbook")
class OrderBookEnv(eqx.Module):
    """One asset in its limit order book: sell, hold or buy, long and short.

    * Observation: `3 + D` float32. Position over `max_position`; decisions it has been held over
      `max_holding`; tanh of what it has earned since it was opened, costs included, in per cent of
      what it is worth; row t of `market.table`.
    * Action: 0 sells, 1 holds, 2 buys `order_size` units. Rules come first: see `book_rules`.
    * Fills: all or nothing in the book of `delay` rows after the decision, level by level.
    * Reward: `params.reward` of the account value from decision to decision, at the mid.
    * Clock: one decision every `step_gap` rows; over a gap, on the first row of the next segment
      that is warmed up, always without a position.
    * Ends: truncated after `length` decisions or where no fill is possible up to row `last`, always
      without a position; terminated when the value is not positive.
    * Info: `value`, `cash`, `units` after the step; the `order` that filled, its value `traded` and
      what it `paid` against the mid, fee included; the `rule` that spoke (`book_rules.RULES`);
      `row` and the row of the `fill`. Money in quote currency, units and order in base units.
    """

    def reset(self, key: PRNGKeyArray, params: BookParams) -> tuple[BookState, TimeStep]:
        """All cash, at a random row from which a whole episode fits."""
        market = params.market
        first, last = (jnp.asarray(row, jnp.int32) for row in (params.first, params.last))
        extent = params.length * params.step_gap if params.extent is None else params.extent
        latest = last - jnp.asarray(extent, jnp.int32)
        row_key, age_key = jax.random.split(key)
        row = jax.random.randint(row_key, (), first, jnp.maximum(latest, first) + 1, jnp.int32)
        row = jnp.minimum(row + market.wait[row], last)
        steps = jax.random.randint(age_key, (), 0, jnp.asarray(params.stagger, jnp.int32) + 1)
        nothing, none = jnp.zeros((), market.mark.dtype), jnp.zeros((), jnp.int32)
        cash = jnp.asarray(params.cash, market.mark.dtype) * market.money
        state = BookState(
            cash=jnp.round(cash) if market.exact else cash,
            position=nothing,
            age=none,
            best=market.mark[row],
            profit=nothing,
            mark=market.mark[row],
            row=row,
            left=market.left[row],
            jump=market.jump[row],
            steps=steps.astype(jnp.int32),
            memory=params.reward.initial(jnp.asarray(params.cash, market.mark.dtype)),
        )
        untraded = Trade(state.cash, nothing, nothing)
        return state, self._answer(state, params, nothing, untraded, nothing, none, row)

    def step(
        self,
        key: PRNGKeyArray,
        state: BookState,
        action: Int[Array, ""],
        params: BookParams,
    ) -> tuple[BookState, TimeStep]:
        """Decide on row `state.row`, fill `delay` rows later, value at the next decision."""
        del key  # history is deterministic
        unit = unit_size(params.market, params.unit)
        gap, end, following = _clock(state, params)
        order, rule = _decide(state, action, gap, end, params)
        fill = state.row + jnp.asarray(params.delay, jnp.int32)
        filled, price, rule = _fill(state, order, rule, fill, params)
        position = state.position + filled.order
        mark, left, jump = (_quote(params, following, column) for column in range(3))
        # differences of prices, because float32 has no cents in the value of an account
        moved = state.position * (price - state.mark) + position * (mark - price)
        gain = unit * moved - filled.paid
        before = state.cash + unit * (state.position * state.mark)
        memory, reward = _reward(params, state.memory, before, gain)
        held = position != 0
        base = jnp.where(state.position == 0, price, state.best)
        state = BookState(
            cash=filled.cash,
            position=position,
            age=jnp.where(held, state.age + 1, 0),
            best=jnp.where(position > 0, jnp.maximum(base, mark), jnp.minimum(base, mark)),
            profit=jnp.where(held, state.profit + gain, 0),
            mark=mark,
            row=following,
            left=left.astype(jnp.int32),
            jump=jump.astype(jnp.int32),
            steps=state.steps + 1,
            memory=memory,
        )
        return state, self._answer(state, params, reward, filled, price, rule, fill)

    def _answer(
        self,
        state: BookState,
        params: BookParams,
        reward: Float[Array, ""],
        filled: Trade,
        price: Float[Array, ""],
        rule: Int[Array, ""],
        fill: Int[Array, ""],
    ) -> TimeStep:
        market, unit = params.market, unit_size(params.market, params.unit)
        value = state.cash + unit * (state.position * state.mark)
        over = state.row + _reach(params) > params.last
        return TimeStep(
            obs=BookObs(_own(state, params), state.row),
            reward=reward,
            terminated=value <= 0,
            truncated=(state.steps >= params.length) | over,
            info={
                "value": value / market.money,
                "cash": state.cash / market.money,
                "units": (state.position * unit / market.lots)[None],
                "order": (filled.order * unit / market.lots)[None],
                "traded": jnp.abs(filled.order) * unit * price / market.money,
                "paid": filled.paid / market.money,
                "rule": rule,
                "row": state.row,
                "fill": fill,
            },
        )

    def own(self, obs: BookObs, params: BookParams) -> Float[Array, "3"]:
        """Position, age and profit as networks see them."""
        return obs.own

    def table(self, params: BookParams) -> Float[Array, "T D"]:
        """The market part of the observation, row by row."""
        return params.market.table

    def observe(self, obs: BookObs, params: BookParams) -> Float[Array, " D"]:
        """The whole vector; see the class for its layout."""
        return jnp.concatenate([obs.own, params.market.table[obs.row]])

    def action_space(self, params: BookParams) -> Space:
        """Sell, hold, buy."""
        return Space(choices=3, idle=1)


def _clock(
    state: BookState, params: BookParams
) -> tuple[Bool[Array, ""], Bool[Array, ""], Int[Array, ""]]:
    """Whether this is the last decision before a gap, and of the episode; the row of the next."""
    step_gap, last = jnp.asarray(params.step_gap, jnp.int32), jnp.asarray(params.last, jnp.int32)
    needed = step_gap + _reach(params)
    gap, short = state.left < needed, last - state.row < needed
    end = short | (state.steps + 1 >= params.length)
    leap = jnp.minimum(state.row + state.jump, last)
    return gap, end, jnp.where(short, last, jnp.where(gap, leap, state.row + step_gap))


def _reach(params: BookParams) -> Int[Array, ""]:
    """Rows that must follow a decision: to its fill, and to where it is valued."""
    return jnp.maximum(jnp.asarray(params.delay, jnp.int32), 1)


def _decide(
    state: BookState,
    action: Int[Array, ""],
    gap: Bool[Array, ""],
    end: Bool[Array, ""],
    params: BookParams,
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The order in units, and the code of the rule that made it."""
    direction = jnp.clip(action, 0, 2).astype(state.position.dtype) - 1
    order, shaped = agent_order(direction * params.order_size, state.position, params.max_position)
    forced = forced_exit(
        Holding(state.position, state.age, state.best, state.mark),
        gap,
        end,
        params.max_holding,
        params.stop_loss,
        exact=params.market.exact,
    )
    closes = forced != AGENT
    return jnp.where(closes, -state.position, order), jnp.where(closes, forced, shaped)


def _quote(
    params: BookParams, row: Int[Array, ""], column: int | Int[Array, ""]
) -> Float[Array, ""]:
    """One number of a row; see `book_settings.price_ladder`."""
    return params.quotes.at[row, column].get(mode="clip")


def _fill(
    state: BookState,
    order: Float[Array, ""],
    rule: Int[Array, ""],
    row: Int[Array, ""],
    params: BookParams,
) -> tuple[Trade, Float[Array, ""], Int[Array, ""]]:
    """The order in the book of `row`: what became of it in units, the mid there, and the rule."""
    market, unit = params.market, unit_size(params.market, params.unit)
    mark = _quote(params, row, 0)
    if params.execution == "mid":
        depth = share_of(jnp.abs(order) * unit * mark, params.slippage, exact=market.exact)
        fee = params.maker_fee
    else:
        entry = _quote(params, row, LADDER + params.max_position + order.astype(jnp.int32))
        depth, fits = read_cost(entry)
        thin = (rule < CAPITAL) & ~fits
        order, rule = jnp.where(thin, 0, order), jnp.where(thin, THIN, rule)
        depth, fee = jnp.where(thin, 0, depth), params.taker_fee
    filled = trade(
        state.cash, state.position * unit, order * unit, mark, depth, fee, exact=market.exact
    )
    refused = (filled.order == 0) & (order != 0)
    done = filled._replace(order=jnp.where(refused, 0, order))
    return done, mark, jnp.where(refused, CAPITAL, rule)


def _reward(
    params: BookParams, memory: Memory, before: Float[Array, ""], gain: Float[Array, ""]
) -> tuple[Memory, Float[Array, ""]]:
    """What the gain of a step is worth."""
    money = params.market.money
    if isinstance(params.reward, ValueChange):  # the difference of two values loses cents
        return memory, params.reward.scale * (gain / money)
    return params.reward(memory, before / money, (before + gain) / money)


def _own(state: BookState, params: BookParams) -> Float[Array, "3"]:
    worth = jnp.abs(state.position) * unit_size(params.market, params.unit) * state.mark
    # bounded: what networks have not seen in training they answer at random
    earned = jnp.tanh(100 * state.profit / jnp.where(worth > 0, worth, 1))
    parts = (state.position / params.max_position, state.age / params.max_holding, earned)
    return jnp.stack([part.astype(jnp.float32) for part in parts])
