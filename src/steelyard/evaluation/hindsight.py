"""The best that anybody could have done in an order book who had known the future.

A position in whole units moves by one order a decision, so the best path through them is found by
dynamic programming from the end: with c the cost of an order against the mid and m the mids,

    V_i(p) = max over p' of  p (m_fill - m_i) + p' (m_{i+1} - m_fill) - c_i(p' - p) + V_{i+1}(p').

The position is closed before gaps and at the end as the environment does it. Time-out and stop
loss close it here where that pays, and losses put no limit on the capital: whoever keeps to the
rules can only earn less. All money is exact, so no agent can pass this ceiling by a cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from steelyard.envs.book_settings import LADDER, BookParams, read_cost, unit_size
from steelyard.evaluation.backtest import require_exact
from steelyard.evaluation.book_backtest import clock_of
from steelyard.ledger import share_of
from steelyard.types import EquityCurve

MOVES = 4
"""Being closed by a rule, selling, holding, buying."""

Moves: TypeAlias = Int[Array, "P M"]
"""Where each of M moves leads from each of P positions, in units."""


@dataclass(frozen=True)
class Hindsight:
    """The best path through a window.

    Attributes:
        curve: account value, as the curve of a backtest on the same rows.
        position: (D,) units held after each of the D decisions.
        profit: final minus initial value, quote currency.
    """

    curve: EquityCurve
    position: NDArray[np.int64]
    profit: float


def hindsight(
    params: BookParams, timestamps: NDArray[np.datetime64], periods_per_year: float
) -> Hindsight:
    """The optimum of one pass, as `book_window` makes it, over an exact market.

    Raises:
        ConfigError: the market is not exact.
    """
    require_exact(params.market)
    rows = clock_of(params)
    left = np.asarray(params.market.left)[rows[:-1]]
    needed = int(params.step_gap) + max(int(params.delay), 1)
    closes = left < needed
    closes[-1] = True
    with jax.enable_x64(True):
        moves = _targets(params)
        gains = _gains(params, jnp.asarray(rows), jnp.asarray(closes), moves)
        position, earned = (np.asarray(one) for one in _best(gains, moves))
    money = float(params.market.money)
    value = float(params.cash) + np.append(0.0, np.cumsum(earned)) / money
    curve = EquityCurve(timestamps[rows], value, periods_per_year)
    return Hindsight(curve, position, float(earned.sum() / money))


@eqx.filter_jit
def _gains(
    params: BookParams, rows: Int[Array, " D+1"], closes: Bool[Array, " D"], target: Moves
) -> Float[Array, "D P M"]:
    """What each decision earns from each position by each move; minus infinity if it cannot be."""
    most, market = params.max_position, params.market
    unit = unit_size(market, params.unit)
    fill = jnp.clip(rows[:-1] + params.delay, 0, market.rows - 1)
    quotes, price = params.quotes[fill], params.quotes[fill, 0]
    held = jnp.arange(-most, most + 1)
    order = target - held[:, None]
    before = held * (price - market.mark[rows[:-1]])[:, None]
    after = target * (market.mark[rows[1:]] - price)[:, None, None]
    paid = _paid(params, unit, quotes, price)[:, jnp.clip(order, -most, most) + most]
    gain = unit * (before[:, :, None] + after) - paid
    closing = jnp.broadcast_to(target == 0, gain.shape)
    by_rule = closing & _may_be_closed(params, len(closes)) & (jnp.arange(MOVES) == 0)
    by_order = _fits(params, quotes, order) & (jnp.arange(MOVES) > 0)
    allowed = jnp.where(closes[:, None, None], closing, by_rule | by_order)
    return jnp.where(allowed, gain, -jnp.inf)


def _may_be_closed(params: BookParams, decisions: int) -> Bool[Array, ""]:
    """Whether a time-out or a stop loss could close a position before the end."""
    stops = jnp.isfinite(jnp.asarray(params.stop_loss, jnp.float32))
    return stops | (jnp.asarray(params.max_holding) < decisions)


def _targets(params: BookParams) -> Moves:
    """Positions to which closing, selling, holding and buying lead from each position.

    An order is cut to the limit, and closes a position instead of turning it.
    """
    most = params.max_position
    held = np.arange(-most, most + 1)
    reached = [np.zeros_like(held)]
    for direction in (-1, 0, 1):
        target = np.clip(held + direction * int(params.order_size), -most, most)
        reached.append(np.where(target * held < 0, 0, target))
    return jnp.asarray(np.stack(reached, axis=1))


def _paid(
    params: BookParams,
    unit: Float[Array, ""],
    quotes: Float[Array, "D Q"],
    price: Float[Array, " D"],
) -> Float[Array, "D O"]:
    """What an order of -most..most units costs against the mid, fee included."""
    most = params.max_position
    order = jnp.arange(-most, most + 1) * unit
    if params.execution == "mid":
        size = jnp.abs(order) * price[:, None]
        depth, fee = _share(size, params.slippage), params.maker_fee
    else:
        depth, fee = read_cost(quotes[:, LADDER:])[0], params.taker_fee
    value = jnp.abs(order * price[:, None] + depth)
    return depth + _share(value, fee)


def _share(amount: Float[Array, "D O"], fraction: Any) -> Float[Array, "D O"]:
    """A fraction of whole amounts of money, rounded up."""

    def one(part: Float[Array, ""]) -> Float[Array, ""]:
        return share_of(part, fraction, exact=True)

    share: Float[Array, "D O"] = jax.vmap(jax.vmap(one))(amount)
    return share


def _fits(
    params: BookParams, quotes: Float[Array, "D Q"], order: Int[Array, "P M"]
) -> Bool[Array, "D P M"]:
    """Whether the visible book holds the order."""
    if params.execution == "mid":
        return jnp.ones((len(quotes), *order.shape), bool)
    most = params.max_position
    return read_cost(quotes[:, LADDER:])[1][:, jnp.clip(order, -most, most) + most]


@jax.jit
def _best(gains: Float[Array, "D P M"], target: Moves) -> tuple[Int[Array, " D"], Array]:
    """The best position (D,) after each decision, from flat, and what each decision earns (D,)."""
    start = jnp.asarray(gains.shape[1] // 2)
    place = target + start

    def back(worth: Float[Array, " P"], gain: Float[Array, "P M"]) -> tuple[Array, Array]:
        total = gain + worth[place]
        return jnp.max(total, axis=1), jnp.argmax(total, axis=1)

    _, move = jax.lax.scan(back, jnp.zeros(gains.shape[1]), gains, reverse=True)

    def forth(held: Int[Array, ""], step: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        chosen = step[0][held]
        return place[held, chosen], (target[held, chosen], step[1][held, chosen])

    _, (position, earned) = jax.lax.scan(forth, start, (move, gains))
    return position, earned
