"""A market with another future: what the look-ahead checks of environments and agents use."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.ledger import TICK_MONEY
from steelyard.market import Market

WORLDS = ("garbage", "halted")
"""What may come after a row: unrelated prices, or no trade ever again."""


def another_future(market: Market, row: int, world: str = "garbage") -> Market:
    """The same market up to the close of bar `row`, and another one after it.

    Whoever decides at the close of bar `row` or before cannot tell the two apart: the marks, the
    table and the gauges differ from `row + 1` on, and the prices at which orders fill from `row`
    on, because an order that is decided at `row` fills at the next open.

    Args:
        row: last row that stays, in [0, T).
        world: "garbage": unrelated positive prices, gauges and observations; "halted": nothing is
            tradable any more, marks stand still, gauges are unknown (NaN).

    Raises:
        ValueError: no world has that name.
    """
    if world not in WORLDS:
        raise ValueError(f"no world named `{world}`; there are {', '.join(WORLDS)}")
    random = np.random.default_rng(row)
    halted = world == "halted"
    later, fills = np.arange(market.rows) > row, np.arange(market.rows) >= row

    def changed(
        values: jax.Array, where: NDArray[np.bool_], unrelated: ArrayLike, halted_at: ArrayLike
    ) -> jax.Array:
        known = np.asarray(values)
        where = where.reshape(-1, *[1] * (known.ndim - 1))
        return jnp.asarray(np.where(where, halted_at if halted else unrelated, known), values.dtype)

    def prices(values: jax.Array, where: NDArray[np.bool_]) -> jax.Array:
        other = np.exp(random.normal(4.0, 1.0, values.shape))
        # exact money holds whole ticks
        other = np.ceil(other * market.money / TICK_MONEY) * TICK_MONEY if market.exact else other
        return changed(values, where, other, np.asarray(values)[row])

    def numbers(values: jax.Array, halted_at: float) -> jax.Array:
        return changed(values, later, random.normal(0.0, 50.0, values.shape), halted_at)

    with jax.enable_x64(market.mark.dtype == jnp.float64):
        return replace(
            market,
            bid=prices(market.bid, fills),
            ask=prices(market.ask, fills),
            mark=prices(market.mark, later),
            tradable=changed(market.tradable, fills, random.random(market.mark.shape) < 0.5, False),
            table=numbers(market.table, 0.0),
            gauges={name: numbers(values, np.nan) for name, values in market.gauges.items()},
        )
