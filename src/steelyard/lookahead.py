"""A market with another future: what the look-ahead checks of environments and agents use."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.book import BookMarket
from steelyard.ledger import TICK_MONEY
from steelyard.market import Market

WORLDS = ("garbage", "halted")
"""What may come after a row: unrelated prices, or no trade ever again."""


@overload
def another_future(market: Market, row: int, world: str = "garbage") -> Market: ...
@overload
def another_future(market: BookMarket, row: int, world: str = "garbage") -> BookMarket: ...
def another_future(
    market: Market | BookMarket, row: int, world: str = "garbage"
) -> Market | BookMarket:
    """The same market up to the close of bar `row`, and another one after it.

    Whoever decides at the close of bar `row` or before cannot tell the two apart: the marks, the
    table and the gauges differ from `row + 1` on, and the prices at which orders fill from `row`
    on, because an order that is decided at `row` fills at the next open. Of a book everything
    differs from `row + 1` on but where its gaps are.

    Args:
        row: last row that stays, in [0, T).
        world: "garbage": unrelated positive prices, gauges and observations; "halted": nothing is
            tradable any more, marks stand still, gauges are unknown (NaN).

    Raises:
        ValueError: no world has that name.
    """
    if world not in WORLDS:
        raise ValueError(f"no world named `{world}`; there are {', '.join(WORLDS)}")
    if isinstance(market, BookMarket):
        return _another_book(market, row, halted=world == "halted")
    return _another_market(market, row, halted=world == "halted")


def _another_market(market: Market, row: int, *, halted: bool) -> Market:
    """Trading that never goes on after `row`, or that goes on at unrelated prices."""
    random = np.random.default_rng(row)
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


def _another_book(market: BookMarket, row: int, *, halted: bool) -> BookMarket:
    """Books that stand still after `row`, or unrelated ones that are as deep as the deepest."""
    random, shape = np.random.default_rng(row), market.bid.shape
    later = np.arange(market.rows) > row

    def changed(values: jax.Array, unrelated: ArrayLike) -> jax.Array:
        known, where = np.asarray(values), later.reshape(-1, *[1] * (values.ndim - 1))
        return jnp.asarray(np.where(where, known[row] if halted else unrelated, known), known.dtype)

    middle = float(market.mark[row])
    tick = 2.0 if market.exact else 1e-4 * middle  # whole ticks are even numbers
    best = np.round(middle / tick * random.uniform(0.5, 2, later.shape))
    best = np.maximum(best, 4 * shape[1])[:, None]
    steps = np.cumsum(random.integers(1, 3, (2, *shape)), axis=2)
    bid, ask = (best - steps[0]) * tick, (best + steps[1]) * tick
    deepest = [float(np.asarray(size).max()) for size in (market.bid_size, market.ask_size)]
    sizes = [np.ceil(most * random.uniform(1, 2, shape)) for most in deepest]
    with jax.enable_x64(market.mark.dtype == jnp.float64):
        return replace(
            market,
            bid=changed(market.bid, bid),
            ask=changed(market.ask, ask),
            bid_size=changed(market.bid_size, sizes[0]),
            ask_size=changed(market.ask_size, sizes[1]),
            mark=changed(market.mark, (bid[:, 0] + ask[:, 0]) / 2),
            table=changed(market.table, random.normal(0.0, 50.0, market.table.shape)),
        )
