"""The ledger: the only place where money moves.

`execute` settles an order of shares: sells first, then buys in the order of their size for as long
as the cash lasts. In an order book `walk` says what an order costs level by level, and `trade`
settles it. Both run on two kinds of money.

* **Float**: prices and cash in quote currency, float32 (training) or float64.
* **Exact**: prices are whole ticks of 1e-4 and every amount is a whole number of 1e-7 units, held
  in float64; a book has its own tick and its own smallest amount (`book.build_book`). Sums and
  products of such integers are exact below 2**53 (about 9e8 in quote currency for shares),
  whatever their order, the batch size, the number of threads or the device; and `floor(a / b)` is
  exact too, because for integers a < 2**53 the quotient can only round up to a whole number when
  it is one. A scored backtest always runs on exact money.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from steelyard.lanes import batch_last, read, total

TICK = 1e-4
"""Smallest price step of the exact ledger, in quote currency."""

MONEY = 10_000_000
"""Smallest amounts of the exact ledger in one unit of quote currency: a tick times 0.1 % cost."""

TICK_MONEY = 1_000
"""Smallest amounts in one `TICK`."""

PARTS = 1_000_000
"""The exact ledger rounds costs to parts per million of the traded value."""

BOOK_PARTS = 100_000_000
"""The exact ledger rounds the fees of a book to parts of 1e-8 of the traded value."""


class Account(NamedTuple):
    """What an agent owns.

    Attributes:
        cash: () quote currency, or whole units of 1e-7 in the exact ledger.
        units: (N,) whole shares of each asset, held in the float type of the cash.
    """

    cash: Float[Array, ""]
    units: Float[Array, " N"]


def equity(account: Account, mark: Float[Array, "N *#B"]) -> Float[Array, "*#B"]:
    """Value of the account at the prices `mark`."""
    return account.cash + total(account.units * mark)


def execute(
    account: Account,
    order: Float[Array, "N *#B"],
    bid: Float[Array, "N *#B"],
    ask: Float[Array, "N *#B"],
    tradable: Bool[Array, "N *#B"],
    cost: Float[Array, "*#B"] | float,
    *,
    exact: bool = False,
    short: bool = False,
) -> Account:
    """Settle `order`: sells at the bid, then as much of the buys as the cash allows.

    Buys fill in the order of their size; equal sizes fill in asset order. A buy is
    `min(wanted, cash // (ask + cost))`.

    Args:
        order: whole units, + buys and - sells. Sells beyond the holding are cut unless `short`.
            A buy beyond `largest_order(N, dtype)` is cut to it.
        bid, ask: price of one unit, > 0 where `tradable`.
        tradable: False = nothing of this asset fills.
        cost: commission as a fraction of the traded value, in [0, 1).
        exact: prices count the smallest amounts, in whole ticks. The commission on one unit is
            then rounded up to a whole smallest amount.
        short: holdings may become negative.

    Returns:
        The account after the order; `cash >= 0` and (long only) `units >= 0` if they were before.
    """
    proceeds, price = net_prices(bid, ask, cost, exact=exact)
    order, price = jnp.where(tradable, order, 0), jnp.where(tradable, price, 1)
    sold = jnp.maximum(-order, 0)
    sold = sold if short else jnp.minimum(sold, account.units)
    cash = account.cash + total(sold * proceeds)
    bought, cash = fill_buys(jnp.maximum(order, 0), price, cash)
    # in float money floor(cash / price) * price may exceed the cash by a rounding error
    return Account(jnp.maximum(cash, 0), account.units - sold + bought)


def net_prices(
    bid: Float[Array, "*#T"],
    ask: Float[Array, "*#T"],
    cost: Float[Array, "*#B"] | float,
    *,
    exact: bool,
) -> tuple[Float[Array, "*#T"], Float[Array, "*#T"]]:
    """What one unit brings when sold and takes when bought, after the commission."""

    def commission(price: Float[Array, "*#T"]) -> Float[Array, "*#T"]:
        if not exact:
            return price * cost
        # XLA may turn a division by a constant into a product that is off by a bit, so the
        # remainder, which is exact, decides what is rounded up
        ticks = jnp.round(price / TICK_MONEY)
        charge = ticks * jnp.round(jnp.asarray(cost, price.dtype) * PARTS)
        units = PARTS // TICK_MONEY
        whole = jnp.floor(charge / units)
        return whole + (charge - whole * units > 0)

    return bid - commission(bid), ask + commission(ask)


def fill_buys(
    wanted: Float[Array, "N *#B"], price: Float[Array, "N *#B"], cash: Float[Array, "*#B"]
) -> tuple[Float[Array, "N *#B"], Float[Array, "*#B"]]:
    """Units bought of each asset when `cash` is spent on the largest order first; what is left."""
    if wanted.shape[0] == 1:
        units = jnp.minimum(wanted, jnp.floor(cash / price))
        return units, cash - (units * price)[0]
    most = largest_order(wanted.shape[0], wanted.dtype)
    filled: tuple[Float[Array, "N *#B"], Float[Array, "*#B"]]
    filled = _fill(jnp.minimum(wanted, most), price, cash)
    return filled


@batch_last
def _fill(
    wanted: Float[Array, "N *#B"], price: Float[Array, "N *#B"], cash: Float[Array, "*#B"]
) -> tuple[Float[Array, "N *#B"], Float[Array, "*#B"]]:
    """`fill_buys` of several assets.

    Sorting is the one thing XLA does badly here, so the order comes from a bitonic network on keys
    that pack size and asset into one number; it is several times faster with the batch last.
    """
    assets, shape = wanted.shape[0], jnp.broadcast_shapes(wanted.shape, price.shape, cash.shape)
    wanted, price, cash = (
        jnp.broadcast_to(wanted, shape),
        jnp.broadcast_to(price, shape),
        jnp.broadcast_to(cash, shape[1:]),
    )
    lanes = 1 << (assets - 1).bit_length()
    column = (slice(None),) + (None,) * (wanted.ndim - 1)
    place = (lanes - 1 - jnp.arange(lanes, dtype=wanted.dtype))[column]
    padding = [(0, lanes - assets)] + [(0, 0)] * (wanted.ndim - 1)
    # the padding has the smallest keys, so the first N lanes hold the assets
    keys = _sort_descending(jnp.pad(wanted, padding) * lanes + place)[:assets]
    size = jnp.floor(keys / lanes)
    asset = (lanes - 1 - (keys - size * lanes)).astype(jnp.int32)

    def buy(
        cash: Float[Array, "*#B"], line: tuple[Float[Array, "*#B"], Float[Array, "*#B"]]
    ) -> tuple[Float[Array, "*#B"], Float[Array, "*#B"]]:
        size, price = line
        units = jnp.minimum(size, jnp.floor(cash / price))
        return cash - units * price, units

    columns = math.prod(shape[1:])
    places = asset.reshape(assets, columns) * columns + jnp.arange(columns, dtype=jnp.int32)
    places = places.reshape(-1)
    in_turn = read(price.reshape(-1), places).reshape(shape)
    left, filled = jax.lax.scan(buy, cash, (size, in_turn))
    put = jnp.zeros(assets * columns, wanted.dtype).at[places]
    units = put.set(filled.reshape(-1), mode="promise_in_bounds", unique_indices=True)
    return units.reshape(shape), left


def _sort_descending(keys: Float[Array, "P *B"]) -> Float[Array, "P *B"]:
    """Sort along the first axis, whose length is a power of two, by a bitonic network.

    The first layer of each block compares mirrored lanes, so that all comparisons point the same
    way and no direction has to be selected (Batcher, 1968).
    """
    lanes, batch = keys.shape[0], keys.shape[1:]
    block = 2
    while block <= lanes:
        stride = block // 2
        while stride:
            pairs = keys.reshape(lanes // (2 * stride), 2, stride, *batch)
            one, two = pairs[:, 0], pairs[:, 1]
            mirrored = stride == block // 2 and stride > 1
            two = two[:, ::-1] if mirrored else two
            high, low = jnp.maximum(one, two), jnp.minimum(one, two)
            low = low[:, ::-1] if mirrored else low
            keys = jnp.stack([high, low], axis=1).reshape(lanes, *batch)
            stride //= 2
        block *= 2
    return keys


def largest_order(assets: int, dtype: np.dtype | type) -> int:
    """The largest buy, in units, that the packed keys of `fill_buys` can hold."""
    digits = np.finfo(dtype).nmant + 1
    return (1 << (digits - (assets - 1).bit_length())) - 1


def to_money(amount: float) -> float:
    """An amount in quote currency as the exact ledger counts it."""
    return float(np.round(amount * MONEY))


class Trade(NamedTuple):
    """What became of an order in a book.

    Attributes:
        cash: () after it.
        order: () base units that changed hands, + bought and - sold; 0 where nothing did.
        paid: () what that cost against the mark: spread, depth and fee; never negative.
    """

    cash: Float[Array, ""]
    order: Float[Array, ""]
    paid: Float[Array, ""]


def walk(
    order: Float[Array, ""],
    mark: Float[Array, ""],
    bid: Float[Array, " L"],
    ask: Float[Array, " L"],
    bid_size: Float[Array, " L"],
    ask_size: Float[Array, " L"],
) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """What an order costs against the mark when it walks the levels of a book, best first.

    Exact where prices and sizes are whole numbers.

    Args:
        order: base units, + buys at the asks and - sells at the bids.
        mark: between the best bid and the best ask.
        bid, ask: price of each level, from the best; a level of size 0 may have any price.
        bid_size, ask_size: base units on offer there.

    Returns:
        The cost, never negative, and whether the visible levels hold the order. What they do not
        hold is charged at the price of the deepest of them.
    """
    buys = order > 0
    size = jnp.where(buys, ask_size, bid_size)
    distance = jnp.where(buys, ask - mark, mark - bid)
    wanted, through = jnp.abs(order), jnp.cumsum(size)
    filled = jnp.clip(wanted - (through - size), 0, size)
    beyond = jnp.maximum(wanted - through[-1], 0)
    deepest = jnp.maximum(distance[0], jnp.max(jnp.where(size > 0, distance, 0)))
    return jnp.sum(filled * distance) + beyond * deepest, beyond == 0


def trade(
    cash: Float[Array, ""],
    units: Float[Array, ""],
    order: Float[Array, ""],
    mark: Float[Array, ""],
    depth: Float[Array, ""],
    fee: Float[Array, ""] | float,
    *,
    exact: bool = False,
    collateral: bool = True,
) -> Trade:
    """Settle an order of which `walk` has said what it costs.

    Args:
        cash, units: the account; units are negative when short.
        order: base units, + buys and - sells.
        mark: mid price of the book in which it fills.
        depth: what the order costs against the mark before the fee.
        fee: fraction of the traded value, in [0, 1).
        exact: money is whole; the fee is then rounded up, against the trader.
        collateral: nothing fills that adds to the position and leaves it worth more than the
            account: no buying on credit, and no short sale that is not fully covered.

    Returns:
        The cash after it, what filled (all or nothing) and what that cost: cash and units at the
        mark are worth exactly that much less.
    """
    value = order * mark + depth  # of a sale: minus what comes in
    charge = share_of(jnp.abs(value), fee, exact=exact)
    after, held = cash - value - charge, units + order
    if collateral:
        worth, exposure = after + held * mark, jnp.abs(held) * mark
        fills = (jnp.abs(held) <= jnp.abs(units)) | (exposure <= worth)
        order, after = jnp.where(fills, order, 0), jnp.where(fills, after, cash)
        depth, charge = jnp.where(fills, depth, 0), jnp.where(fills, charge, 0)
    return Trade(after, order, depth + charge)


def share_of(
    amount: Float[Array, ""], fraction: Float[Array, ""] | float, *, exact: bool
) -> Float[Array, ""]:
    """`amount * fraction`; of whole money, in whole parts of 1e-8 and rounded up."""
    if not exact:
        return amount * fraction
    parts = jnp.round(jnp.asarray(fraction, amount.dtype) * BOOK_PARTS)
    # split, because amount * parts may leave the whole numbers that a float64 can hold
    whole, rest = divide_whole(amount, BOOK_PARTS)
    part, left = divide_whole(rest * parts, BOOK_PARTS)
    return whole * parts + part + (left > 0)


def divide_whole(
    amount: Float[Array, ""], divisor: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Quotient and remainder of whole numbers >= 0, the amount below 2**53.

    XLA may multiply by the inverse instead of dividing, so that the quotient is off by one; the
    remainder, which is exact, tells.
    """
    quotient = jnp.floor(amount / divisor)
    rest = amount - quotient * divisor
    quotient = quotient + (rest >= divisor) - (rest < 0)
    return quotient, amount - quotient * divisor
